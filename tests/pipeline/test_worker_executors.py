"""Jobs are done in threads, in processes or on a cluster, and fail there as they would here."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, ThreadPoolExecutor
from pathlib import Path

import pytest

from agentzero.pipeline.executors import Processes
from agentzero.pipeline.wire import Outcome
from tests.pipeline.chores import Chore
from tests.pipeline.fake_pipeline import PATIENCE, FakePipeline, Gate, Running, job
from tests.pipeline.fake_pipeline import busy as busy
from tests.pipeline.fake_pipeline import gate as gate
from tests.pipeline.fake_pipeline import pipeline as pipeline
from tests.pipeline.fake_pipeline import start as start
from tests.processes import eventually, running

Start = Callable[..., Running]


def threads() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


def processes() -> Iterator[Executor]:
    with Processes(2) as executor:
        yield executor


def dask() -> Iterator[Executor]:
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, dashboard_address=None, memory_limit=0
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client.get_executor(pure=False)


EXECUTORS = {"threads": threads, "processes": processes, "dask": dask}


@pytest.fixture(scope="module", params=list(EXECUTORS))
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    yield from EXECUTORS[request.param]()


def test_jobs_are_done_at_the_same_time(
    pipeline: FakePipeline, start: Start, executor: Executor, gate: Gate
) -> None:
    start(pipeline, executor=executor, slots=2)
    pipeline.meet()
    pipeline.order(gate.job("j1"), gate.job("j2"), job("j3"))
    gate.begun("j1", "j2")
    gate.open()
    results = pipeline.results(3)
    assert {result.outcome for result in results.values()} == {Outcome.SUCCESS}
    here = results["j1"].output == {"process": os.getpid()}
    assert here is isinstance(executor, ThreadPoolExecutor)


def test_failures_come_with_their_traceback(
    pipeline: FakePipeline, start: Start, executor: Executor
) -> None:
    start(pipeline, executor=executor)
    pipeline.meet()
    pipeline.order(job("j1", "fail", text="too small"), job("j2", "leave"))
    results = pipeline.results(2)
    assert results["j1"].error is not None
    assert results["j2"].error is not None
    assert "raise ValueError(text)" in results["j1"].error["traceback"]
    assert results["j2"].error["name"] == "SystemExit"


def test_what_is_logged_there_is_published_here(
    pipeline: FakePipeline, start: Start, executor: Executor
) -> None:
    start(pipeline, executor=executor)
    pipeline.meet()
    output = pipeline.done(job("j1", "log", text="hello"))
    record = pipeline.log()
    assert record["msg"] == "it says hello"
    assert output == {"process": record["process"]}


def test_the_executor_stays_its_owners(
    pipeline: FakePipeline, start: Start, executor: Executor
) -> None:
    worker = start(pipeline, executor=executor)
    pipeline.meet()
    worker.stop()
    worker.ended()
    assert executor.submit(len, "four").result(20) == 4


def test_a_job_that_kills_its_process_has_failed_and_others_go_on(
    pipeline: FakePipeline, start: Start
) -> None:
    start(pipeline, executor=lambda: Processes(1))
    pipeline.meet()
    pipeline.order(job("j1", "die"), job("j2"))
    results = pipeline.results(2)
    assert results["j1"].error is not None
    assert results["j1"].error["name"] == "BrokenProcessPool"
    assert results["j2"].output == {"text": "j2"}


def test_a_worker_ends_with_a_broken_executor_that_it_cannot_replace(
    pipeline: FakePipeline, start: Start
) -> None:
    with Processes(1) as executor:
        worker = start(pipeline, executor=executor)
        pipeline.meet()
        pipeline.order(job("j1", "die"), job("j2"))
        results = pipeline.results(2)
        assert results["j1"].outcome is Outcome.FAILED
        assert results["j2"].outcome is Outcome.RETURNED
        pipeline.settle(*results.values())
        with pytest.raises(BrokenExecutor):
            worker.ended()


def test_all_jobs_of_a_broken_executor_have_failed(pipeline: FakePipeline, busy: Start) -> None:
    with Processes(2) as executor:
        busy(executor=executor, slots=2)
        pipeline.order(job("j2", "die"))
        results = pipeline.results(2).values()
        assert [result.outcome for result in results] == [Outcome.FAILED] * 2


def test_what_breaks_while_the_worker_drains_is_handed_back(
    pipeline: FakePipeline, start: Start, tmp_path: Path
) -> None:
    # As where a signal goes to all processes of a group.
    worker = start(pipeline, executor=lambda: Processes(1), grace=1000.0)
    pipeline.meet()
    begun, deadly = tmp_path / "begun", tmp_path / "deadly"
    pipeline.order(job("j1", "wait_and_die", begun=begun, until=deadly))
    eventually(begun.exists)
    worker.stop()
    pipeline.available(lambda event: event.slots == 0)
    deadly.touch()
    result = pipeline.result()
    assert result.outcome is Outcome.RETURNED
    pipeline.settle(result)
    worker.ended()


def test_a_worker_ends_though_a_process_of_its_own_hangs(
    pipeline: FakePipeline, busy: Start
) -> None:
    worker = busy(executor=lambda: Processes(1), grace=0.1)
    worker.stop()
    assert pipeline.result().outcome is Outcome.RETURNED
    worker.ended()


COMPUTING_GREENLETS = """
from gevent import monkey; monkey.patch_all()
import sys
from gevent.threadpool import ThreadPoolExecutor
from agentzero.pipeline import Worker
from tests.pipeline.chores import Chore
Worker(Chore(), sys.argv[1], slots=2, executor=lambda: ThreadPoolExecutor(2)).run()
"""


def test_heartbeats_go_on_while_native_threads_of_gevent_compute(
    pipeline: FakePipeline, gate: Gate
) -> None:
    pytest.importorskip("gevent")
    with running("-c", COMPUTING_GREENLETS, pipeline.address) as process:
        pipeline.meet()
        pipeline.order(gate.job("j1", "compute"), gate.job("j2", "compute"))
        gate.begun("j1", "j2")
        for _ in range(5):
            pipeline.available(lambda event: event.jobs == {"j1": 1, "j2": 1})
        gate.open()
        pipeline.settle(*pipeline.results(2).values())
        os.kill(process.pid, signal.SIGTERM)
        ended = process.end(PATIENCE)
        assert (ended.code, ended.err) == (0, "")


def test_a_worker_ends_with_an_executor_that_was_shut_down(
    pipeline: FakePipeline, start: Start
) -> None:
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    worker = start(pipeline, executor=executor)
    pipeline.meet()
    pipeline.order(job("j1"))
    result = pipeline.result()
    assert result.outcome is Outcome.RETURNED
    pipeline.settle(result)
    with pytest.raises(RuntimeError, match="after shutdown"):
        worker.ended()


def test_a_step_that_cannot_be_pickled_fails_its_jobs(pipeline: FakePipeline, start: Start) -> None:
    class Local(Chore):
        pass

    start(pipeline, Local(), executor=lambda: Processes(1))
    pipeline.meet()
    pipeline.order(job("j1"))
    result = pipeline.result()
    assert result.error is not None
    assert "pickle" in result.error["message"]
