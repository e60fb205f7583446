"""Sockets that come and go, and send until they are heard, or receive until nothing is to come."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias

from soak_ledger import UNREADABLE, Flow, Receiver, Sender
from soak_sides import Side
from soak_stage import GONE, Stage

from agentzero.errors import SocketTimeout

# The context of a socket that is bound or connected.
Opened: TypeAlias = Callable[[], AbstractAsyncContextManager[None]]

# Sends one message, given the sender's key and its number.
Send: TypeAlias = Callable[[str, int], Coroutine[Any, Any, None]]

# Receives for as long as it is told to.
Receive: TypeAlias = Callable[[Receiver, Callable[[], bool]], Coroutine[Any, Any, None]]


class Sending:
    """One sender after another.

    Args:
        stage: where it happens.
        flows: where its messages go, one or several at once.
        side: whose sockets they are.
        name: of the sockets.
    """

    def __init__(self, stage: Stage, flows: list[Flow], side: Side, name: str) -> None:
        self.stage, self.flows, self.side, self.name = stage, flows, side, name
        self.rng = stage.rng(name)

    async def run(self, opened: Opened, send: Send) -> None:
        """Use one socket after another, until the stage ends and the last one was heard."""
        done = False
        while not done:
            key = self.stage.ledger.key()
            senders = [flow.sender(key) for flow in self.flows]
            try:
                async with opened():
                    done = await self._life(senders, send)
            except (*GONE, SocketTimeout):
                done = self.stage.overdue

    async def _life(self, senders: list[Sender], send: Send) -> bool:
        end = time.monotonic() + self.rng.expovariate(1 / 1.5)
        while self.stage.going and time.monotonic() < end:
            for _ in range(self.rng.randrange(1, 30)):
                await self._send(senders, send)
            await self.side.pause(self.rng.uniform(0, 0.02))
        done = not self.stage.going and await self._until_heard(senders, send)
        self._compare(senders[0])
        return done

    async def _send(self, senders: list[Sender], send: Send) -> None:
        await send(senders[0].key, senders[0].sent + 1)
        for flow, sender in zip(self.flows, senders, strict=True):
            flow.sent(sender)

    async def _until_heard(self, senders: list[Sender], send: Send) -> bool:
        pairs = list(zip(self.flows, senders, strict=True))
        while deaf := [flow for flow, sender in pairs if not flow.hears(sender)]:
            if self.stage.overdue:
                for flow in deaf:
                    flow.fault(f"{senders[0].key} is not heard")
                break
            await self._send(senders, send)
            await self.side.pause(0.02)
        return True

    def _compare(self, sender: Sender) -> None:
        if not self.side.bare:
            counted = self.side.sockets.stats(self.name).sent
            if counted != sender.sent:
                self.flows[0].fault(f"stats say {counted} were sent, not {sender.sent}")


class Receiving:
    """One receiver after another.

    Args:
        stage, side, name: as for `Sending`.
        flow: what it receives.
        steady: whether one receiver stays until the end.
    """

    def __init__(
        self, stage: Stage, flow: Flow, side: Side, name: str, *, steady: bool = False
    ) -> None:
        self.stage, self.flow, self.side, self.name = stage, flow, side, name
        self._steady = steady
        self._rng = stage.rng(name)

    async def run(self, opened: Opened, receive: Receive) -> None:
        """Use one socket after another, until the stage ends and nothing is to come any more."""
        while not self._done():
            receiver = None
            try:
                async with opened():
                    receiver = self.flow.receiver()
                    await receive(receiver, self._life())
                    self._compare(receiver)
            except GONE:
                pass
            finally:
                if receiver is not None:
                    self._end(receiver)

    def _end(self, receiver: Receiver) -> None:
        if not self._done():
            receiver.end("receiver closed")
        if not self.side.bare:
            self.stage.ledger.count(UNREADABLE, receiver.undecodable)

    def _done(self) -> bool:
        return self.stage.drained(self.flow)

    def _life(self) -> Callable[[], bool]:
        end = math.inf if self._steady else time.monotonic() + self._rng.expovariate(1 / 2)
        return lambda: not self._done() and not (self.stage.going and time.monotonic() > end)

    def _compare(self, receiver: Receiver) -> None:
        if not self.side.bare:
            stats = self.side.sockets.stats(self.name)
            if (stats.received, stats.undecodable) != (receiver.count, receiver.undecodable):
                self.flow.fault(
                    f"{stats}, but {receiver.count} were received, "
                    f"{receiver.undecodable} of them undecodable"
                )
