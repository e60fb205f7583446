"""Named ZeroMQ sockets with one set of verbs, for threads and greenlets."""

from __future__ import annotations

from agentzero._version import __version__
from agentzero.core import SocketManager
from agentzero.events import Envelope, Event
from agentzero.plugins import hookimpl

__all__ = ["Envelope", "Event", "SocketManager", "__version__", "hookimpl"]
