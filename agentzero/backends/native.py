"""What gevent may have replaced, as it was."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from agentzero.backends.base import Lock

__all__ = ["is_patched", "native", "native_lock", "start_native"]


def is_patched(module: str = "socket") -> bool:
    """Return whether gevent has monkey-patched a module."""
    monkey: Any = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched(module))


def native(module: str, name: str) -> Any:
    """Return an attribute of a module as it was before any monkey-patching.

    Of locks, ask `_thread`: what gevent keeps as the original of `threading.RLock` makes its own.

    >>> native("_thread", "RLock").__module__
    '_thread'
    """
    monkey: Any = sys.modules.get("gevent.monkey")
    if monkey is None:
        return getattr(import_module(module), name)
    return monkey.get_original(module, name)


def native_lock() -> Lock:
    """Return a new lock that native threads may share with whatever gevent runs.

    >>> with native_lock():
    ...     pass
    """
    lock: Lock = native("_thread", "RLock")()
    return lock


def start_native(function: Callable[[], object]) -> object:
    """Start a native thread, and do not wait for it.

    Not a threading.Thread, whose start waits for locks that garbage collection may interrupt.

    >>> lock = native("_thread", "allocate_lock")()
    >>> _ = lock.acquire()
    >>> _ = start_native(lock.release)
    >>> lock.acquire(timeout=20)
    True
    """
    return native("_thread", "start_new_thread")(function, ())
