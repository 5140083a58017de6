"""Domains that come with the library, one TOML file each, and the reading and writing of anyone's."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, fields
from importlib import resources
from pathlib import Path
from typing import Any

import tomli_w

from llmxrec.errors import InputError
from llmxrec.lookup import closest
from llmxrec.records import Domain

BUNDLED = ("movies", "news", "games", "items")

_WORDS = tuple(f.name for f in fields(Domain) if not f.name.endswith("_attributes"))
_TABLES = tuple(f.name for f in fields(Domain) if f.name.endswith("_attributes"))


def load_domain(name_or_file: str | Path) -> Domain:
    """The domain of that name, or of that TOML file. Raises InputError for an unknown name or a broken file."""
    text = str(name_or_file)
    if text in BUNDLED:
        content = resources.files(__name__).joinpath(f"{text}.toml").read_text(encoding="utf-8")
        return _domain(tomllib.loads(content), text)
    if not text.endswith(".toml"):
        raise closest("domain", text, [*BUNDLED, "FILE.toml"])
    try:
        content = Path(text).read_text(encoding="utf-8")
        return _domain(tomllib.loads(content), text)
    except FileNotFoundError:
        raise InputError("the domain file does not exist", value=text, cure="give its path") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"a domain is a TOML file: {error}", file=text) from None


def told_domain(value: object, file: str) -> Domain:
    """The domain that a row of `file` tells: the name of a bundled one, or a table of its words. No file is opened.

    Raises InputError for anything else.
    """
    if isinstance(value, dict):
        return _domain(value, file)
    if value not in BUNDLED:
        raise closest("domain", str(value), BUNDLED)
    return load_domain(str(value))


def save_domain(domain: Domain, file: Path) -> None:
    """Write `domain` so that `load_domain` reads the same back."""
    file.write_text(tomli_w.dumps(asdict(domain)), encoding="utf-8")


def _domain(content: dict[str, Any], file: str) -> Domain:
    for key in content:
        if key not in (*_WORDS, *_TABLES):
            error = closest("key of a domain", key, [*_WORDS, *_TABLES])
            raise InputError(error.rule, cure=error.cure, file=file)
    for key in _WORDS:
        value = content.get(key)
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            raise InputError(f"a domain's '{key}' is one line of words", value=value, file=file)
    for key in _TABLES:
        table = content.get(key, {})
        if not isinstance(table, dict) or not all(_is_label(label) for label in table.values()):
            raise InputError(
                f"a domain's '{key}' maps columns to labels of letters, digits, spaces, '-' and '_'",
                value=table,
                file=file,
            )
        if len(set(table.values())) < len(table):
            raise InputError(f"a domain's '{key}' gives each column its own label", value=table, file=file)
    return Domain(**{key: content.get(key, {}) for key in (*_WORDS, *_TABLES)})


def _is_label(label: object) -> bool:
    """Labels stand before a colon in prompts, so they hold no punctuation that a reader could take for a border."""
    return isinstance(label, str) and label == label.strip() != "" and all(c.isalnum() or c in " -_" for c in label)
