"""Questions that find their answers: what `request` does on a DEALER and on a REQ."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import zmq

from agentzero.backends.base import Wakeable
from agentzero.channel import POLLIN, Channel, Message
from agentzero.deadline import Deadline
from agentzero.endpoints import Endpoint, reconnect
from agentzero.errors import AgentZeroSocketError, SocketClosed, SocketTimeout
from agentzero.steps import LONGEST_NAP, Steps, Wait, sent, timed_out, until

__all__ = ["request"]

NO_REPLY = "no reply on"

# How many replies somebody hands over before he looks at the clock, and lets others have the lock.
HANDFUL = 100


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
        except SocketTimeout as error:
            if left:
                continue
            if retries:
                raise SocketTimeout(f"{error}, in the last of {retries + 1} attempts") from None
            raise
    raise AssertionError("unreachable")


class Asked:
    """One request of a DEALER, and its reply once that is there."""

    __slots__ = ("reply", "waiter")

    def __init__(self, waiter: Wakeable) -> None:
        self.waiter: Wakeable = waiter
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
            yield from sent(waiter, channel, attempt, deadline, longest)
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
        """Receive a handful, or until it is `mine`; return whether there was anything, or None."""
        received = 0
        with self._channel.lock:
            while (
                mine.reply is None
                and received < HANDFUL
                and self._channel.try_recv_into(self._inbox)
            ):
                self._hand_over()
                received += 1
            return bool(received) or mine.reply is not None or None

    def _hand_over(self) -> None:
        # Each step can be repeated; at last the inbox is emptied.
        key, *frames = [frame.bytes for frame in self._inbox]
        asked = self._asked.get(key)
        if asked is None or asked.reply is not None:
            self._channel.count("late")
        else:
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
        self._out = False  # whether a request may be under way that nobody waits for any more

    def ask(
        self, waiter: Wakeable, payload: bytes, deadline: Deadline, longest: float
    ) -> Steps[Message]:
        """Wait for a turn, send a request, and wait for its reply."""
        try:
            self._queue.append(waiter)
            yield from self._turn(waiter, deadline)
            self._settle()  # again, where Ctrl-C came while that was done
            try:
                return (yield from self._exchange(waiter, payload, deadline, longest))
            finally:
                self._settle()
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
        yield from self._send(waiter, payload, deadline, longest)
        self._be_strict()
        reply = yield from until(waiter, channel, channel.try_recv, POLLIN, deadline, longest)
        if reply is None:
            raise timed_out(NO_REPLY, channel, deadline)
        self._out = False
        return reply

    def _send(
        self, waiter: Wakeable, payload: bytes, deadline: Deadline, longest: float
    ) -> Steps[None]:
        attempt = partial(self._channel.try_send, payload)
        # Before it is: after Ctrl-C, or a cancellation, nobody knows how far it had come.
        self._out = True
        try:
            yield from sent(waiter, self._channel, attempt, deadline, longest)
        except AgentZeroSocketError:
            self._out = False
            raise

    def _be_strict(self) -> None:
        if self._relaxed:
            with self._channel.using() as socket:
                self._relax(socket, False)

    def _relax(self, socket: Any, relaxed: bool) -> None:
        socket.set(zmq.REQ_RELAXED, relaxed)
        self._relaxed = relaxed

    def _settle(self) -> None:
        if self._out:
            with suppress(SocketClosed, zmq.ZMQError):  # closed behind our back
                self._revoke()
            self._out = False

    def _revoke(self) -> None:
        """Let another request be sent, and never take the reply to this one for its own.

        REQ_RELAXED alone would: it takes whatever the same peer sends next. New connections tell
        replies apart, and nobody sees anything else on the wire. Where they cannot be made, ids on
        the wire do it, which every REP gives back: peers that connect to us are not ours to
        disconnect, nor are those that nobody told us of, and a ROUTER refuses an identity that it
        still knows.
        """
        channel = self._channel
        with channel.using() as socket:
            self._relax(socket, True)
            connected = {e.address for e in channel.endpoints if not e.bound}
            renewable = connected and len(connected) == len(channel.endpoints)
            if renewable and not socket.get(zmq.ROUTING_ID):
                _reconnect(socket, channel.endpoints)
                channel.forget_connections(connected, anew=True)
            else:
                socket.set(zmq.REQ_CORRELATE, True)


def _reconnect(socket: Any, endpoints: Sequence[Endpoint]) -> None:
    linger = socket.get(zmq.LINGER)
    try:
        socket.set(zmq.LINGER, 0)  # a request that has not left yet need not leave any more
        reconnect(socket, endpoints)
    finally:
        socket.set(zmq.LINGER, linger)


REQUESTS: dict[int, Callable[[Channel], Any]] = {zmq.REQ: InTurn, zmq.DEALER: Correlated}
