"""Which of some file descriptors are readable."""

from __future__ import annotations

import math
import select
from collections.abc import Sequence
from typing import Any

from agentzero.backends.native import native

__all__ = ["Readiness", "native_readiness", "readiness"]


class Readiness:
    """Made once to ask for the same often."""

    def __init__(self, fds: Sequence[int]) -> None:
        self._poll = self._new_poll()
        for fd in fds:
            self._poll.register(fd, select.POLLIN)

    @staticmethod
    def _new_poll() -> Any:
        return select.poll()

    def wait(self, timeout: float) -> list[int]:
        """Return those that are readable, after `timeout` seconds at the most."""
        ready = self._poll.poll(None if timeout == math.inf else timeout * 1000)
        return [fd for fd, _ in ready]


class NativeReadiness(Readiness):
    """The same for a native thread, which has no hub to wait in where gevent has patched poll."""

    @staticmethod
    def _new_poll() -> Any:
        return native("select", "poll")()


class SelectReadiness(Readiness):
    """The same where there is no poll(2), which is on Windows."""

    def __init__(self, fds: Sequence[int]) -> None:
        self._fds = fds

    def wait(self, timeout: float) -> list[int]:
        return select.select(self._fds, [], [], None if timeout == math.inf else timeout)[0]


HAS_POLL = hasattr(select, "poll")

readiness: type[Readiness] = Readiness if HAS_POLL else SelectReadiness
native_readiness: type[Readiness] = NativeReadiness if HAS_POLL else SelectReadiness
