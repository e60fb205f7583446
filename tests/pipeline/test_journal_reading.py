from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import msgspec
import sqlalchemy as sa

from agentzero.pipeline.jobs import Job, State
from agentzero.pipeline.journal import Journal
from tests.pipeline.databases import SQLite, a_job

replace = msgspec.structs.replace


def ids(jobs: list[Job]) -> list[str]:
    return [job.id for job in jobs]


def test_get_keeps_the_order_and_leaves_out_whom_it_does_not_know(journal: Journal) -> None:
    jobs = [a_job(f"{number}") for number in range(1234)]
    journal.write(new=jobs)
    asked = ["x", "a\0b", "\ud800", "x" * 9999, *reversed(ids(jobs)), "y"]
    assert journal.get(asked) == jobs[::-1]
    assert journal.get([]) == []


def test_queued_jobs_come_by_the_time_they_are_due_and_then_by_id(journal: Journal) -> None:
    due = [a_job("c", due=1.0), a_job("B", due=2.0), a_job("a", due=2.0), a_job("ä", due=2.0)]
    others = [
        a_job("later", due=2.5),
        a_job("elsewhere", step="upload"),
        *(a_job(state, state=state) for state in State if state != State.QUEUED),
    ]
    journal.write(new=[*others, *reversed(due)])
    assert journal.queued("resize", 2.0, 100) == due
    assert journal.queued("resize", 2.0, 2) == due[:2]
    assert journal.queued("resize", 0.5, 100) == []


def test_next_due_is_when_the_next_queued_job_of_the_step_is(journal: Journal) -> None:
    journal.write(
        new=[
            a_job("a", due=1.0),
            a_job("b", due=4.0),
            a_job("c", due=3.0),
            a_job("d", due=2.0, step="upload"),
            a_job("e", due=2.0, state=State.RUNNING),
        ]
    )
    assert journal.next_due("resize", 1.0) == 3.0
    assert journal.next_due("resize", 0.0) == 1.0
    assert journal.next_due("resize", 4.0) is None


def test_running_jobs_are_those_that_workers_have(journal: Journal) -> None:
    running = a_job("a", state=State.RUNNING, worker="w", lease=1)
    journal.write(new=[running, a_job("b"), a_job("c", state=State.DEAD)])
    assert journal.running() == [running]
    journal.write(changed=[replace(running, state=State.DONE)])
    assert journal.running() == []


def test_dead_letters_come_oldest_first(journal: Journal) -> None:
    c, b, a = (
        a_job("c", state=State.DEAD, changed=1.0),
        a_job("b", state=State.DEAD, changed=2.0, step="upload"),
        a_job("a", state=State.DEAD, changed=2.0),
    )
    journal.write(new=[a_job("z"), b, a, c])
    assert journal.dead(None, None) == [c, a, b]
    assert journal.dead(None, 2) == [c, a]
    assert journal.dead("resize", None) == [c, a]
    assert journal.dead("upload", 1) == [b]


def test_counts_are_by_step_and_state(journal: Journal) -> None:
    assert journal.counts() == {}
    journal.write(
        new=[a_job("a"), a_job("b"), a_job("c", step="upload"), a_job("d", state=State.DONE)]
    )
    assert journal.counts() == {
        ("resize", State.QUEUED): 2,
        ("resize", State.DONE): 1,
        ("upload", State.QUEUED): 1,
    }


def test_prune_deletes_only_what_ended_well_before_that_time(journal: Journal) -> None:
    journal.write(new=[a_job(state, state=state, changed=1.0) for state in State])
    journal.write(new=[a_job("new", state=State.DONE, changed=2.0)])
    assert not journal.prune(before=1.0, limit=100)
    pruned = journal.prune(before=2.0, limit=1)
    assert pruned.total() == 1
    pruned += journal.prune(before=2.0, limit=100)
    assert pruned == {("resize", State.DONE): 1, ("resize", State.CANCELLED): 1}
    assert not journal.prune(before=2.0, limit=100)
    left = ["queued", "running", "dead", "new"]
    assert ids(journal.get([*State, "new"])) == left


def test_pipelines_in_one_database_do_not_see_each_other(
    journal: Journal, opened: Callable[..., Journal]
) -> None:
    other = opened("q")
    states = [a_job(state, state=state) for state in State]
    other.write(new=states)
    assert journal.write(new=[a_job("queued", step="mine")]) == set()
    journal.write(changed=[a_job("done", state=State.RUNNING)])
    assert not journal.prune(before=9.0, limit=9)
    assert journal.counts() == {("mine", State.QUEUED): 1}
    assert journal.running() == journal.dead(None, None) == journal.queued("resize", 9.0, 9) == []
    assert journal.next_due("resize", -1.0) is None
    assert other.get(list(State)) == states


def test_no_query_goes_through_all_jobs(sqlite: SQLite) -> None:
    asked: list[tuple[str, Any]] = []

    def note(*event: Any) -> None:
        _, _, statement, parameters, _, many = event
        asked.append((statement, parameters[0] if many else parameters))

    with Journal(sqlite.url, "p") as journal, closing(sqlite3.connect(sqlite.path)) as connection:
        sa.event.listen(journal._engine, "before_cursor_execute", note, named=False)
        journal.write(new=[a_job("a"), a_job("b", state=State.DONE)])
        journal.write(new=[a_job("a")], changed=[a_job("a")])
        journal.get(["a"])
        journal.queued("resize", 1.0, 1)
        journal.next_due("resize", 1.0)
        journal.running()
        journal.dead(None, 1)
        journal.dead("resize", 1)
        journal.prune(1.0, 1)
        queries = [one for one in asked if one[0].startswith(("SELECT", "UPDATE", "DELETE"))]
        plans = [
            connection.execute(f"EXPLAIN QUERY PLAN {text}", values) for text, values in queries
        ]
        details = [detail for plan in plans for *_, detail in plan]
    assert len(details) >= 9
    assert [detail for detail in details if not detail.startswith("SEARCH")] == []
