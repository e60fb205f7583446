"""Scenes in which messages go one way: PUSH to PULL, and XPUB to SUB."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import zmq
from soak_ledger import Flow, Receiver
from soak_payload import (
    data,
    frames,
    marked,
    note,
    note_frames,
    note_undecodable,
    size,
    undecodable,
)
from soak_sides import Side, each, got
from soak_stage import TURN, Stage
from soak_traffic import Receiving, Sending

from agentzero.errors import DeserializationError, SocketTimeout

# How long a sender waits for room before it begins anew: over inproc nobody reconnects.
ROOM = 1.0

TOPIC = "news"


class Pipe:
    """Senders that connect to a receiver, each of which comes and goes.

    Args:
        stage: where it happens.
        name: of the flow and of its receiver; with a number, of its senders.
        transport: tcp, ipc or inproc.
        senders: how many the manager has.
        bare: how many bare ones there are besides.
        raw: whether messages are frames of bytes instead of objects.
        bare_receiver: whether the receiver is a bare one.
        receives, sends: options of the receiver's and the senders' sockets.
    """

    def __init__(
        self,
        stage: Stage,
        name: str,
        transport: str,
        *,
        senders: int = 2,
        bare: int = 0,
        raw: bool = False,
        bare_receiver: bool = False,
        receives: dict[str, Any] | None = None,
        sends: dict[str, Any] | None = None,
    ) -> None:
        self._stage, self._raw = stage, raw
        self._plain = transport == "tcp" and not receives
        self._flow = stage.ledger.flow(name, open_to_strays=self._plain)
        address = stage.address(transport, open_to_strays=self._plain)
        side = stage.bare() if bare_receiver else stage.manager
        opened = partial(stage.bound, side, name, zmq.PULL, address, **(receives or {}))
        receiving = Receiving(stage, self._flow, side, name)
        receive = partial(receive_frames if raw else receive_objects, side, name)
        stage.start("receiving", side, partial(receiving.run, opened, receive))
        for number in range(senders + bare):
            side = stage.manager if number < senders else stage.bare()
            self._start(side, f"{name} {number}", address, sends or {})
        stage.closable += [f"{name} {number}" for number in range(senders)]
        stage.closable += [] if bare_receiver else [name]

    def _start(self, side: Side, name: str, address: str, options: dict[str, Any]) -> None:
        opened = partial(self._stage.connected, side, name, zmq.PUSH, address, **options)
        sending = Sending(self._stage, [self._flow], side, name)
        send = partial(self._send, side, name, sending.rng)
        self._stage.start("sending", side, partial(sending.run, opened, send))

    async def _send(self, side: Side, name: str, rng: random.Random, key: str, number: int) -> None:
        if self._raw:
            body = rng.randbytes(size(rng)) if rng.random() > 0.1 else b""
            await got(side.sockets.send_multipart(name, frames(key, number, body), timeout=ROOM))
        elif rng.random() < 0.02:
            garbled = [undecodable(key, number)]
            await got(side.sockets.send_multipart(name, garbled, timeout=ROOM))
        else:
            await got(side.sockets.send(name, marked(key, number, data(rng)), timeout=ROOM))


async def receive_frames(
    side: Side, name: str, receiver: Receiver, alive: Callable[[], bool]
) -> None:
    """Receive frames of bytes."""
    while alive():
        with suppress(SocketTimeout):
            note_frames(receiver, await got(side.sockets.recv_multipart(name, TURN)))


async def receive_objects(
    side: Side, name: str, receiver: Receiver, alive: Callable[[], bool]
) -> None:
    """Receive objects, and what cannot be read."""
    while alive():
        try:
            note(receiver, await got(side.sockets.recv(name, TURN)))
        except SocketTimeout:
            pass
        except DeserializationError as error:
            note_undecodable(receiver, error)


class Feed:
    """A publisher, and subscribers that connect to it; each of them comes and goes.

    Args:
        stage: where it happens.
        name: of the publisher; with a number, of the subscribers.
        transport: tcp, ipc or inproc.
        subscribers: how many the manager has.
        bare: how many bare ones there are besides.
        bare_publisher: whether the publisher is a bare one.
        publishes, subscribes: options of the sockets.
    """

    def __init__(
        self,
        stage: Stage,
        name: str,
        transport: str,
        *,
        subscribers: int = 2,
        bare: int = 0,
        bare_publisher: bool = False,
        publishes: dict[str, Any] | None = None,
        subscribes: dict[str, Any] | None = None,
    ) -> None:
        self._stage = stage
        self._address = stage.address(transport)
        flows = [
            self._subscriber(number, f"{name} {number}", number >= subscribers, subscribes or {})
            for number in range(subscribers + bare)
        ]
        side = stage.bare() if bare_publisher else stage.manager
        sending = Sending(stage, flows, side, name)
        opened = partial(self._publisher, side, name, publishes or {})
        send = partial(self._publish, side, name, sending.rng)
        stage.start("sending", side, partial(sending.run, opened, send))
        stage.closable += [f"{name} {number}" for number in range(subscribers)]
        stage.closable += [] if bare_publisher else [name]

    def _subscriber(self, number: int, name: str, bare: bool, options: dict[str, Any]) -> Flow:
        side = self._stage.bare() if bare else self._stage.manager
        flow = self._stage.ledger.flow(name, subscribed=True)
        opened = partial(self._stage.connected, side, name, zmq.SUB, self._address, **options)
        receive = partial(self._by_event if number == 1 else self._by_loop, side, name)
        receiving = Receiving(self._stage, flow, side, name)
        self._stage.start("receiving", side, partial(receiving.run, opened, receive))
        return flow

    @asynccontextmanager
    async def _publisher(
        self, side: Side, name: str, options: dict[str, Any]
    ) -> AsyncIterator[None]:
        kind = zmq.PUB if side.bare else zmq.XPUB
        async with self._stage.bound(side, name, kind, self._address, **options):
            if not side.bare:
                with suppress(SocketTimeout):
                    await got(side.sockets.wait_for_subscribers(name, TOPIC, timeout=ROOM))
            yield

    @staticmethod
    async def _publish(side: Side, name: str, rng: random.Random, key: str, number: int) -> None:
        topic = f"{TOPIC}.{rng.randrange(10)}"
        if rng.random() < 0.02:
            garbled = [topic.encode(), undecodable(key, number)]
            await got(side.sockets.send_multipart(name, garbled, timeout=ROOM))
        else:
            message = marked(key, number, data(rng, 100_000))
            await got(side.sockets.publish(name, topic, message, timeout=ROOM))

    @staticmethod
    async def _by_loop(
        side: Side, name: str, receiver: Receiver, alive: Callable[[], bool]
    ) -> None:
        events = side.sockets.subscribe(
            name,
            TOPIC,
            keep_polling=alive,
            polling_timeout=TURN * 1000,
            on_error=partial(note_undecodable, receiver),
        )
        await each(events, lambda event: note(receiver, event[1]))

    @staticmethod
    async def _by_event(
        side: Side, name: str, receiver: Receiver, alive: Callable[[], bool]
    ) -> None:
        while alive():
            try:
                event = await got(side.sockets.recv_event(name, TOPIC, timeout=TURN))
                note(receiver, event.data)
            except SocketTimeout:
                pass
            except DeserializationError as error:
                note_undecodable(receiver, error)
