"""The loops with pynng, which speaks nng's protocols, so that both sides are its own."""

from __future__ import annotations

import sys
import time
from typing import Any

import pynng
from side import MESSAGE, Clock, Measured, announce, decode, encode, median, play, warm_up


def bound(kind: Any) -> Any:
    """Return a socket of that kind, bound and announced."""
    socket = kind(listen="tcp://127.0.0.1:0")
    announce(f"tcp://{socket.listeners[0].local_address}")
    return socket


def receive(count: int, _: str) -> Measured:
    """Receive; the last message of the warm-up starts the clock."""
    socket = bound(pynng.Pull0)
    for _number in range(warm_up(count)):
        decode(socket.recv())
    clock = Clock()
    for _number in range(count):
        decode(socket.recv())
    return clock.rate(count)


def send(count: int, address: str) -> Measured:
    """Send as fast as there is room."""
    socket = pynng.Push0(dial=address)
    for _ in range(warm_up(count)):
        socket.send(encode(MESSAGE))
    clock = Clock()
    for _ in range(count):
        socket.send(encode(MESSAGE))
    return clock.rate(count)


def request(count: int, address: str) -> Measured:
    """Ask, and wait for the answer."""
    socket = pynng.Req0(dial=address)
    durations = []
    for _ in range(warm_up(count) + count):
        started = time.perf_counter()
        socket.send(encode(MESSAGE))
        decode(socket.recv())
        durations.append(time.perf_counter() - started)
    return median(durations[-count:])


def reply(count: int, _: str) -> Measured:
    """Answer until the requester is done."""
    socket = bound(pynng.Rep0)
    for _number in range(warm_up(count) + count):
        socket.send(encode(decode(socket.recv())))
    return {}


if __name__ == "__main__":
    play(receive, send, request, reply, arguments=sys.argv[1:])
