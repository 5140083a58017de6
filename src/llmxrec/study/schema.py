"""The tables of a study, and the database that they lie in: SQLite, or PostgreSQL by its URL. One study a database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from llmxrec.errors import InputError

_BUSY_S = 60.0
"""How long a writer waits for another."""

meta = sa.MetaData()

study = sa.Table(
    "study",
    meta,
    sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1"), primary_key=True, autoincrement=False),
    sa.Column("design", sa.Text, nullable=False),
    sa.Column("domain", sa.Text, nullable=False),
    sa.Column("gold", sa.Text, nullable=False),
    sa.Column("state", sa.Text, sa.CheckConstraint("state IN ('open', 'paused', 'closed')"), nullable=False),
    sa.Column("places", sa.Integer, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("unblinded_at", sa.Double),
    sa.Column("unblinded_by", sa.Text),
)
event = sa.Table(
    "event",
    meta,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("what", sa.Text, nullable=False),
)
rater = sa.Table(
    "rater",
    meta,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, sa.CheckConstraint("kind IN ('third-party', 'self')"), nullable=False),
    sa.Column("token_hash", sa.Text, nullable=False, unique=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("user_id", sa.Text),
    sa.Column("invited_at", sa.Double, nullable=False),
    sa.Column("expires_at", sa.Double),
    sa.Column("excluded_reason", sa.Text),
)
row = sa.Table(
    "row",
    meta,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("user_id", sa.Text, nullable=False),
    sa.Column("item_id", sa.Text, nullable=False),
    sa.Column("instruction", sa.Text, nullable=False),
    sa.Column("self_only", sa.Boolean, nullable=False),
    sa.UniqueConstraint("user_id", "item_id"),
)
explanation = sa.Table(
    "explanation",
    meta,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("row", sa.ForeignKey("row.id"), nullable=False),
    sa.Column("generator", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.UniqueConstraint("row", "generator"),
)
cell = sa.Table(
    "cell",
    meta,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("row", sa.ForeignKey("row.id"), nullable=False),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("first", sa.ForeignKey("explanation.id"), nullable=False),
    sa.Column("second", sa.ForeignKey("explanation.id")),
    sa.Column("place", sa.Integer, nullable=False, unique=True),
    sa.Column("quota", sa.Integer, nullable=False),
    sa.Column("taken", sa.Integer, nullable=False),
    # What makes quotas exact, whatever runs at once: ratings that count, and places held for raters.
    sa.CheckConstraint("0 <= taken AND taken <= quota"),
    sa.Index("cell_need", "quota", "taken", "label", "place"),
    sa.Index("cell_row", "row"),
)
task = sa.Table(
    "task",
    meta,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("rater", sa.ForeignKey("rater.id"), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("kind", sa.Text, sa.CheckConstraint("kind IN ('rate', 'compare')"), nullable=False),
    sa.Column("purpose", sa.Text, sa.CheckConstraint("purpose IN ('cell', 'gold', 'attention')"), nullable=False),
    sa.Column("row", sa.ForeignKey("row.id")),
    sa.Column("cell", sa.ForeignKey("cell.id")),
    sa.Column("first", sa.ForeignKey("explanation.id")),
    sa.Column("second", sa.ForeignKey("explanation.id")),
    sa.Column("check", sa.Text),
    sa.Column("holds", sa.Boolean, nullable=False),
    sa.Column("state", sa.Text, sa.CheckConstraint("state IN ('open', 'expired', 'done')"), nullable=False),
    sa.Column("shown_at", sa.Double, nullable=False),
    sa.Column("reserved_until", sa.Double, nullable=False),
    sa.UniqueConstraint("rater", "number"),
    sa.UniqueConstraint("rater", "cell"),
    sa.Index("task_cell", "cell"),
    sa.Index("task_open", "state", "reserved_until"),
)
rating = sa.Table(
    "rating",
    meta,
    sa.Column("task", sa.ForeignKey("task.id"), primary_key=True),
    *(
        sa.Column(scale, sa.Integer, sa.CheckConstraint(f"{scale} BETWEEN 1 AND 10"))
        for scale in ("reasonability", "attractiveness", "redundancy")
    ),
    sa.Column("winner", sa.Text, sa.CheckConstraint("winner IN ('first', 'second', 'tie')")),
    sa.Column("comment", sa.Text, nullable=False),
    sa.Column("passed", sa.Boolean),
    sa.Column("left_out", sa.Text),
    sa.Column("stored_at", sa.Double, nullable=False),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.CheckConstraint("(winner IS NULL) = (reasonability IS NOT NULL)"),
)


class Database:
    """An open database. All writing is done in short transactions, which wait for each other."""

    def __init__(self, url: str) -> None:
        """Open `url`, as in sqlite:///study.db or postgresql://host/study; nothing is made in it.

        Raises InputError for another kind of database, and where it cannot be opened.
        """
        try:
            parsed = sa.make_url(url)
        except sa.exc.ArgumentError:
            raise InputError(
                "a study's database is given by its URL", value=_hidden(url), cure="sqlite:///FILE or postgresql://..."
            ) from None
        kind = parsed.get_backend_name()
        if kind == "postgresql":
            self._engine = sa.create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
        elif kind == "sqlite" and parsed.database and parsed.database != ":memory:":
            self._engine = sa.create_engine(
                parsed.set(drivername="sqlite+pysqlite"), connect_args={"timeout": _BUSY_S, "isolation_level": None}
            )
            sa.event.listen(self._engine, "connect", _prepare_sqlite)
            sa.event.listen(self._engine, "begin", _begin_sqlite)
        else:
            raise InputError("a study lies in SQLite or PostgreSQL", value=kind, cure="sqlite:///FILE")
        self._writer = self._engine.execution_options(writing=True)

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that writes: committed at the end, undone where anything is raised."""
        with self._writer.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that reads, and sees one state of things."""
        with self._engine.begin() as connection:
            yield connection

    def make_tables(self) -> None:
        """Make the tables, where they are not there."""
        with self.writing() as connection:
            meta.create_all(connection)

    def has_tables(self) -> bool:
        return sa.inspect(self._engine).has_table("study")

    def close(self) -> None:
        self._engine.dispose()


def _prepare_sqlite(connection: Any, _: object) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    # What was acknowledged is on the disk, whatever happens to the machine.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: sa.Connection) -> None:
    # A writer that begins as a reader cannot wait for another: it would have read what has changed since.
    writing = connection.get_execution_options().get("writing")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _hidden(url: str) -> str:
    """`url` without what may be a password."""
    return url.partition("://")[0]
