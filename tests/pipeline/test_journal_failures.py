from __future__ import annotations

import os
import random
import signal
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from agentzero.pipeline.errors import JournalError, JournalTaken
from agentzero.pipeline.jobs import State
from agentzero.pipeline.journal import Journal
from tests.environments import Environment
from tests.peers.writing import BATCH, batch, ended
from tests.pipeline.databases import Database, PostgreSQL, Server, SQLite, a_job
from tests.processes import START, run, running

# Locks


def test_a_locked_database_is_an_error_and_later_it_works_again(
    database: Database, opened: Callable[..., Journal]
) -> None:
    journal = opened(timeout=0.1)
    with database.locked(), pytest.raises(JournalError, match=r"written: .*\block\b.*|locked"):
        journal.write(new=[a_job("a")])
    assert journal.get(["a"]) == []
    assert journal.write(new=[a_job("a")]) == set()
    assert journal.get(["a"]) == [a_job("a")]


def test_a_journal_can_be_opened_when_the_lock_is_gone(
    database: Database, opened: Callable[..., Journal]
) -> None:
    opened().close()
    journal = Journal(database.url, "p", timeout=0.1)
    with database.locked(), pytest.raises(JournalError, match="could not be opened"):
        journal.open()
    with journal:
        assert journal.counts() == {}


def test_a_write_waits_for_a_lock_that_is_let_go_in_time(
    database: Database, opened: Callable[..., Journal]
) -> None:
    journal = opened(timeout=60.0)
    writer = threading.Thread(target=journal.write, args=([a_job("a")],))
    with database.locked():
        writer.start()
        writer.join(0.2)
        assert writer.is_alive()
    writer.join(START)
    assert journal.get(["a"]) == [a_job("a")]


def test_others_can_read_a_file_while_it_is_written(sqlite: SQLite) -> None:
    with Journal(sqlite.url, "p") as journal, closing(sqlite3.connect(sqlite.path)) as reader:
        journal.write(new=[a_job("a")])
        reader.execute("BEGIN")
        query = "SELECT id, state, instructions FROM agentzero_jobs"
        assert reader.execute(query).fetchall() == [("a", "queued", b"{}")]
        journal.write(new=[a_job("b")])
        assert len(reader.execute(query).fetchall()) == 1
        reader.execute("COMMIT")
        assert len(reader.execute(query).fetchall()) == 2


# Who has the pipeline


def test_who_was_taken_over_from_can_write_no_more(opened: Callable[..., Journal]) -> None:
    old = opened()
    old.write(new=[a_job("a", state=State.DONE)])
    new = opened()
    for attempt in (
        lambda: old.write(new=[a_job("b")]),
        lambda: old.write(new=[a_job("a")], changed=[a_job("a")]),
        lambda: old.prune(9.0, 9),
    ):
        with pytest.raises(JournalTaken, match="taken over the pipeline 'p'"):
            attempt()
    assert old.get(["a", "b"]) == [a_job("a", state=State.DONE)]
    assert new.write(new=[a_job("b")]) == set()


def test_another_process_takes_over_and_the_frozen_one_does_no_harm(
    database: Database, opened: Callable[..., Journal]
) -> None:
    with running("-m", "tests.peers.writing", database.url, "3") as frozen:
        os.waitpid(frozen.pid, os.WUNTRACED)
        journal = opened()
        before = journal.counts()
        os.kill(frozen.pid, signal.SIGCONT)
        assert "JournalTaken: another process has taken over" in frozen.end(START).err
        assert journal.counts() == before


def test_a_server_lets_go_of_a_pipeline_that_is_frozen_while_it_writes(
    postgresql: PostgreSQL,
) -> None:
    frozen = Journal(postgresql.url, "p", timeout=0.1)
    frozen.open()
    with (
        pytest.raises(JournalError, match="could not be written"),
        frozen._explained("written"),
        frozen._writing() as connection,
        Journal(postgresql.url, "p", timeout=START),
    ):
        frozen._insert(connection, [frozen._row(a_job())])
    frozen.close()


def test_many_may_open_a_new_database_at_once(database: Database) -> None:
    journals = [Journal(database.url, "p", timeout=START) for _ in range(8)]
    gate = threading.Barrier(len(journals), timeout=START)
    outcomes: list[Any] = []

    def open_and_write(journal: Journal) -> None:
        gate.wait()
        try:
            journal.open()
            gate.wait()
            outcomes.append(journal.write(new=[a_job("a")]))
        except JournalError as error:
            outcomes.append(type(error))

    threads = [threading.Thread(target=open_and_write, args=(one,)) for one in journals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(START)
    for journal in journals:
        journal.close()
    assert sorted(map(str, outcomes)) == sorted(map(str, [JournalTaken] * 7 + [set()]))


# Ends of processes, and of servers


def test_a_killed_process_loses_nothing_that_was_written_and_leaves_nothing_half(
    database: Database, opened: Callable[..., Journal]
) -> None:
    for _ in range(5):
        with running("-m", "tests.peers.writing", database.url, measured=False) as writer:
            first = int(writer.line())
            last = [first, *(int(writer.line()) for _ in range(random.randrange(60)))][-1]
        whole = written(opened())
        assert whole > last


def written(journal: Journal) -> int:
    """How many batches there are; all of them whole, and all but the last one ended."""
    count, rest = divmod(sum(journal.counts().values()), BATCH)
    expected = [job for number in range(count - 1) for job in ended(batch(number))]
    expected += batch(count - 1)
    assert rest == 0
    assert journal.get([job.id for job in expected]) == expected
    return count


def test_a_journal_works_again_when_its_server_does(server: Server, postgresql: PostgreSQL) -> None:
    with Journal(postgresql.url, "p") as journal:
        journal.write(new=[a_job("a")])
        server.stop()
        try:
            for _ in range(2):
                with pytest.raises(JournalError, match="could not be written: "):
                    journal.write(new=[a_job("b")])
        finally:
            server.start()
        assert journal.write(new=[a_job("a"), a_job("b")]) == {"a"}
        assert journal.get(["a", "b"]) == [a_job("a"), a_job("b")]


def test_a_server_that_was_restarted_unnoticed_costs_one_error(
    server: Server, postgresql: PostgreSQL
) -> None:
    with Journal(postgresql.url, "p") as journal:
        server.stop()
        server.start()
        with pytest.raises(JournalError, match="could not be read: "):
            journal.counts()
        assert journal.counts() == {}


# No room


def test_a_full_database_is_an_error_until_there_is_room(sqlite: SQLite) -> None:
    with Journal(sqlite.url, "p") as journal:
        limit(journal, 20)
        with pytest.raises(JournalError, match=f"{sqlite.url} .*: database or disk is full"):
            journal.write(new=[a_job("a"), a_job("b", instructions={"x": "x" * 100_000})])
        assert journal.get(["a", "b"]) == []
        limit(journal, 2000)
        journal.write(new=[a_job("a")])
        assert journal.get(["a"]) == [a_job("a")]


def limit(journal: Journal, pages: int) -> None:
    with journal._reading() as connection:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")


FULL_DISK = """
import resource, sys
from agentzero.pipeline.errors import JournalError
from agentzero.pipeline.jobs import Job
from agentzero.pipeline.journal import Journal

def room(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

def job(number):
    return Job(id=str(number), step="s", instructions={"x": "x" * 10_000}, submitted=1.0)

with Journal(sys.argv[1], "p") as journal:
    room(500_000)
    number = 0
    try:
        while True:
            journal.write(new=[job(number)])
            number += 1
    except JournalError as error:
        print(error)
    room(resource.RLIM_INFINITY)
    assert journal.write(new=[job(number)]) == set()
    print(number + 1)
"""


def test_a_full_disk_is_an_error_until_there_is_room(sqlite: SQLite) -> None:
    ended = run("-c", FULL_DISK, sqlite.url, within=START)
    assert ended.code == 0, ended.err
    error, count = ended.out.splitlines()
    assert error.startswith(f"{sqlite.url} could not be written: d")
    with Journal(sqlite.url, "p") as journal:
        assert journal.counts() == {("s", State.QUEUED): int(count)}


# What is no journal


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("jobs.db", "this is no URL of a database"),
        ("", "this is no URL of a database"),
        ("postgresql+psycopg://me:se:cret@ho:st/x", "this is no URL of a database"),
        ("postgresql+psycopg://me:x@secret@host/x", "this is no URL of a database"),
        ("nosuch://me:secret@host/x", r"nosuch://me:\*\*\*@host/x could not be opened: .*nosuch"),
        ("mssql+pymssql://me:secret@host/x", r"me:\*\*\*@host/x could not be opened: .*pymssql"),
        ("sqlite:////no/such/folder/jobs.db", "opened: unable to open database file"),
        ("postgresql+psycopg://me:secret@127.0.0.1:1/x", "refused"),
        ("postgresql+psycopg://me:secret@nowhere.invalid/x", "nowhere.invalid"),
        ("postgresql+psycopg://me@127.0.0.1:1/x?password=secret", "refused"),
    ],
)
def test_what_cannot_be_opened_is_told_without_the_password(url: str, cause: str) -> None:
    with pytest.raises(JournalError, match=cause) as caught, Journal(url, "p"):
        pass
    assert "secret" not in str(caught.value)
    assert "cret" not in repr(caught.value.__cause__)


def test_a_file_that_is_no_database_is_left_alone(sqlite: SQLite) -> None:
    sqlite.path.write_bytes(b"garbage" * 1000)
    with pytest.raises(JournalError, match="opened: file is not a database"):
        Journal(sqlite.url, "p").open()
    assert sqlite.path.read_bytes() == b"garbage" * 1000


def test_a_journal_of_a_newer_release_is_left_alone(journal: Journal, database: Database) -> None:
    database.execute("UPDATE agentzero_pipelines SET version = 2")
    with pytest.raises(JournalError, match=r"a newer release made .* version 2"):
        Journal(database.url, "p").open()
    journal.write(new=[a_job("a")])


@pytest.mark.parametrize(
    "damage", ["state = 'asleep'", "instructions = ''", "result = '7'", "error = '{'"]
)
def test_a_damaged_job_is_told_by_name(journal: Journal, database: Database, damage: str) -> None:
    journal.write(new=[a_job("fine"), a_job("broken", state=State.RUNNING)])
    database.execute(f"UPDATE agentzero_jobs SET {damage} WHERE id = 'broken'")
    with pytest.raises(JournalError, match=r"job 'broken' in .* cannot be read: .+") as caught:
        journal.get(["fine", "broken"])
    assert caught.value.__cause__ is not None
    assert journal.get(["fine"]) == [a_job("fine")]


def test_jobs_of_another_serializer_are_told_by_name(opened: Callable[..., Journal]) -> None:
    opened("p", "cbor").write(new=[a_job("j", state=State.RUNNING)])
    with pytest.raises(JournalError, match=r"job 'j' in .* cannot be read as JSON"):
        opened("p", "json").running()


def test_a_closed_journal_says_so_and_can_be_opened_again(journal: Journal) -> None:
    journal.write(new=[a_job("a")])
    journal.close()
    journal.close()
    for use in (journal.running, lambda: journal.write(new=[a_job("b")])):
        with pytest.raises(JournalError, match="is not open"):
            use()
    with journal:
        assert journal.get(["a", "b"]) == [a_job("a")]


def test_without_sqlalchemy_it_says_what_to_install(environment: Environment) -> None:
    done = environment.run("-c", "import agentzero.pipeline.journal")
    assert "ModuleNotFoundError: " in done.stderr
    assert "pip install 'agentzero[pipeline]'" in done.stderr


# Files that go away


def test_a_file_that_is_removed_or_replaced_is_written_to_no_more(
    sqlite: SQLite, tmp_path: Path
) -> None:
    journal = Journal(sqlite.url, "p")
    journal.open()
    journal.write(new=[a_job("a")])
    away, file = tmp_path / "away.db", Path(sqlite.url.removeprefix("sqlite:///"))
    file.rename(away)
    for replace in (lambda: None, file.touch):
        replace()
        with pytest.raises(JournalError, match="was removed or replaced while it was in use"):
            journal.write(new=[a_job("b")])
    away.rename(file)
    assert journal.write(new=[a_job("b")]) == set()
    assert len(journal.get(["a", "b"])) == 2
    journal.close()
