"""One side of a conversation, as a process of its own: what `run.py` starts in pairs.

    python benchmarks/peers.py PEER ROLE COUNT [ADDRESS]

A receiver or replier prints the address that it bound; each side prints one JSON line of what it
measured. All peers write and read the same dict with the same JSON codec.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import msgspec
import zmq

from agentzero import SocketManager

MESSAGE = {f"field-{number}": "value" * 2 for number in range(8)} | {"last": "value"}

Measured = dict[str, Any]


def announce(address: str) -> None:
    """Tell the parent where this side can be reached."""
    print(address, flush=True)


def rate(count: int, step: Callable[[], object]) -> Measured:
    """Call `step` `count` times; return how many a second, and the processor time of each in us."""
    started, used = time.perf_counter(), time.process_time()
    for _ in range(count):
        step()
    return {
        "rate": count / (time.perf_counter() - started),
        "cpu": (time.process_time() - used) / count * 1e6,
    }


def round_trips(count: int, step: Callable[[], object]) -> Measured:
    """Call `step` `count` times; return the median of its duration in us."""
    durations = []
    for _ in range(count):
        started = time.perf_counter()
        step()
        durations.append(time.perf_counter() - started)
    return {"p50": sorted(durations)[count // 2] * 1e6}


class Bare:
    """Loops as one writes them with pyzmq alone."""

    def __init__(self) -> None:
        self.encode = msgspec.json.Encoder().encode
        self.decode = msgspec.json.Decoder().decode
        self.context = zmq.Context()

    def _bound(self, kind: int) -> zmq.Socket[bytes]:
        socket = self.context.socket(kind)
        socket.bind("tcp://127.0.0.1:*")
        address = socket.get(zmq.LAST_ENDPOINT)
        assert isinstance(address, bytes)
        announce(address.decode())
        return socket

    def _connected(self, kind: int, address: str) -> zmq.Socket[bytes]:
        socket = self.context.socket(kind)
        socket.connect(address)
        return socket

    def send(self, count: int, address: str) -> Measured:
        """Send `count` messages, and one to begin with."""
        socket, encode = self._connected(zmq.PUSH, address), self.encode
        socket.send(encode(MESSAGE))
        return rate(count, lambda: socket.send(encode(MESSAGE)))

    def receive(self, count: int, _: str) -> Measured:
        """Receive `count` messages; the first starts the clock."""
        socket, decode = self._bound(zmq.PULL), self.decode
        decode(socket.recv())
        return rate(count, lambda: decode(socket.recv()))

    def request(self, count: int, address: str) -> Measured:
        """Ask, and wait for the answer, `count` times."""
        socket, encode, decode = self._connected(zmq.REQ, address), self.encode, self.decode

        def step() -> None:
            socket.send(encode(MESSAGE))
            decode(socket.recv())

        round_trips(count // 10, step)
        return round_trips(count, step)

    def reply(self, count: int, _: str) -> Measured:
        """Answer until the requester is done."""
        socket, encode, decode = self._bound(zmq.REP), self.encode, self.decode
        for _number in range(count + count // 10):
            socket.send(encode(decode(socket.recv())))
        return {}


class Threads:
    """The same loops with this library, on the threads backend."""

    backend = "threads"

    def __init__(self) -> None:
        self.sockets = SocketManager(backend=self.backend, timeout=60)

    def _bound(self, kind: int) -> None:
        self.sockets.create("socket", kind)
        announce(self.sockets.bind_to_random_port("socket", None, "tcp://127.0.0.1")[1])

    def send(self, count: int, address: str) -> Measured:
        """Send `count` messages, and one to begin with."""
        sockets = self.sockets
        sockets.ensure_and_connect("socket", zmq.PUSH, address)
        sockets.send("socket", MESSAGE)
        return rate(count, lambda: sockets.send("socket", MESSAGE))

    def receive(self, count: int, _: str) -> Measured:
        """Receive `count` messages; the first starts the clock."""
        sockets = self.sockets
        self._bound(zmq.PULL)
        sockets.recv("socket")
        return rate(count, lambda: sockets.recv("socket"))

    def request(self, count: int, address: str) -> Measured:
        """Ask, and wait for the answer, `count` times."""
        sockets = self.sockets
        sockets.ensure_and_connect("socket", zmq.REQ, address)

        def step() -> None:
            sockets.send("socket", MESSAGE)
            sockets.recv("socket")

        round_trips(count // 10, step)
        return round_trips(count, step)

    def reply(self, count: int, _: str) -> Measured:
        """Answer until the requester is done."""
        sockets = self.sockets
        self._bound(zmq.REP)
        for _number in range(count + count // 10):
            sockets.send("socket", sockets.recv("socket"))
        return {}


PEERS = {"bare pyzmq": Bare, "agentzero, threads": Threads}


def main() -> None:
    """Play one side."""
    peer, role, count, *address = sys.argv[1:]
    measured = getattr(PEERS[peer](), role)(int(count), *(address or [""]))
    print(json.dumps(measured), flush=True)


if __name__ == "__main__":
    main()
