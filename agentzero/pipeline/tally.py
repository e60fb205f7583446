"""What a pipeline did since it started, in numbers."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Final

from agentzero.pipeline.changes import Try
from agentzero.pipeline.jobs import State
from agentzero.pipeline.wire import Outcome

__all__ = ["BOUNDS", "Histogram", "Tally"]

BOUNDS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 3600.0,
)  # fmt: skip


class Histogram:
    """How often something took how long.

    Attributes:
        counts: how many were at most so long, and longer than the bound before; by the bounds of
            `BOUNDS`, in seconds, and last of all those above.
        seconds: all of them together.

    >>> histogram = Histogram()
    >>> histogram.add(0.004)
    >>> histogram.counts[BOUNDS.index(0.005)], histogram.seconds
    (1, 0.004)
    """

    def __init__(self) -> None:
        self.counts: Final = [0] * (len(BOUNDS) + 1)
        self.seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one that took so long."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds


@dataclass
class Tally:
    """What one step did since the pipeline started.

    Attributes:
        done: jobs that it was done for.
        failed: tries that failed, with those of lost workers.
        retried: failed tries after which the job was queued again.
        dead: jobs that became dead letters in it.
        cancelled: jobs that were cancelled in it.
        returned: tries that a worker handed back unfinished.
        lost: jobs whose worker went away or was silent; they count as failed as well.
        execution: how long `execute` took, whether it failed or not.
        latency: of the jobs that this step finished for good: from submission until then.
    """

    done: int = 0
    failed: int = 0
    retried: int = 0
    dead: int = 0
    cancelled: int = 0
    returned: int = 0
    lost: int = 0
    execution: Histogram = field(default_factory=Histogram)
    latency: Histogram = field(default_factory=Histogram)

    def count(self, attempt: Try, now: float) -> None:
        """Count one try, which has come to its end at that time, in seconds since the epoch."""
        if attempt.outcome is Outcome.RETURNED:
            self.returned += 1
            return
        self.execution.add(attempt.seconds)
        if attempt.outcome is Outcome.SUCCESS:
            self.done += 1
        else:
            self.failed += 1
            self.lost += attempt.lost
            self.dead += attempt.after.state is State.DEAD
            self.retried += attempt.after.state is State.QUEUED
        if attempt.after.state is State.DONE:
            self.latency.add(max(0.0, now - attempt.after.submitted))
