"""A process that forks while it has a loop or a pool of waiters.

Its argument says what the child does then. The child prints a list, which should be empty.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable

import zmq

from agentzero import SocketManager
from agentzero.backends.threads import ThreadsBackend

warnings.simplefilter("ignore", DeprecationWarning)  # of fork() beside threads


def fork(child: Callable[[], object]) -> None:
    pid = os.fork()
    if not pid:
        signal.alarm(10)
        print(child() or [], flush=True)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0


def main(how: str) -> None:
    backend = ThreadsBackend()
    sockets = SocketManager(backend=backend, linger=0)
    sockets.ensure_and_bind("out", zmq.XPUB, "inproc://news")
    sockets.ensure_and_connect("in", zmq.SUB, "inproc://news")
    events = sockets.subscribe("in", timeout=60)
    sockets.recv_multipart("out")
    sockets.publish("out", "topic", 1)
    assert next(events) == ("topic", 1)
    if how == "goes on with the loop":
        fork(lambda: list(events))
    elif how == "drops it beside a thread":
        waits = threading.Thread(target=sockets.recv_event_safe, args=("in",), daemon=True)
        waits.start()
        while not sockets._channels["in"]._waiters:
            time.sleep(0.001)
        fork(events.close)
    elif how == "waits with the same backend":
        backend.waiter().close()
        pooled = set(backend._pool)
        fork(lambda: pooled.intersection([backend.waiter()]))
        assert backend.waiter() in pooled


if __name__ == "__main__":
    main(sys.argv[1])
