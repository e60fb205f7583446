"""The processes of a measurement: started, read from, and killed by their own handle."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from side import Measured

HERE = Path(__file__).parent


class Child:
    """A script of this folder as a process; `with` kills it. It ends itself after `side.LIMIT`."""

    def __init__(self, *command: str) -> None:
        self._command = command
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / command[0]), *command[1:]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()

    def kill(self) -> None:
        """End it, and wait for its end. Twice is harmless."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def line(self) -> str:
        """Return the next line that it prints.

        Raises:
            RuntimeError: it ended without one.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line:
            raise RuntimeError(f"{' '.join(self._command)}: ended with {self._process.wait()}")
        return line

    def measured(self) -> Measured:
        """Return what it measured."""
        measured: Measured = json.loads(self.line())
        return measured


def converse(
    server: tuple[str, ...], client: tuple[str, ...], count: int
) -> tuple[Measured, Measured]:
    """Let two processes talk; return what the one that binds measured, and the other."""
    with (
        Child(*server, str(count)) as serving,
        Child(*client, str(count), serving.line()) as asking,
    ):
        return serving.measured(), asking.measured()


def alone(*command: str) -> Measured:
    """Return what one process measured by itself."""
    with Child(*command) as child:
        return child.measured()
