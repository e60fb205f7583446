"""Keeps the journal of a pipeline in step with its memory."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, TypeAlias

from agentzero.errors import SerializationError
from agentzero.pipeline.changes import Changes, Moment
from agentzero.pipeline.dispatch import Dispatcher
from agentzero.pipeline.errors import JournalError, JournalTaken
from agentzero.pipeline.journal import Journal
from agentzero.pipeline.wire import Assignment

__all__ = ["Ledger"]

logger: Final = logging.getLogger("agentzero.pipeline")

PRUNING = 10.0  # seconds between two looks for jobs that need not be kept
PRUNED = 1000  # jobs at a time

Refuse: TypeAlias = Callable[[Changes, str, Exception], object]


class Ledger:
    """Writes what was decided, and fetches what memory has no room for.

    Args:
        journal: where to.
        dispatcher: the memory.
        keep: seconds for which done and cancelled jobs are kept.

    Attributes:
        failing: whether the journal failed last.
    """

    def __init__(self, journal: Journal, dispatcher: Dispatcher, keep: float) -> None:
        self.failing: bool = False
        self._journal = journal
        self._dispatcher = dispatcher
        self._keep = keep
        self._doubtful = False
        self._next_pruning = 0.0

    def commit(self, changes: Changes, refuse: Refuse, now: Moment) -> None:
        """Write what changes; then take it in.

        Args:
            changes: what was decided.
            refuse: called with a submission that the journal cannot hold, and the reason: takes it
                out of the changes.
            now: the time.

        Raises:
            JournalError: it was not possible; nothing has happened, and results stay with the
                workers, who send them again.
        """
        known: set[str] = set()
        if changes.new or changes.jobs or self._dispatcher.unsaved:
            try:
                known = self._written(changes, refuse, now)
            except JournalError as error:
                self._dispatcher.doubt(changes)
                self._failed(error)
                raise
            self._dispatcher.unsaved.clear()
            self.failing = False
        self._dispatcher.absorb(changes, known, now)

    def catch_up(self, now: Moment) -> None:
        """Fetch the next jobs where none are left to hand out, and let go of old ones.

        Raises:
            JournalTaken: another process has the journal; other failures are logged.
        """
        try:
            self._recount()
            self._refill(now)
            self._prune(now)
        except JournalError as error:
            self._failed(error)

    def hand_out(self, now: Moment) -> dict[str, list[Assignment]]:
        """Hand jobs to free slots, and write that down; return them by worker.

        A lease that a worker has is in the journal, so that no other worker ever has the same. A
        failure is logged, and nothing is handed out.

        Raises:
            JournalTaken: another process has the journal.
        """
        assigned = self._dispatcher.assign(now)
        if assigned:
            try:
                self._journal.write(changed=self._dispatcher.unsaved.values())
            except JournalError as error:
                for jobs in assigned.values():
                    self._dispatcher.take_back(jobs, now)
                self._failed(error)
                return {}
            self._dispatcher.unsaved.clear()
        return assigned

    def _written(self, changes: Changes, refuse: Refuse, now: Moment) -> set[str]:
        """Write changes; return which of the new jobs were there before."""
        while True:
            rows = self._dispatcher.unsaved | changes.jobs
            try:
                return self._journal.write(list(changes.new.values()), rows.values())
            except SerializationError:
                self._weed(changes, refuse, now)

    def _weed(self, changes: Changes, refuse: Refuse, now: Moment) -> None:
        """Take out submissions and results that cannot be written, though they came so far."""
        for job in (*changes.new.values(), *changes.jobs.values()):
            try:
                self._journal.check(job)
            except SerializationError as error:
                if job.id in changes.new:
                    refuse(changes, job.id, error)
                else:
                    self._dispatcher.spoil(changes, job.id, error, now)

    def _failed(self, error: JournalError) -> None:
        if isinstance(error, JournalTaken):
            raise error
        if not self.failing:
            logger.error("no job goes on while this lasts: %s", error)
        self.failing = self._doubtful = True

    def _recount(self) -> None:
        """Look what the journal has, after a failure: it may have all of what it refused."""
        if self._doubtful:
            self._dispatcher.recount(self._journal.counts())
            self._doubtful = False

    def _refill(self, now: Moment) -> None:
        for step in self._dispatcher.hungry(now):
            jobs = self._journal.queued(step, now.wall, self._dispatcher.size)
            self._dispatcher.refill(step, jobs, self._journal.next_due(step, now.wall))

    def _prune(self, now: Moment) -> None:
        if now.monotonic >= self._next_pruning:
            self._next_pruning = now.monotonic + PRUNING
            pruned = self._journal.prune(now.wall - self._keep, PRUNED)
            self._dispatcher.forget(pruned)
            self.failing = False
            if pruned.total() == PRUNED:
                self._next_pruning = now.monotonic
