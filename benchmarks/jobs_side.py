"""What the job queues share: the job, the processes and their time, and how each is measured."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from statistics import median
from typing import Protocol, TypeAlias

import psutil
from jobs_guard import GRACE
from side import MESSAGE, Measured, warm_up

HERE = Path(__file__).parent

INSTRUCTIONS = MESSAGE
PATIENCE = 45.0  # seconds for anything, and less than `side.LIMIT`
INTERVAL = 0.02  # seconds between two looks whether jobs are done

Running: TypeAlias = subprocess.Popen[str]


def work(instructions: dict[str, str]) -> dict[str, int]:
    """Do the job of all the queues."""
    return {"fields": len(instructions)}


class JobQueue(Protocol):
    """What a queue is asked for."""

    def submit(self, count: int) -> None:
        """Submit so many jobs, in the quickest way that it offers."""

    def unfinished(self) -> int:
        """Return how many of them are not done."""

    def ask(self) -> object:
        """Submit one job, and return what came of it once it is done."""


@contextmanager
def running(*command: str) -> Iterator[Running]:
    """Run a Python script that ends when its stdin does, and end it."""
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=HERE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(2 * GRACE)
            except subprocess.TimeoutExpired:
                process.kill()


def guarded(*command: str) -> AbstractContextManager[Running]:
    """Run any command, and end it."""
    return running("jobs_guard.py", *command)


def until(holds: Callable[[], bool]) -> None:
    """Look again and again.

    Raises:
        TimeoutError: it did not come true.
    """
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not done in {PATIENCE:g} s")
        time.sleep(INTERVAL)


def processor_seconds() -> float:
    """Return what this process has used and all below it, those that have ended as well."""
    this = psutil.Process()
    return sum(sum(each.cpu_times()[:4]) for each in (this, *this.children(recursive=True)))


def measured(queue: JobQueue, jobs: int, trips: int) -> Measured:
    """Measure how long one job takes while there is no other, and then how many a second."""
    durations = [_timed(queue.ask) for _ in range(warm_up(trips) + trips)][-trips:]
    _work_off(queue, warm_up(jobs))
    used = processor_seconds()
    seconds = _timed(lambda: _work_off(queue, jobs))
    used = processor_seconds() - used
    slowest = sorted(durations)[trips * 99 // 100]
    return {
        "rate": jobs / seconds,
        "per core": jobs / used,
        "p50": median(durations) * 1e3,
        "p99": slowest * 1e3,
    }


def _work_off(queue: JobQueue, jobs: int) -> None:
    queue.submit(jobs)
    until(lambda: not queue.unfinished())


def _timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started
