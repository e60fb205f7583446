"""The part of a step's queue that is held in memory; the journal holds all of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from math import inf

from agentzero.pipeline.jobs import Job

__all__ = ["Window"]


class Window:
    """The next jobs of one step, by their ids: so many at the most, however long the queue is.

    Args:
        size: how many jobs it holds.

    Attributes:
        ready: ids, the next one first.
        more: whether the journal may hold jobs that are due and not in here.
        wake: when the next of those becomes due that are not, in seconds since the epoch.

    >>> window = Window(1)
    >>> window.refill([], next_due=None)  # what the journal has: nothing
    >>> jobs = [Job(id=name, step="a", instructions={}, submitted=0.0) for name in ("j1", "j2")]
    >>> [window.add(job, now=1.0) for job in jobs], window.more
    ([True, False], True)
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.ready: deque[str] = deque()
        self.more: bool = True  # until the journal has been asked
        self.wake: float = inf

    def add(self, job: Job, now: float) -> bool:
        """Take in a queued job; return False where it stays in the journal for now."""
        if job.due > now:
            self.wake = min(self.wake, job.due)
            return False
        if self.more or len(self.ready) >= self.size:
            self.more = True  # and later ones wait behind it
            return False
        self.ready.append(job.id)
        return True

    def wants_more(self, now: float) -> bool:
        """Return whether it is time to ask the journal."""
        if self.wake <= now:
            self.more = True
        return self.more and not self.ready

    def refill(self, jobs: Sequence[Job], next_due: float | None) -> None:
        """Take in what the journal has: the next `size` jobs that are due, and when others are."""
        self.ready.extend(job.id for job in jobs)
        self.more = len(jobs) >= self.size
        self.wake = inf if next_due is None else next_due
