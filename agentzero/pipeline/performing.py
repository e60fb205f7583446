"""One job, done: the function that is handed to an executor, of whatever kind."""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import BrokenExecutor, CancelledError, Future
from contextlib import contextmanager
from time import perf_counter
from typing import Any, NamedTuple, TypeAlias

from agentzero.errors import AgentZeroSocketError, SerializationError
from agentzero.log import ZMQPubHandler
from agentzero.pipeline.jobs import Instructions
from agentzero.pipeline.step import Step
from agentzero.serializers import Serializer
from agentzero.util import serialized_exception

__all__ = ["Performed", "Place", "here", "outcome_of", "perform"]

Place: TypeAlias = tuple[bytes, int]

MOST_RECORDS = 1000  # of one job, in another process: the newest

_BORN = os.urandom(8)  # a fork has the same, and another process id


class Performed(NamedTuple):
    """What came of a job.

    Attributes:
        output: what `execute` returned.
        error: what it raised, as `serialized_exception` gives it, or None.
        seconds: how long it took.
        records: what the step logged meanwhile in another process, as `ZMQPubHandler` publishes it.
    """

    output: Any
    error: dict[str, str] | None
    seconds: float
    records: list[dict[str, Any]]


def here() -> Place:
    """Return what tells this process from all others.

    >>> here() == here()
    True
    """
    return _BORN, os.getpid()


def perform(step: Step, instructions: Instructions, home: Place) -> Performed:
    """Execute a step; whatever it raises, even SystemExit, is its outcome and ends nothing.

    Args:
        step: does the job.
        instructions: of that job.
        home: the worker's process, where log records are published as they are logged. From any
            other they are brought back.

    >>> class Double(Step):
    ...     job_type = "double"
    ...
    ...     def execute(self, instructions):
    ...         return {"number": 2 * instructions["number"]}
    >>> perform(Double(), {"number": 21}, here()).output
    {'number': 42}
    >>> perform(Double(), {}, here()).error["name"]
    'KeyError'
    """
    if home == here():
        return _timed(step, instructions)
    with _recorded(step.logger) as records:
        return _timed(step, instructions)._replace(records=list(records))


def _timed(step: Step, instructions: Instructions) -> Performed:
    began = perf_counter()
    try:
        output = step.execute(instructions)
    except BaseException as error:
        return Performed(None, serialized_exception(error), perf_counter() - began, [])
    return Performed(output, None, perf_counter() - began, [])


def outcome_of(
    future: Future[Performed], job_type: str, serializer: Serializer
) -> Performed | BrokenExecutor | None:
    """Return what came of a call of `perform` that has ended; never raises.

    The output is a copy, as the serializer would bring it to the next step: whatever the step does
    to its own later, the result stays the same.

    Returns:
        A failure as well where the output is no dict, or cannot be written; the error of an
        executor that broke; None where the call was cancelled before it began.
    """
    try:
        performed = future.result()
        if performed.error is not None:
            return performed
        return performed._replace(output=_copied(performed.output, job_type, serializer))
    except CancelledError:
        return None
    except BrokenExecutor as error:
        return error
    except BaseException as error:
        return Performed(None, serialized_exception(error), 0.0, [])


def _copied(output: Any, job_type: str, serializer: Serializer) -> Any:
    if not isinstance(output, Mapping):
        kind = type(output).__name__
        raise TypeError(f"execute of step {job_type!r} returned {kind}, and not a dict")
    try:
        packed = serializer.pack(dict(output))
        return serializer.unpack(packed.encode() if isinstance(packed, str) else packed)
    except AgentZeroSocketError:
        raise
    except Exception as error:
        raise SerializationError(f"the output of step {job_type!r}: {error}") from error


class _Records(ZMQPubHandler):
    """Keeps what this thread logs, in the form in which it is published."""

    def __init__(self) -> None:
        super().__init__(self)
        self.kept: deque[dict[str, Any]] = deque(maxlen=MOST_RECORDS)
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            super().emit(record)

    def publish_nowait(self, name: str, topic: str | bytes, data: Any, /) -> bool:
        self.kept.append(data)
        return True


@contextmanager
def _recorded(logger: logging.Logger) -> Iterator[deque[dict[str, Any]]]:
    if not logger.level:
        logger.setLevel(logging.INFO)
    handler = _Records()
    logger.addHandler(handler)
    try:
        yield handler.kept
    finally:
        logger.removeHandler(handler)
