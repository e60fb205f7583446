"""Which of some file descriptors are readable."""

from __future__ import annotations

import math
import select
from collections.abc import Sequence

__all__ = ["readiness"]


class Readiness:
    """Made once to ask for the same often."""

    def __init__(self, fds: Sequence[int]) -> None:
        self._poll = select.poll()
        for fd in fds:
            self._poll.register(fd, select.POLLIN)

    def wait(self, timeout: float) -> list[int]:
        """Return those that are readable, after `timeout` seconds at the most."""
        ready = self._poll.poll(None if timeout == math.inf else timeout * 1000)
        return [fd for fd, _ in ready]


class SelectReadiness(Readiness):
    """The same where there is no poll(2), which is on Windows."""

    def __init__(self, fds: Sequence[int]) -> None:
        self._fds = fds

    def wait(self, timeout: float) -> list[int]:
        return select.select(self._fds, [], [], None if timeout == math.inf else timeout)[0]


readiness = Readiness if hasattr(select, "poll") else SelectReadiness
