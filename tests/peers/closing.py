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

import zmq

from agentzero import SocketManager
from agentzero.errors import ManagerClosed, SocketClosed, SocketNotFound
from tests.peers.tasks import start

EXPECTED = (SocketClosed, ManagerClosed, SocketNotFound)
ADDRESSES = ("inproc://here", "tcp://127.0.0.1:*")
LONG = 30.0


def opened(backend: str, address: str) -> SocketManager:
    """Return a manager with PUSH and PULL, PUB and SUB, each pair connected."""
    sockets = SocketManager(backend=backend, linger=0)
    for source, sink, suffix in ((zmq.PUSH, zmq.PULL, "s"), (zmq.PUB, zmq.SUB, "events")):
        where = address if "*" in address else address + suffix
        names = zmq.SocketType(source).name, zmq.SocketType(sink).name
        sockets.ensure_and_bind(names[0], source, where, zmq.POLLOUT)
        sockets.set_socket_option(names[0], zmq.SNDHWM, 10)
        sockets.ensure_and_connect(names[1], sink, sockets.endpoints(names[0])[0], zmq.POLLIN)
    sockets.set_topic("SUB", "")
    return sockets


def uses(sockets: SocketManager) -> list[Callable[[], object]]:
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


def listen(sockets: SocketManager) -> None:
    for _ in sockets.subscribe("SUB", "topic"):
        sockets.stats("SUB")


def fiddle(sockets: SocketManager) -> None:
    sockets.set_topic("SUB", "more")
    sockets.unset_topic("SUB", "more")
    sockets.engage(0)
    sockets.ready("PUB", zmq.POLLOUT, 0)
    sockets.stats()
    sockets.endpoints("PULL")


def turn(backend: str) -> Callable[[], None]:
    """Return what lets other tasks run: greenlets whose sends succeed never stop by themselves."""
    if backend == "gevent":
        from gevent import sleep

        return partial(sleep, 0)
    return lambda: None


def one_round(backend: str, how: str, address: str, pause: float) -> list[BaseException | None]:
    sockets = opened(backend, address)
    give_way = turn(backend)
    busy = []

    def repeat(use: Callable[[], object]) -> None:
        busy.append(use)
        while True:
            use()
            give_way()

    def close() -> None:
        if how == "close_all":
            sockets.close_all()
        for name in ("SUB", "PUSH", "PUB", "PULL"):
            sockets.close(name)

    tasks = [start(backend, repeat, use) for use in uses(sockets)]
    until = time.monotonic() + pause
    while len(busy) < len(tasks) or time.monotonic() < until:
        give_way()
        time.sleep(0)
    closers = [start(backend, close) for _ in range(2)]
    endings = [task.error() for task in closers]
    assert endings == [None, None], endings
    errors = [task.error() for task in tasks]
    sockets.close_all()
    return errors


def main(backend: str, how: str, rounds: int) -> None:
    sys.setswitchinterval(1e-5)
    chance = random.Random(rounds)
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    for number in range(rounds):
        pause = chance.random() * 0.004
        for error in one_round(backend, how, ADDRESSES[number % 2], pause):
            counts[type(error).__name__] += 1
            if not isinstance(error, EXPECTED):
                wrong.append("".join(traceback.format_exception(error)) if error else "no error")
    print(json.dumps({"counts": counts, "wrong": wrong[:3]}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
