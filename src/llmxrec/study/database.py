"""The database that a study lies in: SQLite, or PostgreSQL by its URL."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import sqlalchemy as sa

from llmxrec.errors import InputError, MissingExtra, WorkError
from llmxrec.study import schema

_BUSY_S = 60.0
"""How long a writer waits for another."""
_CONNECTIONS = 16
"""At once, of one process."""


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
        self._turn: AbstractContextManager[Any] = nullcontext()
        pool = {"pool_size": _CONNECTIONS, "max_overflow": 0, "pool_timeout": _BUSY_S}
        if kind == "postgresql":
            with _needing_psycopg():
                self._engine = sa.create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True, **pool)
            sa.event.listen(self._engine, "begin", _begin_postgres)
        elif kind == "sqlite" and parsed.database and parsed.database != ":memory:":
            # SQLite lets waiting writers try again by chance; those of one process stand in line instead.
            self._turn = threading.Lock()
            options = {"timeout": _BUSY_S, "isolation_level": None}
            self._engine = sa.create_engine(parsed.set(drivername="sqlite+pysqlite"), connect_args=options, **pool)
            sa.event.listen(self._engine, "connect", _prepare_sqlite)
            sa.event.listen(self._engine, "begin", _begin_sqlite)
        else:
            raise InputError("a study lies in SQLite or PostgreSQL", value=kind, cure="sqlite:///FILE")
        self._reader, self._writer = self._engine, self._engine.execution_options(writing="durable")
        self._hasty = self._engine.execution_options(writing="hasty")
        if kind == "postgresql":
            self._reader = self._engine.execution_options(isolation_level="REPEATABLE READ")
        # Connections end with whoever opened them: nobody has to remember.
        weakref.finalize(self, self._engine.dispose)

    @contextmanager
    def writing(self, durable: bool = True) -> Iterator[sa.Connection]:
        """A transaction that writes: committed at the end, undone where anything is raised.

        It is then on the disk, whatever happens to the machine; where it is not `durable`, it outlives this process
        only, and is on the disk with the next that is.
        """
        with self._turn, (self._writer if durable else self._hasty).begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that reads, and sees one state of things."""
        with self._reader.begin() as connection:
            yield connection

    def make_tables(self) -> None:
        """Make the tables, where they are not there."""
        with self.writing() as connection:
            schema.meta.create_all(connection)

    def has_tables(self) -> bool:
        """Whether a study's tables are there. Raises WorkError where the database does not answer."""
        try:
            return sa.inspect(self._engine).has_table("study")
        except sa.exc.OperationalError as error:
            # The driver's words, in one line: they name the host and the user, never the password.
            raise WorkError(f"the study's database does not answer: {' '.join(str(error.orig).split())}") from None

    def disconnect(self) -> None:
        """End the connections that are open; new ones are made where they are needed."""
        self._engine.dispose()


@contextmanager
def _needing_psycopg() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError:
        raise MissingExtra("a study in PostgreSQL", "postgres") from None


def _prepare_sqlite(connection: Any, _: object) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: sa.Connection) -> None:
    writing = connection.get_execution_options().get("writing")
    if writing:
        connection.exec_driver_sql(f"PRAGMA synchronous = {'FULL' if writing == 'durable' else 'NORMAL'}")
    # A writer that begins as a reader cannot wait for another: it would have read what has changed since.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _begin_postgres(connection: sa.Connection) -> None:
    if connection.get_execution_options().get("writing") == "hasty":
        connection.exec_driver_sql("SET LOCAL synchronous_commit TO off")


def _hidden(url: str) -> str:
    """`url` without what may be a password."""
    return url.partition("://")[0]
