"""The journal: the jobs of a pipeline in a database, so that they outlive every process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final, Self

from agentzero.pipeline.errors import JournalError, JournalTaken
from agentzero.pipeline.jobs import Job, State, storable
from agentzero.serializers import Serializer, resolve

try:
    import sqlalchemy as sa
    from sqlalchemy.exc import IntegrityError, ProgrammingError, SQLAlchemyError, StatementError

    from agentzero.pipeline import tables
    from agentzero.pipeline.database import Row, Rows, engine_of, file_of, url_of
    from agentzero.pipeline.records import Records
except ModuleNotFoundError as _error:
    _mends = "the journal of a pipeline needs SQLAlchemy: pip install 'agentzero[pipeline]'"
    raise ModuleNotFoundError(_mends, name=_error.name) from _error

__all__ = ["Journal"]

AT_ONCE: Final = 500  # ids in one query: every database sets a limit


class Journal:
    """The jobs of one pipeline, in a database. It may be used from one thread at a time.

    Whoever opened it last has it: those who opened it before can write no more. So a pipeline that
    was frozen or cut off while another process took its place does no harm when it wakes up.

    Args:
        url: of the database, as SQLAlchemy writes it: "sqlite:///jobs.db" is a file in this folder.
        pipeline: the name of the pipeline; one database may keep the jobs of many.
        serializer: for instructions, results and errors; see `agentzero.serializers.resolve`.
        timeout: seconds to wait for a lock, and for a server to be reached.

    Every method may raise `JournalError`, which says what went wrong, and never the password. The
    journal stays usable: it works again as soon as the database does.

    >>> from tempfile import TemporaryDirectory
    >>> job = Job(id="j1", step="resize", instructions={"path": "a.png"}, submitted=1.0)
    >>> with TemporaryDirectory() as folder, Journal(f"sqlite:///{folder}/jobs.db", "p") as journal:
    ...     journal.write(new=[job])
    ...     journal.get(["j1"]) == [job]
    set()
    True
    """

    def __init__(
        self,
        url: str,
        pipeline: str,
        serializer: Serializer | str | None = None,
        *,
        timeout: float = 5.0,
    ) -> None:
        self._url, self._shown = url_of(url)
        self._pipeline = pipeline
        self._records = Records(pipeline, self._shown, resolve(serializer))
        self._timeout = timeout
        self._engine: sa.Engine | None = None
        self._writer: sa.Connection | None = None
        self._epoch = 0

    def __repr__(self) -> str:
        return f"Journal({self._shown!r}, {self._pipeline!r})"

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def open(self) -> None:
        """Connect, make the tables where they are missing, and take the pipeline over.

        Raises:
            JournalError: that was not possible, or a newer release made the tables.
        """
        self.close()
        with self._explained("opened"):
            engine = engine_of(self._url, self._timeout)
            try:
                self._epoch = self._taken_over(engine)
            except BaseException:
                engine.dispose()
                raise
        self._file = file_of(self._url)
        self._engine, self._reader = engine, engine.execution_options(reading=True)
        self._hold = Rows(engine, *tables.HOLD)
        self._insert = Rows(engine, *tables.INSERT)
        self._update = Rows(engine, *tables.UPDATE)
        self._delete = Rows(engine, *tables.DELETE)

    def close(self) -> None:
        """Let go of the database; twice is harmless, and `open` opens it again."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def write(self, new: Sequence[Job] = (), changed: Collection[Job] = ()) -> set[str]:
        """Write all or nothing; on return it is durable.

        To write the same once more does no harm. That is what to do after an error: where the
        connection was lost during the commit, nobody can tell whether it was done.

        Args:
            new: jobs to add. Of several with one id, the first counts.
            changed: jobs to replace, but for the time when they were submitted.

        Returns:
            The ids of those new jobs that were there already; they are left as they are.

        Raises:
            SerializationError: a job has no exact form in the serializer, or a name with more
                than 255 characters, a NUL or a lone surrogate. Nothing was written.
            JournalTaken: another process has the pipeline. Nothing was written.
            JournalError: it was not possible.
        """
        if not new and not changed:
            return set()
        inserts = [self._records.row(job) for job in new]
        updates = [(*row[3:], row[0], row[1]) for row in map(self._records.row, changed)]
        with self._explained("written"):
            try:
                self._store(inserts, updates)
            except IntegrityError:
                return self._store_unknown(inserts, updates)
        return set()

    def check(self, job: Job) -> None:
        """Find out whether that job could be written.

        Raises:
            SerializationError: as `write` would.
        """
        self._records.row(job)

    def get(self, ids: Sequence[str]) -> list[Job]:
        """The jobs with these ids, in that order; without those that the journal does not have."""
        with self._explained("read"), self._reading() as connection:
            rows = list(self._named(connection, tables.GET, filter(storable, ids)))
        jobs = {job.id: job for job in map(self._records.job, rows)}
        return [jobs[name] for name in ids if name in jobs]

    def queued(self, step: str, due: float, limit: int) -> list[Job]:
        """At most so many queued jobs of a step whose time has come, the longest due first."""
        return self._jobs(tables.DUE, step=step, until=due, most=limit)

    def next_due(self, step: str, after: float) -> float | None:
        """When the next queued job of a step is due, after that time; None where there is none."""
        rows = self._read(tables.NEXT_DUE, step=step, after=after)
        return rows[0][0] if rows else None

    def running(self) -> list[Job]:
        """All jobs that workers have."""
        return self._jobs(tables.RUNNING)

    def dead(self, step: str | None, limit: int | None) -> list[Job]:
        """The dead letters, the oldest first; of one step where it is named, at most so many."""
        statement = tables.DEAD if step is None else tables.DEAD_OF_STEP
        return self._jobs(statement.limit(limit), step=step)

    def counts(self) -> dict[tuple[str, State], int]:
        """How many jobs there are, by step and state; it takes longer the more there are."""
        return {(step, State(state)): count for step, state, count in self._read(tables.COUNTS)}

    def prune(self, before: float, limit: int) -> Counter[tuple[str, State]]:
        """Delete at most so many jobs that were done or cancelled before that time.

        Returns:
            How many of each step and state.

        Raises:
            JournalTaken: another process has the pipeline.
        """
        with self._explained("pruned"), self._writing() as connection:
            over = {"_pipeline": self._pipeline, "before": before, "most": limit}
            rows = connection.execute(tables.ENDED, over).all()
            self._delete(connection, [(self._pipeline, name) for name, _, _ in rows])
        return Counter((step, State(state)) for _, step, state in rows)

    def _taken_over(self, engine: sa.Engine) -> int:
        try:
            return self._take(engine)
        except (IntegrityError, ProgrammingError):
            # Another process has just made what was missing.
            return self._take(engine)

    def _take(self, engine: sa.Engine) -> int:
        this = {"_pipeline": self._pipeline}
        with engine.begin() as connection:
            tables.metadata.create_all(connection)
            version = connection.scalar(tables.NEWEST) or tables.VERSION
            if version > tables.VERSION:
                raise JournalError(
                    f"a newer release made {self._shown}: its tables are of version {version}, "
                    f"and this release knows version {tables.VERSION}"
                )
            if not connection.execute(tables.TAKE, this).rowcount:
                connection.execute(tables.FIRST, this)
            epoch: int = connection.execute(tables.EPOCH, this).scalar_one()
            return epoch

    def _store(self, inserts: list[Row], updates: list[Row]) -> None:
        with self._writing() as connection:
            self._insert(connection, inserts)
            self._update(connection, updates)

    def _store_unknown(self, inserts: list[Row], updates: list[Row]) -> set[str]:
        rows = {row[1]: row for row in reversed(inserts)}
        with self._writing() as connection:
            known = {name for (name,) in self._named(connection, tables.KNOWN, rows)}
            self._insert(connection, [row for name, row in rows.items() if name not in known])
            self._update(connection, updates)
        return known

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        """A transaction in which nobody else can take the pipeline over."""
        connection = self._writer or self._opened().connect()
        self._writer = None  # it is kept where all goes well, for a pool costs half of a write
        try:
            with connection.begin():
                self._check_hold(connection)
                yield connection
        except BaseException:
            connection.close()
            raise
        self._writer = connection

    def _check_hold(self, connection: sa.Connection) -> None:
        if file_of(self._url) != self._file:
            raise JournalError(
                f"the file of {self._shown} was removed or replaced while it was in use: "
                "put it back, or start the pipeline again without the jobs that it had"
            )
        if not self._hold(connection, [(self._pipeline, self._epoch)]):
            raise JournalTaken(
                f"another process has taken over the pipeline {self._pipeline!r} "
                f"in {self._shown}: this one can write no more, and has to end"
            )

    def _reading(self) -> sa.Connection:
        self._opened()
        return self._reader.connect()

    def _opened(self) -> sa.Engine:
        if self._engine is None:
            raise JournalError(f"the journal {self._shown} is not open")
        return self._engine

    def _jobs(self, statement: sa.Select[Any], **values: object) -> list[Job]:
        return [self._records.job(row) for row in self._read(statement, **values)]

    def _read(self, statement: sa.Executable, **values: object) -> Sequence[Any]:
        with self._explained("read"), self._reading() as connection:
            return connection.execute(statement, {"_pipeline": self._pipeline, **values}).all()

    def _named(
        self, connection: sa.Connection, statement: sa.Executable, ids: Iterable[str]
    ) -> Iterator[sa.Row[Any]]:
        names = iter(ids)
        while some := list(islice(names, AT_ONCE)):
            yield from connection.execute(statement, {"_pipeline": self._pipeline, "ids": some})

    @contextmanager
    def _explained(self, done: str) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, ImportError, OverflowError, ValueError) as error:
            cause = error.orig if isinstance(error, StatementError) else error
            text = " ".join(str(cause).split())
            raise JournalError(f"{self._shown} could not be {done}: {text}") from error
