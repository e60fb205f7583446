from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentzero.errors import SerializationError
from agentzero.pipeline.errors import JournalError
from agentzero.pipeline.jobs import Job, State, new_id
from agentzero.pipeline.journal import Journal
from tests.pipeline.databases import Database, a_job

replace = msgspec.structs.replace


def test_what_was_written_is_there_when_it_is_opened_again(
    journal: Journal, opened: Callable[..., Journal]
) -> None:
    jobs = [
        a_job("a", instructions={"path": "ä.png", "size": [1, 2.5, None]}, due=3.0),
        a_job("b", state=State.RUNNING, attempts=2, lease=3, worker="w", changed=4.0),
        a_job("c", state=State.DONE, result={"path": "b.png"}),
        a_job("d", state=State.DEAD, error={"name": "OSError", "message": "no such file"}),
        a_job("e", state=State.CANCELLED, result={}, error={}),
    ]
    assert journal.write(new=jobs) == set()
    journal.close()
    assert opened().get(["a", "b", "c", "d", "e"]) == jobs


def test_new_jobs_that_are_there_already_are_left_as_they_are_and_told(journal: Journal) -> None:
    journal.write(new=[a_job("a"), a_job("b")])
    changed = a_job("b", state=State.RUNNING)
    again = [a_job("a", step="other"), a_job("c"), a_job("b")]
    assert journal.write(new=again, changed=[changed]) == {"a", "b"}
    assert journal.get(["a", "b", "c"]) == [a_job("a"), changed, a_job("c")]


def test_of_new_jobs_with_one_id_the_first_counts(journal: Journal) -> None:
    jobs = [a_job("a", due=1.0), a_job("a", due=2.0), a_job("b")]
    assert journal.write(new=jobs) == set()
    assert journal.get(["a", "b"]) == [jobs[0], jobs[2]]


def test_changed_jobs_replace_all_but_the_time_they_were_submitted(journal: Journal) -> None:
    journal.write(new=[a_job("a"), a_job("b")])
    changed = Job(
        id="a",
        step="upload",
        state=State.DEAD,
        instructions={"other": 1},
        submitted=99.0,
        changed=2.0,
        due=3.0,
        attempts=4,
        lease=5,
        worker="w",
        result={"r": 1},
        error={"name": "E"},
    )
    journal.write(changed=[changed, a_job("nobody")])
    assert journal.get(["a", "b", "nobody"]) == [replace(changed, submitted=1.0), a_job("b")]


def test_a_job_can_be_new_and_changed_in_one_write(journal: Journal) -> None:
    running = a_job("a", state=State.RUNNING)
    journal.write(new=[a_job("a")], changed=[running])
    assert journal.get(["a"]) == [running]


def test_nothing_to_write_does_not_even_need_the_database() -> None:
    assert Journal("sqlite:////nowhere/at/all.db", "p").write() == set()


@pytest.mark.parametrize("field", ["instructions", "result", "error"])
def test_what_cannot_be_packed_is_refused_before_anything_is_written(
    opened: Callable[..., Journal], field: str
) -> None:
    journal = opened("p", "msgpack")
    bad = a_job("b", **{field: {"x": 2**70}})
    with pytest.raises(SerializationError):
        journal.write(new=[a_job("a"), bad])
    with pytest.raises(SerializationError):
        journal.check(bad)
    journal.check(a_job("a"))
    assert journal.get(["a", "b"]) == []


@pytest.mark.parametrize("field", ["id", "step", "worker"])
@pytest.mark.parametrize("name", ["a\0b", "\ud800", "x" * 256], ids=["nul", "surrogate", "long"])
def test_names_that_not_every_database_can_keep_are_refused(
    journal: Journal, field: str, name: str
) -> None:
    with pytest.raises(SerializationError, match="cannot be a name"):
        journal.write(new=[a_job("a"), a_job(**{"id": "b", field: name})])
    assert journal.get(["a", name]) == []


@pytest.mark.parametrize("bad", [{"attempts": 2**70}, {"changed": None}])
def test_a_write_that_the_database_refuses_writes_nothing_and_the_next_one_works(
    journal: Journal, bad: dict[str, Any]
) -> None:
    with pytest.raises(JournalError, match=r"could not be written: .+"):
        journal.write(new=[a_job("a")], changed=[a_job("a", **bad)])
    assert journal.get(["a"]) == []
    assert journal.write(new=[a_job("a")]) == set()
    assert journal.get(["a"]) == [a_job("a")]


_names = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=255)
_times = st.floats(allow_nan=False, allow_infinity=False)
_numbers = st.integers(0, 2**63 - 1)
_plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | _times | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
_instructions = st.dictionaries(st.text(), _plain)
_jobs = st.builds(
    Job,
    id=_names,
    step=_names,
    state=st.sampled_from(State),
    instructions=_instructions,
    submitted=_times,
    changed=_times,
    due=_times,
    attempts=_numbers,
    lease=_numbers,
    worker=_names,
    result=st.none() | _instructions,
    error=st.none() | st.dictionaries(st.text(), st.text()),
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(before=_jobs, after=_jobs, codec=st.sampled_from(["json", "msgpack", "cbor"]))
def test_a_job_comes_back_as_it_was(
    database: Database, before: Job, after: Job, codec: str
) -> None:
    after = replace(after, id=before.id, submitted=before.submitted)
    with Journal(database.url, new_id(), codec) as journal:
        journal.write(new=[before])
        assert journal.get([before.id]) == [before]
        journal.write(changed=[after])
        assert journal.get([before.id]) == [after]


def test_large_instructions_come_back(journal: Journal) -> None:
    large = a_job("a", instructions={"picture": "é" * 5_000_000})
    journal.write(new=[large])
    assert journal.get(["a"]) == [large]
