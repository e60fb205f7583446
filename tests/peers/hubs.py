"""What a gevent hub must bear; some of it once aborted the process. The argument says which."""

from __future__ import annotations

import sys

import gevent
import zmq

from agentzero import SocketManager
from agentzero.errors import SocketClosed
from tests.processes import elsewhere


def closed_before_the_loop_turns(sockets: SocketManager) -> None:
    def wait() -> str | None:
        try:
            sockets.recv("jobs", timeout=60)
        except SocketClosed:
            return "closed"
        return None

    for _ in range(300):
        sockets.create("jobs", zmq.PULL)
        tasks = [gevent.spawn(wait), gevent.spawn(sockets.close, "jobs")]
        gevent.joinall(tasks)
        assert tasks[0].value == "closed"


def outlives_the_hub(sockets: SocketManager) -> None:
    def make() -> None:
        for number in range(20):
            sockets.ensure_and_bind(str(number), zmq.PULL, f"inproc://{number}")
        gevent.get_hub().destroy(destroy_loop=True)

    elsewhere(make)
    for number in range(10):
        sockets.recv_safe(str(number), timeout=0.001)
        sockets.close(str(number))


def loop_moves_to_another_thread(sockets: SocketManager) -> None:
    sockets.ensure_and_bind("out", zmq.XPUB, "inproc://news")
    sockets.ensure_and_connect("in", zmq.SUB, "inproc://news")
    events = sockets.subscribe("in", timeout=0.05)
    sockets.recv_multipart("out")
    sockets.publish("out", "topic", 1)
    assert next(events) == ("topic", 1)
    assert elsewhere(lambda: list(events)) == []


CASES = {
    "a socket closed before the loop turns": closed_before_the_loop_turns,
    "a socket that outlives the hub it was made with": outlives_the_hub,
    "a loop over events that moves to another thread": loop_moves_to_another_thread,
}


if __name__ == "__main__":
    with SocketManager(backend="gevent", linger=0) as sockets:
        CASES[sys.argv[1]](sockets)
