"""Step: what one type of job is, and how it is done."""

from __future__ import annotations

import logging
import random
from inspect import iscoroutinefunction
from typing import Any, ClassVar

from agentzero.pipeline.checks import checked_seconds, checked_whole
from agentzero.pipeline.jobs import Instructions

__all__ = ["Step", "backoff", "check_step"]

SHORTEST = 0.001  # seconds of a time limit
YEAR = 366 * 86_400.0  # seconds


class Step:
    """One step of a pipeline: subclasses say which type of job it does, and how.

    Whatever `execute` raises is a failure: the job is tried again after a pause that doubles each
    time, and is a dead letter when `max_retries` tries after the first one have failed as well.
    A job may be executed more than once (a worker may die just before its result arrives), so
    `execute` must be able to find its work done, or half done.

    Attributes:
        job_type: the name of the step.
        max_retries: how many times a failed job is tried again.
        min_backoff: seconds until the first of these.
        max_backoff: seconds between two tries at the most.
        time_limit: seconds that one try may take; None sets no limit. A job that takes longer has
            failed; its slot stays taken until `execute` returns.

    >>> class Double(Step):
    ...     job_type = "double"
    ...     max_retries = 3
    ...
    ...     def execute(self, instructions):
    ...         return {"number": 2 * instructions["number"]}
    >>> Double().execute({"number": 21})
    {'number': 42}
    """

    job_type: ClassVar[str]
    max_retries: ClassVar[int] = 5
    min_backoff: ClassVar[float] = 1.0
    max_backoff: ClassVar[float] = 600.0
    time_limit: ClassVar[float | None] = None

    @property
    def logger(self) -> logging.Logger:
        """The logger of that name; while the step runs, its records are published as events."""
        return logging.getLogger(self.job_type)

    def execute(self, instructions: Instructions) -> Instructions:
        """Do one job; what it returns is the next step's instructions, or the job's result."""
        raise NotImplementedError(f"{type(self).__name__} does not say how to execute")


def backoff(attempts: int, least: float, most: float) -> float:
    """Return how many seconds to wait before another try, after so many.

    The pause doubles with each try; half of it is random, so that jobs that failed together do not
    come back together ("equal jitter", https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter).

    >>> 2.0 <= backoff(3, 1.0, 600.0) <= 4.0
    True
    """
    pause = min(most, least * 2.0 ** min(attempts - 1, 1000))
    return pause * random.uniform(0.5, 1.0)


def check_step(step: Any) -> type[Step]:
    """Return a Step class, if it can be one of a pipeline's steps.

    Raises:
        TypeError: it is no Step class, has no `job_type`, or a number is none.
        ValueError: a number makes no sense, such as a time limit of 0.

    >>> check_step(Step)
    Traceback (most recent call last):
      ...
    TypeError: Step has no job_type
    """
    if not (isinstance(step, type) and issubclass(step, Step)):
        raise TypeError(f"a step is a subclass of Step, not {step!r}")
    name: object = getattr(step, "job_type", None)
    if not isinstance(name, str) or not name:
        raise TypeError(f"{step.__name__} has no job_type")
    if iscoroutinefunction(step.execute):
        raise TypeError(f"{step.__name__}.execute is no coroutine: it runs in an executor")
    checked_whole(step.max_retries, f"{step.__name__}.max_retries")
    _check_times(step)
    return step


def _check_times(step: type[Step]) -> None:
    name, most = step.__name__, YEAR
    least = checked_seconds(step.min_backoff, f"{name}.min_backoff", most=most)
    checked_seconds(step.max_backoff, f"{name}.max_backoff", least=least, most=most)
    if step.time_limit is not None:
        checked_seconds(step.time_limit, f"{name}.time_limit", least=SHORTEST)
