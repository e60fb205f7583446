"""The loops with aiozmq's streams."""

from __future__ import annotations

import sys
import time
from typing import Any

import aiozmq
import zmq
from loops import blocking
from side import (
    ADDRESS,
    MESSAGE,
    Clock,
    Measured,
    announce,
    decode,
    encode,
    median,
    play,
    warm_up,
)


async def bound(kind: int) -> Any:
    """Return a stream of that kind, bound and announced."""
    stream = await aiozmq.create_zmq_stream(kind, bind=ADDRESS)
    announce(*stream.transport.bindings())
    return stream


async def receive(count: int, _: str) -> Measured:
    """Receive; the last message of the warm-up starts the clock."""
    stream = await bound(zmq.PULL)
    for _number in range(warm_up(count)):
        decode((await stream.read())[0])
    clock = Clock()
    for _number in range(count):
        decode((await stream.read())[0])
    return clock.rate(count)


async def send(count: int, address: str) -> Measured:
    """Send as fast as there is room."""
    stream = await aiozmq.create_zmq_stream(zmq.PUSH, connect=address)
    for _ in range(warm_up(count)):
        stream.write([encode(MESSAGE)])
        await stream.drain()
    clock = Clock()
    for _ in range(count):
        stream.write([encode(MESSAGE)])
        await stream.drain()
    return clock.rate(count)


async def request(count: int, address: str) -> Measured:
    """Ask, and wait for the answer."""
    stream = await aiozmq.create_zmq_stream(zmq.REQ, connect=address)
    durations = []
    for _ in range(warm_up(count) + count):
        started = time.perf_counter()
        stream.write([encode(MESSAGE)])
        await stream.drain()
        decode((await stream.read())[0])
        durations.append(time.perf_counter() - started)
    return median(durations[-count:])


async def reply(count: int, _: str) -> Measured:
    """Answer until the requester is done."""
    stream = await bound(zmq.REP)
    for _number in range(warm_up(count) + count):
        stream.write([encode(decode((await stream.read())[0]))])
        await stream.drain()
    return {}


if __name__ == "__main__":
    play(*map(blocking("asyncio"), (receive, send, request, reply)), arguments=sys.argv[1:])
