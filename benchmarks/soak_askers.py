"""Whoever asks in a soak, and what may come of a question.

A question that is sent again and again is answered, and each answer is that of its question: unless
the server was away meanwhile, or the asking socket was closed.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from typing import Any

import zmq
from soak_payload import UNDECODABLE, checksum, data
from soak_sides import Side, got
from soak_stage import GONE, Stage

from agentzero.errors import DeserializationError, RemoteError, SocketTimeout

# Seconds for each attempt, and how many more attempts there are.
ATTEMPT, RETRIES = 0.5, 10

# A server that is asked slowly answers after so many seconds, and whoever asks it waits less.
SLOW, HURRY = 0.3, 0.05


class Server:
    """When a server was there, for those whose question it did not answer.

    Attributes:
        changes: how often it has come or gone.
        there: whether it is there.
    """

    def __init__(self) -> None:
        self.changes, self.there = 0, False

    def come(self) -> None:
        self.changes, self.there = self.changes + 1, True

    def go(self) -> None:
        self.changes, self.there = self.changes + 1, False

    def watch(self) -> Callable[[], bool]:
        """Return what tells whether it was not there all the time since."""
        before, there = self.changes, self.there
        return lambda: not there or self.changes != before


class Askers:
    """Whoever asks one server.

    Args:
        stage: where it happens.
        name: of the server; with a number, of the sockets that ask.
        address: where the server is.
        server: tells when it is there.
        by: how it answers: "serve", "hand", "bare".
        options: of the sockets that ask.
    """

    def __init__(
        self,
        stage: Stage,
        name: str,
        address: str,
        server: Server,
        by: str,
        options: dict[str, Any],
    ) -> None:
        self._stage, self._name, self._address, self._server = stage, name, address, server
        self._by, self._options = by, options

    def start(self, asking: tuple[tuple[int, int], ...], bare: int) -> None:
        """Start tasks that share sockets of these kinds, and bare ones."""
        for number, (kind, tasks) in enumerate(asking):
            name = f"{self._name} {number}"
            self._stage.closable.append(name)
            for task in range(tasks):
                work = partial(self._ask, self._stage.manager, name, kind, f"{name} {task}")
                self._stage.start("sending", self._stage.manager, work)
        for number in range(bare):
            side, name = self._stage.bare(), f"{self._name} bare {number}"
            self._stage.start("sending", side, partial(self._ask, side, name, zmq.REQ, name))

    async def _ask(self, side: Side, name: str, kind: int, task: str) -> None:
        rng = self._stage.rng(task)
        number = 0
        while self._stage.going:
            number += 1
            try:
                async with self._opened(side, name, kind):
                    await self._exchange(side, name, rng, f"{task}: {number}")
            except GONE:
                self._stage.ledger.count("questions whose socket was closed")
            except DeserializationError as error:
                self._fault(f"a reply to {task} cannot be read: {error}")
            await side.pause(rng.uniform(0, 0.02))

    def _opened(self, side: Side, name: str, kind: int) -> AbstractAsyncContextManager[None]:
        # A bare REQ that has no answer is of no use any more; the others are shared.
        opened = self._stage.connected if side.bare else self._ensured
        return opened(side, name, kind, self._address, **self._options)

    @asynccontextmanager
    async def _ensured(
        self, side: Side, name: str, kind: int, address: str, **options: Any
    ) -> AsyncIterator[None]:
        if name not in side.sockets:
            self._stage.ledger.count("sockets made")
        side.sockets.ensure_and_connect(name, kind, address, **options)
        yield

    async def _exchange(self, side: Side, name: str, rng: random.Random, number: str) -> None:
        odd = rng.random() < 0.05
        if odd and self._by == "serve":
            await (self._garble if side.bare else self._fail)(side, name)
        elif odd and self._by == "bare" and not side.bare:
            await self._hurry(side, name, number)
        else:
            await self._wonder(side, name, number, data(rng, 200_000))

    async def _wonder(self, side: Side, name: str, number: str, body: Any) -> None:
        question = {"number": number, "body": body}
        reply = await self._replied(side, name, question, ATTEMPT, RETRIES)
        if reply is not None:
            known = reply.get("number"), reply.get("checksum"), checksum(reply.get("body"))
            if known != (number, checksum(body), checksum(body)):
                self._fault(f"{number} got the answer to {reply.get('number')}, or a changed one")
            self._stage.ledger.count("questions answered")

    async def _replied(
        self, side: Side, name: str, question: object, attempt: float, retries: int
    ) -> Any:
        away = self._server.watch()
        try:
            if side.bare:
                return bare_reply(side.sockets, name, question, away)
            return await got(side.sockets.request(name, question, attempt, retries))
        except SocketTimeout as error:
            self._stage.ledger.count("questions without an answer, the server gone")
            if not away():
                self._fault(f"no answer although the server was there: {error}")
            return None

    async def _fail(self, side: Side, name: str) -> None:
        try:
            reply = await self._replied(side, name, {"fail": "as asked"}, ATTEMPT, RETRIES)
        except RemoteError as error:
            self._stage.ledger.count("questions answered with an error")
            if (error.name, "as asked" in str(error)) != ("ValueError", True):
                self._fault(f"the wrong error: {error}")
        else:
            if reply is not None:
                self._fault(f"an answer instead of an error: {reply}")

    async def _hurry(self, side: Side, name: str, number: str) -> None:
        question = {"number": number, "slow": True, "body": None}
        asked = time.monotonic()
        try:
            reply = await got(side.sockets.request(name, question, HURRY))
            if time.monotonic() < asked + SLOW:  # or nobody had a turn in all that time
                self._fault(f"an answer that cannot be there yet: {reply}")
        except SocketTimeout:
            self._stage.ledger.count("questions that timed out as asked")

    async def _garble(self, side: Side, name: str) -> None:
        away = self._server.watch()
        try:
            bare_reply(side.sockets, name, UNDECODABLE, away)
            self._stage.ledger.count("questions answered with an error")
        except SocketTimeout:
            if not away():
                self._fault("no answer to a question that cannot be read")

    def _fault(self, text: str) -> None:
        self._stage.ledger.fault(f"{self._name}: {text}")


def bare_reply(sockets: Any, name: str, question: object, away: Callable[[], bool]) -> Any:
    """Ask with a bare REQ, which asks once; it gives up once the server was away.

    Raises:
        SocketTimeout: it gave up.
    """
    text = question if isinstance(question, bytes) else json.dumps(question).encode()
    sockets.send_multipart(name, [text], ATTEMPT)
    for _ in range(RETRIES):
        with suppress(SocketTimeout):
            return sockets.recv(name, ATTEMPT)
        if away():
            break
    raise SocketTimeout(name)
