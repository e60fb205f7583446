"""A worker that is told to end finishes what runs, hands back the rest, and ends in time."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from agentzero.pipeline.events import Gone
from agentzero.pipeline.wire import Outcome
from tests.pipeline.fake_pipeline import PATIENCE, FakePipeline, Gate, Running, job
from tests.pipeline.fake_pipeline import busy as busy
from tests.pipeline.fake_pipeline import gate as gate
from tests.pipeline.fake_pipeline import pipeline as pipeline
from tests.pipeline.fake_pipeline import start as start
from tests.processes import Process, running

Start = Callable[..., Running]

ENDING = [signal.SIGTERM, signal.SIGINT]


def test_drained_it_takes_no_more_and_finishes_what_runs(
    pipeline: FakePipeline, busy: Start, gate: Gate
) -> None:
    ending = busy(gate.job("j2"), grace=1000.0)
    ending.stop()
    pipeline.available(lambda event: event.slots == 0)
    returned = pipeline.result()
    assert (returned.id, returned.outcome) == ("j2", Outcome.RETURNED)
    pipeline.order(job("j3"))
    assert pipeline.results(2)["j3"].outcome is Outcome.RETURNED
    gate.open()
    results = pipeline.results(3)
    assert results["j1"].outcome is Outcome.SUCCESS
    assert not gate.times("j2")
    assert ending.runs
    pipeline.settle(*results.values())
    assert pipeline.event(Gone).worker == ending.worker.id
    ending.ended()


def test_what_is_not_finished_in_its_grace_is_handed_back(
    pipeline: FakePipeline, busy: Start
) -> None:
    ending = busy(grace=0.1)
    ending.stop()
    assert pipeline.result().outcome is Outcome.RETURNED
    pipeline.event(Gone)
    ending.ended()


def test_stopped_at_once_it_hands_back_what_runs(
    pipeline: FakePipeline, busy: Start, gate: Gate
) -> None:
    ending = busy(gate.job("j2"), grace=1000.0)
    ending.stop()
    ending.stop(at_once=True)
    results = pipeline.results(2).values()
    assert {result.outcome for result in results} == {Outcome.RETURNED}
    pipeline.event(Gone)
    ending.ended()


def test_stopping_twice_is_as_stopping_once(
    pipeline: FakePipeline, busy: Start, gate: Gate
) -> None:
    ending = busy(grace=1000.0)
    ending.stop()
    ending.stop()
    pipeline.available(lambda event: event.slots == 0)
    gate.open()
    result = pipeline.result()
    assert result.outcome is Outcome.SUCCESS
    pipeline.settle(result)
    ending.ended()


@pytest.mark.parametrize(("jobs", "text"), [(1, "1 result"), (2, "2 results")])
def test_it_says_once_that_it_waits_for_its_results_to_be_taken(
    pipeline: FakePipeline, start: Start, caplog: pytest.LogCaptureFixture, jobs: int, text: str
) -> None:
    caplog.set_level("INFO", "agentzero.pipeline")
    ending = start(pipeline, grace=1000.0)
    pipeline.meet()
    pipeline.order(*(job(f"j{number}") for number in range(jobs)))
    results = pipeline.results(jobs)
    ending.stop()
    for _ in range(3):
        pipeline.available(lambda event: event.slots == 0)
    pipeline.settle(*results.values())
    ending.ended()
    said = [line for line in caplog.messages if line.startswith("waiting up to")]
    assert said == [f"waiting up to 1000 s for the pipeline to take {text}"]


def test_a_grace_without_end_is_one(pipeline: FakePipeline, busy: Start, gate: Gate) -> None:
    ending = busy(grace=math.inf)
    ending.stop()
    pipeline.available(lambda event: event.slots == 0)
    gate.open()
    pipeline.settle(pipeline.result())
    ending.ended()


def test_a_pipeline_that_is_gone_keeps_it_no_longer_than_its_grace(
    pipeline: FakePipeline, start: Start
) -> None:
    ending = start(pipeline, grace=0.2)
    pipeline.meet()
    pipeline.order(job("j1"))
    pipeline.result()
    pipeline.die()
    ending.stop()
    ending.ended()


# Real processes

WORKER = """
import sys
from agentzero.pipeline import Worker
from tests.pipeline import chores

step, address, grace = sys.argv[1:]
Worker(getattr(chores, step)(), address, grace=float(grace)).run()
print("ended")
"""


@contextmanager
def worker(pipeline: FakePipeline, step: str = "Chore", grace: float = 1000.0) -> Iterator[Process]:
    with running("-c", WORKER, step, pipeline.address, str(grace)) as process:
        pipeline.meet()
        yield process


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_drains(pipeline: FakePipeline, gate: Gate, number: int) -> None:
    with worker(pipeline) as process:
        pipeline.order(gate.job("j1"), gate.job("j2"))
        gate.begun("j1")
        os.kill(process.pid, number)
        pipeline.available(lambda event: event.slots == 0)
        gate.open()
        results = pipeline.results(2)
        assert results["j1"].outcome is Outcome.SUCCESS
        assert results["j2"].outcome is Outcome.RETURNED
        pipeline.settle(*results.values())
        pipeline.event(Gone)
        ended = process.end(PATIENCE)
        assert (ended.code, ended.out, ended.err) == (0, "ended\n", "")


@pytest.mark.parametrize("number", ENDING)
def test_a_second_signal_ends_it_at_once_though_a_job_hangs(
    pipeline: FakePipeline, gate: Gate, number: int
) -> None:
    with worker(pipeline) as process:
        pipeline.order(gate.job("j1", "compute"))
        gate.begun("j1")
        os.kill(process.pid, number)
        pipeline.available(lambda event: event.slots == 0)
        os.kill(process.pid, number)
        assert pipeline.result().outcome is Outcome.RETURNED
        pipeline.event(Gone)
        ended = process.end(PATIENCE)
        assert (ended.code, ended.out, ended.err) == (0, "ended\n", "")


def test_a_signal_ends_it_while_there_is_no_pipeline(pipeline: FakePipeline) -> None:
    pipeline.die()
    program = "import logging, sys; logging.basicConfig(stream=sys.stdout)" + WORKER
    with running("-c", program, "Chore", pipeline.address, "1000") as process:
        assert "waiting for the pipeline" in process.line()
        os.kill(process.pid, signal.SIGTERM)
        assert process.end(PATIENCE).code == 0


def test_a_process_whose_jobs_hang_ends_with_the_error(pipeline: FakePipeline, gate: Gate) -> None:
    with worker(pipeline, "HastyChore") as process:
        pipeline.order(gate.job("j1", "compute"))
        result = pipeline.result()
        pipeline.settle(result)
        ended = process.end(PATIENCE)
        assert (ended.code, ended.out) == (1, "")
        assert "StepHung: every slot is taken" in ended.err


def test_a_frozen_worker_goes_on_when_it_thaws(pipeline: FakePipeline, gate: Gate) -> None:
    with worker(pipeline, "BriskChore") as process:
        pipeline.order(gate.job("j1"))
        gate.begun("j1")
        os.kill(process.pid, signal.SIGSTOP)
        while pipeline.sockets.recv_event_safe("events", timeout=1.1) is not None:
            pass  # until it has been silent for longer than its jobs may take
        os.kill(process.pid, signal.SIGCONT)
        assert pipeline.available().jobs == {"j1": 1}
        gate.open()
        assert pipeline.result().outcome is Outcome.SUCCESS
        pipeline.order(withdrawn=[("j1", 1)])
        pipeline.available(lambda event: event.jobs == {})
        assert pipeline.done(job("j2")) == {"text": "j2"}


def test_a_killed_worker_is_replaced_by_another_one(pipeline: FakePipeline) -> None:
    with worker(pipeline) as process:
        first = pipeline.worker
        process.kill()
    with worker(pipeline):
        assert pipeline.worker != first
        assert pipeline.done(job("j1")) == {"text": "j1"}
