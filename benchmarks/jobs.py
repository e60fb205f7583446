"""Jobs through this library's pipeline, and through other queues: who, how many, and in rounds."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from shutil import which
from statistics import median
from tempfile import TemporaryFile
from typing import IO, NamedTuple

from children import alone
from peers import Peer
from rounds import Rounds

SLOTS = "8"  # as many as dramatiq has threads
REDIS = "redis-server"

# With long queues, it is measured what these jobs cost:
LAST = 5_000  # the last that are submitted, or half of them if that is less
FIRST = 1_000  # the first that are worked off


class Plan(NamedTuple):
    """How much is measured."""

    rounds: int = 3
    jobs: int = 5_000
    trips: int = 100
    depths: tuple[int, ...] = (1_000, 10_000, 50_000, 200_000)


QUICK = Plan(rounds=1, jobs=1_000, trips=20, depths=(1_000, 10_000))


class Queue(NamedTuple):
    """Who is measured, and by how much slower it is: so many times fewer jobs will do."""

    peer: Peer
    slower: int = 1

    def share(self, jobs: int) -> int:
        """Return how many of the jobs it gets."""
        return jobs // self.slower

    def missing(self) -> str:
        """Return why it cannot be measured here, or nothing."""
        missing = self.peer.missing()
        if "redis" in self.peer.needs and not which(REDIS):
            return missing or f"there is no {REDIS}"
        return missing


PIPELINE = Peer("agentzero", ("jobs_agentzero.py", SLOTS), ("psutil", "sqlalchemy"))
DRAMATIQ = Peer("dramatiq", ("jobs_dramatiq.py",), ("psutil", "redis", "dramatiq"))
RQ_SIMPLE = Peer("rq, SimpleWorker", ("jobs_rq.py", "SimpleWorker"), ("psutil", "redis", "rq"))
RQ = Peer("rq, Worker", ("jobs_rq.py", "Worker"), ("psutil", "redis", "rq"))

QUEUES = (Queue(PIPELINE), Queue(DRAMATIQ), Queue(RQ_SIMPLE, 5), Queue(RQ, 50))

RATE = "jobs/s"
PER_CORE = "jobs/s per core"
IDLE = "idle p50, ms"
FIGURES = {"rate": RATE, "per core": PER_CORE, "p50": IDLE, "p99": "idle p99, ms"}

SUBMIT = "submitted, processor us/job"
WORK_OFF = "worked off, processor us/job"
DEPTH_FIGURES = {"submit": SUBMIT, "work off": WORK_OFF, "wall": "worked off, us/job"}


def measure(plan: Plan, queues: list[Queue]) -> tuple[Rounds, Rounds]:
    """Measure all queues, and the pipeline at all depths; every other round in reverse."""
    of_queues, of_depths = Rounds(), Rounds()
    for round_number in range(plan.rounds):
        turn = -1 if round_number % 2 else 1
        add_queues(of_queues, queues[::turn], plan.jobs, plan.trips)
        add_depths(of_depths, plan.depths[::turn])
        print(f"jobs, round {round_number + 1} of {plan.rounds}", file=sys.stderr, flush=True)
    return of_queues, of_depths


def add_queues(rounds: Rounds, queues: Sequence[Queue], jobs: int, trips: int) -> None:
    """Measure queues once, in that order."""
    for queue in queues:
        name, command, _ = queue.peer
        add(rounds, name, FIGURES, *command, str(queue.share(jobs)), str(trips))


def add_depths(rounds: Rounds, depths: Sequence[int]) -> None:
    """Measure the pipeline once with so many jobs in its queue, for each of them."""
    for depth in depths:
        add(rounds, queued(depth), DEPTH_FIGURES, "jobs_depth.py", str(depth), SLOTS)


def queued(depth: int) -> str:
    """Return a queue of that length in words."""
    return f"{depth:,} queued"


def add(rounds: Rounds, who: str, figures: dict[str, str], *command: str) -> None:
    """Add what a script measures; one that stalls has a second chance."""
    try:
        measured = alone(*command)
    except RuntimeError as error:
        print(f"{who} stalled: {error}", file=sys.stderr, flush=True)
        rounds.stalled[who] += 1
        measured = alone(*command)
    for key, value in measured.items():
        rounds.add(who, figures[key], value)


def sync_seconds() -> float:
    """Return how long it takes until 4 KiB are on the disk where the journals are."""
    with TemporaryFile() as file:
        return median(_written(file) for _ in range(100))


def _written(file: IO[bytes]) -> float:
    file.write(bytes(4096))
    file.flush()
    started = time.perf_counter()
    os.fsync(file.fileno())
    return time.perf_counter() - started
