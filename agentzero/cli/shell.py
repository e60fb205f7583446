"""Shell commands that turn bytes into bytes, within a time."""

from __future__ import annotations

import math
import os
import signal
import subprocess
from contextlib import suppress
from subprocess import PIPE

__all__ = ["CommandFailed", "output_of"]


class CommandFailed(Exception):
    """A command took too long, or said by its exit code that it failed."""


def output_of(command: str, given: bytes, timeout: float) -> bytes:
    """Return what a shell command writes to its standard output.

    Args:
        command: what a shell is to run. It must hold nothing that a stranger said.
        given: what the command finds on its standard input.
        timeout: seconds after which it is killed, and all that it has started.

    Raises:
        CommandFailed: it took longer, or failed. The text does not tell what it was.

    >>> output_of("tr a-z A-Z", b"hello", 10)
    b'HELLO'
    """
    interrupted: list[int] = []
    # Ctrl-C while it starts would leave it behind.
    usual = signal.signal(signal.SIGINT, lambda number, _: interrupted.append(number))
    try:
        with subprocess.Popen(
            command, shell=True, stdin=PIPE, stdout=PIPE, process_group=0
        ) as process:
            try:
                signal.signal(signal.SIGINT, usual)
                if interrupted:
                    raise KeyboardInterrupt
                output, _ = process.communicate(given, None if timeout == math.inf else timeout)
            except BaseException:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                raise
    except subprocess.TimeoutExpired:
        raise CommandFailed(f"the command took more than {timeout:g} s") from None
    finally:
        signal.signal(signal.SIGINT, usual)
    if process.returncode:
        raise CommandFailed(f"the command ended with exit code {process.returncode}")
    return output
