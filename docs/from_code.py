"""Directives that write the reference from the code, and links from names in prose to it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from importlib import import_module
from inspect import Parameter, cleandoc, signature
from itertools import groupby
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer.main
from docutils import nodes
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms import SphinxTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from typer.models import ArgumentInfo, OptionInfo

from llmxrec.cli import app as command_line

log = logging.getLogger(__name__)
NAME = re.compile(r"llmxrec(\.\w+)+")
COMMAND = re.compile(r"llmxrec ([a-z][\w-]*)( .*)?")


class LinkedNames(SphinxTransform):
    """Code in prose that names something of ours becomes a link to its reference, and a warning where there is none."""

    default_priority = 500

    def apply(self, **_: Any) -> None:
        for literal in list(self.document.findall(nodes.literal)):
            if isinstance(literal.parent, nodes.reference | addnodes.pending_xref):
                continue
            text = literal.astext()
            if NAME.fullmatch(text):
                literal.replace_self(self._link(literal, "py", "obj", text))
            elif told := COMMAND.fullmatch(text):
                literal.replace_self(self._link(literal, "std", "ref", f"llmxrec-{told[1]}"))

    def _link(self, literal: nodes.literal, domain: str, kind: str, target: str) -> addnodes.pending_xref:
        link = addnodes.pending_xref(
            "", refdomain=domain, reftype=kind, reftarget=target, refexplicit=True, refwarn=True, ours=True
        )
        link["refdoc"] = self.env.current_document.docname
        link.source, link.line = literal.source, literal.line
        link += literal.deepcopy()
        return link


def warn_of_missing(app: Sphinx, env: BuildEnvironment, link: addnodes.pending_xref, shown: nodes.Element) -> None:
    """What LinkedNames found no reference of."""
    if link.get("ours"):
        log.warning("the reference does not have %s", link["reftarget"], location=link)


def as_rst(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Docstrings are plain text: what is laid out by spaces stays so, and no sign but a backtick has a meaning."""
    out = []
    for paragraph in _paragraphs(lines):
        if _is_laid_out(paragraph):
            out += [".. code-block:: text", "", *(f"   {line}" for line in paragraph), ""]
        else:
            out += [*map(_escaped, paragraph), ""]
    lines[:] = out


def _paragraphs(lines: Iterable[str]) -> Iterator[list[str]]:
    for filled, paragraph in groupby(lines, key=lambda line: bool(line.strip())):
        if filled:
            yield list(paragraph)


def _is_laid_out(paragraph: list[str]) -> bool:
    return any(re.search(r"^ |\S {3}", line) or line.startswith(">>> ") for line in paragraph)


def _escaped(line: str) -> str:
    parts = re.split(r"(`[^`]*`)", line)
    return "".join(part if part.startswith("`") else re.sub(r"([*|\\]|_\b)", r"\\\1", part) for part in parts)


class Written(SphinxDirective):
    """A directive whose content is Markdown that `lines` writes: sections, or something that has none.

    Sections go straight to the page, so that what stood before them would follow them.
    """

    def lines(self) -> Iterator[str]:
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes("\n".join(self.lines()), allow_section_headings=True)


class Modules(Written):
    """What is public in the modules that are named, a line each."""

    has_content = True

    def lines(self) -> Iterator[str]:
        for name in self.content:
            yield from (f"## {name}", "", "```{eval-rst}", f".. automodule:: {name}", "```", "")


class Commands(Written):
    """All commands of the command line, each with its arguments and options."""

    def lines(self) -> Iterator[str]:
        functions = {one.name or one.callback.__name__: one.callback for one in command_line.registered_commands}
        for name in typer.main.get_command(command_line).list_commands(None):  # in the order of its help
            function = functions[name]
            parameters = signature(function, eval_str=True).parameters
            told = [(key, *get_args(one.annotation), one.default) for key, one in parameters.items()]
            arguments = [_called(key, kind, info)[0] for key, kind, info, _ in told if isinstance(info, ArgumentInfo)]
            yield from (f"(llmxrec-{name})=", f"## llmxrec {name}", "", cleandoc(function.__doc__ or ""), "")
            yield from ("```text", " ".join(["llmxrec", name, *arguments, "[OPTIONS]"]), "```", "")
            yield from ("| | takes | default | |", "|---|---|---|---|")
            for key, kind, info, default in told:
                called = ", ".join(f"`{word}`" for word in _called(key, kind, info))
                named = isinstance(info, OptionInfo) and info.metavar is not None
                takes = info.metavar if named else _taken(kind, info)
                said = (
                    "needed"
                    if default is Parameter.empty
                    else _shown(None if default is False else default).replace('"', "")
                )
                yield _row(called, takes, said, info.help or "")
            yield ""


def _called(key: str, kind: Any, info: Any) -> tuple[str, ...]:
    """The words by which a command is given `key`."""
    if isinstance(info, ArgumentInfo):
        return (info.metavar or key.upper(),)
    plain = key.replace("_", "-")
    # In an annotation, the first word lies where a default would.
    said = *([info.default] if isinstance(info.default, str) else ()), *(info.param_decls or ())
    return tuple(word for words in said for word in words.split("/")) or (
        (f"--{plain}", f"--no-{plain}") if kind is bool else (f"--{plain}",)
    )


def _taken(kind: Any, info: Any) -> str:
    if kind is bool:
        return ""
    bounds = [f"{one:g} {word}" for one, word in ((info.min, "or more"), (info.max, "at most")) if one is not None]
    return ", ".join([_kind(kind), *bounds])


class SettingsOf(Written):
    """The table of settings that is named, as `module:Class`."""

    required_arguments = 1

    def lines(self) -> Iterator[str]:
        module, _, name = self.arguments[0].partition(":")
        yield from _table(getattr(import_module(module), name))


class RecipeKeys(Written):
    """All keys of a recipe, table by table, as TOML names them."""

    def lines(self) -> Iterator[str]:
        from llmxrec.recipe import Recipe

        yield from self._tables(Recipe, "", False)

    def _tables(self, model: type[BaseModel], path: str, listed: bool) -> Iterator[str]:
        title = f"`{'[[' if listed else '['}{path}{']]' if listed else ']'}`" if path else "At the top"
        yield from (f"## {title}", "", cleandoc(model.__doc__ or ""), "")
        yield from _table(model)
        for name, field in model.model_fields.items():
            for inner, many in _models(field.annotation):
                yield from self._tables(inner, f"{path}.{name}".lstrip("."), many)


def _models(annotation: Any, many: bool = False) -> Iterator[tuple[type[BaseModel], bool]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, many
    for inner in get_args(annotation):
        yield from _models(inner, many or get_origin(annotation) is tuple)


def _table(model: type[BaseModel]) -> Iterator[str]:
    yield from ("| key | value | default | |", "|---|---|---|---|")
    for name, field in model.model_fields.items():
        kind, said = _kind(field.annotation, field.metadata), _in_toml(field.description or "")
        yield _row(f"`{name}`", kind, _default(field), said)
    yield ""


def _in_toml(description: str) -> str:
    """Where Python says None and (), a file leaves the key out and says []."""
    said = re.sub(r"(^|[.] )None:", r"\1Left out:", description)
    return said.replace("None:", "left out:").replace("():", "[]:")


def _default(field: FieldInfo) -> str:
    return "needed" if field.is_required() else _shown(field.get_default(call_default_factory=True))


def _shown(default: Any) -> str:
    """A default as a file would say it; nothing where there is none."""
    if default is None or isinstance(default, BaseModel) or default in ((), [], {}):
        return ""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, tuple):
        return f"`{list(default)}`"
    return f"`{default}`" if isinstance(default, int | float) else f'`"{default}"`'


_WORDS = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    Path: "path",
    dict: "table",
    NoneType: "",
}
_BOUNDS = {
    "ge": "{} or more",
    "gt": "above {}",
    "le": "{} at most",
    "lt": "below {}",
    "min_length": "{} or more of them",
}


def _kind(annotation: Any, metadata: Any = ()) -> str:
    """What a value may be, in words."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(inner[0], [*getattr(inner[1], "metadata", inner[1:]), *metadata])
    if origin is Literal:
        said = " or ".join(f'`"{one}"`' for one in inner)
    elif origin in (Union, UnionType):
        said = " or ".join(filter(None, map(_kind, inner)))
    elif origin in (tuple, list):
        kinds = dict.fromkeys(_kind(one) for one in inner if one is not Ellipsis)
        said = f"list of {' and '.join(kinds)}"
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        said = "table"
    else:
        said = _WORDS.get(origin or annotation, getattr(annotation, "__name__", str(annotation)))
    bounds = [form.format(getattr(one, key)) for one in metadata for key, form in _BOUNDS.items() if hasattr(one, key)]
    return ", ".join([said, *bounds])


def _row(*cells: str) -> str:
    return f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in cells)} |"


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_transform(LinkedNames)
    app.connect("missing-reference", warn_of_missing)
    app.connect("autodoc-process-docstring", as_rst)
    app.add_directive("modules", Modules)
    app.add_directive("commands", Commands)
    app.add_directive("recipe-keys", RecipeKeys)
    app.add_directive("settings-of", SettingsOf)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
