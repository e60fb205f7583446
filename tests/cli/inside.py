"""Commands in the process of the test, and a peer for them to talk to."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TextIO

import pytest

from agentzero import SocketManager
from agentzero.cli.root import run
from tests.processes import START


@dataclass(frozen=True)
class Ran:
    """What a command exits with, and what it wrote."""

    code: int
    out: bytes
    err: str

    @property
    def lines(self) -> list[bytes]:
        return self.out.splitlines()


class Agent:
    """`agentzero`, called with words."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[bytes]
    ) -> None:
        self._monkeypatch = monkeypatch
        self._capture = capture

    def __call__(self, *words: str, stdin: bytes | TextIO = b"") -> Ran:
        if isinstance(stdin, bytes):
            stdin = io.TextIOWrapper(io.BytesIO(stdin))
        self._monkeypatch.setattr(sys, "stdin", stdin)
        self._monkeypatch.setattr(sys, "argv", ["agentzero", *words])
        code = run()
        out, err = self._capture.readouterr()
        return Ran(code, out, err.decode())


class Peer:
    """Another program, with sockets of its own."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.sockets = SocketManager(timeout=START, linger=0)

    def has(self, kind: int, *, bound: bool = False, **options: Any) -> str:
        """Have a socket at the address; it is called "peer"."""
        attach = self.sockets.ensure_and_bind if bound else self.sockets.ensure_and_connect
        attach("peer", kind, self.address, **options)
        return "peer"


@contextmanager
def meanwhile(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Iterator[None]:
    """Have a function run beside the block, and raise what it raised."""
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(function, *args, **kwargs)
        yield
        running.result(START)
