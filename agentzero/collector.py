"""pyzmq's collector, which lets go of lent memory once libzmq has: started so that it works.

As pyzmq starts it, two threads that lend for the first time at once can lose its socket; and in a
process that gevent has patched it is a greenlet, which ends with the hub of whoever lent first, and
then no memory is ever given back.
"""

from __future__ import annotations

import os
from typing import Any

import zmq
from zmq.utils.garbage import GarbageCollectorThread, gc

from agentzero.backends.native import is_patched, native

__all__ = ["start"]

_lock = native("_thread", "RLock")()
_complete: Any = None  # the thread of a collector of which nothing is missing


def start() -> None:
    """Start the collector of this process; again is harmless."""
    global _complete
    if _complete is not None and _complete is gc.thread and gc.is_alive():
        return
    with _lock:
        if is_patched("threading") and not gc.is_alive():
            NativeThread.start()
        zmq.Frame(b"x", copy=False)  # lent, so that pyzmq makes the rest of what it needs
        _complete = gc.thread


if hasattr(os, "register_at_fork"):
    # A child has to find it free, and whatever it guards whole.
    os.register_at_fork(
        before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
    )


class NativeThread:
    """Runs the collector; it has of a thread what pyzmq asks for."""

    def __init__(self) -> None:
        self.gc = gc
        self.pid: int = os.getpid()
        self.ready: Any = self
        allocate = native("_thread", "allocate_lock")
        self._bound, self._ended = allocate(), allocate()
        self._bound.acquire()
        self._ended.acquire()

    @classmethod
    def start(cls) -> None:
        """Start it, and wait until it is there for all."""
        collector: Any = cls()
        gc._clear()  # of a parent process
        gc.context = zmq.Context()
        native("_thread", "start_new_thread")(collector._run, ())
        collector._bound.acquire()
        gc.pid, gc.thread = collector.pid, collector

    def _run(self) -> None:
        try:
            GarbageCollectorThread.run(self)  # type: ignore[arg-type]
        finally:
            self._ended.release()

    def set(self) -> None:
        """Hear that its socket is bound: it is its own event `ready`."""
        self._bound.release()

    def is_alive(self) -> bool:
        """Return whether it runs."""
        return bool(self._ended.locked())

    def join(self) -> None:
        """Wait for its end."""
        with self._ended:
            pass
