"""The same on an event loop, where whatever can wait is awaited."""
# pyright: strict

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable
from dataclasses import dataclass
from typing import Any, assert_type

import zmq

from agentzero import AsyncSocketManager, ConnectionEvent, Envelope, Event


@dataclass
class Job:
    path: str


async def answer(job: Job) -> str:
    return job.path


async def typed(sockets: AsyncSocketManager) -> None:
    assert_type(await sockets.recv("in", type=Job), Job)
    assert_type(await sockets.recv("in", type=list[Job] | None), list[Job] | None)
    assert_type(await sockets.recv("in"), Any)
    assert_type(await sockets.recv_safe("in", type=Job), Job | None)
    assert_type(await sockets.request("client", 1, 2, type=Job), Job)
    later: Awaitable[Job] = sockets.recv("in", type=Job)
    assert_type((await later).path, str)


async def events(sockets: AsyncSocketManager) -> None:
    assert_type(await sockets.recv_event("in", "prices"), Event)
    assert_type(await sockets.recv_event_safe("in"), Event | None)
    assert_type(sockets.subscribe("in"), AsyncGenerator[Event, None])
    async for topic, _ in sockets.subscribe("in", "prices", timeout=2):
        assert_type(topic, str)
    async for change in sockets.connection_events("in"):
        assert_type(change, ConnectionEvent)


async def typed_events(sockets: AsyncSocketManager) -> None:
    assert_type(await sockets.recv_event("in", "jobs", type=Job), Event[Job])
    assert_type(await sockets.recv_event_safe("in", type=Job), Event[Job] | None)
    assert_type(sockets.subscribe("in", type=Job), AsyncGenerator[Event[Job], None])
    async for _, job in sockets.subscribe("in", "jobs", type=Job):
        assert_type(job, Job)
    assert_type(await sockets.recv_from("router", type=Job), Envelope[Job])


async def frames(sockets: AsyncSocketManager) -> None:
    assert_type(await sockets.recv_multipart("in"), list[bytes])
    assert_type(await sockets.recv_multipart("in", copy=False), list[memoryview])
    assert_type(await sockets.recv_from("router"), Envelope)
    tracker = await sockets.send_multipart("out", [b"body"], copy=False)
    assert_type(await tracker.wait(), None)


async def sending() -> None:
    async with AsyncSocketManager(timeout=2) as sockets:
        assert_type(sockets, AsyncSocketManager)
        sockets.ensure_and_bind("out", zmq.PUB, "inproc://out")
        assert_type(await sockets.send_safe("out", 1), bool)
        await sockets.publish("out", "prices", {"gold": 1})
        await sockets.serve("server", answer)
        await sockets.serve("server", answer, type=Job)
        await sockets.serve("server", len, type=str)
