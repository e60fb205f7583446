"""The front desk of a pipeline: questions of clients and workers, and their answers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import singledispatchmethod
from heapq import heappop, heappush
from math import inf
from typing import Final, NamedTuple, TypeAlias

from agentzero.pipeline.changes import Changes, Moment
from agentzero.pipeline.dispatch import Dispatcher
from agentzero.pipeline.errors import JournalError, PipelineDraining, PipelineError
from agentzero.pipeline.jobs import Job
from agentzero.pipeline.journal import Journal
from agentzero.pipeline.wire import (
    Accepted,
    Cancel,
    Count,
    Dead,
    Found,
    Join,
    Overview,
    Question,
    Refused,
    Reply,
    Requeue,
    Show,
    Status,
    Submit,
    Wait,
    Welcome,
)
from agentzero.util import serialized_exception

__all__ = ["Desk"]

logger: Final = logging.getLogger("agentzero.pipeline")

PARKED = None  # the answer comes later
REQUEUED = 1000  # dead letters in one turn, when all are asked for
LONGEST_WAIT = 60.0  # seconds after which whoever waits for a job is answered anyway

Send: TypeAlias = Callable[[bytes, Reply], object]


class Parked(NamedTuple):
    """Somebody who waits for a job to end: until when, by the monotonic clock, and who it is."""

    until: float
    identity: bytes
    job: str


class Desk:
    """Answers questions, in the same turn or once a job has ended.

    Args:
        dispatcher: what is decided about jobs.
        journal: where the others are.
        send: sends a reply to an identity.
        welcome: what workers are told when they join.
        show: makes the overview.

    Attributes:
        open: whether jobs are taken.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        journal: Journal,
        send: Send,
        welcome: Welcome,
        show: Callable[[], Overview],
    ) -> None:
        self.open = True
        self._dispatcher = dispatcher
        self._journal = journal
        self._send = send
        self._welcome = welcome
        self._show = show
        self._answers: list[tuple[bytes, Question, Reply]] = []
        self._parked: dict[str, list[Parked]] = {}
        self._timers: list[Parked] = []

    def ask(self, changes: Changes, identity: bytes, question: Question, now: Moment) -> None:
        """Take a question; what it changes is in `changes`, and its answer follows by `answer`."""
        try:
            reply = self._reply(question, changes, identity, now)
        except PipelineError as error:
            reply = refusal(error)
        if reply is not PARKED:
            self._answers.append((identity, question, reply))

    def refuse(self, identity: bytes, error: Exception) -> None:
        """Answer what is no question."""
        self._send(identity, refusal(error))

    def spoil(self, changes: Changes, name: str, error: Exception) -> None:
        """Refuse the questions that submit a job, as the journal cannot hold it.

        All or none of the jobs of a question are accepted, so that may concern others.
        """
        spoiled, before = {name}, 0
        while len(spoiled) > before:
            before = len(spoiled)
            for index, (identity, question, _) in enumerate(self._answers):
                names = _submitted(question)
                if names & spoiled:
                    spoiled |= names
                    self._answers[index] = identity, question, refusal(error)
        for other in spoiled:
            changes.new.pop(other, None)

    def answer(self, changes: Changes) -> None:
        """Answer this turn's questions, and who waits for jobs that have ended now."""
        for identity, _, reply in self._answers:
            self._send(identity, reply)
        self._answers.clear()
        for name in self._parked.keys() & changes.jobs.keys():
            if changes.jobs[name].ended:
                self._release(changes.jobs[name])

    def fail(self, error: JournalError) -> None:
        """Refuse all of this turn's questions that would have changed something."""
        for identity, question, reply in self._answers:
            changing = isinstance(question, Submit | Cancel | Requeue)
            self._send(identity, refusal(error) if changing else reply)
        self._answers.clear()

    def overdue(self, now: Moment) -> None:
        """Answer those who have waited long enough."""
        while self._timers and self._timers[0].until <= now.monotonic:
            parked = heappop(self._timers)
            waiting = self._parked.get(parked.job, [])
            if parked in waiting:
                waiting.remove(parked)
                if not waiting:
                    del self._parked[parked.job]
                with suppress(JournalError):  # they will ask again
                    self._send(parked.identity, Found(self._find([parked.job])))

    @property
    def next_due(self) -> float:
        """When the next of them has, by the monotonic clock."""
        return self._timers[0].until if self._timers else inf

    # One answer per kind of question

    @singledispatchmethod
    def _reply(
        self, question: Question, changes: Changes, identity: bytes, now: Moment
    ) -> Reply | None:
        raise NotImplementedError(question)

    @_reply.register
    def _(self, question: Submit, changes: Changes, identity: bytes, now: Moment) -> Reply | None:
        if not self.open:
            raise PipelineDraining("the pipeline is about to end and takes no more jobs")
        self._dispatcher.submit(changes, question.jobs, now)
        return Accepted([job.id for job in question.jobs])

    @_reply.register
    def _(self, question: Status, changes: Changes, identity: bytes, now: Moment) -> Reply | None:
        return Found(self._find(question.ids))

    @_reply.register
    def _(self, question: Wait, changes: Changes, identity: bytes, now: Moment) -> Reply | None:
        found = self._find([question.id])
        if not found or found[0].ended or question.timeout <= 0:
            return Found(found)
        until = now.monotonic + min(LONGEST_WAIT, question.timeout)  # in this order also for a NaN
        parked = Parked(until, identity, question.id)
        self._parked.setdefault(question.id, []).append(parked)
        heappush(self._timers, parked)
        return PARKED

    @_reply.register
    def _(self, question: Cancel, changes: Changes, identity: bytes, now: Moment) -> Reply | None:
        jobs = self._find(dict.fromkeys(question.ids))
        return Count(sum(self._dispatcher.cancel(changes, job, now) for job in jobs))

    @_reply.register
    def _(self, question: Dead, changes: Changes, identity: bytes, now: Moment) -> Reply | None:
        return Found(self._journal.dead(question.step, question.limit))

    @_reply.register
    def _(self, question: Requeue, changes: Changes, identity: bytes, now: Moment) -> Reply | None:
        if question.ids is not None:
            jobs = self._find(dict.fromkeys(question.ids))
            return Count(sum(self._dispatcher.requeue(changes, job, now) for job in jobs))
        jobs = self._journal.dead(question.step, REQUEUED)
        end = now.wall if question.before is None else question.before
        due = [job for job in jobs if job.changed < end]
        number = sum(self._dispatcher.requeue(changes, job, now) for job in due)
        return Count(number, more=len(due) == REQUEUED, time=now.wall)

    @_reply.register
    def _(self, question: Join, changes: Changes, identity: bytes, now: Moment) -> Reply | None:
        return self._welcome

    @_reply.register
    def _(self, question: Show, changes: Changes, identity: bytes, now: Moment) -> Reply | None:
        return self._show()

    # Jobs

    def _find(self, names: Iterable[str]) -> list[Job]:
        """Return jobs as they are now: those in memory are newer than the journal's."""
        names, memory = list(names), self._dispatcher.jobs
        written = {job.id: job for job in self._journal.get([n for n in names if n not in memory])}
        return list(_present(memory.get(name) or written.get(name) for name in names))

    def _release(self, job: Job) -> None:
        for parked in self._parked.pop(job.id):
            self._send(parked.identity, Found([job]))


def _submitted(question: Question) -> set[str]:
    return {job.id for job in question.jobs} if isinstance(question, Submit) else set()


def _present(jobs: Iterable[Job | None]) -> Iterator[Job]:
    return (job for job in jobs if job is not None)


def refusal(error: Exception) -> Refused:
    """Return the answer that says why there is none."""
    return Refused(serialized_exception(error))
