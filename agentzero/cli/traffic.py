"""What `agentzero bench` measures: messages between two processes, and both ends of that.

Each end is a generator that yields what a verb returns, and is sent what came of it: so the same
text moves the messages of both kinds of managers. As a program, this is the far end.
"""

from __future__ import annotations

import asyncio
import math
import os
import sys
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from itertools import pairwise
from time import perf_counter
from typing import Any, TypeAlias

import msgspec
import zmq

from agentzero import AsyncSocketManager, SocketManager
from agentzero.cli.options import Raw
from agentzero.serializers import Serializer, resolve

__all__ = ["PATTERNS", "RAW", "Measured", "Plan", "measure"]

End: TypeAlias = Generator[Any, Any, Any]

RAW = "raw"  # no serializer at all
TOPIC = "bench"


class Plan(msgspec.Struct, frozen=True):
    """What is to be measured.

    Attributes:
        pattern: one of `PATTERNS`.
        messages: how many.
        size: how many characters, or bytes, each holds.
        backend: the name of one.
        serializer: the name of one, or `RAW`.
    """

    pattern: str
    messages: int
    size: int
    backend: str
    serializer: str

    @property
    def item(self) -> str | bytes:
        """What each message holds."""
        return bytes(self.size) if self.serializer == RAW else "x" * self.size

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments of a manager."""
        codec: Serializer = Raw() if self.serializer == RAW else resolve(self.serializer)
        return {
            "serialization_backend": codec,
            "backend": self.backend,
            "linger": 0,
        }


@dataclass(frozen=True)
class Measured:
    """What came of a plan.

    Attributes:
        seconds: from the first message, which is not counted, to the last.
        latencies: the seconds that each answer took, where there were any.
    """

    seconds: float
    latencies: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Pattern:
    """Two types of sockets, and what is done at either end."""

    near: int
    far: int
    measured: Callable[[Any, Plan], End]
    moved: Callable[[Any, Plan], End]


def measure(plan: Plan, start: Callable[[str], object], timeout: float) -> Measured:
    """Measure at the near end.

    Args:
        plan: what.
        start: starts the far end; it is given the address to connect to.
        timeout: seconds that any one message may take.

    Raises:
        SocketTimeout: a message took too long.
    """
    pattern = PATTERNS[plan.pattern]

    def end(sockets: Any) -> End:
        sockets.ensure_and_bind("near", pattern.near, "tcp://127.0.0.1:*")
        start(sockets.endpoints("near")[0])
        return pattern.measured(sockets, plan)

    measured: Measured = _run(plan, end, timeout)
    return measured


def _move(plan: Plan, address: str) -> None:
    """Do what the far end does."""
    pattern = PATTERNS[plan.pattern]

    def end(sockets: Any) -> End:
        sockets.create("far", pattern.far)
        if pattern.far == zmq.XPUB:
            sockets.set_socket_option("far", zmq.XPUB_NODROP, 1)  # rather wait for a slow one
        sockets.connect("far", address)
        return pattern.moved(sockets, plan)

    _run(plan, end, math.inf)


# Managers of both kinds


def _run(plan: Plan, end: Callable[[Any], End], timeout: float) -> Any:
    if plan.backend == "asyncio":
        return asyncio.run(_awaited(AsyncSocketManager(timeout=timeout, **plan.settings), end))
    with SocketManager(timeout=timeout, **plan.settings) as sockets:
        return _driven(end(sockets))


def _driven(end: End) -> Any:
    result = None
    while True:
        try:
            result = end.send(result)
        except StopIteration as stop:
            return stop.value


async def _awaited(manager: AsyncSocketManager, begin: Callable[[Any], End]) -> Any:
    async with manager as sockets:
        end, result = begin(sockets), None
        while True:
            try:
                result = await end.send(result)
            except StopIteration as stop:
                return stop.value


# What is done at the near ends


def _pull(sockets: Any, plan: Plan) -> End:
    yield sockets.recv("near")
    began = perf_counter()
    for _ in range(plan.messages):
        yield sockets.recv("near")
    return Measured(perf_counter() - began)


def _subscribe(sockets: Any, plan: Plan) -> End:
    yield sockets.recv_event("near", TOPIC)
    began = perf_counter()
    for _ in range(plan.messages):
        yield sockets.recv_event("near")
    return Measured(perf_counter() - began)


def _ask(sockets: Any, plan: Plan) -> End:
    item, times = plan.item, []
    yield sockets.request("near", item)
    times.append(perf_counter())
    for _ in range(plan.messages):
        yield sockets.request("near", item)
        times.append(perf_counter())
    latencies = [after - before for before, after in pairwise(times)]
    return Measured(times[-1] - times[0], latencies)


# What is done at the far ends


def _push(sockets: Any, plan: Plan) -> End:
    item = plan.item
    while True:
        yield sockets.send("far", item)


def _publish(sockets: Any, plan: Plan) -> End:
    item = plan.item
    yield sockets.wait_for_subscribers("far", TOPIC)
    while True:
        yield sockets.publish("far", TOPIC, item)


def _answer(sockets: Any, plan: Plan) -> End:
    while True:
        item = yield sockets.recv("far")
        yield sockets.send("far", item)


PATTERNS = {
    "push-pull": Pattern(zmq.PULL, zmq.PUSH, _pull, _push),
    "pub-sub": Pattern(zmq.SUB, zmq.XPUB, _subscribe, _publish),
    "req-rep": Pattern(zmq.REQ, zmq.REP, _ask, _answer),
}


def _end_with_parent() -> None:
    """Nothing is ever written to standard input; it ends when the near end does."""
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _move(msgspec.json.decode(sys.argv[1], type=Plan), sys.argv[2])
