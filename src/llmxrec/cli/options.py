"""Arguments and options that several commands have, each said once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llmxrec.cli import completion

PROMPT, GENERATOR, COST = "The prompt", "The generator", "Cost"
"""Panels of options."""

WorkspacePath = Annotated[Path, typer.Argument(metavar="WORKSPACE", help="The folder of this experiment.")]

WorkspaceOrFolder = Annotated[Path, typer.Argument(metavar="WORKSPACE", help="A workspace, or a folder of workspaces.")]

Recommender = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Whose recommendations; may be left out where there is one.",
        autocompletion=completion.recommenders,
    ),
]

ExplainedRecommender = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Whose recommendations are explained; may be left out where there is one.",
        autocompletion=completion.explained,
    ),
]

GeneratorName = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="By whom they are explained; may be left out where there is one.",
        autocompletion=completion.generators,
    ),
]

GeneratorSpec = Annotated[
    str,
    typer.Option(
        metavar="SPEC",
        help="embedded, template, hf:NAME_OR_PATH, openai:MODEL, openai:MODEL@URL, gpt-4, gpt-3.5, llama-2, chatglm; "
        "+FOLDER for an adapter.",
        autocompletion=completion.generator_specs,
        rich_help_panel=GENERATOR,
    ),
]

JudgeSpec = Annotated[
    str,
    typer.Option(
        metavar="SPEC",
        help="text, text:FOLDER, pairwise:GENERATOR or reward:FOLDER.",
        autocompletion=completion.judge_specs,
    ),
]

Train = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Labelled pairs to learn from, as JSON or JSON lines; or annotated: those that ship."
    ),
]

Test = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Labelled pairs to measure on; without, --train is cross-validated."),
]

Users = Annotated[int | None, typer.Option(metavar="N", min=1, help="Only the first N users.")]

Seed = Annotated[int, typer.Option(metavar="N", min=0, help="Of all that is drawn by chance.")]

Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column", metavar="OURS=YOURS", help="What you call a column: --column user_id=customer. Repeatable."
    ),
]

Recommendations = Annotated[
    Path | None, typer.Option(metavar="FILE", help="What your own recommender recommends: a table of who and what.")
]

Name = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="What to call the answers; without, the generator.", rich_help_panel=GENERATOR),
]

Template = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="default, evidence (tells what caused the recommendation), paper or FILE.txt.",
        autocompletion=completion.templates,
        rich_help_panel=PROMPT,
    ),
]

History = Annotated[
    int, typer.Option(metavar="N", min=0, help="The newest items shown, at most.", rich_help_panel=PROMPT)
]

ItemAttributes = Annotated[
    str | None,
    typer.Option(
        metavar="A,B",
        help="Shown of items: genres,year; '' for none; without, what the dataset's domain names.",
        autocompletion=completion.item_attributes,
        rich_help_panel=PROMPT,
    ),
]

UserAttributes = Annotated[
    str | None,
    typer.Option(
        metavar="A,B",
        help="Shown of users: age,gender; '' for none; without, what the dataset's domain names.",
        autocompletion=completion.user_attributes,
        rich_help_panel=PROMPT,
    ),
]

Reasoning = Annotated[bool, typer.Option(help="Ask for a chain of thought.", rich_help_panel=PROMPT)]

MaxWords = Annotated[int, typer.Option(metavar="N", min=1, help="Words asked for, at most.", rich_help_panel=PROMPT)]

Price = Annotated[
    str | None,
    typer.Option(metavar="IN,OUT", help="USD per million tokens read and written.", rich_help_panel=COST),
]

MaxCost = Annotated[
    float | None, typer.Option(metavar="USD", min=0, help="What it may cost in all.", rich_help_panel=COST)
]

DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Ask nothing: show three prompts, and calls, tokens and price.", rich_help_panel=COST
    ),
]

Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A setting: --set epochs=50. Repeatable."),
]

Target = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="An attribute: age, gender, occupation, category, interest, price or popularity; without, all that the "
        "dataset tells. Repeatable.",
        autocompletion=completion.targets,
    ),
]
