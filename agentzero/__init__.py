"""Named ZeroMQ sockets with one set of verbs, for threads, greenlets and event loops."""

from __future__ import annotations

# First of all: msgspec imports it while it initializes, and swallows a Ctrl-C that comes meanwhile.
import datetime  # noqa: F401

from agentzero._version import __version__
from agentzero.aio import AsyncSocketManager
from agentzero.core import SocketManager
from agentzero.events import ConnectionEvent, Envelope, Event
from agentzero.plugins import hookimpl

__all__ = [
    "AsyncSocketManager",
    "ConnectionEvent",
    "Envelope",
    "Event",
    "SocketManager",
    "__version__",
    "hookimpl",
]
