"""Jobs that take too long fail, and never keep a worker from saying so."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agentzero.pipeline import shift
from agentzero.pipeline.errors import StepHung
from agentzero.pipeline.events import Error, Gone
from agentzero.pipeline.wire import Outcome
from tests.pipeline.chores import HastyChore
from tests.pipeline.fake_pipeline import FakePipeline, Gate, Running, job, warnings
from tests.pipeline.fake_pipeline import gate as gate
from tests.pipeline.fake_pipeline import pipeline as pipeline
from tests.pipeline.fake_pipeline import start as start

Start = Callable[..., Running]


def test_a_job_past_its_time_limit_has_failed(
    pipeline: FakePipeline, start: Start, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    start(pipeline, HastyChore(), slots=2)
    pipeline.meet()
    pipeline.order(gate.job("j1"))
    result = pipeline.result()
    assert result.outcome is Outcome.FAILED
    assert result.error is not None
    assert result.error["name"] == "TimeLimitExceeded"
    assert result.error["message"] == "ran for more than 0.2 s"
    assert result.seconds == 0.2
    assert warnings(caplog) == [
        "job j1 failed in step chore, attempt 1: TimeLimitExceeded: ran for more than 0.2 s"
    ]


def test_it_is_noticed_between_heartbeats(
    gate: Gate, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shift, "LONGEST", 1000.0)
    pipeline = FakePipeline(heartbeat=1000.0)
    start(pipeline, HastyChore(), slots=2)
    pipeline.meet()
    pipeline.order(gate.job("j1"))
    assert pipeline.result().outcome is Outcome.FAILED
    pipeline.die()


def test_its_slot_stays_taken_until_it_returns_and_its_outcome_is_ignored(
    pipeline: FakePipeline, start: Start, gate: Gate
) -> None:
    start(pipeline, HastyChore(), slots=2)
    pipeline.meet()
    pipeline.order(gate.job("j1"))
    pipeline.settle(pipeline.result())
    assert pipeline.available(lambda event: not event.jobs).slots == 1
    gate.open()
    pipeline.available(lambda event: event.slots == 2)
    pipeline.order(job("j2"))
    while (result := pipeline.result()).id == "j1":
        assert result.outcome is Outcome.FAILED


def test_another_try_of_it_is_done_beside_it(
    pipeline: FakePipeline, start: Start, gate: Gate
) -> None:
    start(pipeline, HastyChore(), slots=2)
    pipeline.meet()
    pipeline.order(gate.job("j1", lease=1))
    pipeline.result()
    pipeline.order(job("j1", lease=2))
    while (result := pipeline.result()).lease == 1:
        assert result.outcome is Outcome.FAILED
    assert result.outcome is Outcome.SUCCESS


def test_a_worker_whose_slots_all_hang_tells_and_ends(
    pipeline: FakePipeline, start: Start, gate: Gate
) -> None:
    running = start(pipeline, HastyChore(), slots=2)
    pipeline.meet()
    pipeline.order(gate.job("j1"), gate.job("j2"), job("j3"))
    results = pipeline.results(3)
    assert [results[name].outcome for name in ("j1", "j2", "j3")] == [
        "failed",
        "failed",
        "returned",
    ]
    assert pipeline.event(Error, lambda event: event.job is None).error["name"] == "StepHung"
    pipeline.settle(*results.values())
    pipeline.event(Gone)
    with pytest.raises(StepHung, match=r"every slot is taken .* more than 0\.2 s"):
        running.ended()
