"""How fast a pipeline is: what can be told from one overview to another."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from agentzero.pipeline.wire import Overview

__all__ = ["Progress", "Rates", "progress"]

WINDOW = 10.0  # seconds over which a rate is taken
LARGE = 10_000  # so many jobs are worth a bar


class Sample(NamedTuple):
    """How many jobs each step had done at a time."""

    time: float
    done: dict[str, int]


class Rates:
    """How many jobs per second the steps do: lately, and at first since the pipeline started."""

    def __init__(self) -> None:
        self._started: float | None = None
        self._samples: deque[Sample] = deque()

    def update(self, overview: Overview) -> dict[str, float]:
        """Take another overview; return jobs per second by step."""
        if overview.started != self._started:  # it counts from 0 again
            self._started = overview.started
            self._samples = deque([Sample(overview.started, {})])
        newest = Sample(overview.time, {step.job_type: step.done for step in overview.steps})
        self._samples.append(newest)
        while len(self._samples) > 2 and newest.time - self._samples[0].time > WINDOW:
            self._samples.popleft()
        return _rates(self._samples[0], newest)


def _rates(before: Sample, now: Sample) -> dict[str, float]:
    seconds = max(now.time - before.time, 0.001)
    return {step: (done - before.done.get(step, 0)) / seconds for step, done in now.done.items()}


class Progress(NamedTuple):
    """How far a large number of jobs is.

    Attributes:
        ended, total: jobs.
        rate: how many end per second.
        left: seconds until all have; None where that cannot be told.
    """

    ended: int
    total: int
    rate: float
    left: float | None


def progress(overview: Overview, rates: dict[str, float]) -> Progress | None:
    """Return how far the jobs in the journal are, None where they are few."""
    waiting = sum(step.queued + step.running for step in overview.steps)
    ended = overview.done + overview.cancelled + sum(step.dead for step in overview.steps)
    if waiting + ended <= LARGE:
        return None
    rate = rates[overview.steps[-1].job_type]
    return Progress(ended, waiting + ended, rate, waiting / rate if rate > 0 else None)
