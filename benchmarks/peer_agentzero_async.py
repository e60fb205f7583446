"""The loops with this library's `AsyncSocketManager`, on asyncio, uvloop or trio."""

from __future__ import annotations

import sys
import time

import zmq
from loops import BACKENDS, blocking
from side import MESSAGE, Clock, Measured, announce, median, play, warm_up

from agentzero import AsyncSocketManager

loop, *arguments = sys.argv[1:]
sockets = AsyncSocketManager(backend=BACKENDS[loop], timeout=60)


def bind(kind: int) -> None:
    """Bind a socket of that kind, and announce it."""
    sockets.create("socket", kind)
    announce(sockets.bind_to_random_port("socket", None, "tcp://127.0.0.1")[1])


async def receive(count: int, _: str) -> Measured:
    """Receive; the last message of the warm-up starts the clock."""
    bind(zmq.PULL)
    for _number in range(warm_up(count)):
        await sockets.recv("socket")
    clock = Clock()
    for _number in range(count):
        await sockets.recv("socket")
    return clock.rate(count)


async def send(count: int, address: str) -> Measured:
    """Send as fast as there is room."""
    sockets.ensure_and_connect("socket", zmq.PUSH, address)
    for _ in range(warm_up(count)):
        await sockets.send("socket", MESSAGE)
    clock = Clock()
    for _ in range(count):
        await sockets.send("socket", MESSAGE)
    return clock.rate(count)


async def request(count: int, address: str) -> Measured:
    """Ask, and wait for the answer."""
    sockets.ensure_and_connect("socket", zmq.REQ, address)
    durations = []
    for _ in range(warm_up(count) + count):
        started = time.perf_counter()
        await sockets.send("socket", MESSAGE)
        await sockets.recv("socket")
        durations.append(time.perf_counter() - started)
    return median(durations[-count:])


async def reply(count: int, _: str) -> Measured:
    """Answer until the requester is done."""
    bind(zmq.REP)
    for _number in range(warm_up(count) + count):
        await sockets.send("socket", await sockets.recv("socket"))
    return {}


if __name__ == "__main__":
    play(*map(blocking(loop), (receive, send, request, reply)), arguments=arguments)
