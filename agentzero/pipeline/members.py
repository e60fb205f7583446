"""The workers that a pipeline knows of."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from agentzero.pipeline.events import Available, Metric

__all__ = ["Member", "Members"]


@dataclass(eq=False)
class Member:
    """A worker, as the pipeline knows it; times are those of the monotonic clock.

    Attributes:
        worker: its id.
        job_type: its step.
        address: where it pulls orders; "" while it has jobs, by the journal, but was not heard yet.
        slots: how many jobs it takes at a time.
        heard: when it gave the last sign of life.
        jobs: when each of its jobs was handed to it, by their ids.
        missed: those of them that its newest announcement did not have.
        numbers: the newest of each that it tells, by their names.
        excused: whether it was given more time since it was last heard.
    """

    worker: str
    job_type: str
    heard: float
    address: str = ""
    slots: int = 0
    jobs: dict[str, float] = field(default_factory=dict)
    missed: set[str] = field(default_factory=set)
    numbers: dict[str, float] = field(default_factory=dict)
    excused: bool = False

    @property
    def free(self) -> int:
        """How many more jobs it takes now."""
        return self.slots - len(self.jobs)

    def hear(self, now: float) -> None:
        """Note a sign of life."""
        self.heard, self.excused = now, False

    def missing(self, announced: Collection[str]) -> list[str]:
        """Return the jobs that two announcements in a row do not have: they never arrived.

        One may have been on its way past the assignment.
        """
        absent = {job for job in self.jobs if job not in announced}
        twice = sorted(absent & self.missed)
        self.missed = absent.difference(twice)
        return twice


class Members:
    """Workers by their ids, and by their steps.

    >>> members = Members()
    >>> hello = Available("w1", "resize", "tcp://127.0.0.1:6000", slots=2)
    >>> members.announced(hello, 0.0).free
    2
    >>> [member.worker for member in members.of("resize")]
    ['w1']
    """

    def __init__(self) -> None:
        self._by_id: dict[str, Member] = {}
        self._by_step: dict[str, dict[str, Member]] = {}

    def __iter__(self) -> Iterator[Member]:
        return iter(self._by_id.values())

    def get(self, worker: str) -> Member | None:
        """Return the worker of that id, if it is known."""
        return self._by_id.get(worker)

    def of(self, job_type: str) -> Collection[Member]:
        """Return the workers of a step."""
        return self._by_step.get(job_type, {}).values()

    def expected(self, worker: str, job_type: str, now: float) -> Member:
        """Return the worker of that id, which may not have been heard yet."""
        member = self._by_id.get(worker)
        if member is None:
            member = self._by_id[worker] = Member(worker, job_type, now)
            self._by_step.setdefault(job_type, {})[worker] = member
        return member

    def announced(self, event: Available, now: float) -> Member:
        """Return the worker that announced itself, with what it said of itself."""
        member = self.expected(event.worker, event.job_type, now)
        member.hear(now)
        member.address, member.slots = event.address, event.slots
        return member

    def hear(self, worker: str, now: float) -> None:
        """Note a sign of life."""
        member = self._by_id.get(worker)
        if member is not None:
            member.hear(now)

    def note(self, event: Metric) -> None:
        """Keep a number that a worker tells, if it is known."""
        member = self._by_id.get(event.worker)
        if member is not None:
            member.numbers[event.name] = event.value

    def remove(self, member: Member) -> None:
        """Forget a worker."""
        self._by_id.pop(member.worker, None)
        self._by_step.get(member.job_type, {}).pop(member.worker, None)

    def at(self, address: str) -> list[Member]:
        """Return those that pull at an address: at most one of them can be alive."""
        return [member for member in self if member.address == address]

    def silent(self, since: float) -> list[Member]:
        """Return those that were not heard since a time."""
        return [member for member in self if member.heard < since]

    def excuse(self, seconds: float) -> None:
        """Add to everybody's time what the pipeline itself did not listen.

        Once until they are heard: where it is late each time, nobody would ever be silent.
        """
        for member in self:
            if not member.excused:
                member.heard += seconds
                member.excused = True
