"""How managers end: closed, dropped, left over at exit, or inherited by a forked process.

Whatever a manager leaves behind is closed without waiting in garbage collection; what its sockets
could not send by then may keep the process for their linger, and no longer.
"""

from __future__ import annotations

import atexit
import os
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

import zmq

from agentzero import loans  # before the exit below is registered: its collector has to end later
from agentzero.backends.native import native
from agentzero.channel import Channel
from agentzero.deadline import milliseconds

__all__ = ["GRACE", "Manager", "end_context", "give_up", "unwatch", "watch"]

# What a context may take to end beyond its sockets' linger, in seconds.
GRACE = 2.0

Start = Callable[[Callable[[], object]], object]


class Manager(Protocol):
    """What ends with the process."""

    def _abandon(self) -> None:
        """Close without waiting."""

    def _inherited(self) -> None:
        """Refuse all further work: this process is a fork of the one whose sockets these are."""


# Not a WeakSet, which other threads may change while it is gone through.
_open: dict[int, weakref.ref[Any]] = {}
_ending: dict[zmq.Context[Any], float] = {}


def watch(manager: Manager) -> None:
    """Have `manager` abandoned when the process exits, and told when it forks."""
    key = id(manager)
    _open[key] = weakref.ref(manager, lambda _: _open.pop(key, None))


def unwatch(manager: Manager) -> None:
    """Forget a manager that is closed."""
    _open.pop(id(manager), None)


def end_context(context: zmq.Context[Any], linger: float, start: Start) -> None:
    """Terminate `context` in a thread of its own; the exit of the process waits for that."""

    def term() -> None:
        try:
            context.destroy(milliseconds(linger))
        finally:
            _ending.pop(context, None)

    _ending[context] = time.monotonic() + linger + GRACE
    try:
        start(term)
    except RuntimeError:  # no thread can be started at this point of the exit
        term()


def give_up(context: zmq.Context[Any]) -> None:
    """Let the process end without waiting for `context`."""
    _ending.pop(context, None)


def dispose(
    owner: int,
    channels: dict[str, Channel],
    context: zmq.Context[Any] | None,
    linger: float,
    detach: Start,
    *leave: Callable[[], object],
) -> None:
    """Close what a manager that was dropped left behind; nothing in here waits."""
    if os.getpid() != owner:
        return
    for channel in list(channels.values()):
        channel.close()
    for each in leave:
        each()
    if context is not None:
        end_context(context, linger, detach)


def _managers() -> list[Any]:
    return [manager for ref in list(_open.values()) if (manager := ref()) is not None]


@atexit.register
def _close_at_exit() -> None:
    for manager in _managers():
        with suppress(Exception):  # one that cannot be closed must not keep the others
            manager._abandon()
    # One that is monkey-patched would let greenlets go on with what is closed.
    sleep = native("time", "sleep")
    while any(end > time.monotonic() for end in list(_ending.values())):
        sleep(0.005)
    loans.keep()


def _after_fork() -> None:
    for manager in _managers():
        manager._inherited()
    _open.clear()
    _ending.clear()
    loans.inherit()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
