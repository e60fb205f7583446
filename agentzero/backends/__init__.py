"""Backends: how tasks wait. Built in are "threads", "gevent" and "asyncio"."""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import Any

from agentzero.backends.base import AsyncBackend, AsyncWaiter, Backend, Lock, Waiter, Wakeable
from agentzero.errors import PluginError
from agentzero.plugins import Available, Catalogue, Registry, hookimpl

__all__ = [
    "AsyncBackend",
    "AsyncWaiter",
    "Backend",
    "Lock",
    "Waiter",
    "Wakeable",
    "available",
    "resolve",
]

ENVIRONMENT_VARIABLE = "AGENTZERO_BACKEND"

# Which backend suits which flavour of pyzmq.
BY_FLAVOUR = {"zmq": "threads", "zmq.green": "gevent", "zmq.asyncio": "asyncio"}

_catalogue = Catalogue("backend", sys.modules[__name__])


@hookimpl
def agentzero_register_backends(registry: Registry) -> None:
    """Bring the built-in backends."""
    registry.add("threads", f"{__name__}.threads:ThreadsBackend")
    gevent = f"{__name__}.gevent:GeventBackend"
    registry.add("gevent", gevent, requires="gevent", install="agentzero[gevent]")


def available() -> dict[str, Available]:
    """Every backend by name: what it is, who brings it, and why it cannot be used, if so.

    >>> [name for name in available() if name in ("gevent", "threads")]
    ['gevent', 'threads']
    """
    return _catalogue.available()


def resolve(spec: Backend | str | None = None, zmq: ModuleType | None = None) -> Backend:
    """The backend that is meant.

    Args:
        spec: an instance of one, the name of one, or None for the one that $AGENTZERO_BACKEND
            names, else the one that suits `zmq`, else gevent where it has monkey-patched the
            process, else threads.
        zmq: a flavour of pyzmq: zmq or zmq.green.

    Raises:
        PluginError: no backend has that name, or it cannot be used here.
        TypeError: `spec` is none of these.

    >>> resolve("threads").name
    'threads'
    """
    if zmq is not None and not hasattr(zmq, "Context"):
        raise TypeError(f"zmq is a flavour of pyzmq, such as zmq or zmq.green, not {zmq!r}")
    if zmq is not None and zmq.__name__ == "zmq.asyncio":
        raise PluginError("zmq.asyncio is for AsyncSocketManager, which is awaited")
    if spec is None:
        spec = os.environ.get(ENVIRONMENT_VARIABLE) or _suiting(zmq)
    backend = _catalogue.find(spec)() if isinstance(spec, str) else spec
    if isinstance(backend, type) or not isinstance(backend, Backend | AsyncBackend):
        raise TypeError(f"a backend is an instance of one, a name or None, not {spec!r}")
    if backend.is_async:
        raise PluginError(f"backend {backend.name!r} is for AsyncSocketManager, which is awaited")
    return backend


def _suiting(zmq: ModuleType | None) -> str:
    if zmq is not None:
        return BY_FLAVOUR.get(zmq.__name__, "threads")
    return "gevent" if _is_monkey_patched() else "threads"


def _is_monkey_patched() -> bool:
    monkey: Any = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("socket"))
