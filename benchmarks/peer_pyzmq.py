"""Loops as one writes them with pyzmq alone: `zmq` in a thread, `zmq.green` in a greenlet."""

from __future__ import annotations

import sys
import time
from importlib import import_module
from typing import Any

import zmq
from side import ADDRESS, MESSAGE, Clock, Measured, announce, decode, encode, median, play, warm_up

flavour, *arguments = sys.argv[1:]
context: zmq.Context[Any] = import_module(flavour).Context()


def bound(kind: int) -> Any:
    """Return a socket of that kind, bound and announced."""
    socket = context.socket(kind)
    socket.bind(ADDRESS)
    announce(socket.get_string(zmq.LAST_ENDPOINT))
    return socket


def connected(kind: int, address: str) -> Any:
    """Return a socket of that kind, connected."""
    socket = context.socket(kind)
    socket.connect(address)
    return socket


def receive(count: int, _: str) -> Measured:
    """Receive; the last message of the warm-up starts the clock."""
    socket = bound(zmq.PULL)
    for _number in range(warm_up(count)):
        decode(socket.recv())
    clock = Clock()
    for _number in range(count):
        decode(socket.recv())
    return clock.rate(count)


def send(count: int, address: str) -> Measured:
    """Send as fast as there is room."""
    socket = connected(zmq.PUSH, address)
    for _ in range(warm_up(count)):
        socket.send(encode(MESSAGE))
    clock = Clock()
    for _ in range(count):
        socket.send(encode(MESSAGE))
    return clock.rate(count)


def request(count: int, address: str) -> Measured:
    """Ask, and wait for the answer."""
    socket = connected(zmq.REQ, address)
    durations = []
    for _ in range(warm_up(count) + count):
        started = time.perf_counter()
        socket.send(encode(MESSAGE))
        decode(socket.recv())
        durations.append(time.perf_counter() - started)
    return median(durations[-count:])


def reply(count: int, _: str) -> Measured:
    """Answer until the requester is done."""
    socket = bound(zmq.REP)
    for _number in range(warm_up(count) + count):
        socket.send(encode(decode(socket.recv())))
    return {}


if __name__ == "__main__":
    play(receive, send, request, reply, arguments=arguments)
