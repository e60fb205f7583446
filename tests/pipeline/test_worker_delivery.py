"""No result is lost, and no job done twice without need, whatever gets lost on the way."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agentzero.pipeline.wire import Outcome
from tests.pipeline.fake_pipeline import FakePipeline, Gate, Running, job
from tests.pipeline.fake_pipeline import busy as busy
from tests.pipeline.fake_pipeline import gate as gate
from tests.pipeline.fake_pipeline import pipeline as pipeline
from tests.pipeline.fake_pipeline import start as start

Start = Callable[..., Running]


def test_a_result_is_sent_again_until_it_is_settled(pipeline: FakePipeline, start: Start) -> None:
    start(pipeline)
    pipeline.meet()
    pipeline.order(job("j1"))
    first = pipeline.result()
    assert pipeline.result() == pipeline.result() == first
    assert pipeline.available().jobs == {"j1": 1}
    pipeline.settle(first)
    pipeline.available(lambda event: event.jobs == {})


def test_a_settled_result_is_not_sent_again(pipeline: FakePipeline, start: Start) -> None:
    start(pipeline)
    pipeline.meet()
    pipeline.done(job("j1"))
    pipeline.available(lambda event: event.jobs == {})
    pipeline.done(job("j2"))  # all that was sent of the first has been read
    pipeline.available(lambda event: event.jobs == {})
    pipeline.order(job("j3"))
    assert {pipeline.result().id for _ in range(3)} <= {"j2", "j3"}


@pytest.mark.parametrize("what", ["settled", "withdrawn"])
def test_what_is_said_of_an_old_lease_does_not_touch_a_newer_one(
    pipeline: FakePipeline, busy: Start, gate: Gate, what: str
) -> None:
    busy(lease=2)
    old = [("j1", 1)]
    pipeline.order(settled=old) if what == "settled" else pipeline.order(withdrawn=old)
    gate.open()
    assert pipeline.result().lease == 2


def test_the_same_assignment_again_is_done_once(
    pipeline: FakePipeline, start: Start, gate: Gate
) -> None:
    start(pipeline, slots=3)
    pipeline.meet()
    for _ in range(3):
        pipeline.order(gate.job("j1"))
    gate.begun("j1")
    gate.open()
    pipeline.result()
    pipeline.order(gate.job("j1"))  # as it is sent again before its result is in the journal
    assert pipeline.done(job("j2")) == {"text": "j2"}
    assert gate.times("j1") == 1


def test_an_older_lease_of_a_job_that_is_here_is_ignored(
    pipeline: FakePipeline, start: Start, gate: Gate
) -> None:
    start(pipeline, slots=2)
    pipeline.meet()
    pipeline.order(gate.job("j1", lease=2), gate.job("j1", lease=1))
    gate.begun("j1")
    assert pipeline.available(lambda event: event.jobs).jobs == {"j1": 2}
    gate.open()
    assert pipeline.result().lease == 2
    assert gate.times("j1") == 1


def test_a_newer_lease_of_a_job_that_runs_is_answered_by_it(
    pipeline: FakePipeline, busy: Start, gate: Gate
) -> None:
    busy(slots=2)
    pipeline.order(gate.job("j1", lease=2))
    pipeline.available(lambda event: event.jobs == {"j1": 2})
    gate.open()
    assert pipeline.result().lease == 2
    assert gate.times("j1") == 1


def test_a_newer_lease_of_a_job_that_has_ended_is_done_again(
    pipeline: FakePipeline, start: Start, gate: Gate
) -> None:
    gate.open()
    start(pipeline)
    pipeline.meet()
    pipeline.order(gate.job("j1", lease=1))
    assert pipeline.result().lease == 1
    pipeline.order(gate.job("j1", lease=2))
    while pipeline.result().lease < 2:
        pass
    assert gate.times("j1") == 2


def test_a_job_withdrawn_before_it_begins_is_never_begun(
    pipeline: FakePipeline, busy: Start, gate: Gate
) -> None:
    busy(gate.job("j2"), gate.job("j3"))
    pipeline.order(withdrawn=[("j2", 1)])
    pipeline.available(lambda event: event.jobs.keys() == {"j1", "j3"})
    gate.open()
    assert pipeline.results(2).keys() == {"j1", "j3"}
    assert not gate.times("j2")


def test_a_job_withdrawn_while_it_runs_keeps_its_slot_and_sends_no_result(
    pipeline: FakePipeline, busy: Start, gate: Gate
) -> None:
    busy(slots=2)
    pipeline.order(withdrawn=[("j1", 1)])
    pipeline.available(lambda event: event.slots == 1 and event.jobs == {})
    pipeline.order(gate.job("j2"), gate.job("j3"))
    gate.begun("j2")
    assert not gate.times("j3")
    gate.open()
    assert pipeline.results(2).keys() == {"j2", "j3"}
    pipeline.available(lambda event: event.slots == 2)


def test_a_pipeline_that_comes_back_hears_what_the_worker_has(
    pipeline: FakePipeline, start: Start, gate: Gate
) -> None:
    start(pipeline, slots=2)
    pipeline.meet()
    pipeline.order(job("j1"), gate.job("j2"))
    gate.begun("j2")
    pipeline.result()
    back = pipeline.back()
    assert back.meet().jobs == {"j1": 1, "j2": 1}
    gate.open()
    results = back.results(2)
    assert [result.outcome for result in results.values()] == [Outcome.SUCCESS] * 2
    back.settle(*results.values())
    assert back.available(lambda event: not event.jobs).slots == 2
    back.die()


def test_results_that_ended_without_a_pipeline_wait_for_it(
    pipeline: FakePipeline, start: Start, gate: Gate
) -> None:
    running = start(pipeline, slots=3)
    pipeline.meet()
    pipeline.order(*(gate.job(name) for name in ("j1", "j2", "j3")))
    gate.begun("j1", "j2", "j3")
    pipeline.die()
    gate.open()
    back = pipeline.back()
    assert back.results(3).keys() == {"j1", "j2", "j3"}
    assert running.runs
    back.die()


def test_a_pipeline_that_comes_back_elsewhere_is_followed(
    pipeline: FakePipeline, start: Start
) -> None:
    start(pipeline)
    pipeline.meet()
    pipeline.order(job("j1"))
    pipeline.result()
    pipeline.die()
    elsewhere = FakePipeline((pipeline.address, "tcp://127.0.0.1:*", "tcp://127.0.0.1:*"))
    assert elsewhere.meet().jobs == {"j1": 1}
    elsewhere.settle(elsewhere.result())
    assert elsewhere.done(job("j2")) == {"text": "j2"}
    elsewhere.die()


def test_a_pipeline_that_comes_back_with_another_rhythm_is_obeyed(
    pipeline: FakePipeline, start: Start
) -> None:
    slow = pipeline.back(heartbeat=1000.0)
    start(slow)
    slow.meet()
    slow.done(job("j1"))  # an order ends the quick announcements
    quick = slow.back()
    quick.meet()
    quick.done(job("j2"))
    for _ in range(3):
        quick.available()
    quick.die()


def test_thousands_of_jobs_in_one_order(pipeline: FakePipeline, start: Start) -> None:
    start(pipeline, slots=4)
    pipeline.meet()
    names = [f"j{number}" for number in range(3000)]
    pipeline.order(*map(job, names))
    assert {name: result.output for name, result in pipeline.results(3000).items()} == {
        name: {"text": name} for name in names
    }
