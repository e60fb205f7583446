"""One subscriber after another: each receives one event, and tells of all that it receives.

Arguments: backend, or "bare" for pyzmq alone; the address that publishers' addresses come from; and
the address that what was received goes to. Each item it gets is a list of addresses. It subscribes
to each with a socket of its own, and passes on the first event of each as soon as that is there,
and then, in one list, whatever else has come.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import zmq

from tests.peers.bare import Bare
from tests.peers.tasks import got, tasks_of


async def main(sockets: Any, addresses: str, received: str) -> None:
    sockets.ensure_and_connect("addresses", zmq.PULL, addresses)
    sockets.ensure_and_connect("received", zmq.PUSH, received)
    while batch := await got(sockets.recv("addresses")):
        names = list(map(str, range(len(batch))))
        for name, address in zip(names, batch, strict=True):
            subscribe(sockets, name, address)
            await got(sockets.send("received", await got(sockets.recv_event(name))))
        others = [await got(sockets.recv_event_safe(name, timeout=0)) for name in names]
        await got(sockets.send("received", [other for other in others if other]))
        for name in names:
            sockets.close(name)


def subscribe(sockets: Any, name: str, address: str) -> None:
    """Subscribe before or after connecting, in turn."""
    sockets.create(name, zmq.SUB)
    if int(name) % 2:
        sockets.set_topic(name, "news")
    sockets.ensure_and_connect(name, zmq.SUB, address)
    sockets.set_topic(name, "news")


if __name__ == "__main__":
    flavour, *where = sys.argv[1:]
    tasks = tasks_of(flavour)
    sockets = Bare() if flavour == "bare" else tasks.manager(linger=0)
    tasks.run(partial(main, sockets, *where))
