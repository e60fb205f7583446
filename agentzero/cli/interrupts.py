"""Ctrl-C and SIGTERM are heard, whatever they come upon."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer, main_thread
from types import TracebackType
from typing import Never

__all__ = ["Terminated", "every_ctrl_c_heard", "sigterm_heard"]

SOON = 0.01  # seconds: by then the destructor is over


class Terminated(KeyboardInterrupt):
    """SIGTERM came; commands end as they do after Ctrl-C."""


@contextmanager
def every_ctrl_c_heard() -> Iterator[None]:
    """Send the signal once more whose KeyboardInterrupt could not be raised: in a destructor.

    pyzmq runs signal handlers when it frees a frame, and Python swallows what they raise there. In
    a loop that receives without a pause, that is where one Ctrl-C of twenty comes.
    """
    hooks = sys.unraisablehook, sys.excepthook
    sys.unraisablehook = _press_again
    sys.excepthook = _tell  # Cython has it print what is swallowed
    try:
        yield
    finally:
        sys.unraisablehook, sys.excepthook = hooks


def _press_again(swallowed: sys.UnraisableHookArgs) -> None:
    if issubclass(swallowed.exc_type, KeyboardInterrupt):
        terminated = issubclass(swallowed.exc_type, Terminated)
        number = signal.SIGTERM if terminated else signal.SIGINT
        again = Timer(SOON, signal.pthread_kill, [main_thread().ident, number])
        again.daemon = True
        again.start()
    else:
        sys.__unraisablehook__(swallowed)


def _tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)


@contextmanager
def sigterm_heard() -> Iterator[None]:
    """Raise `Terminated` where SIGTERM comes."""
    usual = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, usual)


def _terminate(*_: object) -> Never:
    raise Terminated
