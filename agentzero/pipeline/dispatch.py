"""Who gets which job, and what becomes of it: decided here, without sockets, journal or clock.

A turn of the pipeline goes: decide on all that arrived, write those `Changes` to the journal, take
them in with `absorb`, and `assign` jobs to free slots. Jobs never change: a change is another Job.
So nothing has happened before the journal has it, and a write that fails leaves nothing to undo.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from math import inf
from typing import Final

from agentzero.pipeline import transitions
from agentzero.pipeline.changes import Changes, Moment
from agentzero.pipeline.errors import TimeLimitExceeded, WorkerLost
from agentzero.pipeline.events import Available
from agentzero.pipeline.jobs import Job, State
from agentzero.pipeline.members import Member, Members
from agentzero.pipeline.step import Step
from agentzero.pipeline.tally import Tally
from agentzero.pipeline.window import Window
from agentzero.pipeline.wire import Assignment, Outcome, Result, Submission
from agentzero.util import serialized_exception

__all__ = ["Dispatcher"]

WINDOW = 1000  # jobs of each queue that are held in memory
INSTANT = 1e-6  # seconds between jobs that were submitted together: the first goes first


class Dispatcher:
    """Knows the jobs that are about to be done or being done, and the workers.

    Args:
        steps: the steps in their order.
        lease: seconds of silence after which a worker's jobs go to others.
        size: jobs of each queue that are held in memory.

    Attributes:
        jobs: those in memory, by their ids: the next ones of each queue, and all that run.
        unsaved: those of them that the journal may not have so yet.
        members: the workers.
        counts: how many jobs the journal has, by step and state.
        tallies: what was done since the start, by step.
    """

    def __init__(
        self, steps: Sequence[type[Step]], lease: float = 5.0, *, size: int = WINDOW
    ) -> None:
        self.steps: Final = {step.job_type: step for step in steps}
        self.lease = lease
        self.size = size
        self.jobs: dict[str, Job] = {}
        self.unsaved: dict[str, Job] = {}
        self.members: Final = Members()
        self.counts: Counter[tuple[str, State]] = Counter()
        self.tallies: Final = {name: Tally() for name in self.steps}
        self.windows: Final = {name: Window(size) for name in self.steps}
        names = list(self.steps)
        self._first = names[0]
        self._next = dict(pairwise(names))

    # Decisions: nothing here changes the dispatcher but for signs of life

    def submit(self, changes: Changes, jobs: Sequence[Submission], now: Moment) -> None:
        """Accept new jobs; those that are known already are found out by the journal."""
        for following, job in zip(range(len(jobs) - 1, -1, -1), jobs, strict=True):
            new = Job(
                id=job.id,
                step=self._first,
                instructions=job.instructions,
                submitted=now.wall,
                changed=now.wall,
                due=now.wall - following * INSTANT,
            )
            changes.new.setdefault(job.id, new)

    def conclude(self, changes: Changes, worker: str, result: Result, now: Moment) -> None:
        """Decide what comes of a result; one under an old lease comes too late, and is dropped."""
        self.members.hear(worker, now.monotonic)
        changes.order(worker).settled.append((result.id, result.lease))
        job = self._leased(changes, worker, result.id, result.lease)
        if job is None:
            return
        if result.outcome is Outcome.SUCCESS:
            following = self._next.get(job.step)
            after = transitions.succeeded(job, result.output or {}, following, now.wall)
        elif result.outcome is Outcome.FAILED:
            after = self._failed(job, result.error or {}, now)
        else:
            after = transitions.returned(job, now.wall)
        changes.end(job, after, result.outcome, result.seconds)

    def announce(self, changes: Changes, event: Available, now: Moment) -> bool:
        """Hear a worker; return whether it is new. What it has and should not have is withdrawn."""
        known = self.members.get(event.worker)
        joined = known is None or not known.address
        if joined:
            for other in self.members.at(event.address):
                self._lose(changes, other, "its address has another worker now", now)
        member = self.members.announced(event, now.monotonic)
        for name, lease in event.jobs.items():
            if self._leased(changes, event.worker, name, lease) is None:
                changes.order(event.worker).withdrawn.append((name, lease))
        for name in member.missing(event.jobs):
            if name not in changes.jobs:
                changes.order(event.worker).jobs.append(_assignment(self.jobs[name]))
        return joined

    def part(self, changes: Changes, worker: str, now: Moment) -> None:
        """Let a worker go that said so; what it still has goes to others at once."""
        member = self.members.get(worker)
        if member is not None:
            changes.leaving.append(member)
            for job in self._jobs_of(changes, member):
                after = transitions.returned(job, now.wall)
                changes.end(job, after, Outcome.RETURNED)

    def expire(self, changes: Changes, now: Moment) -> None:
        """Give up workers that are silent, and jobs that run for too long."""
        for member in self.members.silent(now.monotonic - self.lease):
            self._lose(changes, member, f"silent for more than {self.lease:g} s", now)
        for member in self.members:
            self._overtime(changes, member, now)

    def cancel(self, changes: Changes, job: Job, now: Moment) -> bool:
        """Cancel a job, as journal or memory has it; return whether it is cancelled then."""
        job = changes.jobs.get(job.id, job)
        if job.ended:
            return job.state is State.CANCELLED
        if job.state is State.RUNNING:
            changes.order(job.worker).withdrawn.append((job.id, job.lease))
        changes.before.setdefault(job.id, job)
        changes.jobs[job.id] = transitions.cancelled(job, now.wall)
        return True

    def requeue(self, changes: Changes, job: Job, now: Moment) -> bool:
        """Queue a dead letter again where it failed; return False where it is none."""
        if changes.jobs.get(job.id, job).state is not State.DEAD:
            return False
        changes.before.setdefault(job.id, job)
        changes.jobs[job.id] = transitions.requeued(job, now.wall)
        return True

    def spoil(self, changes: Changes, name: str, error: Exception, now: Moment) -> None:
        """Count the result of a job as a failure, for the journal cannot hold it."""
        job = self.jobs[name]
        changes.tries = [attempt for attempt in changes.tries if attempt.job.id != name]
        after = self._failed(job, serialized_exception(error), now)
        changes.end(job, after, Outcome.FAILED)

    # What has been decided, and written

    def absorb(self, changes: Changes, known: Collection[str], now: Moment) -> None:
        """Take in changes that are in the journal now, which had the jobs `known` before."""
        for job in changes.new.values():
            if job.id not in known:
                self._enter(job, now.wall)
        for job in changes.jobs.values():
            before = self.jobs.get(job.id) or changes.before[job.id]
            self._leave(before)
            self._enter(job, now.wall)
            if job.state is State.CANCELLED and before.step in self.tallies:
                self.tallies[before.step].cancelled += 1
        for attempt in changes.tries:
            self.tallies[attempt.job.step].count(attempt, now.wall)
        for member in changes.leaving:
            self.members.remove(member)

    def doubt(self, changes: Changes) -> None:
        """Have the journal told again how jobs are that it may have as these changes would be."""
        self.unsaved |= {name: self.jobs[name] for name in changes.jobs.keys() & self.jobs.keys()}

    def forget(self, pruned: Mapping[tuple[str, State], int]) -> None:
        """Count so many jobs no more, that the journal does not have any longer."""
        self.counts.subtract(pruned)

    def restore(
        self, running: Iterable[Job], counts: Mapping[tuple[str, State], int], now: Moment
    ) -> None:
        """Take in what the journal has at the start; who runs jobs has a lease to say so."""
        self.recount(counts)
        for job in running:
            if job.step in self.steps:
                self.jobs[job.id] = job
                member = self.members.expected(job.worker, job.step, now.monotonic)
                member.jobs[job.id] = now.monotonic

    def recount(self, counts: Mapping[tuple[str, State], int]) -> None:
        """Believe the journal about what it has, which may be more queued jobs than are known."""
        self.counts = Counter(counts)
        for window in self.windows.values():
            window.more = True

    def hungry(self, now: Moment) -> list[str]:
        """Return the steps that could work, and whose next jobs have to come from the journal."""
        return [
            name
            for name, window in self.windows.items()
            if window.wants_more(now.wall) and self._is_free(name)
        ]

    @property
    def next_due(self) -> float:
        """When a free slot can go on with a job that waits for that, in seconds since the epoch."""
        return min(
            (w.wake for name, w in self.windows.items() if not w.ready and self._is_free(name)),
            default=inf,
        )

    def refill(self, step: str, jobs: Sequence[Job], next_due: float | None) -> None:
        """Take in the next jobs of a step, and when the one after them is due."""
        self.windows[step].refill(jobs, next_due)
        self.jobs.update((job.id, job) for job in jobs)

    def assign(self, now: Moment) -> dict[str, list[Assignment]]:
        """Hand jobs to free slots, in turn; return them by worker."""
        orders: dict[str, list[Assignment]] = {}
        for step, window in self.windows.items():
            free = [m for m in self.members.of(step) if m.free > 0] if window.ready else []
            while window.ready and free:
                for member in free:
                    job = self._pop(window)
                    if job is None:
                        break
                    orders.setdefault(member.worker, []).append(self._hand(job, member, now))
                free = [member for member in free if member.free > 0]
        return orders

    def take_back(self, assignments: Sequence[Assignment], now: Moment) -> None:
        """Undo assignments that could not be sent; the first of them is the next one again."""
        for assignment in reversed(assignments):
            job = transitions.returned(self.jobs[assignment.id], now.wall)
            self._leave(self.jobs[job.id])
            self.counts[job.step, job.state] += 1
            self.jobs[job.id] = self.unsaved[job.id] = job
            self.windows[job.step].ready.appendleft(job.id)

    def _is_free(self, step: str) -> bool:
        return any(member.free > 0 for member in self.members.of(step))

    # Workers that fail

    def _leased(self, changes: Changes, worker: str, name: str, lease: int) -> Job | None:
        """Return a job if that worker has it now, under that lease."""
        job = changes.jobs.get(name) or self.jobs.get(name)
        if job is None or job.state is not State.RUNNING:
            return None
        return job if job.lease == lease and job.worker == worker else None

    def _failed(self, job: Job, error: dict[str, str], now: Moment) -> Job:
        return transitions.failed(job, error, self.steps[job.step], now.wall)

    def _jobs_of(self, changes: Changes, member: Member) -> list[Job]:
        return [self.jobs[name] for name in member.jobs if name not in changes.jobs]

    def _lose(self, changes: Changes, member: Member, why: str, now: Moment) -> None:
        error = serialized_exception(WorkerLost(f"worker {member.worker} is lost: {why}"))
        changes.leaving.append(member)
        for job in self._jobs_of(changes, member):
            changes.end(job, self._failed(job, error, now), Outcome.FAILED, lost=True)

    def _overtime(self, changes: Changes, member: Member, now: Moment) -> None:
        limit = self.steps[member.job_type].time_limit
        if limit is None:
            return
        for job in self._jobs_of(changes, member):
            # The worker is the first to notice; this is for one that cannot tell.
            if now.monotonic - member.jobs[job.id] > limit + self.lease:
                error = serialized_exception(TimeLimitExceeded(f"ran for more than {limit:g} s"))
                changes.end(job, self._failed(job, error, now), Outcome.FAILED, limit)
                changes.order(member.worker).withdrawn.append((job.id, job.lease))

    # The books

    def _enter(self, job: Job, now: float) -> None:
        self.counts[job.step, job.state] += 1
        window = self.windows.get(job.step)
        if job.state is State.QUEUED and window and window.add(job, now):
            self.jobs[job.id] = job

    def _leave(self, job: Job) -> None:
        self.counts[job.step, job.state] -= 1
        self.jobs.pop(job.id, None)
        self.unsaved.pop(job.id, None)
        member = self.members.get(job.worker)
        if member is not None and job.state is State.RUNNING:
            member.jobs.pop(job.id, None)

    def _pop(self, window: Window) -> Job | None:
        while window.ready:
            job = self.jobs.get(window.ready.popleft())
            if job is not None and job.state is State.QUEUED:  # and not cancelled meanwhile
                return job
        return None

    def _hand(self, job: Job, member: Member, now: Moment) -> Assignment:
        running = transitions.handed(job, member.worker, now.wall)
        self.counts[job.step, State.QUEUED] -= 1
        self.counts[job.step, State.RUNNING] += 1
        self.jobs[job.id] = self.unsaved[job.id] = running
        member.jobs[job.id] = now.monotonic
        return _assignment(running)


def _assignment(job: Job) -> Assignment:
    return Assignment(job.id, job.lease, job.attempts, job.instructions)
