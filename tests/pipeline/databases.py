"""Journals for tests: in files of SQLite, and in a PostgreSQL server of the tests' own."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import pytest
import sqlalchemy as sa

from agentzero.pipeline.jobs import Job
from agentzero.pipeline.journal import Journal

# How long a server may take to start or to stop, in seconds: far more than any machine needs.
PATIENCE = 60.0


def a_job(id: str = "j", **fields: Any) -> Job:
    return Job(**{"id": id, "step": "resize", "instructions": {}, "submitted": 1.0, **fields})


class Database(Protocol):
    """An empty database of its own for each test."""

    url: str

    def locked(self) -> AbstractContextManager[None]:
        """Have another connection lock it."""

    def execute(self, statement: str) -> None:
        """Do something behind the journal's back."""


class SQLite:
    """A file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "jobs.db"
        self.url = f"sqlite:///{self.path}"

    @contextmanager
    def locked(self) -> Iterator[None]:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            yield

    def execute(self, statement: str) -> None:
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute(statement)
            connection.commit()


class PostgreSQL:
    """A database of a server."""

    def __init__(self, server: Server) -> None:
        self.url = server.new_database()

    @contextmanager
    def locked(self) -> Iterator[None]:
        with _connected(self.url) as connection, connection.begin():
            connection.exec_driver_sql(
                "LOCK TABLE agentzero_jobs, agentzero_pipelines IN ACCESS EXCLUSIVE MODE"
            )
            yield

    def execute(self, statement: str) -> None:
        with _connected(self.url) as connection, connection.begin():
            connection.exec_driver_sql(statement)


@contextmanager
def _connected(url: str, **options: Any) -> Iterator[sa.Connection]:
    engine = sa.create_engine(url, poolclass=sa.NullPool, **options)
    with engine.connect() as connection:
        yield connection


class Server:
    """A PostgreSQL server that nobody else can reach: it listens at a socket in its own folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names = (f"test{number}" for number in itertools.count())
        self._user = _user()
        os.chown(folder, pwd.getpwnam(self._user).pw_uid, -1)
        self._run("initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-sync")

    def start(self) -> None:
        options = f"-c listen_addresses='' -c fsync=off -c unix_socket_directories={self._folder}"
        log = str(self._folder / "log")
        self._run("pg_ctl", "start", "--wait", f"--log={log}", f"--options={options}")

    def stop(self) -> None:
        self._run("pg_ctl", "stop", "--wait", "--mode=immediate")

    def new_database(self) -> str:
        """Make one; return its URL."""
        name = next(self._names)
        with _connected(self._url("postgres"), isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        return self._url(name)

    def _url(self, database: str) -> str:
        return f"postgresql+psycopg://postgres@/{database}?host={self._folder}"

    def _run(self, program: str, *arguments: str) -> None:
        # Not a pipe, as the server would keep it open.
        with (self._folder / "output").open("ab") as output:
            subprocess.run(
                [_found(program), "--pgdata", str(self._folder / "data"), *arguments],
                user=self._user if os.getuid() == 0 else None,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=True,
                timeout=PATIENCE,
            )


def _user() -> str:
    """Who runs the server: it refuses to be root's."""
    if os.getuid() != 0:
        return pwd.getpwuid(os.getuid()).pw_name
    return "postgres" if any(user.pw_name == "postgres" for user in pwd.getpwall()) else "nobody"


def _found(program: str) -> str:
    # Debian keeps them out of PATH.
    debian = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")))
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *reversed(debian)])
    found = shutil.which(program, path=path)
    if found is None:
        pytest.skip(f"PostgreSQL is not installed here: no {program}")
    return found


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A running server; whoever stops it starts it again."""
    pytest.importorskip("psycopg")
    with TemporaryDirectory(prefix="agentzero-postgresql-") as folder:
        server = Server(Path(folder))
        server.start()
        yield server
        server.stop()


@pytest.fixture
def sqlite(tmp_path: Path) -> SQLite:
    return SQLite(tmp_path)


@pytest.fixture
def postgresql(server: Server) -> PostgreSQL:
    return PostgreSQL(server)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Any:
    """An empty database of each kind."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def opened(database: Database) -> Iterator[Callable[..., Journal]]:
    """Open a journal in the database; the test's end closes it."""
    made = []

    def make(pipeline: str = "p", *arguments: Any, **options: Any) -> Journal:
        made.append(Journal(database.url, pipeline, *arguments, **options))
        made[-1].open()
        return made[-1]

    yield make
    for journal in made:
        journal.close()


@pytest.fixture
def journal(opened: Callable[..., Journal]) -> Journal:
    """An open journal in an empty database."""
    return opened()
