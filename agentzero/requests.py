"""Questions and answers: requests that find their replies, and loops that serve them."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Callable, Generator
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any

import zmq

from agentzero.backends.base import Wakeable
from agentzero.channel import POLLIN, POLLOUT, Channel, Message
from agentzero.deadline import Deadline
from agentzero.errors import (
    AgentZeroSocketError,
    DeserializationError,
    PeerUnreachable,
    SerializationError,
    SocketClosed,
    SocketTimeout,
)
from agentzero.messages import envelope, failure, pack, unpack
from agentzero.steps import LONGEST_NAP, NO_ROOM, Steps, Wait, repeat, timed_out, until

__all__ = ["Question", "check_kind", "checked_retries", "request", "serve"]

logger = logging.getLogger("agentzero")

NO_REPLY = "no reply on"


def check_kind(channel: Channel, verb: str, *kinds: int) -> None:
    """Raise an error where a socket is of none of these kinds."""
    if channel.kind not in kinds:
        able = " or ".join(zmq.SocketType(kind).name for kind in kinds)
        raise AgentZeroSocketError(f"{verb} needs a {able}, which {channel} is not")


def checked_retries(retries: object) -> int:
    """Return `retries` when it is a number of times: 0 or more.

    Raises:
        TypeError, ValueError: it is not.
    """
    if isinstance(retries, bool) or not isinstance(retries, int):
        raise TypeError(f"retries is a number of times, not {retries!r}")
    if retries < 0:
        raise ValueError(f"retries is 0 or more, not {retries}")
    return retries


# Requests


def request(
    waiter: Wakeable, channel: Channel, payload: bytes, timeout: float, retries: int, longest: float
) -> Steps[Message]:
    """Send `payload`, wait for the reply, and send it again as often as `retries` says.

    Args:
        waiter: the task's place to wait at.
        channel: a REQ or DEALER.
        payload: the request.
        timeout: seconds for each attempt.
        retries: how many more attempts there are.
        longest: the longest single wait in seconds.

    Raises:
        SocketTimeout: no attempt had a reply.
        SocketClosed: the socket was closed meanwhile.
    """
    with channel.lock:
        if channel.requests is None:
            channel.requests = REQUESTS[channel.kind](channel)
    for left in range(retries, -1, -1):
        try:
            ask: Steps[Message] = channel.requests.ask(waiter, payload, Deadline(timeout), longest)
            return (yield from ask)
        except SocketTimeout:
            if not left:
                raise
    raise AssertionError("unreachable")


def _sent(
    waiter: Wakeable,
    channel: Channel,
    attempt: Callable[[], bool | None],
    deadline: Deadline,
    longest: float,
) -> Steps[None]:
    # Tried without asking first: on a REQ that is not to send, only the attempt says so.
    if attempt() is None and not (
        yield from until(waiter, channel, attempt, POLLOUT, deadline, longest)
    ):
        raise timed_out(NO_ROOM, channel, deadline)


class Asked:
    """One request of a DEALER, and its reply once that is there."""

    __slots__ = ("reply", "waiter")

    def __init__(self, waiter: Wakeable) -> None:
        self.waiter = waiter
        self.reply: Message | None = None


class Correlated:
    """The requests of one DEALER: any number at once, told apart by the id that each carries.

    Nobody's task is to receive: whoever waits does, and gives others what is theirs.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._asked: dict[bytes, Asked] = {}
        # Another run of the program, under the same identity, may get replies meant for this one.
        self._run = os.urandom(8)
        self._numbers = itertools.count(1)
        # Received, and not given to anybody yet: Ctrl-C may come in between.
        self._inbox: list[zmq.Frame] = []

    def ask(
        self, waiter: Wakeable, payload: bytes, deadline: Deadline, longest: float
    ) -> Steps[Message]:
        """Send a request and wait for its reply."""
        channel = self._channel
        key = self._run + next(self._numbers).to_bytes(8)
        asked = Asked(waiter)
        try:
            self._asked[key] = asked
            attempt = partial(channel.try_send_frames, [key, b"", payload])
            yield from _sent(waiter, channel, attempt, deadline, longest)
            receive = partial(self._receive, asked)
            going_on = True
            while asked.reply is None and going_on:
                moved = yield from until(waiter, channel, receive, POLLIN, deadline, longest)
                going_on = bool(moved and deadline.left())
            if asked.reply is None:
                raise timed_out(NO_REPLY, channel, deadline)
            return asked.reply
        finally:
            self._asked.pop(key, None)
            if self._inbox:
                self._wake_all()

    def _wake_all(self) -> None:
        # What is in the inbox, ZeroMQ wakes nobody for.
        for asked in list(self._asked.values()):
            asked.waiter.wake()

    def _receive(self, mine: Asked) -> bool | None:
        """Receive until it is `mine`; return whether there was anything, or None for "again"."""
        moved = False
        with self._channel.lock:
            while mine.reply is None and self._channel.try_recv_into(self._inbox):
                self._hand_over()
                moved = True
            return moved or mine.reply is not None or None

    def _hand_over(self) -> None:
        # Each step can be repeated; at last the inbox is emptied.
        key, *frames = [frame.bytes for frame in self._inbox]
        asked = self._asked.get(key)
        if asked is None:
            self._channel.count("late")
        elif asked.reply is None:
            well_formed = len(frames) == 2 and not frames[0]
            asked.reply = frames[1] if well_formed else [key, *frames]
        if asked is not None:
            asked.waiter.wake()
        self._inbox.clear()


class InTurn:
    """The requests of one REQ: one at a time, first come first served."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._queue: list[Wakeable] = []  # the first one's turn it is
        self._relaxed = False

    def ask(
        self, waiter: Wakeable, payload: bytes, deadline: Deadline, longest: float
    ) -> Steps[Message]:
        """Wait for a turn, send a request, and wait for its reply."""
        try:
            self._queue.append(waiter)
            yield from self._turn(waiter, deadline)
            return (yield from self._exchange(waiter, payload, deadline, longest))
        finally:
            if waiter in self._queue:
                self._queue.remove(waiter)
            for following in self._queue[:1]:
                following.wake()

    def _turn(self, waiter: Wakeable, deadline: Deadline) -> Steps[None]:
        while self._queue[0] is not waiter:
            if not (left := deadline.left()):
                raise timed_out(NO_REPLY, self._channel, deadline)
            yield Wait((), min(left, LONGEST_NAP))

    def _exchange(
        self, waiter: Wakeable, payload: bytes, deadline: Deadline, longest: float
    ) -> Steps[Message]:
        channel = self._channel
        asking = False
        try:
            yield from _sent(waiter, channel, partial(channel.try_send, payload), deadline, longest)
            asking = True
            self._be_strict()
            reply = yield from until(waiter, channel, channel.try_recv, POLLIN, deadline, longest)
            if reply is None:
                raise timed_out(NO_REPLY, channel, deadline)
            return reply
        except BaseException as error:
            # Ctrl-C, or a cancellation: nobody knows how far it had come.
            if asking or not isinstance(error, AgentZeroSocketError):
                self._revoke()
            raise

    def _be_strict(self) -> None:
        if self._relaxed:
            self._relax(False)

    def _relax(self, relaxed: bool) -> None:
        with self._channel.using() as socket:
            socket.set(zmq.REQ_RELAXED, relaxed)
            self._relaxed = relaxed

    def _revoke(self) -> None:
        """Let another request be sent, and never take the reply to this one for its own.

        REQ_RELAXED alone would: it takes whatever the same peer sends next. New connections tell
        replies apart, and nobody sees anything else on the wire. Where they cannot be made, ids on
        the wire do it, which every REP gives back: peers that connect to us are not ours to
        disconnect, and a ROUTER refuses an identity that it still knows.
        """
        channel = self._channel
        with suppress(SocketClosed), channel.using() as socket:
            self._relax(True)
            connected = {e.address for e in channel.endpoints if not e.bound}
            if len(connected) < len(channel.endpoints) or socket.get(zmq.ROUTING_ID):
                socket.set(zmq.REQ_CORRELATE, True)
            else:
                _reconnect(socket, connected)


def _reconnect(socket: Any, addresses: set[str]) -> None:
    linger = socket.get(zmq.LINGER)
    socket.set(zmq.LINGER, 0)  # a request that has not left yet need not leave any more
    try:
        for address in addresses:
            socket.disconnect(address)
            socket.set(zmq.IPV6, address.startswith("tcp://["))
            socket.connect(address)
    finally:
        socket.set(zmq.LINGER, linger)


REQUESTS: dict[int, Callable[[Channel], Any]] = {zmq.REQ: InTurn, zmq.DEALER: Correlated}


# Serving


class Question:
    """A request that a REP or ROUTER received, and its answer.

    It is answered by whoever handles it in its `with` block: with `reply`, or with what is raised
    there.

    Attributes:
        data: what was asked.
        reply: what to answer.
        error: what to answer instead.
    """

    def __init__(self, channel: Channel, route: list[bytes]) -> None:
        self.data: Any = None
        self.reply: object = None
        self.error: BaseException | None = None
        self._channel = channel
        self._route = route

    def __enter__(self) -> Question:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self.error = error
        if isinstance(error, Exception):
            logger.error("a handler failed on %s", self._channel, exc_info=error)
        # Ctrl-C and cancellations are for whoever serves, once the other side is told of them.
        return isinstance(error, Exception)

    def answer(self) -> list[bytes]:
        """Return the frames of the answer."""
        if self.error is None:
            try:
                return [*self._route, pack(self._channel, self.reply)]
            except SerializationError as error:
                logger.error("a reply is lost on %s", self._channel, exc_info=error)
                self.error = error
        return [*self._route, failure(self._channel, self.error)]


def read_question(channel: Channel, wanted: Any, message: Message) -> Question:
    """Return the question in a message; for one that cannot be read, with its error."""
    question = Question(channel, _way_back(channel, message))
    try:
        if channel.kind == zmq.ROUTER:
            question.data = envelope(channel, message, wanted).data
        else:
            question.data = unpack(channel, message, wanted)
    except DeserializationError as error:
        logger.error("%s", error)
        question.error = error
    return question


def _way_back(channel: Channel, message: Message) -> list[bytes]:
    """Return the frames before the payload, as far as they make sense."""
    if channel.kind != zmq.ROUTER or isinstance(message, bytes):
        return []
    between = message[-2:0:-1]
    last_empty = len(between) - between.index(b"") if b"" in between else 0
    return message[: 1 + last_empty]


def serve(
    waiter: Wakeable,
    channel: Channel,
    wanted: Any,
    on_error: Callable[[DeserializationError], object] | None,
    keep_polling: Callable[[], object],
    silence: float,
    longest: float,
    patience: float,
) -> Generator[Wait | Question, None, None]:
    """Yield each question, and send its answer when resumed; yield waits between.

    It ends as `steps.repeat` does. Closed while a question is out, it answers that at once.

    Args:
        waiter: the task's place to wait at.
        channel: a REP or ROUTER.
        wanted: what data is converted to, unless that is None.
        on_error: called with the error of each request that cannot be read.
        keep_polling, silence, longest: as for `steps.repeat`.
        patience: seconds that an answer waits for room in the queue of its peer.
    """
    read = partial(read_question, channel, wanted)
    question: Question | None = None
    try:
        for step in repeat(waiter, channel, read, keep_polling, silence, longest):
            if isinstance(step, Wait):
                yield step
                continue
            question = step
            if question.error is None:
                yield question
            elif on_error is not None and isinstance(question.error, DeserializationError):
                on_error(question.error)
            yield from _answer(waiter, channel, question.answer(), patience)
            question = None
    except BaseException as error:
        _leave(channel, question, error)
        raise


def _answer(
    waiter: Wakeable, channel: Channel, frames: list[bytes], patience: float
) -> Steps[None]:
    attempt = partial(channel.try_send_frames, frames)
    with suppress(SocketClosed):  # which ends the loop
        try:
            yield from _sent(waiter, channel, attempt, Deadline(patience), patience)
        except (PeerUnreachable, SocketTimeout) as error:
            channel.count("dropped")
            logger.warning("an answer was dropped: %s", error)


def _leave(channel: Channel, question: Question | None, error: BaseException) -> None:
    """Answer what is still to be answered: a REP would refuse all work until then."""
    # Ctrl-C between receiving and reading: there may be a question all the same.
    unseen = channel.kind == zmq.REP and not isinstance(error, Exception | GeneratorExit)
    if question is None and unseen:
        question = Question(channel, [])
    if question is not None:
        question.error = question.error or error
        with suppress(AgentZeroSocketError):
            channel.try_send_now(question.answer())
