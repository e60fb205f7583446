"""The jobs of a worker on their way: begun in its executor, ended, answered."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future
from functools import partial
from typing import Final, NamedTuple

from agentzero.pipeline.errors import StepHung, TimeLimitExceeded
from agentzero.pipeline.events import Error, Failed, Started, Success
from agentzero.pipeline.executors import Pool
from agentzero.pipeline.holdings import Holding, Holdings
from agentzero.pipeline.performing import Performed, here, outcome_of, perform
from agentzero.pipeline.step import Step
from agentzero.pipeline.wire import Outcome, Result
from agentzero.serializers import Serializer
from agentzero.util import serialized_exception

__all__ = ["Done", "Workbench"]

logger: Final = logging.getLogger("agentzero.pipeline")

LONGEST = 200  # characters of an error's text in the log: events and the journal have it all


class Done(NamedTuple):
    """An executor is done with a job; None means that it never began."""

    job: Holding
    executor: Executor
    outcome: Performed | BrokenExecutor | None


class Workbench:
    """Does jobs, and says what came of them; all but `tell` is called in one thread.

    Args:
        step: does the jobs.
        worker: the worker's id.
        pool: where the jobs are done.
        slots: how many at a time.
        serializer: what outputs have to be written with.
        tell: called with each `Done`, in any thread; `conclude` is to be given it.
        publish: called with a topic and each event.

    Attributes:
        holdings: the jobs.
        unsent: those whose results are to be sent.
        done: how many jobs were done.
    """

    def __init__(
        self,
        step: Step,
        worker: str,
        pool: Pool,
        slots: int,
        serializer: Serializer,
        tell: Callable[[Done], object],
        publish: Callable[[str, object], object],
    ) -> None:
        self.holdings: Final = Holdings(slots)
        self.unsent: list[Holding] = []
        self.done: int = 0
        self._step = step
        self._who = worker, step.job_type
        self._pool = pool
        self._serializer = serializer
        self._tell = tell
        self._publish = publish
        self._home = here()
        self._futures: dict[Holding, Future[Performed]] = {}

    def begin(self, now: float) -> None:
        """Begin as many jobs as there are free slots.

        Raises:
            Exception: whatever the executor refuses them with.
        """
        for job in self.holdings.begin(now):
            try:
                future = self._pool.submit(perform, self._step, job.instructions, self._home)
            except BaseException:
                self.holdings.end(job)
                self._return(job)
                raise
            self._futures[job] = future
            self._publish("started", Started(*self._who, job.id, job.attempt))
            future.add_done_callback(partial(self._ended, job, self._pool.executor))

    def _ended(self, job: Holding, executor: Executor, future: Future[Performed]) -> None:
        # Wherever the job ended: what is left to do to its output is no business of the loop.
        outcome = outcome_of(future, self._step.job_type, self._serializer)
        self._tell(Done(job, executor, outcome))

    def conclude(self, done: Done, *, ending: bool) -> None:
        """Answer a job whose call has ended, unless nobody waits for that any more.

        Args:
            done: what came of it.
            ending: whether the worker was told to end, and its executor perhaps as well: then a job
                in one that breaks is handed back, and has not failed.

        Raises:
            BrokenExecutor: the executor broke, and is not ours to make anew.
        """
        job, executor, outcome = done
        del self._futures[job]
        wanted = self.holdings.end(job)
        if isinstance(outcome, Performed):
            for record in outcome.records:
                self._publish("logs", record)
            if wanted:
                self._report(job, outcome)
        elif outcome is None or ending:
            self._return(job)
        else:
            if wanted:
                self._report(job, Performed(None, serialized_exception(outcome), 0.0, []))
            self._pool.renew(executor, outcome)

    def forget(self, name: str, lease: int) -> None:
        """Let go of a job, at whatever point it is."""
        job = self.holdings.forget(name, lease)
        if job is not None and job in self._futures:
            self._futures[job].cancel()

    def fail_overdue(self, now: float) -> None:
        """Answer jobs past their time limit as failed.

        Raises:
            StepHung: such jobs take every slot.
        """
        limit = self._step.time_limit
        if limit is None:
            return
        for job in self.holdings.overdue(now - limit):
            self.holdings.give_up(job)
            self._futures[job].cancel()
            error = TimeLimitExceeded(f"ran for more than {limit:g} s")
            self._report(job, Performed(None, serialized_exception(error), limit, []))
        if self.holdings.hung(now - limit):
            raise StepHung(f"every slot is taken by a job that runs for more than {limit:g} s")

    def return_waiting(self) -> None:
        """Hand back what has not begun."""
        for job in self.holdings.unbegun():
            self._return(job)

    def return_running(self) -> None:
        """Hand back what has not ended."""
        for job in list(self.holdings.running.values()):
            self.holdings.give_up(job)
            self._return(job)

    def next_due(self) -> float:
        """Return when the next job is past its time limit; infinite where none can be."""
        if self._step.time_limit is not None:
            for first in self.holdings.running.values():
                return first.began + self._step.time_limit
        return math.inf

    def _report(self, job: Holding, performed: Performed) -> None:
        output, error, seconds, _ = performed
        what = *self._who, job.id, job.attempt, seconds
        self.done += 1
        if error is None:
            self._answer(job, Outcome.SUCCESS, seconds, output=output)
            self._publish("success", Success(*what))
        else:
            self._answer(job, Outcome.FAILED, seconds, error=error)
            self._publish("error", Error(*self._who, error, job.id))
            self._publish("failed", Failed(*what))
            self._log(job, error)

    def _log(self, job: Holding, error: Mapping[str, str]) -> None:
        place = job.id, self._step.job_type, job.attempt
        logger.warning("job %s failed in step %s, attempt %d: %s", *place, _in_short(error))

    def _return(self, job: Holding) -> None:
        self._answer(job, Outcome.RETURNED)

    def _answer(
        self,
        job: Holding,
        outcome: Outcome,
        seconds: float = 0.0,
        output: dict[str, object] | None = None,
        error: dict[str, str] | None = None,
    ) -> None:
        job.result = Result(job.id, job.lease, outcome, output, error, seconds)
        self.unsent.append(job)


def _in_short(error: Mapping[str, str]) -> str:
    lines = error["message"].strip().splitlines()
    return f"{error['name']}: {lines[0][:LONGEST]}" if lines else error["name"]
