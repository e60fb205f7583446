"""Commands as processes that are talked to while they run, and on terminals."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.processes import START


@contextmanager
def started(*words: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Run `agentzero pipeline` with these words; it never outlives the block."""
    command = [sys.executable, "-m", "agentzero", "pipeline", *words]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    # Said, as C libraries that pytest uses set variables of which Python does not know.
    options = {**pipes, "env": os.environ, **options}
    with subprocess.Popen(command, **options, encoding="utf-8") as process:
        try:
            yield process
        finally:
            process.kill()


def on_a_terminal(*words: str, columns: int = 100) -> tuple[int, str]:
    """What a command exits with and writes where that is a terminal."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (40, columns))
    with started(*words, stdout=theirs) as process:
        os.close(theirs)
        chunks: list[bytes] = []
        reading = threading.Thread(target=lambda: chunks.extend(read(ours)))
        reading.start()
        process.wait(START)
        reading.join(START)
    os.close(ours)
    return process.returncode, b"".join(chunks).decode().replace("\r\n", "\n")


def read(terminal: int) -> Iterator[bytes]:
    """Read what is written on a terminal, until nobody can any more."""
    while True:
        try:
            yield os.read(terminal, 65536)
        except OSError:  # how Linux reports that the other end is closed
            return
