"""Commands about what is true of a recommendation: evidence."""

from __future__ import annotations

from typing import Annotated

import typer

from llmxrec.cli import app
from llmxrec.cli.console import figures, only, opened, say, say_next, wrote
from llmxrec.cli.options import ExplainedRecommender, Recommender, Seed, WorkspacePath


@app.command()
def evidence(
    workspace: WorkspacePath,
    recommender: Recommender = None,
    top: Annotated[int, typer.Option(metavar="N", min=1, help="Recommendations of each user, the best first.")] = 1,
) -> None:
    """Find which items of a history caused a recommendation.

    They are left out, and the recommender is asked again; where it is not here, a stand-in is.
    """
    from llmxrec.stages.tracing import trace

    place = opened(workspace)
    recommender = only("recommender", recommender, place.recommenders(), f"llmxrec recommend {workspace}")
    traced = trace(place, recommender, top=top)
    for line in traced.lines():
        say(line)
    figures(recommender=recommender, **vars(traced))
    wrote(place.evidence(recommender))
    say_next("explain", workspace, "--recommender", recommender, "--template", "evidence")


@app.command()
def faithfulness(
    workspace: WorkspacePath,
    recommender: ExplainedRecommender = None,
    k: Annotated[
        int, typer.Option("-k", metavar="N", min=1, help="The first places that POS@k and NEG@k look at.")
    ] = 10,
    seed: Seed = 1,
) -> None:
    """Take away what explanations cite, and see whether the recommendation falls.

    So it is found out whether they are true of the recommender, beside as many random, newest and true causes.
    """
    from llmxrec.reports.faithfulness import faithfulness_lines, write_faithfulness
    from llmxrec.stages.faithful import measure_faithfulness
    from llmxrec.stages.tracing import STAND_IN
    from llmxrec.stored import rests_on_a_stand_in

    place = opened(workspace)
    recommender = only("recommender", recommender, place.explained(), f"llmxrec explain {workspace}")
    found = measure_faithfulness(place, recommender, k=k, seed=seed)
    stand_in = rests_on_a_stand_in(place, recommender)
    file = write_faithfulness({recommender: found}, {recommender: stand_in}, place)
    figures(recommender=recommender, generators=found, surrogate=stand_in)
    for name, one in found.items():
        for line in faithfulness_lines(recommender, name, one):
            say(line)
    if stand_in:
        say(f"measured on {STAND_IN}")
    wrote(file)
    say_next("audit", workspace)
