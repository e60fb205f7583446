"""Sockets closed under tasks that are busy with them, again and again.

Arguments: backend, what closes ("close" or "close_all"), rounds. Each round, eight tasks use the
sockets of one manager until an error ends them, and two more close all of it at the same time. It
prints, as JSON, how often each error ended a task, and the tracebacks of those that must not.
"""

from __future__ import annotations

import json
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import zmq

from agentzero.errors import ManagerClosed, SocketClosed, SocketNotFound
from tests.peers.tasks import Tasks, each, got, tasks_of

EXPECTED = (SocketClosed, ManagerClosed, SocketNotFound)
ADDRESSES = ("inproc://here", "tcp://127.0.0.1:*")
LONG = 30.0


def opened(tasks: Tasks, address: str) -> Any:
    """Return a manager with PUSH and PULL, PUB and SUB, each pair connected."""
    sockets = tasks.manager(linger=0)
    for source, sink, suffix in ((zmq.PUSH, zmq.PULL, "s"), (zmq.PUB, zmq.SUB, "events")):
        where = address if "*" in address else address + suffix
        names = zmq.SocketType(source).name, zmq.SocketType(sink).name
        sockets.ensure_and_bind(names[0], source, where, zmq.POLLOUT)
        sockets.set_socket_option(names[0], zmq.SNDHWM, 10)
        sockets.ensure_and_connect(names[1], sink, sockets.endpoints(names[0])[0], zmq.POLLIN)
    sockets.set_topic("SUB", "")
    return sockets


def uses(sockets: Any) -> list[Callable[[], object]]:
    """Return what the tasks do over and over; two of the PULL's wait most of the time."""
    return [
        partial(sockets.send, "PUSH", "job", LONG),
        partial(sockets.send_multipart, "PUSH", [b"1", b"2"], LONG),
        partial(sockets.recv_multipart, "PULL", LONG),
        partial(sockets.wait_until_ready, "PULL", zmq.POLLIN, LONG),
        partial(sockets.publish, "PUB", "topic", "event", LONG),
        partial(sockets.recv_event, "SUB", "topic", LONG),
        partial(listen, sockets),
        partial(fiddle, sockets),
    ]


async def listen(sockets: Any) -> None:
    async for _ in each(sockets.subscribe("SUB", "topic")):
        sockets.stats("SUB")


async def fiddle(sockets: Any) -> None:
    sockets.set_topic("SUB", "more")
    sockets.unset_topic("SUB", "more")
    await got(sockets.engage(0))
    await got(sockets.ready("PUB", zmq.POLLOUT, 0))
    sockets.stats()
    sockets.endpoints("PULL")


async def one_round(
    tasks: Tasks, how: str, address: str, pause: float
) -> list[BaseException | None]:
    sockets = opened(tasks, address)
    busy = []

    async def repeat(use: Callable[[], object]) -> None:
        busy.append(use)
        while True:
            await got(use())
            # Where sends succeed, greenlets never stop by themselves.
            await tasks.give_way()

    async def close() -> None:
        if how == "close_all":
            await got(sockets.close_all())
        for name in ("SUB", "PUSH", "PUB", "PULL"):
            sockets.close(name)

    async def end() -> None:
        until = time.monotonic() + pause
        while len(busy) < 8 or time.monotonic() < until:
            await tasks.give_way()
            time.sleep(0)
        endings = await tasks.together(close, close)
        assert endings == [None, None], endings

    *errors, failure = await tasks.together(*[partial(repeat, use) for use in uses(sockets)], end)
    assert failure is None, failure
    await got(sockets.close_all())
    return errors


async def main(tasks: Tasks, how: str, rounds: int) -> None:
    sys.setswitchinterval(1e-5)
    chance = random.Random(rounds)
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    for number in range(rounds):
        pause = chance.random() * 0.004
        for error in await one_round(tasks, how, ADDRESSES[number % 2], pause):
            counts[type(error).__name__] += 1
            if not isinstance(error, EXPECTED):
                wrong.append("".join(traceback.format_exception(error)) if error else "no error")
    print(json.dumps({"counts": counts, "wrong": wrong[:3]}))


if __name__ == "__main__":
    chosen = tasks_of(sys.argv[1])
    chosen.run(partial(main, chosen, sys.argv[2], int(sys.argv[3])))
