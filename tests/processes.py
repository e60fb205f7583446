"""Real processes for tests: started, listened to, waited for within a bound, and always ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]

# Interpreter, imports and, in a coverage run, writing what was measured; on a busy machine.
START = 20.0


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes:
        code: what it exited with; minus the signal's number where one killed it.
        out, err: what it wrote.
        seconds: from its start to its end.
    """

    code: int
    out: str
    err: str
    seconds: float


class Process:
    """A Python process that is running."""

    def __init__(self, *arguments: str, measured: bool = True) -> None:
        environment = os.environ | {"PYTHONFAULTHANDLER": "1", "PYTHONUNBUFFERED": "1"}
        if not measured:
            environment = {k: v for k, v in environment.items() if not k.startswith("COVERAGE")}
        self._began = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def line(self) -> str:
        """The next line that it prints; what it said on stderr instead where it has ended."""
        assert self._process.stdout is not None
        said = self._process.stdout.readline().rstrip("\n")
        assert said or self._process.poll() is None, self.end(1).err
        return said

    def interrupt(self) -> None:
        """Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def end(self, within: float) -> Ended:
        """Wait until it has ended; it fails the test where that takes too long."""
        try:
            out, err = self._process.communicate(timeout=within)
        except subprocess.TimeoutExpired:
            # Faulthandler prints every thread's stack.
            self._process.send_signal(signal.SIGABRT)
            out, err = self._process.communicate()
            raise AssertionError(f"still running after {within} s\n{out}\n{err}") from None
        return Ended(self._process.returncode, out, err, time.monotonic() - self._began)

    def kill(self) -> None:
        """End it if it has not ended by itself."""
        self._process.kill()
        self._process.communicate()


@contextmanager
def running(*arguments: str, measured: bool = True) -> Iterator[Process]:
    """Run Python with these arguments; it never outlives the block.

    Args:
        arguments: as for the interpreter: `-c` and a program, or `-m` and a module.
        measured: whether a coverage run measures it too; it makes it many times slower.
    """
    process = Process(*arguments, measured=measured)
    try:
        yield process
    finally:
        process.kill()


def run(*arguments: str, within: float, measured: bool = True) -> Ended:
    """Run Python to its end."""
    with running(*arguments, measured=measured) as process:
        return process.end(within)


def is_running(pid: int) -> bool:
    """Whether a process has anything left: its other threads may outlive the first one."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state != "Z" or len(list(Path(f"/proc/{pid}/task").iterdir())) > 1
    except (FileNotFoundError, ProcessLookupError):
        return False


def is_asleep(pid: int) -> bool:
    """Whether a process waits, and goes on to; where the system does not tell, it is taken to."""
    try:
        before = _activity(pid)
        time.sleep(0.05)
        return _activity(pid) == before and before[0] == "S"
    except FileNotFoundError:
        return True


def _activity(pid: int) -> tuple[str, str]:
    """The state of its main thread, and for how many nanoseconds that has run."""
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state, Path(f"/proc/{pid}/schedstat").read_text().split()[0]


def eventually(
    condition: Callable[[], object],
    patience: float = START,
    pause: Callable[[float], object] = time.sleep,
) -> None:
    """Wait until a condition holds; it fails the test where it never does.

    Args:
        condition: asked again and again.
        patience: for how many seconds.
        pause: lets others run for so many seconds.
    """
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, f"it did not come true in {patience:g} s"
        pause(0.005)


@contextmanager
def interruptible() -> Iterator[None]:
    """Give processes a SIGINT that is not ignored, also where pytest runs in the background."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def elsewhere(function: Callable[[], Any]) -> Any:
    """What a function returns in a native thread of its own."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join(20)
    return results[0]
