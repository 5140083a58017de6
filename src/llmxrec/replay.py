"""What the paper's authors released, as workspaces: their prompts as datasets, their explanations, their verdicts.

Their repository keeps each answer beside the prompt it was given to, a CSV file for each recommender, generator and
dataset, and the verdicts of their discriminator in one file for each recommender. Whatever of it is there is read;
nothing is made up where a part is missing.
"""

from __future__ import annotations

import csv
import hashlib
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from llmxrec.datasets.cleaning import assemble
from llmxrec.errors import InputError
from llmxrec.evaluation.gate import prepare
from llmxrec.evaluation.verdicts import RELEASED, VERDICTS
from llmxrec.explain import SCHEMA
from llmxrec.generators.replies import ended
from llmxrec.ledger import Ledger
from llmxrec.notes import settle
from llmxrec.prompts.released import load_released_domain, parse_released
from llmxrec.records import Explanation, Instruction, Item, Status, Verdict, Winner
from llmxrec.reports.tables import verdict_lines, write_tables
from llmxrec.stages.data import store_dataset
from llmxrec.stages.judging import judge_explanations, judge_settings
from llmxrec.stages.recommending import write_recommendations
from llmxrec.workspace import Workspace, atomic, safe_name

Say = Callable[[str], None]

DATASETS = {"ml-100k": "ml-100k", "mind_small_dev": "mind", "steam": "steam"}
"""The folders of the authors' datasets -> our names."""

GENERATORS = {
    "LLaMA2": "LLaMA",
    "ChatGLM2": "ChatGLM",
    "GPT3.5": "GPT-3.5",
    "GPT4": "GPT-4",
    "SFT": "LLMXRec",
    "LLaMA2-SFT": "LLMXRec",
}
"""What the authors call a generator in folders and files -> its name in the paper, in the paper's order."""

RECOMMENDERS = ("BPR-MF", "SASRec", "LightGCN")

PAIRS, HELD_OUT_PAIRS = "SFT/data/disc_data/train.json", "SFT/data/disc_data/test.json"
TUNING = "SFT/data/exp_data/train.json"
"""Where the labelled pairs of their discriminator lie, and the rows that their generator was tuned on."""

_ANSWERS = "gen_exp_*/results/**/results.csv"
_VERDICTS = "gen_compare_result/results/*/compare_all.csv"
_PROMPT, _TEXT = ("instruction", "prompt", "input"), ("response", "output", "answer")
_WINNERS: Mapping[str, Winner] = {"1": "first", "2": "second", "1.0": "first", "2.0": "second"}
"""What their discriminator answered, also as a table with gaps spells it; anything else is unreadable."""
_LONGEST_FIELD = 1 << 30


@dataclass(frozen=True)
class Answers:
    """The answers of one file, each with the prompt beside it, by row from 0."""

    recommender: str
    generator: str
    folder: str
    rows: list[tuple[str, str]]


@dataclass
class Release:
    """What a repository holds, by our names of datasets, and what of it could not be read, in words."""

    root: Path
    answers: dict[str, list[Answers]] = field(default_factory=dict)
    verdicts: dict[str, dict[str, list[tuple[int, str, str, str]]]] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)

    @property
    def datasets(self) -> list[str]:
        return [name for name in DATASETS.values() if self.answers.get(name) or self.verdicts.get(name)]


def replay(repository: Path, out: Path, say: Say = print, *, judge: str | None = None) -> list[Path]:
    """Read the clone `repository` into the workspaces `out`/DATASET, judge the texts again, and write all tables.

    `judge`: who judges again, trained on the authors' labelled pairs if it learns; None: `text`, if those are there;
    "": nobody. What was read or judged before is kept. Returns the tables' files. Raises InputError where `repository`
    holds nothing of the release, or `out` something else.
    """
    release = read_release(repository)
    places = {name: Workspace(out / name) for name in release.datasets}
    for line in found(release):
        say(line)
    for name, workspace in places.items():
        for line in import_dataset(release, name, workspace):
            say(f"  {name}: {line}")
    pairs, held_out = release.root / PAIRS, release.root / HELD_OUT_PAIRS
    tuning = release.root / TUNING
    kept = {"pairs": pairs, "tuning": tuning}
    noted = {name: str(file.resolve()) for name, file in kept.items() if file.is_file()}
    Workspace(out).note("release", source=str(release.root), **noted)
    if judge is None:
        judge = "text" if pairs.is_file() else ""
    if judge:
        judge_again(places, judge, pairs, held_out, say)
    for line in verdict_lines(places):
        say(line)
    return write_tables(places, Workspace(out))


def judge_again(places: Mapping[str, Workspace], judge: str, pairs: Path, held_out: Path, say: Say = print) -> None:
    """Have `judge` compare the texts of all `places`, after it was measured on the authors' `held_out` pairs, or where
    they are not there crosswise on `pairs`."""
    train = pairs if pairs.is_file() else None
    ready, measured = prepare(judge, train, held_out if held_out.is_file() else None)
    for line in measured.validity.lines() if measured else ():
        say(line)
    settings = judge_settings(judge, ready, train, seed=1)
    for name, workspace in places.items():
        for recommender in workspace.recommenders():
            if len(workspace.generators(recommender)) > 1:
                outcome = judge_explanations(workspace, recommender, ready, measured, settings)
                say(f"  {name}, {recommender}: {'; '.join(outcome.lines())}")


def read_release(repository: Path) -> Release:
    """All answers and verdicts that lie in `repository`, by the layout of the authors' repository.

    Raises InputError where there are none. A file that breaks a rule is left out, and `missed` says so.
    """
    for root in (repository / "src", repository):
        files = sorted(root.glob(_ANSWERS)), sorted(root.glob(_VERDICTS))
        if any(files):
            release = Release(root)
            for file in files[0]:
                _take(release, file, _add_answers)
            for file in files[1]:
                _take(release, file, _add_verdicts)
            if release.datasets:
                for answers in release.answers.values():
                    answers.sort(key=lambda part: (_place(RECOMMENDERS, part.recommender), _of_paper(part.generator)))
                return release
            why = release.missed[0] if release.missed else "its files hold no rows"
            raise InputError("nothing of the release could be read", cure=why, file=root)
    raise InputError(
        "this is no clone of the authors' repository: it holds no src/gen_exp_*/results and no src/gen_compare_result",
        value=str(repository),
        cure="git clone it first, and give that folder",
    )


def found(release: Release) -> Iterator[str]:
    """What of the release is there, and what is not, a line each."""
    recommenders = {answers.recommender for parts in release.answers.values() for answers in parts}
    recommenders |= {name for parts in release.verdicts.values() for name in parts}
    for recommender in sorted(recommenders, key=lambda name: _place(RECOMMENDERS, name)):
        parts, lacking = [], []
        for dataset in DATASETS.values():
            answers = [a for a in release.answers.get(dataset, []) if a.recommender == recommender]
            verdicts = release.verdicts.get(dataset, {}).get(recommender, [])
            if answers or verdicts:
                rows = sum(len(a.rows) for a in answers)
                parts.append(f"{dataset} ({rows:,} answers of {len(answers)} generators, {len(verdicts):,} verdicts)")
            gone = [name for name in dict.fromkeys(GENERATORS.values()) if name not in {a.generator for a in answers}]
            lacking += [f"{dataset} of {', '.join(gone)}"] if gone else []
            lacking += [] if verdicts else [f"verdicts on {dataset}"]
        yield f"{recommender}: {'; '.join(parts)}"
        if lacking:
            yield f"  not there: {'; '.join(lacking)}"
    absent = [name for name in RECOMMENDERS if name not in recommenders]
    if absent:
        yield f"not there: {', '.join(absent)}"
    for reason in release.missed:
        yield f"not read: {reason}"


def import_dataset(release: Release, name: str, workspace: Workspace) -> list[str]:
    """Write what `release` has of the dataset `name` to `workspace`; returns what is worth knowing, a line each.

    A person of the dataset is a row and what its prompt displays; rows are called by their number, from 0, and where
    files show different histories in one row, the later ones are other people, called 7-2, 7-3. An item is a title
    with its attributes, called by its title. A recommender's table holds what most files ask about in each row; each
    explanation keeps what its own prompt asked about. The prompts themselves are in prompts/RECOMMENDER.parquet.
    Raises InputError where the workspace holds anything else.
    """
    digest = _digest(release, name)
    if _is_imported(workspace, name, digest):
        return ["was read before"]
    world = _World()
    kept: dict[str, dict[int, tuple[str, str]]] = {}
    lines = []
    for recommender, files in _by_recommender(release.answers.get(name, [])).items():
        asked = [[world.place(row, words) for row, (words, _) in enumerate(answers.rows)] for answers in files]
        kept[recommender] = _most_asked(asked)
        unread = sum(place is None for places in asked for place in places)
        lines += [f"{recommender}: {unread:,} prompts cannot be read; their answers are left out"] if unread else []
        for answers, places in zip(files, asked, strict=True):
            others = sum(place is not None and place != kept[recommender][row] for row, place in enumerate(places))
            if others:
                lines.append(
                    f"{recommender} x {answers.generator}: {others:,} of {len(places):,} answers are to other prompts "
                    "than those of the other generators"
                )
            _write_explanations(workspace, answers, places, world)
        _write_prompts(workspace, recommender, files, asked)
    if world.items:
        lines += _write_dataset(workspace, release, world)
    for recommender, rows in kept.items():
        recommended = list(rows.values())
        columns = {"user_id": [u for u, _ in recommended], "item_id": [i for _, i in recommended]}
        table = pl.DataFrame(columns, schema={"user_id": pl.String, "item_id": pl.String})
        write_recommendations(
            workspace, recommender, table.with_columns(rank=pl.lit(1, pl.Int32), score=pl.lit(0.0, pl.Float64))
        )
    for recommender, verdicts in release.verdicts.get(name, {}).items():
        unread = _write_verdicts(workspace, recommender, verdicts, kept.get(recommender, {}))
        if unread:
            lines.append(f"{recommender}: {unread:,} of {len(verdicts):,} verdicts are neither 1 nor 2: unreadable")
    workspace.note("release", source=str(release.root), digest=digest)
    return lines


class _World:
    """People and items, as prompts tell of them."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, tuple[tuple[str, tuple[str, ...]], ...]], str] = {}
        self.people: dict[tuple[int, str], str] = {}
        self.histories: dict[str, list[str]] = {}
        self.profiles: dict[str, Mapping[str, str]] = {}
        self.domains: Counter[str] = Counter()
        self._ids: set[str] = set()
        self._read: dict[str, tuple[Instruction, str] | None] = {}
        self._variants: Counter[int] = Counter()

    def place(self, row: int, words: str) -> tuple[str, str] | None:
        """Whom and what the prompt `words` of `row` is about: user_id and item_id; None where it cannot be read."""
        if words not in self._read:
            try:
                instruction, domain = parse_released(words)
                self._read[words] = instruction, domain.name
            except InputError:
                self._read[words] = None
        read = self._read[words]
        if read is None:
            return None
        instruction, domain_name = read
        self.domains[domain_name] += 1
        history = [self._item(item) for item in instruction.history]
        shown = repr((sorted(instruction.user.attributes.items()), history))
        if (row, shown) not in self.people:
            self._variants[row] += 1
            user_id = f"{row}" if self._variants[row] == 1 else f"{row}-{self._variants[row]}"
            self.people[row, shown] = user_id
            self.histories[user_id] = history
            self.profiles[user_id] = instruction.user.attributes
        return self.people[row, shown], self._item(instruction.candidate)

    def displayed(self, user_id: str) -> int:
        """How many items a person's prompt displays."""
        return len(self.histories[user_id])

    def _item(self, item: Item) -> str:
        key = (item.title, tuple(item.attributes.items()))
        if key not in self.items:
            item_id, number = item.title, 1
            while item_id in self._ids:
                number += 1
                item_id = f"{item.title} ({number})"
            self._ids.add(item_id)
            self.items[key] = item_id
        return self.items[key]


def _write_dataset(workspace: Workspace, release: Release, world: _World) -> list[str]:
    domain = load_released_domain(world.domains.most_common(1)[0][0])
    attributes = sorted({name for _, told in world.items for name, _ in told})
    items = {
        "item_id": list(world.items.values()),
        "title": [title for title, _ in world.items],
        **{name: [list(dict(told).get(name, ())) for _, told in world.items] for name in attributes},
    }
    lists = dict.fromkeys(attributes, pl.List(pl.String))
    catalogue = pl.DataFrame(items, schema={"item_id": pl.String, "title": pl.String, **lists})
    single = [name for name in attributes if catalogue[name].list.len().max() in (0, 1)]
    rows = [(user, item, time) for user, shown in world.histories.items() for time, item in enumerate(shown)]
    profile = {name for known in world.profiles.values() for name in known}
    people = {
        "user_id": list(world.profiles),
        **{name: [known.get(name) for known in world.profiles.values()] for name in sorted(profile)},
    }
    dataset, report = assemble(
        release.root,
        domain,
        pl.DataFrame(rows, schema={"user_id": pl.String, "item_id": pl.String, "timestamp": pl.Int64}, orient="row"),
        catalogue.with_columns(pl.col(single).list.first()),
        pl.DataFrame(people, schema=dict.fromkeys(people, pl.String)),
        read={"prompts": world.domains.total(), "items displayed in them": len(rows)},
        notes={"prompts of another domain": world.domains.total() - max(world.domains.values())},
    )
    store_dataset(workspace, dataset, report, kind="release")
    return report.lines()


def _write_explanations(
    workspace: Workspace, answers: Answers, places: list[tuple[str, str] | None], world: _World
) -> None:
    file = workspace.explanations(answers.recommender, answers.generator)

    def records() -> Iterator[Mapping[str, Any]]:
        for (words, text), place in zip(answers.rows, places, strict=True):
            if place is not None:
                explanation = Explanation(
                    recommender=answers.recommender,
                    generator=answers.generator,
                    user_id=place[0],
                    item_id=place[1],
                    rank=1,
                    text=text,
                    status=ended(text),
                    prompt=_digest_of(words),
                    history=world.displayed(place[0]),
                )
                yield {column: getattr(explanation, column) for column in SCHEMA}

    _write_ledger(file, records())
    settle(file, {"source": "released by the paper's authors", "folder": answers.folder, "hold_out": False})


def _write_prompts(
    workspace: Workspace, recommender: str, files: list[Answers], asked: list[list[tuple[str, str] | None]]
) -> None:
    rows = {
        (*place, _digest_of(words), words): None
        for answers, places in zip(files, asked, strict=True)
        for (words, _), place in zip(answers.rows, places, strict=True)
        if place is not None
    }
    with atomic(workspace.prompts(recommender)) as draft:
        columns = dict.fromkeys(("user_id", "item_id", "prompt", "words"), pl.String)
        pl.DataFrame(list(rows), schema=columns, orient="row").write_parquet(draft)


def _write_verdicts(
    workspace: Workspace,
    recommender: str,
    rows: list[tuple[int, str, str, str]],
    about: Mapping[int, tuple[str, str]],
) -> int:
    """Write a ledger of verdicts; returns how many are unreadable. Rows without a prompt are called by their number."""
    unread = 0

    def records() -> Iterator[Mapping[str, Any]]:
        nonlocal unread
        for row, first, second, said in rows:
            user_id, item_id = about.get(row, (f"{row}", ""))
            winner = _WINNERS.get(said.strip())
            unread += winner is None
            status: Status = "ok" if winner else "invalid"
            verdict = Verdict(recommender, RELEASED, user_id, item_id, first, second, winner, status=status, raw=said)
            yield {column: getattr(verdict, column) for column in VERDICTS}

    _write_ledger(workspace.verdicts(recommender, RELEASED), records())
    return unread


def _write_ledger(file: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """A whole ledger at once, in place of what was there."""
    with atomic(file) as draft:
        draft.unlink(missing_ok=True)
        with Ledger(draft) as ledger:
            for record in records:
                ledger.append(record)


def _most_asked(asked: list[list[tuple[str, str] | None]]) -> dict[int, tuple[str, str]]:
    """By row, whom and what most files ask about; of as many, the first."""
    out = {}
    for row in range(max(map(len, asked))):
        there = [place for places in asked if row < len(places) and (place := places[row]) is not None]
        if there:
            out[row] = Counter(there).most_common(1)[0][0]
    return out


def _is_imported(workspace: Workspace, name: str, digest: str) -> bool:
    """Whether `workspace` holds this whole; what a killed import left is cleared away. Raises InputError for others."""
    manifest = workspace.read_manifest()
    noted = manifest.get("release", {}).get("digest")
    if noted == digest:
        return True
    if noted is not None:
        raise InputError(
            "the workspace holds another state of the release", value=str(workspace.path), cure="choose another --out"
        )
    if workspace.dataset.exists():
        if manifest.get("dataset", {}).get("kind") != "release":
            raise InputError(
                f"the workspace holds a dataset that is not the release's {name}",
                value=str(workspace.path),
                cure="choose another --out",
            )
        shutil.rmtree(workspace.dataset)
    return False


def _digest(release: Release, name: str) -> str:
    """A digest of all that `release` has of the dataset `name`."""
    content = repr((release.answers.get(name), release.verdicts.get(name)))
    return hashlib.blake2b(content.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _digest_of(words: str) -> str:
    return hashlib.blake2b(words.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _by_recommender(files: list[Answers]) -> dict[str, list[Answers]]:
    out: dict[str, list[Answers]] = {}
    for answers in files:
        out.setdefault(answers.recommender, []).append(answers)
    return out


def _place(order: Iterable[str], name: str) -> tuple[int, str]:
    """Where `name` stands in `order`; others come last, by name."""
    places = {known: number for number, known in enumerate(order)}
    return places.get(name, len(places)), name


def _of_paper(generator: str) -> tuple[int, str]:
    return _place(dict.fromkeys(GENERATORS.values()), generator)


def _take(release: Release, file: Path, add: Callable[[Release, Path], None]) -> None:
    try:
        add(release, file)
    except InputError as error:
        release.missed.append(str(error))


def _add_answers(release: Release, file: Path) -> None:
    """Take in `file`, which lies in RECOMMENDER/GENERATOR/DATASET, or, of the tuned one, in SFT/RECOMMENDER/DATASET."""
    *folders, dataset, _ = file.relative_to(next(p for p in file.parents if p.name == "results")).parts
    if dataset not in DATASETS or len(folders) != 2:
        raise InputError("answers lie in RECOMMENDER/GENERATOR/DATASET", value="/".join([*folders, dataset]), file=file)
    turned = folders[0] in GENERATORS
    recommender, folder = _name(folders[turned]), folders[not turned]
    known = release.answers.setdefault(DATASETS[dataset], [])
    generator = _name(GENERATORS.get(folder, folder))
    if any((a.recommender, a.generator) == (recommender, generator) for a in known):
        raise InputError(f"{recommender} x {generator} on {dataset} is there twice", file=file, cure="keep one of them")
    rows = _read(file, (_PROMPT, _TEXT))
    known.append(Answers(recommender, generator, folder, [(words, text) for _, (words, text) in rows]))


def _add_verdicts(release: Release, file: Path) -> None:
    recommender = _name(file.parent.name)
    columns = (("index",), ("dataset",), ("model1",), ("model2",), ("compare",))
    wrong = []
    for line, (index, dataset, *models, said) in list(_read(file, columns)):
        if dataset not in DATASETS or not (index.isascii() and index.isdigit()) or models[0] == models[1]:
            wrong.append(line)
            continue
        first, second = (_name(GENERATORS.get(model, model)) for model in models)
        rows = release.verdicts.setdefault(DATASETS[dataset], {}).setdefault(recommender, [])
        rows.append((int(index), first, second, said))
    if wrong:
        raise InputError(
            "a verdict has the number of a row, a known dataset and two generators",
            value=f"{len(wrong):,} rows without",
            cure="the others were read",
            file=file,
            line=wrong[0],
        )


def _name(text: str) -> str:
    """`text` as a name of files; signs that those do not have become '-'."""
    plain = "".join(sign if sign.isascii() and (sign.isalnum() or sign in "._@+-") else "-" for sign in text)
    return safe_name(plain.strip("-."))


def _read(file: Path, columns: tuple[tuple[str, ...], ...]) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV file, with the line each ends in: `columns`, each under the first of its names that is there.

    Fields may be long, and hold line breaks. Raises InputError where a column is missing, or a row has too few fields.
    """
    limit = csv.field_size_limit(_LONGEST_FIELD)
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.reader(lines, strict=True)
            header = next(reader, [])
            places = []
            for names in columns:
                place = next((header.index(name) for name in names if name in header), None)
                if place is None:
                    raise InputError(f"a column is called {names[0]}", value=", ".join(header), file=file, line=1)
                places.append(place)
            for row in reader:
                if row and len(row) <= max(places):
                    raise InputError(
                        f"every row has {len(header)} fields", value=len(row), file=file, line=reader.line_num
                    )
                if row:
                    yield reader.line_num, [row[place] for place in places]
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"the file is no CSV table in UTF-8: {error}", file=file) from None
    finally:
        csv.field_size_limit(limit)
