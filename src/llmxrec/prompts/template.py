"""Templates: text files that turn an instruction into messages, and messages back into the instruction.

A template has sections, each a paragraph. Section names say what stands in them; their order in the file is the
order in the prompt:

    [system]     a message of its own, before the rest
    [task]       who answers, and to what end
    [history]    {history}: a numbered line per item, oldest first; left out where there is none
    [evidence]   {evidence}: what the recommendation rests on, strongest first, each with its number in the history and
                 what it shares with the candidate; left out where nothing is known of that
    [profile]    {profile}: what is known of the person; left out where nothing is
    [reasoning]  chain of thought; left out when switched off
    [candidate]  {candidate}: the line of the recommended item
    [explain]    what is asked for, task `explain` (the paper's I_e)
    [choices]    {choices}: what the answers may be, task `predict`; left out where nothing is told of them
    [predict]    what is asked for, task `predict` (I_a); {targets}: the attributes to infer

Every section may use {field} {item} {items} {verb} {verb_past} of the domain, and {max_words}. Lines that begin with #
are notes. Text from data is only ever put into a template, never read as one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import resources
from itertools import product
from pathlib import Path
from string import Formatter

from llmxrec.errors import InputError
from llmxrec.lookup import closest
from llmxrec.prompts.lines import one_line, read_item, read_list, read_user, write_item, write_list, write_user
from llmxrec.records import Domain, Instruction, Item, Message, Task, User

BUNDLED = ("default", "evidence", "paper")

_OWN_VARIABLE = {
    "history": "history",
    "evidence": "evidence",
    "profile": "profile",
    "candidate": "candidate",
    "choices": "choices",
    "predict": "targets",
}
_SECTIONS = (
    "system", "task", "history", "evidence", "profile", "reasoning", "candidate", "explain", "choices", "predict"
)  # fmt: skip
_REQUIRED = ("history", "candidate", "explain")
_DOMAIN_WORDS = ("field", "item", "items", "verb", "verb_past")
_HEADER = re.compile(r"\[(\w+)\]")
_NUMBERED = re.compile(r"(\d+)\. (.*)")


@dataclass(frozen=True)
class Template:
    """A template's sections, in the order of the file. See the module for what they mean."""

    name: str
    sections: dict[str, str]

    @property
    def tells_causes(self) -> bool:
        """Whether its prompts say what a recommendation rests on."""
        return "evidence" in self.sections

    def render(
        self,
        instruction: Instruction,
        domain: Domain,
        *,
        reasoning: bool = True,
        max_words: int = 75,
        choices: Mapping[str, tuple[str, ...]] | None = None,
    ) -> tuple[Message, ...]:
        """The messages that ask `instruction` (equations 1 and 5 of the paper). All that it holds is shown.

        `reasoning` switches chain of thought; `max_words` is the length the answer is asked to keep. `choices` is what
        is told of the answers, by target.
        """
        told = choices or {}
        own = {
            "history": "\n".join(
                f"{number}. {write_item(item, domain.item_attributes)}"
                for number, item in enumerate(instruction.history, 1)
            ),
            "evidence": "\n".join(_evidence(instruction, domain)),
            "profile": write_user(instruction.user.attributes, domain.user_attributes),
            "candidate": write_item(instruction.candidate, domain.item_attributes),
            "targets": write_list(instruction.targets),
            "choices": "; ".join(
                f"{write_list((name,))}: {write_list(tuple(map(one_line, answers)))}" for name, answers in told.items()
            ),
        }
        words = {**_words(domain, max_words), **own}
        shown = {
            section: text.format_map(words)
            for section, text in self.sections.items()
            if self._is_shown(section, instruction.task, reasoning, own)
        }
        system = shown.pop("system", None)
        user = Message("user", "\n\n".join(shown.values()))
        return (Message("system", system), user) if system else (user,)

    def words(self, instruction: Instruction, domain: Domain) -> str:
        """What is asked, in words, without the system's instructions to a generator: what a judge reads."""
        return "\n\n".join(one.content for one in self.render(instruction, domain) if one.role != "system")

    def parse(self, messages: tuple[Message, ...], domain: Domain, *, max_words: int = 75) -> Instruction:
        """The instruction that `render` made these messages of, without ids. Raises InputError for others."""
        blocks = [block for message in messages for block in message.content.split("\n\n")]
        found: dict[str, str] = {}
        position = 0
        for section, text in self._in_order():
            if position < len(blocks) and (match := _pattern(text, domain, max_words).fullmatch(blocks[position])):
                found[section] = match[1] if match.re.groups else ""
                position += 1
        if position < len(blocks) or "candidate" not in found or ("explain" in found) == ("predict" in found):
            raise InputError(f"this prompt was not made with template '{self.name}'", value="\n\n".join(blocks))
        task: Task = "predict" if "predict" in found else "explain"
        history = tuple(read_item(line, domain.item_attributes) for _, line in _numbered(found.get("history", "")))
        causes = [number for number, _ in _numbered(found.get("evidence", ""))]
        if not all(1 <= number <= len(history) for number in causes):
            raise InputError("what a recommendation rests on is of the history", value=found["evidence"])
        return Instruction(
            task=task,
            user=User("", read_user(found["profile"], domain.user_attributes) if "profile" in found else {}),
            history=history,
            candidate=read_item(found["candidate"], domain.item_attributes),
            targets=read_list(found["predict"]) if task == "predict" else (),
            causes=tuple(history[number - 1] for number in causes),
        )

    def _in_order(self) -> list[tuple[str, str]]:
        """The sections as they stand in the messages: the system's before all others."""
        return sorted(self.sections.items(), key=lambda section: section[0] != "system")

    def _is_shown(self, section: str, task: Task, reasoning: bool, own: dict[str, str]) -> bool:
        if section in ("explain", "predict"):
            return section == task
        if section in ("history", "evidence", "profile", "choices"):
            return own[section] != ""
        return section != "reasoning" or reasoning


def load_template(name_or_file: str | Path) -> Template:
    """The bundled template of that name, or the one in that text file.

    Raises InputError for an unknown name, section or variable, naming it.
    """
    text = str(name_or_file)
    if text in BUNDLED:
        content = resources.files("llmxrec.prompts").joinpath("templates", f"{text}.txt").read_text(encoding="utf-8")
        return read_template(text, content)
    if not text.endswith(".txt"):
        raise closest("template", text, [*BUNDLED, "FILE.txt"])
    try:
        return read_template(Path(text).stem, Path(text).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"a template is a UTF-8 text file: {error}", value=text) from None


def read_template(name: str, content: str) -> Template:
    """The template that `content` spells."""
    sections: dict[str, str] = {}
    current = ""
    for line in content.splitlines():
        if header := _HEADER.fullmatch(line.strip()):
            current = header[1]
            if current not in _SECTIONS:
                raise closest(f"section of template '{name}'", current, _SECTIONS)
            if current in sections:
                raise InputError(f"a section of template '{name}' stands once", value=current)
            sections[current] = ""
        elif not line.startswith("#"):
            if not current and line.strip():
                raise InputError(f"template '{name}' begins with a [section]", value=line)
            if current:
                sections[current] += line.rstrip() + "\n"
    sections = {section: text.strip() for section, text in sections.items()}
    for section in _REQUIRED:
        if section not in sections:
            raise InputError(f"template '{name}' has a section [{section}]", cure="add it")
    for section, text in sections.items():
        _check_section(name, section, text)
    template = Template(name, sections)
    _check_readable(template)
    return template


def _check_section(name: str, section: str, text: str) -> None:
    own = _OWN_VARIABLE.get(section)
    place = f"section [{section}] of template '{name}'"
    if not text or "\n\n" in text:
        raise InputError(f"{place} is one paragraph, without empty lines in it", cure="join or delete them")
    try:
        used = [variable for _, variable, form, conversion in Formatter().parse(text) if variable is not None]
        plain = all(not form and not conversion for _, _, form, conversion in Formatter().parse(text))
    except ValueError as error:
        raise InputError(f"{place}: {error}", cure="write {{ and }} for braces that stand for themselves") from None
    known = [*_DOMAIN_WORDS, "max_words", *([own] if own else [])]
    for variable in used:
        if variable not in known:
            raise closest(f"variable in {place}", "{" + variable + "}", ["{" + word + "}" for word in known])
    if not plain:
        raise InputError(f"variables in {place} stand alone in their braces", cure="write {item}, not {item:>9}")
    if own and used.count(own) != 1:
        raise InputError(f"{place} holds {{{own}}} once", value=used.count(own))


def _check_readable(template: Template) -> None:
    """Raises InputError where a prompt of the template could be read back as another instruction."""
    labels = {"genre": "genre"}
    domain = Domain("d", "book", "book", "books", "read", "read", labels, {"age": "age"})
    book = Item("", "A", {"genre": ("b",)})
    people = [User(""), User("", {"age": "c"})] if "profile" in template.sections else [User("")]
    asked: list[Instruction] = []
    for user, history in product(people, ((), (book,))):
        asked.append(Instruction("explain", user, history, book))
        if template.tells_causes and history:
            asked.append(Instruction("explain", user, history, book, causes=history))
        if "predict" in template.sections:
            asked.append(Instruction("predict", user, history, book, ("d",)))
    for instruction, reasoning, told in product(asked, (True, False), (("e", "f"), ())):
        choices = {target: told for target in instruction.targets if told}
        messages = template.render(instruction, domain, reasoning=reasoning, choices=choices)
        try:
            same = template.parse(messages, domain) == instruction
        except InputError:
            same = False
        if not same:
            raise InputError(
                f"prompts of template '{template.name}' can be read back, whichever sections they have",
                value=messages[-1].content,
                cure="begin each section with words of its own, and end lines with its variable",
            )


def _words(domain: Domain, max_words: int) -> dict[str, str]:
    return {word: getattr(domain, word) for word in _DOMAIN_WORDS} | {"max_words": str(max_words)}


def _pattern(text: str, domain: Domain, max_words: int) -> re.Pattern[str]:
    """What a rendered section looks like; its own variable is the one group."""
    words = _words(domain, max_words)
    pattern = ""
    for literal, variable, _, _ in Formatter().parse(text):
        pattern += re.escape(literal)
        if variable in words:
            pattern += re.escape(words[variable])
        elif variable is not None:
            pattern += r"(\d{1,6}\. .*(?:\n\d{1,6}\. .*)*)" if variable in ("history", "evidence") else "(.+)"
    return re.compile(pattern)


def _evidence(instruction: Instruction, domain: Domain) -> Iterator[str]:
    """A line for each cause: its number in the history, and of its attributes those of the candidate."""
    for cause in instruction.causes:
        number = max(place for place, item in enumerate(instruction.history, 1) if item == cause)
        yield f"{number}. {write_item(shared(cause, instruction.candidate), domain.item_attributes)}"


def shared(item: Item, candidate: Item) -> Item:
    """`item` with only those of its values that `candidate` has too."""
    both = {
        column: tuple(value for value in values if value in candidate.attributes.get(column, ()))
        for column, values in item.attributes.items()
    }
    return replace(item, attributes={column: values for column, values in both.items() if values})


def _numbered(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a list, each with its number."""
    for line in text.split("\n") if text else ():
        if match := _NUMBERED.fullmatch(line):
            yield int(match[1]), match[2]
