"""A pipeline at work: its sockets, and the turns that it takes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from math import inf
from typing import Final

import zmq

from agentzero import SocketManager
from agentzero.errors import (
    AgentZeroSocketError,
    DeserializationError,
    PeerUnreachable,
    SocketBindError,
    SocketNotFound,
    SocketTimeout,
)
from agentzero.pipeline.audience import Audience
from agentzero.pipeline.changes import Changes, Moment
from agentzero.pipeline.desk import Desk
from agentzero.pipeline.dispatch import Dispatcher
from agentzero.pipeline.errors import JournalError, JournalTaken
from agentzero.pipeline.events import Available, Gone, Metric
from agentzero.pipeline.inbox import EVENTS, QUESTIONS, RESULTS, Inbox
from agentzero.pipeline.jobs import storable
from agentzero.pipeline.journal import Journal
from agentzero.pipeline.ledger import Ledger
from agentzero.pipeline.members import Member
from agentzero.pipeline.overview import overview
from agentzero.pipeline.settings import Settings
from agentzero.pipeline.wire import Order, Overview, Question, Reply, Welcome
from agentzero.serializers import convert

__all__ = ["Service"]

logger: Final = logging.getLogger("agentzero.pipeline")

LONGEST = 0.2  # seconds until a stop is noticed at the latest
LOCKED = 2.0  # seconds that a turn waits for a locked journal


class Service:
    """One run of a pipeline, from the binding of its sockets until they are closed.

    Args:
        settings: see `Pipeline`.
        stops: asked in each turn: how often the pipeline was told to stop. Once lets it finish what
            runs, twice ends it at once.
    """

    def __init__(self, settings: Settings, stops: Callable[[], int]) -> None:
        self.settings = settings
        self.sockets: Final = SocketManager(
            serialization_backend=settings.serializer, backend=settings.backend, linger=1
        )
        self.journal: Final = Journal(
            settings.journal, settings.name, self.sockets.serialization_backend, timeout=LOCKED
        )
        self.dispatcher: Final = Dispatcher(settings.steps, settings.lease)
        self.ledger: Final = Ledger(self.journal, self.dispatcher, settings.keep)
        self.audience: Final = Audience(settings.on_event)
        self.inbox: Final = Inbox(self.sockets)
        self._stops = stops
        self._started = time.time()
        self._listened = time.monotonic()
        self._epoch = -inf  # when the monotonic clock began, by the wall clock

    def run(self) -> None:
        """Take turns until it is stopped.

        Raises:
            SocketBindError: an address cannot be bound.
            JournalError: the journal cannot be opened; later failures are the askers' to know.
            JournalTaken: another process has taken the journal over.
        """
        with self.sockets:
            welcome = self._bind()
            with self.journal:
                self.desk: Desk = Desk(
                    self.dispatcher, self.journal, self._reply, welcome, self._overview
                )
                self._restore()
                self._work()

    # Beginning and end

    def _bind(self) -> Welcome:
        """Bind the sockets; return what workers have to know of them."""
        settings, sockets = self.settings, self.sockets
        for name, kind, address in (
            (EVENTS, zmq.SUB, settings.events_address),
            (RESULTS, zmq.PULL, settings.results_address),
            (QUESTIONS, zmq.ROUTER, settings.reply_address),
        ):
            try:
                sockets.ensure_and_bind(name, kind, address, zmq.POLLIN)
            except SocketBindError as error:
                raise SocketBindError(f"{error}; does this pipeline run already?") from error
        for topic in self.audience.topics:
            sockets.set_topic(EVENTS, topic)
        return Welcome(
            pipeline=settings.name,
            events=sockets.endpoints(EVENTS)[0],
            results=sockets.endpoints(RESULTS)[0],
            heartbeat=settings.heartbeat,
            lease=settings.lease,
            job_types=list(self.dispatcher.steps),
        )

    def _restore(self) -> None:
        running, counts = self.journal.running(), self.journal.counts()
        self.dispatcher.restore(running, counts, self._now())
        for step in self.dispatcher.steps:
            self.journal.queued(step, inf, 1)  # another serializer wrote them? now is the time
        for step in sorted({step for step, _ in counts} - self.dispatcher.steps.keys()):
            logger.warning("the journal has jobs in step %r, which is not in the pipeline", step)
        if running:
            logger.info("%d jobs ran when the journal was last written", len(running))

    def _work(self) -> None:
        while not self._stops():
            self._turn()
        self.desk.open = False
        deadline = time.monotonic() + self.settings.grace
        while self._stops() < 2 and self._busy() and time.monotonic() < deadline:
            self._turn()

    def _busy(self) -> bool:
        """Return whether somebody has a job, or waits for one that is about to be finished."""
        return any(member.jobs for member in self.dispatcher.members)

    # A turn

    def _turn(self) -> None:
        """Take in what came, decide, write that down, and only then act upon it."""
        self._listen()
        now, changes = self._now(), Changes()
        self._decide(changes, now)
        try:
            self.ledger.commit(changes, self.desk.spoil, now)
        except JournalError as error:
            self.desk.fail(error)
            if isinstance(error, JournalTaken):
                raise
        else:
            self._act(changes, now)
        self.desk.overdue(now)

    def _decide(self, changes: Changes, now: Moment) -> None:
        events = [self.audience.hear(event) for event in self.inbox.events()]
        # Whoever sent results may not have had the jobs when it announced itself, or be gone now.
        for results in self.inbox.results():
            for result in results.results:
                self.dispatcher.conclude(changes, results.worker, result, now)
        for event in events:
            self._told(changes, event, now)
        self._be_asked(changes, now)
        self.dispatcher.expire(changes, now)

    def _act(self, changes: Changes, now: Moment) -> None:
        self.desk.answer(changes)
        self.ledger.catch_up(now)
        self._hand_out(changes, now)
        self._let_go(changes.leaving)

    def _listen(self) -> None:
        """Wait until there is something to do; what is not listened is nobody's silence."""
        expected = self._longest_wait()
        self.inbox.wait(expected)
        late = time.monotonic() - self._listened - expected
        if late > self.settings.heartbeat:
            self.dispatcher.members.excuse(late)
        self._listened = time.monotonic()

    def _longest_wait(self) -> float:
        now, settings = self._now(), self.settings
        if self.ledger.failing:
            return min(LONGEST, settings.heartbeat / 2)
        dues = (
            self.desk.next_due - now.monotonic,
            self.dispatcher.next_due - now.wall,
        )
        return max(0.0, min(LONGEST, settings.heartbeat / 2, *dues))

    def _told(self, changes: Changes, event: object, now: Moment) -> None:
        match event:
            case Available():
                self._announced(changes, event, now)
            case Metric():
                self.dispatcher.members.note(event)
            case Gone():
                self.dispatcher.part(changes, event.worker, now)

    def _announced(self, changes: Changes, event: Available, now: Moment) -> None:
        if event.job_type not in self.dispatcher.steps:
            logger.warning("worker %s is for %r, which is no step", event.worker, event.job_type)
        elif not storable(event.worker):
            logger.warning("%r cannot be the name of a worker", event.worker)
        elif self._connected(event) and self.dispatcher.announce(changes, event, now):
            logger.info("worker %s for %s at %s", event.worker, event.job_type, event.address)

    def _connected(self, event: Available) -> bool:
        try:
            self.sockets.ensure_and_connect(_orders(event.worker), zmq.PUSH, event.address)
        except (AgentZeroSocketError, TypeError, ValueError) as error:
            logger.warning("worker %s cannot be reached: %s", event.worker, error)
            return False
        return True

    def _be_asked(self, changes: Changes, now: Moment) -> None:
        for identity, data in self.inbox.questions():
            try:
                if isinstance(data, DeserializationError):
                    raise data
                question = convert(data, Question)
            except DeserializationError as error:
                self.desk.refuse(identity, error)
            else:
                self.desk.ask(changes, identity, question, now)

    # Workers

    def _hand_out(self, changes: Changes, now: Moment) -> None:
        """Send what workers have to know, and jobs to those with free slots."""
        assigned = self.ledger.hand_out(now) if self.desk.open else {}
        for worker, jobs in assigned.items():
            changes.order(worker).jobs.extend(jobs)
        for worker, order in changes.orders.items():
            if not self._sent(worker, order):
                self.dispatcher.take_back(assigned.get(worker, []), now)

    def _sent(self, worker: str, order: Order) -> bool:
        """Send an order if it can be queued at once; what it says will be said again if not."""
        try:
            return self.sockets.send_safe(_orders(worker), order, timeout=0)
        except SocketNotFound:  # a worker that has not been heard yet: its results came first
            return False

    def _let_go(self, members: Iterable[Member]) -> None:
        for member in members:
            logger.info("worker %s has gone", member.worker)
            self.sockets.close(_orders(member.worker))

    # Answers

    def _reply(self, identity: bytes, reply: Reply) -> None:
        with suppress(PeerUnreachable, SocketTimeout):  # who asked has gone, or reads nothing
            self.sockets.send_to(QUESTIONS, identity, reply, timeout=0)

    def _overview(self) -> Overview:
        return overview(
            self.settings.name, self._started, self.dispatcher, self.audience.logs, self._now()
        )

    def _now(self) -> Moment:
        # A wall clock that is set back must not put off what is due already.
        monotonic = time.monotonic()
        self._epoch = max(self._epoch, time.time() - monotonic)
        return Moment(self._epoch + monotonic, monotonic)


def _orders(worker: str) -> str:
    # No worker can be called as a socket of the pipeline's own is.
    return f"orders of {worker}"
