"""Ports that are not any free ones: who uses them has to be alone."""

from __future__ import annotations

import fcntl
import random
import socket
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import gettempdir

import pytest


@contextmanager
def having(ports: Collection[int]) -> Iterator[None]:
    """Have these ports of this host, and no other test meanwhile.

    The test is skipped where another program has one.
    """
    if not ports:
        yield
        return
    with Path(gettempdir(), "agentzero-tests-ports.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for port in sorted(ports):
            _check(port)
        yield


def lasting_port() -> int:
    """Return a free port that also stays free while nobody listens there.

    One of those that the system hands out may go to a connection meanwhile: also to one that just
    that port is tried with, which then meets itself.
    """
    while True:
        port = random.randrange(12_000, 32_000)  # below what Linux, macOS and others hand out
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _check(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            pytest.skip(f"another program has port {port}: {error}")
