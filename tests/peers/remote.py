"""Sockets in a process of their own, whose verbs are called from another one.

`Remote` starts such a process. Its argument says whose sockets they are: "manager", which is a
SocketManager, or "bare", which is pyzmq and nothing else.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Client, Listener
from typing import Any

import zmq

from tests.processes import Process


class Remote:
    """The verbs of the sockets of another process.

    Args:
        flavour: "manager" or "bare".
        eventually: returns when a condition holds, and lets other tasks run until then.
    """

    def __init__(self, flavour: str, eventually: Callable[..., None]) -> None:
        self._process = Process("-m", "tests.peers.remote", flavour, measured=False)
        self._eventually = eventually
        self._calls: Any = None

    @property
    def pid(self) -> int:
        return self._process.pid

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        return partial(self._call, verb)

    def _call(self, verb: str, *args: object) -> Any:
        self.begin(verb, *args)
        return self.result()

    def begin(self, verb: str, *args: object) -> None:
        """Call a verb, and go on meanwhile."""
        self._calls = self._calls or Client(self._process.line())
        self._calls.send((verb, args))

    def result(self) -> Any:
        """Wait for the end of what began."""
        self._eventually(self._calls.poll)
        result, error = self._calls.recv()
        assert error is None, error
        return result

    def kill(self) -> None:
        """End it with SIGKILL, wherever it is."""
        self._process.kill()
        if self._calls is not None:
            self._calls.close()


def work(sockets: Any) -> None:
    """Do what is asked for, for ever."""
    with Listener() as listener:
        print(listener.address, flush=True)
        with listener.accept() as calls:
            while True:
                verb, args = calls.recv()
                try:
                    result = getattr(sockets, verb)(*args)
                    calls.send((None if isinstance(result, zmq.Socket) else result, None))
                except Exception:
                    calls.send((None, traceback.format_exc()))


if __name__ == "__main__":
    if sys.argv[1] == "bare":
        from tests.peers.bare import Bare

        work(Bare())
    else:
        from agentzero import SocketManager

        work(SocketManager(backend="threads", linger=0))
