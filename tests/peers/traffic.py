"""Many tasks on one DEALER: half of them send, half receive what an echo sends back.

Arguments: backend, address of the echo, messages in all, high-water mark. It prints, as JSON, how
many messages came back, which were lost, doubled or overtaken, and the seconds it took.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from functools import partial
from itertools import groupby, pairwise
from typing import Any

import zmq

from tests.peers.tasks import Tasks, got, tasks_of

SENDERS = RECEIVERS = 4
LONGEST = 90.0


async def main(tasks: Tasks, address: str, total: int, high_water_mark: int) -> None:
    sys.setswitchinterval(1e-5)
    sockets = tasks.manager(linger=0)
    sockets.create("dealer", zmq.DEALER)
    sockets.set_socket_option("dealer", zmq.HWM, high_water_mark)
    sockets.set_socket_option("dealer", zmq.SNDBUF, 4096)
    sockets.set_socket_option("dealer", zmq.RCVBUF, 4096)
    sockets.connect("dealer", address)
    began = time.monotonic()
    received: list[list[list[int]]] = [[] for _ in range(RECEIVERS)]

    async def send(sender: int) -> None:
        for number in range(total // SENDERS):
            await got(sockets.send("dealer", [sender, number], timeout=LONGEST))

    async def receive(mine: list[list[int]]) -> None:
        while sum(map(len, received)) < total and time.monotonic() < began + LONGEST:
            message = await got(sockets.recv_safe("dealer", timeout=0.2))
            if message is not None:
                mine.append(message)

    sending = [partial(send, sender) for sender in range(SENDERS)]
    endings = await tasks.together(*sending, *[partial(receive, mine) for mine in received])
    errors = [error for error in endings if error is not None]
    await got(sockets.close_all())
    print(json.dumps(report(received, total, errors) | {"seconds": time.monotonic() - began}))


def report(received: list[list[list[int]]], total: int, errors: list[Any]) -> dict[str, Any]:
    counts = Counter(tuple(message) for mine in received for message in mine)
    sent = {(sender, n) for sender in range(SENDERS) for n in range(total // SENDERS)}
    return {
        "received": counts.total(),
        "lost": len(sent - counts.keys()),
        "doubled": sum(1 for count in counts.values() if count > 1),
        "unknown": len(counts.keys() - sent),
        "overtaken": sum(map(overtaken, received)),
        "errors": list(map(repr, errors)),
    }


def overtaken(mine: list[list[int]]) -> int:
    """How many messages came before one that the same sender had sent earlier."""
    by_sender = groupby(sorted(mine, key=lambda message: message[0]), lambda message: message[0])
    numbers = [[number for _, number in messages] for _, messages in by_sender]
    return sum(a > b for one in numbers for a, b in pairwise(one))


if __name__ == "__main__":
    chosen = tasks_of(sys.argv[1])
    chosen.run(partial(main, chosen, sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
