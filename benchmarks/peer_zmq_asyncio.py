"""The loops with pyzmq's own sockets for asyncio, on its own event loop or uvloop's."""

from __future__ import annotations

import sys
import time

import zmq
import zmq.asyncio
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

loop, *arguments = sys.argv[1:]
context = zmq.asyncio.Context()


def bound(kind: int) -> zmq.asyncio.Socket:
    """Return a socket of that kind, bound and announced."""
    socket = context.socket(kind)
    socket.bind(ADDRESS)
    announce(socket.get_string(zmq.LAST_ENDPOINT))
    return socket


def connected(kind: int, address: str) -> zmq.asyncio.Socket:
    """Return a socket of that kind, connected."""
    socket = context.socket(kind)
    socket.connect(address)
    return socket


async def receive(count: int, _: str) -> Measured:
    """Receive; the last message of the warm-up starts the clock."""
    socket = bound(zmq.PULL)
    for _number in range(warm_up(count)):
        decode(await socket.recv())
    clock = Clock()
    for _number in range(count):
        decode(await socket.recv())
    return clock.rate(count)


async def send(count: int, address: str) -> Measured:
    """Send as fast as there is room."""
    socket = connected(zmq.PUSH, address)
    for _ in range(warm_up(count)):
        await socket.send(encode(MESSAGE))
    clock = Clock()
    for _ in range(count):
        await socket.send(encode(MESSAGE))
    return clock.rate(count)


async def request(count: int, address: str) -> Measured:
    """Ask, and wait for the answer."""
    socket = connected(zmq.REQ, address)
    durations = []
    for _ in range(warm_up(count) + count):
        started = time.perf_counter()
        await socket.send(encode(MESSAGE))
        decode(await socket.recv())
        durations.append(time.perf_counter() - started)
    return median(durations[-count:])


async def reply(count: int, _: str) -> Measured:
    """Answer until the requester is done."""
    socket = bound(zmq.REP)
    for _number in range(warm_up(count) + count):
        await socket.send(encode(decode(await socket.recv())))
    return {}


if __name__ == "__main__":
    play(*map(blocking(loop), (receive, send, request, reply)), arguments=arguments)
