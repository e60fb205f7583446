"""A pipeline for workers that does only what a test says, on real sockets."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import pytest
import zmq

from agentzero import SocketManager
from agentzero.pipeline import Worker
from agentzero.pipeline.events import EVENTS, Available
from agentzero.pipeline.wire import (
    Assignment,
    Join,
    Order,
    Outcome,
    Refused,
    Result,
    Results,
    Welcome,
)
from agentzero.serializers import convert
from tests.pipeline.chores import Chore, chore
from tests.processes import eventually

T = TypeVar("T")

PATIENCE = 20.0  # for anything that is sure to come, in seconds
HEARTBEAT = 0.1

ANY = "tcp://127.0.0.1:*"


class FakePipeline:
    """Answers `Join` by itself; all else is up to the test.

    Args:
        addresses: where to answer questions, and to get events and results.
        heartbeat: what workers are told.
        job_types: what workers are told.
    """

    def __init__(
        self,
        addresses: tuple[str, str, str] = (ANY, ANY, ANY),
        heartbeat: float = HEARTBEAT,
        job_types: tuple[str, ...] = ("chore",),
        **options: Any,
    ) -> None:
        self.sockets = SocketManager(linger=0, timeout=PATIENCE, **options)
        kinds = {"replies": zmq.ROUTER, "events": zmq.SUB, "results": zmq.PULL}
        for (name, kind), address in zip(kinds.items(), addresses, strict=True):
            self.sockets.ensure_and_bind(name, kind, address)
        reply, events, results = (self.sockets.endpoints(name)[0] for name in kinds)
        self.addresses = reply, events, results
        self.welcome: Welcome | Refused = Welcome(
            "fake", events, results, heartbeat, 5.0, list(job_types)
        )
        self.logs: list[dict[str, Any]] = []
        self._results: deque[Result] = deque()
        self.sockets.set_topic("events", "")
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        self.sockets.serve("replies", lambda question: self.welcome, type=Join)

    @property
    def address(self) -> str:
        return self.addresses[0]

    def die(self) -> None:
        """Close everything, as a process does that is killed."""
        self.sockets.close_all()

    def back(self, **options: Any) -> FakePipeline:
        """Die, and come back at the same addresses with another memory."""
        self.die()
        return FakePipeline(self.addresses, **options)

    # Events

    def event(self, kind: type[T], holds: Callable[[T], object] = lambda event: True) -> T:
        """The next event of a kind for which something holds; others are passed over."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            topic, data = self.sockets.recv_event("events", timeout=end - time.monotonic())
            if topic == "logs":
                self.logs.append(data)
            elif EVENTS[topic] is kind and holds(event := convert(data, kind)):
                return event
        raise AssertionError(f"no such {kind.__name__}")

    def log(self) -> dict[str, Any]:
        """The next log record."""
        while not self.logs:
            topic, data = self.sockets.recv_event("events")
            if topic == "logs":
                self.logs.append(data)
        return self.logs.pop(0)

    def available(self, holds: Callable[[Available], object] = lambda event: True) -> Available:
        return self.event(Available, holds)

    def meet(self) -> Available:
        """Wait for a worker, and connect to it."""
        worker = self.available()
        self.sockets.ensure_and_connect(worker.worker, zmq.PUSH, worker.address)
        self.worker = worker.worker
        return worker

    # Orders and results

    def order(
        self,
        *jobs: Assignment,
        settled: list[tuple[str, int]] | None = None,
        withdrawn: list[tuple[str, int]] | None = None,
    ) -> None:
        order = Order(list(jobs), settled or [], withdrawn or [])
        self.sockets.send(self.worker, order)

    def result(self) -> Result:
        """The next result, whichever message it is in."""
        while not self._results:
            self._results.extend(self.sockets.recv("results", type=Results).results)
        return self._results.popleft()

    def results(self, count: int) -> dict[str, Result]:
        """That many results of different jobs by id."""
        found: dict[str, Result] = {}
        while len(found) < count:
            result = self.result()
            found[result.id] = result
        return found

    def nothing_comes(self, seconds: float = 3 * HEARTBEAT) -> bool:
        """Whether no result comes for some heartbeats."""
        return not self._results and self.sockets.recv_safe("results", timeout=seconds) is None

    def settle(self, *results: Result) -> None:
        self.order(settled=[(result.id, result.lease) for result in results])

    def done(self, job: Assignment) -> dict[str, Any] | None:
        """Have a job done and settled; return its output."""
        self.order(job)
        result = next(found for found in iter(self.result, None) if found.id == job.id)
        assert result.outcome is Outcome.SUCCESS, result
        self.settle(result)
        return result.output


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the pipeline's logger said that is more than information."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "agentzero.pipeline" and record.levelname == "WARNING"
    ]


def job(name: str, do: str = "echo", *, lease: int = 1, **details: object) -> Assignment:
    """An assignment of a chore."""
    if do == "echo":
        details.setdefault("text", name)
    return Assignment(name, lease, 1, chore(do, **details))


class Gate:
    """Holds up jobs: they say that they have begun, and wait until it is opened."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open = folder / "open"

    def job(self, name: str, do: str = "wait", *, lease: int = 1) -> Assignment:
        return job(name, do, lease=lease, begun=self._folder / name, until=self._open)

    def begun(self, *names: str) -> None:
        """Wait until these jobs have begun."""
        eventually(lambda: all((self._folder / name).exists() for name in names))

    def times(self, name: str) -> int:
        """How often that job was begun."""
        file = self._folder / name
        return len(file.read_text()) if file.exists() else 0

    def open(self) -> None:
        self._open.touch()


class Running:
    """A worker that runs in a thread."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self._end: Future[None] = Future()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            self.worker.run()
        except BaseException as error:
            self._end.set_exception(error)
        else:
            self._end.set_result(None)

    def stop(self, *, at_once: bool = False) -> None:
        self.worker.stop(at_once=at_once)

    def ended(self) -> None:
        """Wait for its end; raise what it raised."""
        self._end.result(PATIENCE)

    @property
    def runs(self) -> bool:
        return not self._end.done()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """A gate, open in the end."""
    gate = Gate(tmp_path)
    yield gate
    gate.open()


@pytest.fixture
def pipeline() -> Iterator[FakePipeline]:
    """One that is up."""
    pipeline = FakePipeline()
    yield pipeline
    pipeline.die()


@pytest.fixture
def start(gate: Gate) -> Iterator[Callable[..., Running]]:
    """Run a worker in a thread; it has ended when the test has."""
    started: list[Running] = []

    def start(pipeline: FakePipeline | str, step: Any = None, **options: Any) -> Running:
        address = pipeline if isinstance(pipeline, str) else pipeline.address
        options = {"grace": 1.0, **options}
        started.append(Running(Worker(step or Chore(), address, **options)))
        return started[-1]

    yield start
    gate.open()
    for running in started:
        running.stop(at_once=True)
    for running in started:
        running._end.exception(PATIENCE)


@pytest.fixture
def busy(
    pipeline: FakePipeline, start: Callable[..., Running], gate: Gate
) -> Callable[..., Running]:
    """Run a worker that is at work on the job "j1" of the gate, and has others besides."""

    def begin(*others: Assignment, lease: int = 1, **options: Any) -> Running:
        running = start(pipeline, **options)
        pipeline.meet()
        pipeline.order(gate.job("j1", lease=lease), *others)
        gate.begun("j1")
        return running

    return begin
