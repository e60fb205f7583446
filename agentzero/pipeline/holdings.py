"""Which jobs a worker has, and what it owes the pipeline for them: books, without any I/O.

A job is promised to the pipeline from its assignment until its result is settled, or the job is
withdrawn. It takes a slot from its beginning until `execute` returns. Mostly the one lies within
the other; but nobody can make `execute` return, so a job whose outcome nobody waits for any more
leaves a stray behind, which takes a slot and no more.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import takewhile

from agentzero.pipeline.jobs import Instructions
from agentzero.pipeline.wire import Assignment, Result

__all__ = ["Holding", "Holdings"]


@dataclass(eq=False, slots=True)
class Holding:
    """One job in a worker; times are those of the monotonic clock.

    Attributes:
        id, lease, attempt, instructions: as in its assignment.
        began: when it took its slot; infinite before.
        result: what the pipeline is told, once that is known.
        sent: when the result was last sent.
    """

    id: str
    lease: int
    attempt: int
    instructions: Instructions
    began: float = math.inf
    result: Result | None = None
    sent: float = -math.inf


@dataclass(slots=True)
class Holdings:
    """The jobs of a worker that does so many at a time.

    Attributes:
        slots: how many.
        promised: the jobs that the pipeline knows here, by id.
        waiting: those without a slot, in their order; also some that are not promised any more.
        running: those that have one, in the order in which they began, by id.
        strays: what takes a slot though nobody waits for its outcome.

    >>> holdings = Holdings(slots=1)
    >>> holdings.take(Assignment("j1", 1, 1, {}))
    >>> [job] = holdings.begin(now=0.0)
    >>> holdings.leases()
    {'j1': 1}
    >>> holdings.end(job)
    True
    >>> holdings.forget("j1", 1) is job, holdings.leases()
    (True, {})
    """

    slots: int
    promised: dict[str, Holding] = field(default_factory=dict)
    waiting: deque[Holding] = field(default_factory=deque)
    running: dict[str, Holding] = field(default_factory=dict)
    strays: set[Holding] = field(default_factory=set)

    def take(self, job: Assignment) -> None:
        """Promise a job; one that is here already, under that lease or a newer one, is not new.

        Under a newer lease, the pipeline thinks that we lost it. A job that waits or runs goes on,
        and is answered under the new lease; one that has ended is done again.
        """
        held = self.promised.get(job.id)
        if held is not None and held.lease >= job.lease:
            return
        if held is not None and held.result is None:
            held.lease, held.attempt = job.lease, job.attempt
            return
        new = Holding(job.id, job.lease, job.attempt, job.instructions)
        self.promised[job.id] = new
        self.waiting.append(new)

    def forget(self, name: str, lease: int) -> Holding | None:
        """End a promise; return the job if it was one. If it runs, it leaves a stray."""
        held = self.promised.get(name)
        if held is None or held.lease > lease:
            return None
        del self.promised[name]
        self.give_up(held)
        return held

    def begin(self, now: float) -> Iterator[Holding]:
        """Give free slots to those that wait; yield each that gets one."""
        while self.waiting and self.free > 0:
            held = self.waiting.popleft()
            if self.is_promised(held) and held.result is None:
                held.began = now
                self.running[held.id] = held
                yield held

    def end(self, held: Holding) -> bool:
        """Free the slot of a job; return whether somebody waits for its outcome."""
        if held in self.strays:
            self.strays.remove(held)
            return False
        del self.running[held.id]
        return True

    def give_up(self, held: Holding) -> None:
        """Wait no more for the outcome of a job, if it runs; a promise of it stays."""
        if self.running.get(held.id) is held:
            del self.running[held.id]
            self.strays.add(held)

    @property
    def free(self) -> int:
        """How many slots are free."""
        return self.slots - self.busy

    @property
    def busy(self) -> int:
        """How many are taken."""
        return len(self.running) + len(self.strays)

    @property
    def usable(self) -> int:
        """How many slots are not taken by strays."""
        return self.slots - len(self.strays)

    def is_promised(self, held: Holding) -> bool:
        """Return whether that very job is promised."""
        return self.promised.get(held.id) is held

    def leases(self) -> dict[str, int]:
        """Return the lease of each promised job by its id."""
        return {name: held.lease for name, held in self.promised.items()}

    def unbegun(self) -> list[Holding]:
        """Return the promised jobs that wait, with nothing to tell of them yet."""
        return [held for held in self.waiting if self.is_promised(held) and held.result is None]

    def unsettled(self, sent_before: float) -> list[Holding]:
        """Return the promised jobs whose results were not sent since that time."""
        return [
            held
            for held in self.promised.values()
            if held.result is not None and held.sent <= sent_before
        ]

    def overdue(self, began_before: float) -> list[Holding]:
        """Return what runs since before that time, and is no stray yet."""
        return list(takewhile(lambda held: held.began <= began_before, self.running.values()))

    def excuse(self, seconds: float) -> None:
        """Give every job more time, for as long as the whole process stood still."""
        for held in (*self.running.values(), *self.strays):
            held.began += seconds

    def hung(self, began_before: float) -> bool:
        """Return whether strays take every slot, each since before that time."""
        return self.usable <= 0 and all(held.began <= began_before for held in self.strays)
