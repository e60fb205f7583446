"""The manager of the pipeline: hands jobs to workers, and each result to the next step."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import msgspec
import zmq
from steps import Available, Instructions, Job, Result

from agentzero import Event, SocketManager

WINDOW = 16  # jobs that one worker may have at a time, so that no queue grows without bound


@dataclass
class Worker:
    """A worker that announced itself.

    Attributes:
        job_type: the type of job it does.
        address: where it takes jobs; also the name of the PUSH socket that is connected there.
        jobs: those that it has and did not answer yet, by their ids.
    """

    job_type: str
    address: str
    jobs: set[int] = field(default_factory=set)


@dataclass
class Statistics:
    """What one step did so far; times are those of `time.monotonic`."""

    jobs: int = 0
    failures: int = 0
    first_sent: float = 0.0
    last_result: float = 0.0

    @property
    def jobs_per_second(self) -> float:
        """Jobs per second, from the first job sent until the last result."""
        return self.jobs / max(self.last_result - self.first_sent, 1e-9) if self.jobs else 0.0


class Manager:
    """Takes jobs through all steps, whose workers come when they want.

    Args:
        job_types: the steps in their order; what one returns is the next one's instructions.
        on_event: called with each event that a worker publishes.

    Attributes:
        outputs: what the last step returned, by job.
        errors: what a step failed with, by job; such a job goes no further.
        statistics: by type of job.
        events: how many events came, by topic. ZeroMQ may drop events, so nothing depends on them
            but announcements, which are repeated.
    """

    def __init__(
        self, job_types: Sequence[str], on_event: Callable[[Event], object] = lambda event: None
    ) -> None:
        self.job_types = job_types
        self.on_event = on_event
        self.outputs: dict[int, Instructions] = {}
        self.errors: dict[int, dict[str, str]] = {}
        self.statistics = {job_type: Statistics() for job_type in job_types}
        self.events: Counter[str] = Counter()
        self._submitted = 0
        self._last_result = time.monotonic()
        self._waiting: dict[str, deque[Job]] = {job_type: deque() for job_type in job_types}
        self._workers: dict[str, Worker] = {}
        self._next = dict(pairwise(job_types))
        # When a worker is gone, messages to it may hold up our exit for one second.
        self.sockets = SocketManager(linger=1)
        self.sockets.ensure_and_bind("events", zmq.SUB, "tcp://127.0.0.1:*", zmq.POLLIN)
        self.sockets.set_topic("events", "")
        self.sockets.ensure_and_bind("results", zmq.PULL, "tcp://127.0.0.1:*", zmq.POLLIN)

    @property
    def addresses(self) -> dict[str, str]:
        """Where workers connect to: the addresses of `events` and `results`."""
        return {name: self.sockets.endpoints(name)[0] for name in ("events", "results")}

    @property
    def unfinished(self) -> int:
        """How many jobs are still on their way."""
        return self._submitted - len(self.outputs) - len(self.errors)

    @property
    def awaited(self) -> list[str]:
        """The steps that have jobs, waiting or sent."""
        busy = {worker.job_type for worker in self._workers.values() if worker.jobs}
        return [name for name in self.job_types if name in busy or self._waiting[name]]

    @property
    def silence(self) -> float:
        """Seconds since the latest result, or since the start where there is none yet."""
        return time.monotonic() - self._last_result

    def close(self) -> None:
        """Close all sockets."""
        self.sockets.close_all()

    def submit(self, instructions: Instructions) -> int:
        """Give the first step a job; return the job's id."""
        self._submitted += 1
        self._waiting[self.job_types[0]].append(Job(self._submitted, instructions))
        return self._submitted

    def turn(self, timeout: float) -> None:
        """Handle all that has arrived, waiting for it `timeout` seconds at the most."""
        self.sockets.engage(timeout * 1000)
        while (event := self.sockets.recv_event_safe("events", timeout=0)) is not None:
            self._handle_event(event)
        while (result := self.sockets.recv_safe("results", timeout=0, type=Result)) is not None:
            self._handle_result(result)
        for worker in self._workers.values():
            self._send_jobs(worker)

    def _handle_event(self, event: Event) -> None:
        self.events[event.topic] += 1
        if event.topic == "available":
            self._connect(msgspec.convert(event.data, Available))
        self.on_event(event)

    def _connect(self, worker: Available) -> None:
        if worker.job_type in self._waiting and worker.address not in self._workers:
            self.sockets.ensure_and_connect(worker.address, zmq.PUSH, worker.address)
            self._workers[worker.address] = Worker(worker.job_type, worker.address)

    def _handle_result(self, result: Result) -> None:
        worker = self._workers[result.worker]
        worker.jobs.remove(result.id)
        statistics = self.statistics[worker.job_type]
        statistics.jobs += 1
        statistics.last_result = self._last_result = time.monotonic()
        if result.output is None:
            statistics.failures += 1
            self.errors[result.id] = result.error or {}
        elif worker.job_type in self._next:
            self._waiting[self._next[worker.job_type]].append(Job(result.id, result.output))
        else:
            self.outputs[result.id] = result.output

    def _send_jobs(self, worker: Worker) -> None:
        waiting, statistics = self._waiting[worker.job_type], self.statistics[worker.job_type]
        while waiting and len(worker.jobs) < WINDOW:
            job = waiting.popleft()
            statistics.first_sent = statistics.first_sent or time.monotonic()
            self.sockets.send(worker.address, job)
            worker.jobs.add(job.id)
