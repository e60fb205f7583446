"""A worker at work: all that happens to it is taken in turn, by one thread."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Final, NamedTuple, TypeAlias

from agentzero.errors import AgentZeroSocketError
from agentzero.pipeline.errors import PipelineError
from agentzero.pipeline.events import Available, Error, Gone, Metric
from agentzero.pipeline.executors import Pool
from agentzero.pipeline.links import Links
from agentzero.pipeline.step import Step
from agentzero.pipeline.wire import Order, Welcome
from agentzero.pipeline.workbench import Done, Workbench
from agentzero.util import serialized_exception

__all__ = ["Mailbox", "Shift", "Stop"]

logger: Final = logging.getLogger("agentzero.pipeline")

# A PUB drops what is published before its connection is up, so the first announcements are close.
FIRST_PAUSE = 0.02
NO_ROOM_PAUSE = 0.05  # seconds until results are tried again that could not be sent
LONGEST = 1.0  # seconds of the longest wait, where nothing is due


class Stop(NamedTuple):
    """A worker is to end: when what runs is finished, or `at_once`."""

    at_once: bool


Message: TypeAlias = Welcome | Order | Done | Stop | Exception
Mailbox: TypeAlias = "SimpleQueue[Message]"


class Shift:
    """One run of a worker, until it is told to stop, or cannot go on.

    Args:
        step: does the jobs.
        links: its sockets.
        pool: where the jobs are done.
        slots: how many at a time.
        grace: seconds that they may take to finish in the end.
        inbox: all that happens to it; any thread and any signal handler may put something in.
    """

    def __init__(
        self, step: Step, links: Links, pool: Pool, slots: int, grace: float, inbox: Mailbox
    ) -> None:
        self._step = step
        self._links = links
        self._pool = pool
        self._grace = grace
        self._inbox = inbox
        self._bench = Workbench(
            step, links.worker, pool, slots, links.serializer, inbox.put, links.publish
        )
        self._heartbeat = LONGEST
        self._pause = FIRST_PAUSE
        self._next_beat = math.inf  # until there is a pipeline
        self._draining = False
        self._deadline = math.inf  # of what runs, once it does
        self._told = False  # that it waits for nothing else
        self._given_up = False
        self._error: Exception | None = None

    def run(self) -> None:
        """Take turns to the end; then tell the pipeline, and let go of everything.

        Raises:
            StepHung: jobs past their time limit take every slot.
            PipelineError: the pipeline has no such step, or there is no way to it.
            Exception: whatever the executor refuses jobs with.
        """
        try:
            with self._published_logs():
                self._links.open()
                while not self._over():
                    self._turn()
                self._links.publish("gone", Gone(self._links.worker, self._step.job_type))
        finally:
            self._links.close()
            self._pool.close()
        if self._error is not None:
            raise self._error

    @contextmanager
    def _published_logs(self) -> Iterator[None]:
        log, handler = self._step.logger, self._links.log_handler()
        level = log.level
        log.setLevel(level or logging.INFO)
        log.addHandler(handler)
        try:
            yield
        finally:
            log.removeHandler(handler)
            log.setLevel(level)

    # A turn

    def _turn(self) -> None:
        self._take_all()
        now = monotonic()
        if self._draining:
            self._hand_back(now)
        else:
            self._work(now)
        if now >= self._next_beat:
            self._beat(now)
        self._send(now)

    def _take_all(self) -> None:
        """Wait until something happens, or is due; take in all that has happened."""
        due = self._next_due()
        with suppress(Empty):
            self._take(self._inbox.get(timeout=max(0.0, due - monotonic())))
        self._excuse(monotonic() - due)
        for _ in range(self._inbox.qsize()):
            self._take(self._inbox.get())

    def _next_due(self) -> float:
        now = monotonic()
        return min(
            now + (NO_ROOM_PAUSE if self._bench.unsent else LONGEST),
            self._next_beat,
            self._bench.next_due(),
            self._deadline,
        )

    def _excuse(self, late: float) -> None:
        # The whole process was stopped, and its jobs with it.
        if late > self._heartbeat:
            self._bench.holdings.excuse(late)

    def _take(self, message: Message) -> None:
        match message:
            case Order():
                self._obey(message)
            case Done():
                self._conclude(message)
            case Welcome():
                self._follow(message)
            case Stop():
                self._drain(at_once=message.at_once)
            case _:
                self._fail(message)

    def _work(self, now: float) -> None:
        try:
            self._bench.fail_overdue(now)
            self._bench.begin(now)
        except Exception as error:
            self._fail(error)

    def _conclude(self, done: Done) -> None:
        try:
            self._bench.conclude(done, ending=self._draining and self._error is None)
        except Exception as error:
            self._fail(error)

    # The pipeline

    def _follow(self, welcome: Welcome) -> None:
        name = self._step.job_type
        if name not in welcome.job_types:
            steps = ", ".join(welcome.job_types)
            self._fail(PipelineError(f"pipeline {welcome.pipeline} has no step {name}: {steps}"))
            return
        try:
            self._links.follow(welcome)
        except AgentZeroSocketError as error:
            self._fail(error)
            return
        logger.info("worker %s joins pipeline %s", self._links.worker, welcome.pipeline)
        self._heartbeat = welcome.heartbeat
        self._pause, self._next_beat = FIRST_PAUSE, monotonic()

    def _obey(self, order: Order) -> None:
        self._pause = self._heartbeat
        for name, lease in (*order.settled, *order.withdrawn):
            self._bench.forget(name, lease)
        for job in order.jobs:
            self._bench.holdings.take(job)

    def _beat(self, now: float) -> None:
        self._pause = min(2 * self._pause, self._heartbeat)
        self._next_beat = now + self._pause
        links, name, holdings = self._links, self._step.job_type, self._bench.holdings
        slots = 0 if self._draining else holdings.usable
        self._bench.unsent = holdings.unsettled(now - self._heartbeat)
        available = Available(links.worker, name, links.address, slots, holdings.leases())
        links.publish("available", available)
        links.look_around()  # now: whoever heard this is there
        links.publish("metric", Metric(links.worker, name, "slots_busy", holdings.busy))
        links.publish("metric", Metric(links.worker, name, "jobs_done", self._bench.done))

    def _send(self, now: float) -> None:
        unsent = [job for job in self._bench.unsent if self._bench.holdings.is_promised(job)]
        results = [job.result for job in unsent if job.result is not None]
        if results and not self._links.send(results):
            return
        for job in unsent:
            job.sent = now
        self._bench.unsent = []

    # The end

    def _drain(self, *, at_once: bool = False) -> None:
        now = monotonic()
        if not self._draining:
            logger.info("worker %s drains", self._links.worker)
            self._draining, self._deadline = True, now + self._grace
            self._next_beat = min(now, self._next_beat)  # says that it takes no more
        if at_once:
            self._deadline = now

    def _fail(self, error: Exception) -> None:
        if self._error is None:
            self._error = error
            told = Error(self._links.worker, self._step.job_type, serialized_exception(error))
            self._links.publish("error", told)
        self._drain()

    def _hand_back(self, now: float) -> None:
        self._bench.return_waiting()
        if now >= self._deadline:
            self._bench.return_running()
            self._given_up = True
        elif not self._bench.holdings.running:
            self._tell_of_results(now)

    def _tell_of_results(self, now: float) -> None:
        results = len(self._bench.holdings.promised)
        if results and not self._told:
            self._told = True
            seconds, s = round(self._deadline - now, 1), "" if results == 1 else "s"
            logger.info(
                "waiting up to %g s for the pipeline to take %d result%s", seconds, results, s
            )

    def _over(self) -> bool:
        """Return whether the pipeline has all that it is owed, or the time is over."""
        return self._draining and (self._given_up or not self._bench.holdings.promised)
