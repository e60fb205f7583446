"""What a turn of a pipeline is about to change; nothing has happened before the journal has it."""

from __future__ import annotations

from typing import NamedTuple

from agentzero.pipeline.jobs import Job
from agentzero.pipeline.members import Member
from agentzero.pipeline.wire import Order, Outcome

__all__ = ["Changes", "Moment", "Try"]


class Moment(NamedTuple):
    """A time: in seconds since the epoch, for jobs, and by the monotonic clock, for workers."""

    wall: float
    monotonic: float


class Try(NamedTuple):
    """One try of a step: the job as it ran, and after; and whether its worker was lost with it."""

    job: Job
    after: Job
    outcome: Outcome
    seconds: float
    lost: bool


class Changes:
    """What one turn is about to change.

    Attributes:
        new: jobs that are submitted, by their ids.
        jobs: the others that change, as they will be, by their ids.
        before: as they were, those of them that may not be in memory.
        orders: what to tell workers once the journal has all this, by their ids.
        leaving: workers that are not to be counted on any more.
    """

    def __init__(self) -> None:
        self.new: dict[str, Job] = {}
        self.jobs: dict[str, Job] = {}
        self.before: dict[str, Job] = {}
        self.orders: dict[str, Order] = {}
        self.leaving: list[Member] = []
        self.tries: list[Try] = []

    def end(
        self, job: Job, after: Job, outcome: Outcome, seconds: float = 0.0, *, lost: bool = False
    ) -> None:
        """End one try of a job, which is as `after` then."""
        self.jobs[job.id] = after
        self.tries.append(Try(job, after, outcome, seconds, lost))

    def order(self, worker: str) -> Order:
        """Return the order for a worker, to add to."""
        order = self.orders.get(worker)
        if order is None:
            order = self.orders[worker] = Order(jobs=[], settled=[], withdrawn=[])
        return order
