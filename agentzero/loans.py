"""Memory that ZeroMQ reads from while it sends, instead of copying it first."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import zmq

from agentzero import collector
from agentzero.backends.base import Wakeable

__all__ = ["Loan", "inherit", "keep"]

# Those that are not back yet, whether or not anybody waits for them. They come back in other
# threads, at any time: it is gone through as a tuple, which is made in one step.
_outstanding: dict[int, Loan] = {}


class Loan:
    """The buffers of one message that ZeroMQ still reads, and who waits to have them back.

    >>> loan = Loan()
    >>> frames = loan.lend([bytearray(100_000)])
    >>> loan.done
    False
    """

    __slots__ = ("__weakref__", "_lent", "_waiters")

    def __init__(self) -> None:
        self._lent: dict[int, weakref.ref[memoryview]] = {}
        self._waiters: set[Wakeable] = set()

    @property
    def done(self) -> bool:
        """Whether all of them have been given back."""
        return not self._lent

    def lend(self, frames: Iterable[bytes | memoryview]) -> list[Any]:
        """Return the frames for the wire; the large ones share the memory of what is given.

        Below `zmq.COPY_THRESHOLD` (64 KiB) a copy is cheaper than keeping account.
        """
        return [frame if _is_small(frame) else self._shared(memoryview(frame)) for frame in frames]

    def _shared(self, view: memoryview) -> zmq.Frame:
        # pyzmq keeps the view for as long as libzmq reads the memory, so its end is the sign. The
        # tracker that pyzmq has is for threads alone to wait on.
        collector.start()
        lent = weakref.ref(view, self._returned)
        self._lent[id(lent)] = lent
        _outstanding[id(self)] = self
        return zmq.Frame(view, copy=False)

    def _returned(self, lent: weakref.ref[memoryview]) -> None:
        self._lent.pop(id(lent), None)
        if not self._lent:
            _outstanding.pop(id(self), None)
            for waiter in tuple(self._waiters):
                waiter.wake()

    def inherit(self) -> None:
        """Take all of them back: in a forked process, ZeroMQ does not read its copy of them."""
        self._lent.clear()

    def views(self) -> list[memoryview]:
        """Return those that are still lent."""
        return [view for lent in tuple(self._lent.values()) if (view := lent()) is not None]

    def enter(self, waiter: Wakeable) -> None:
        """Wake `waiter` once they are back."""
        self._waiters.add(waiter)

    def leave(self, waiter: Wakeable) -> None:
        """Forget `waiter`."""
        self._waiters.discard(waiter)


def _is_small(frame: bytes | memoryview) -> bool:
    return memoryview(frame).nbytes < zmq.COPY_THRESHOLD


def inherit() -> None:
    """Take back, in a forked process, what its parent has lent."""
    for loan in _outstanding.values():
        loan.inherit()
    _outstanding.clear()


def keep() -> None:
    """Keep all that is lent now for ever: the process ends, and libzmq may still read it.

    pyzmq's collector frees it when the interpreter exits, and libzmq aborts the process when what
    it sends is no longer there.
    """
    import ctypes  # which not every Python has, and few processes need

    for loan in tuple(_outstanding.values()):
        for view in loan.views():
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(view))
