"""Backends: how tasks wait. Built in are "threads", "gevent" and "asyncio"."""

from __future__ import annotations

import os
import pkgutil
import sys
from types import ModuleType

from agentzero.backends.base import AsyncBackend, AsyncWaiter, Backend, Lock, Waiter, Wakeable
from agentzero.backends.native import is_patched
from agentzero.catalogue import Available, Catalogue
from agentzero.errors import PluginError
from agentzero.plugins import Registry, hookimpl

__all__ = [
    "AsyncBackend",
    "AsyncWaiter",
    "Backend",
    "Lock",
    "Waiter",
    "Wakeable",
    "available",
    "resolve",
    "resolve_async",
    "socket_class",
]

# Which backend suits which flavour of pyzmq.
BY_FLAVOUR = {"zmq": "threads", "zmq.green": "gevent", "zmq.asyncio": "asyncio"}

# What is handed out where a flavour's own sockets would disturb those who wait.
SOCKET_CLASSES = {"zmq.green": "agentzero.green:Socket"}

_catalogue = Catalogue("backend", sys.modules[__name__])


@hookimpl
def agentzero_register_backends(registry: Registry) -> None:
    """Bring the built-in backends."""
    registry.add("threads", f"{__name__}.threads:ThreadsBackend")
    gevent = f"{__name__}.gevent:GeventBackend"
    registry.add("gevent", gevent, requires="gevent", install="agentzero[gevent]")
    registry.add("asyncio", f"{__name__}.asyncio:AsyncioBackend")


def available() -> dict[str, Available]:
    """Every backend by name: what it is, who brings it, and why it cannot be used, if so.

    >>> [name for name in available() if name in ("asyncio", "gevent", "threads")]
    ['asyncio', 'gevent', 'threads']
    """
    return _catalogue.available()


def resolve(spec: Backend | str | None = None, zmq: ModuleType | None = None) -> Backend:
    """The backend of a `SocketManager` that is meant.

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
    if spec is None:
        spec = os.environ.get("AGENTZERO_BACKEND") or _suiting(zmq)
    backend = _made(spec)
    if backend.is_async:
        raise PluginError(f"backend {backend.name!r} is for AsyncSocketManager, which is awaited")
    _check_flavour(zmq, "zmq.asyncio", "AsyncSocketManager")
    return backend


def resolve_async(
    spec: AsyncBackend | str | None = None, zmq: ModuleType | None = None
) -> AsyncBackend:
    """The backend of an `AsyncSocketManager` that is meant.

    Args:
        spec: an instance of one, the name of one, or None for the one that
            $AGENTZERO_ASYNC_BACKEND names, else asyncio.
        zmq: a flavour of pyzmq: zmq or zmq.asyncio.

    Raises:
        PluginError: no backend has that name, or it cannot be used here.
        TypeError: `spec` is none of these.

    >>> resolve_async().name
    'asyncio'
    """
    if spec is None:
        spec = os.environ.get("AGENTZERO_ASYNC_BACKEND") or "asyncio"
    backend = _made(spec)
    if not backend.is_async:
        raise PluginError(f"backend {backend.name!r} is for SocketManager, which is not awaited")
    _check_flavour(zmq, "zmq.green", "SocketManager")
    return backend


def socket_class(zmq: ModuleType) -> type:
    """The class of the sockets to hand out for a flavour of pyzmq.

    >>> import zmq
    >>> socket_class(zmq) is zmq.Socket
    True
    """
    replaced = SOCKET_CLASSES.get(zmq.__name__)
    chosen: type = pkgutil.resolve_name(replaced) if replaced else zmq.Socket
    return chosen


def _made(spec: Backend | AsyncBackend | str) -> Backend | AsyncBackend:
    if isinstance(spec, str):
        made: Backend | AsyncBackend = _catalogue.make(spec, Backend | AsyncBackend)
        return made
    if isinstance(spec, type) or not isinstance(spec, Backend | AsyncBackend):
        raise TypeError(f"a backend is an instance of one, a name or None, not {spec!r}")
    return spec


def _check_flavour(zmq: ModuleType | None, unsuitable: str, manager: str) -> None:
    if zmq is None:
        return
    if not hasattr(zmq, "Context"):
        raise TypeError(f"zmq is a flavour of pyzmq, such as zmq or zmq.green, not {zmq!r}")
    if zmq.__name__ == unsuitable:
        raise PluginError(f"{unsuitable} is for {manager}")


def _suiting(zmq: ModuleType | None) -> str:
    if zmq is not None:
        return BY_FLAVOUR.get(getattr(zmq, "__name__", ""), "threads")
    return "gevent" if is_patched() else "threads"
