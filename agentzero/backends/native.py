"""What gevent may have replaced, as it was."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

__all__ = ["is_patched", "native"]


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
