"""The way to a journal's database: its URL, its connections, and statements for many rows."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from agentzero.pipeline.errors import JournalError

__all__ = ["Row", "Rows", "engine_of", "file_of", "url_of"]

Row: TypeAlias = tuple[Any, ...]

# What a connection is set to before its first use; times are in milliseconds. A pipeline that is
# frozen while it writes holds a lock, and must not keep it from whoever takes over.
_SESSIONS: Final = {
    "sqlite": (
        "PRAGMA busy_timeout = {timeout}",
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = FULL",
        "PRAGMA journal_size_limit = 67108864",
        "PRAGMA cache_size = -32000",
    ),
    "postgresql": (
        "SET lock_timeout = {timeout}",
        "SET idle_in_transaction_session_timeout = {timeout}",
    ),
}


class Rows:
    """A statement that is compiled once, and executed for any number of rows.

    The driver gets the rows as they are: SQLAlchemy's own way takes twice as long.

    Args:
        engine: where it will be executed.
        statement: what to do for each row.
        names: its parameters, in the order of a row.
    """

    def __init__(self, engine: sa.Engine, statement: sa.UpdateBase, names: list[str]) -> None:
        compiled = statement.compile(dialect=engine.dialect)
        self._text = str(compiled)
        self._names = None if compiled.positional else names

    def __call__(self, connection: sa.Connection, rows: Sequence[Row]) -> int:
        """Execute it for these rows; return how many of the table's it was done to."""
        if not rows:
            return 0
        names = self._names
        values: list[Any] = (
            list(rows) if names is None else [dict(zip(names, row)) for row in rows]  # noqa: B905 - it costs
        )
        return connection.exec_driver_sql(self._text, values).rowcount


def url_of(text: str) -> tuple[sa.URL, str]:
    """Read a URL; return it, and its text without passwords.

    >>> url_of("postgresql://me:secret@localhost/jobs?sslpassword=secret")[1]
    'postgresql://me:***@localhost/jobs'

    Raises:
        JournalError: it is none.
    """
    try:
        url = sa.make_url(text)
        if "@" in (url.host or ""):
            raise ValueError("a part of the password may be taken for the host")
    except (SQLAlchemyError, ValueError):
        # The cause may quote the password.
        raise JournalError(
            "this is no URL of a database; one is like sqlite:///folder/jobs.db, or like "
            "postgresql+psycopg://user:password@host/database, with @ : / in a password "
            "written as %40 %3A %2F"
        ) from None
    secrets = [name for name in url.query if "pass" in name.lower()]
    return url, url.difference_update_query(secrets).render_as_string()


def file_of(url: sa.URL) -> tuple[int, int] | None:
    """Return which file a database of SQLite is, by device and number; None where it is none."""
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return None
    try:
        found = os.stat(url.database)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def engine_of(url: sa.URL, timeout: float) -> sa.Engine:
    """Make an engine that waits at most so many seconds for a lock, or to be connected."""
    # Parameters are what jobs hold, which is nobody's business in an error's text.
    engine = sa.create_engine(_bounded(url, timeout), hide_parameters=True)
    sqlite = engine.dialect.name == "sqlite"
    session = [
        statement.format(timeout=_milliseconds(timeout))
        for statement in _SESSIONS.get(engine.dialect.name, ())
    ]

    @sa.event.listens_for(engine, "connect")
    def set_up(connection: Any, record: object) -> None:
        if sqlite:
            connection.isolation_level = None  # Python is to begin no transactions by itself
        cursor = connection.cursor()
        for statement in session:
            cursor.execute(statement)
        cursor.close()
        connection.commit()

    if sqlite:
        sa.event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: sa.Connection) -> None:
    # A transaction that begins as a reader cannot wait for its lock when it comes to write.
    if not connection.get_execution_options().get("reading"):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _bounded(url: sa.URL, timeout: float) -> sa.URL:
    if url.drivername not in ("postgresql+psycopg", "postgresql+psycopg2"):
        return url
    bounds = {
        "connect_timeout": str(max(2, math.ceil(timeout))),  # libpq takes 1 for 2
        "tcp_user_timeout": str(_milliseconds(timeout)),
    }
    return url.update_query_dict({**bounds, **url.query})


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))  # 0 would be for ever
