"""A manager that ends in the middle of everything.

Arguments: backend, how it ends ("close_all", or "exit" where nobody closes it), and what it is in
the middle of: "waiting" in every verb that can wait, printing how each was ended; or "sending",
with an address, a process and a signal: that process gets the signal once it has answered a
message to that address, and no message after that finds a taker.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from functools import partial
from typing import Any

import zmq

from tests.peers.tasks import Tasks, Work, each, got, tasks_of

TCP = "tcp://127.0.0.1:*"
LINGER = 0.5

# Kept to the end of the process, as what nobody closes is.
left: list[Any] = []


def opened(tasks: Tasks) -> Any:
    left.append(tasks.manager(linger=LINGER))
    return left[-1]


# Waiting


def idle(sockets: Any) -> None:
    """Open sockets that nothing comes to, and a server that never answers."""
    sockets.ensure_and_bind("PULL", zmq.PULL, TCP, zmq.POLLIN)
    for kind in (zmq.PUSH, zmq.SUB, zmq.XPUB, zmq.REP, zmq.ROUTER):
        sockets.ensure_and_bind(kind.name, kind, TCP)
    sockets.ensure_and_bind("silent", zmq.ROUTER, TCP)
    for kind in (zmq.REQ, zmq.DEALER):
        sockets.ensure_and_connect(kind.name, kind, sockets.endpoints("silent")[0])
    sockets.ensure_and_connect("reader", zmq.SUB, sockets.endpoints("XPUB")[0])


def waits(sockets: Any) -> dict[str, Work]:
    """Return what waits for ever."""

    async def half_read() -> None:
        async for event in each(sockets.subscribe("reader", "topic")):
            assert event.data == 1

    async def read() -> None:
        async for _ in each(sockets.subscribe("SUB")):
            raise AssertionError("there is nothing to read")

    async def subscribers() -> None:
        await got(sockets.wait_for_subscribers("XPUB", "topic"))
        await got(sockets.publish("XPUB", "topic", 1))
        await got(sockets.wait_for_subscribers("XPUB", "topic", 2, timeout=math.inf))

    async def call(verb: str, *args: Any, **options: Any) -> None:
        await got(getattr(sockets, verb)(*args, **options))

    verbs: dict[str, Work] = {
        f"{verb} {name}": partial(call, verb, name, *args, timeout=math.inf)
        for verb, name, *args in (
            ("recv", "PULL"),
            ("recv_safe", "PULL"),
            ("send", "PUSH", 1),
            ("recv_event", "SUB"),
            ("wait_until_ready", "PULL", zmq.POLLIN),
            ("serve", "REP", str),
            ("serve", "ROUTER", str),
            ("request", "REQ", 1),
            ("request", "DEALER", 1),
        )
    }
    engage: Work = partial(call, "engage", math.inf)
    return verbs | {
        "engage": engage,
        "wait_for_subscribers": subscribers,
        "subscribe": read,
        "subscribe, half read": half_read,
    }


async def waiting(tasks: Tasks) -> None:
    sockets = opened(tasks)
    idle(sockets)
    all_of_them = waits(sockets)
    begun = []

    async def begin(name: str) -> None:
        begun.append(name)
        await all_of_them[name]()

    async def end() -> None:
        until = time.monotonic() + 0.2
        while len(begun) < len(all_of_them) or time.monotonic() < until:
            await tasks.give_way()
            time.sleep(0.001)
        await got(sockets.close_all())

    *errors, failure = await tasks.together(*[partial(begin, name) for name in all_of_them], end)
    assert failure is None, failure
    endings = [type(error).__name__ if error else None for error in errors]
    print(json.dumps(dict(zip(all_of_them, endings, strict=True))))


# Sending


async def sending(tasks: Tasks, how: str, address: str, pid: int, fate: int) -> None:
    sockets = opened(tasks)
    sockets.ensure_and_connect("out", zmq.DEALER, address)
    await got(sockets.send("out", "hello"))
    assert await got(sockets.recv("out")) == "hello"
    os.kill(pid, fate)
    while await got(sockets.send_safe("out", "x" * 10_000, timeout=0)):
        pass
    if how == "close_all":
        await got(sockets.close_all())
    print("ending")


if __name__ == "__main__":
    backend, how, what, *peer = sys.argv[1:]
    tasks = tasks_of(backend)
    if what == "waiting":
        tasks.run(partial(waiting, tasks))
    else:
        address, pid, fate = peer
        tasks.run(partial(sending, tasks, how, address, int(pid), int(fate)))
