"""Kill anything, lose nothing: whole pipelines of real processes, and what is done to them.

In all of these, the database counts by a trigger how often a job ended, and the steps write down
each execution: every accepted job ends exactly once, as done or dead, and was executed.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentzero.pipeline import Client
from agentzero.pipeline.errors import JobFailed, JournalError
from tests.pipeline.stage import PATIENCE, Stage, ends, hatching, kill
from tests.processes import eventually, is_running

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def hatchery() -> Iterator[subprocess.Popen[str]]:
    with hatching() as hatchery:
        yield hatchery


@pytest.fixture
def stage(tmp_path: Path, hatchery: subprocess.Popen[str]) -> Stage:
    return Stage(tmp_path, hatchery)


@pytest.fixture
def client(stage: Stage) -> Iterator[Client]:
    with stage.client() as client:
        yield client


def ended_once(stage: Stage, jobs: list[str]) -> None:
    """Check that all of these jobs ended, once, and were executed."""
    endings = stage.endings()
    assert sorted(endings) == sorted(jobs)
    assert {len(states) for states in endings.values()} == {1}


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A file that some jobs wait for."""
    return tmp_path / "gate"


def test_a_job_whose_worker_is_killed_is_done_by_another(
    stage: Stage, client: Client, gate: Path
) -> None:
    stage.pipeline()
    stage.worker()
    job = client.submit({"name": "a", "until": str(gate)})
    kill(stage.wait_for_execution("a"))
    stage.worker()
    stage.worker("store")
    second = stage.wait_for_execution("a", 2)
    gate.touch()
    assert client.result(job, PATIENCE)["fetch"] == second
    ended_once(stage, [job])


def test_a_pipeline_that_is_killed_goes_on_with_what_runs(
    stage: Stage, client: Client, gate: Path
) -> None:
    pipeline = stage.pipeline()
    for step in ("fetch", "fetch", "store"):
        stage.worker(step)
    job = client.submit({"name": "a", "until": str(gate)})
    worker = stage.wait_for_execution("a")
    kill(pipeline)  # just when it has handed the job out
    ends(pipeline)
    gate.touch()  # the job ends while there is nobody to tell
    stage.pipeline()
    assert client.result(job, PATIENCE)["fetch"] == worker
    assert [name for step, name, _ in stage.executions() if step == "fetch"] == ["a"]
    ended_once(stage, [job])


def test_killing_both_loses_nothing(stage: Stage, client: Client, gate: Path) -> None:
    pipeline = stage.pipeline()
    stage.worker()
    job = client.submit({"name": "a", "until": str(gate)})
    kill(stage.wait_for_execution("a"))
    kill(pipeline)
    ends(pipeline)
    gate.touch()
    stage.pipeline()
    stage.worker()
    stage.worker("store")
    assert client.result(job, PATIENCE)["name"] == "a"
    ended_once(stage, [job])


@pytest.mark.parametrize("seed", range(3))
def test_a_pipeline_may_be_killed_at_any_moment(stage: Stage, client: Client, seed: int) -> None:
    moment = random.Random(seed)
    pipeline = stage.pipeline()
    for step in ("fetch", "store"):
        stage.worker(step, slots=8)
    jobs: list[str] = []
    for _ in range(4):
        jobs += client.submit_many({"name": str(n)} for n in range(len(jobs), len(jobs) + 300))
        time.sleep(moment.uniform(0, 0.3))  # any moment will do: it is not waited for anything
        kill(pipeline)
        ends(pipeline)
        pipeline = stage.pipeline()
    for job in jobs:
        client.result(job, PATIENCE)
    ended_once(stage, jobs)
    assert {name for _, name, _ in stage.executions()} == {str(n) for n in range(len(jobs))}


def test_a_frozen_worker_that_wakes_up_finishes_nothing_twice(
    stage: Stage, client: Client, gate: Path
) -> None:
    stage.pipeline()
    stage.worker()
    stage.worker("store")
    job = client.submit({"name": "a", "until": str(gate)})
    frozen = stage.wait_for_execution("a")
    os.kill(frozen, signal.SIGSTOP)
    stage.worker()
    other = stage.wait_for_execution("a", 2)
    gate.touch()
    assert client.result(job, PATIENCE)["fetch"] == other
    os.kill(frozen, signal.SIGCONT)
    # It is told to forget that job, and then works as before.
    kill(other)
    again = client.submit({"name": "b"})
    assert client.result(again, PATIENCE)["fetch"] == frozen
    assert client.status(job).result == client.result(job)
    ended_once(stage, [job, again])


def test_a_job_that_kills_its_workers_dies_in_the_end_and_others_do_not(
    stage: Stage, client: Client
) -> None:
    stage.options["lease"] = 0.6
    stage.pipeline("fragile")
    workers = [stage.worker("fragile")]
    poison = client.submit({"name": "poison", "kill": True})
    others = client.submit_many({"name": str(n)} for n in range(20))

    def died() -> bool:
        workers[:] = [pid if is_running(pid) else stage.worker("fragile") for pid in workers]
        return client.status(poison).ended

    eventually(died, PATIENCE)
    with pytest.raises(JobFailed, match=r"step fragile: WorkerLost"):
        client.result(poison)
    for job in others:
        workers[:] = [pid if is_running(pid) else stage.worker("fragile") for pid in workers]
        client.result(job, PATIENCE)
    assert [job.id for job in client.dead()] == [poison]
    assert sum(name == "poison" for _, name, _ in stage.executions()) == 3
    ended_once(stage, [poison, *others])


def test_a_full_disk_is_told_to_the_submitter_and_loses_no_accepted_job(
    stage: Stage, client: Client
) -> None:
    pipeline = stage.pipeline(file_size=300_000)
    worker = stage.worker(slots=4)
    stage.worker("store", slots=4)
    os.kill(worker, signal.SIGSTOP)
    accepted: list[str] = []

    def fill() -> None:
        while True:
            accepted.append(client.submit({"name": str(len(accepted)), "padding": "x" * 5000}))

    with pytest.raises(JournalError, match=r"jobs\.db"):
        fill()
    assert len(accepted) > 10
    os.kill(worker, signal.SIGCONT)
    # Now there is room again.
    resource.prlimit(pipeline, resource.RLIMIT_FSIZE, (10**9, resource.RLIM_INFINITY))
    accepted.append(client.submit({"name": "more"}))
    for job in accepted:
        client.result(job, PATIENCE)
    ended_once(stage, accepted)


def test_workers_may_come_and_go_and_be_killed(stage: Stage) -> None:
    """Fifty leave and fifty come during 20,000 jobs, and the pipeline is killed three times."""
    moment = random.Random(50)
    pipeline = stage.pipeline()
    workers = [stage.worker(step, slots=8) for step in ("fetch", "store") for _ in range(8)]
    number, left, finished = 20_000, 0, 0
    with stage.client(timeout=60) as client:
        jobs = client.submit_many({"name": str(n)} for n in range(number))
        while finished < number:
            states = stage.states()
            finished = states["done"] + states["dead"]
            if left < 50 and finished >= number * left / 50:
                leaving = workers.pop(moment.randrange(len(workers)))
                os.kill(leaving, moment.choice((signal.SIGKILL, signal.SIGTERM)))
                workers.append(stage.worker(("fetch", "store")[left % 2], slots=8))
                left += 1
                if left in (12, 25, 38):
                    kill(pipeline)
                    ends(pipeline)
                    pipeline = stage.pipeline()
            time.sleep(0.02)
        assert left == 50
        overview = client.overview()
    assert overview.done + sum(step.dead for step in overview.steps) == number
    ended_once(stage, jobs)
    executed = {(step, name) for step, name, _ in stage.executions()}
    assert executed == {(step, str(n)) for step in ("fetch", "store") for n in range(number)}
