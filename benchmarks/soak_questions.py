"""Scenes in which questions are asked: REQ and DEALER ask, REP and ROUTER answer."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import zmq
from soak_askers import SLOW, Askers, Server
from soak_ledger import UNREADABLE
from soak_payload import checksum
from soak_sides import Side, got
from soak_stage import GONE, TURN, Stage

from agentzero.errors import DeserializationError, PeerUnreachable, SocketTimeout
from agentzero.events import SocketStats


def answer(question: Any) -> Any:
    """Return what a server answers."""
    match question:
        case {"fail": str(text)}:
            raise ValueError(text)
        case {"number": number, "body": body}:
            return {"number": number, "checksum": checksum(body), "body": body}
    return None


class Questions:
    """A server and those who ask it; each of them comes and goes.

    Args:
        stage: where it happens.
        name: of the server; with a number, of who asks.
        transport: tcp, ipc or inproc.
        kind: REP or ROUTER.
        asking: the sockets that ask: kind, and how many tasks ask with it.
        bare: how many bare REQ sockets ask besides.
        by: who answers: "serve", "hand" (recv_from and send_to), or "bare", which may be slow.
        serves, asks: options of the sockets.
    """

    def __init__(
        self,
        stage: Stage,
        name: str,
        transport: str,
        kind: int,
        *,
        asking: tuple[tuple[int, int], ...] = ((zmq.DEALER, 3), (zmq.REQ, 2)),
        bare: int = 1,
        by: str = "serve",
        serves: dict[str, Any] | None = None,
        asks: dict[str, Any] | None = None,
    ) -> None:
        self._stage, self._name, self._kind, self._by = stage, name, kind, by
        self._serves = serves or {}
        self._address = stage.address(transport)
        self._server = Server()
        self._asked = self._unreadable = 0
        side = stage.bare() if by == "bare" else stage.manager
        stage.start("receiving", side, partial(self._serve, side))
        askers = Askers(stage, name, self._address, self._server, by, asks or {})
        askers.start(asking, bare)
        stage.closable += [] if by == "bare" else [name]

    async def _serve(self, side: Side) -> None:
        rng = self._stage.rng(self._name)
        while not self._stage.draining:
            end = time.monotonic() + rng.expovariate(1 / 2)
            try:
                async with self._stage.bound(
                    side, self._name, self._kind, self._address, **self._serves
                ):
                    self._server.come()
                    self._asked = self._unreadable = 0
                    await self._answer(side, partial(self._alive, end))
                    self._compare(side)
            except GONE:
                pass
            finally:
                self._server.go()

    def _alive(self, end: float) -> bool:
        return not self._stage.draining and not (self._stage.going and time.monotonic() > end)

    async def _answer(self, side: Side, alive: Callable[[], bool]) -> None:
        if self._by == "serve":
            served = side.sockets.serve(
                self._name,
                self._handle,
                keep_polling=alive,
                polling_timeout=TURN * 1000,
                on_error=self._garbled,
            )
            await got(served)
        elif self._by == "hand":
            await self._answer_by_hand(side, alive)
        else:
            answer_late(side.sockets, self._name, alive)

    def _handle(self, question: Any) -> Any:
        self._asked += 1
        return answer(question)

    def _garbled(self, _: DeserializationError) -> None:
        self._unreadable += 1
        self._stage.ledger.count("undecodable")
        self._stage.ledger.count(UNREADABLE)

    def _compare(self, side: Side) -> None:
        if self._by == "bare":
            return
        stats = side.sockets.stats(self._name)
        found = stats.received, stats.undecodable
        if found != (self._asked + self._unreadable, self._unreadable):
            self._fault(stats)
        if self._by == "serve" and stats.sent + stats.dropped != stats.received:
            self._fault(stats)

    def _fault(self, stats: SocketStats) -> None:
        self._stage.ledger.fault(
            f"{self._name}: {stats}, but {self._asked} questions came, and "
            f"{self._unreadable} that could not be read"
        )

    async def _answer_by_hand(self, side: Side, alive: Callable[[], bool]) -> None:
        while alive():
            try:
                identity, question = await got(side.sockets.recv_from(self._name, timeout=TURN))
                reply = self._handle(question)
                with suppress(PeerUnreachable):
                    await got(side.sockets.send_to(self._name, identity, reply))
            except SocketTimeout:
                pass
            except DeserializationError as error:
                self._garbled(error)


def answer_late(sockets: Any, name: str, alive: Callable[[], bool]) -> None:
    """Answer with a bare ROUTER: at once, or later where somebody asks for that."""
    late: deque[tuple[float, list[bytes]]] = deque()
    while alive():
        with suppress(SocketTimeout):
            *route, payload = sockets.recv_multipart(name, 0.02)
            question = json.loads(payload)
            reply = [*route, json.dumps(answer(question)).encode()]
            late.append((time.monotonic() + (SLOW if question.get("slow") else 0), reply))
        for due, reply in list(late):
            if due <= time.monotonic():
                late.remove((due, reply))
                sockets.send_multipart(name, reply, 1)
