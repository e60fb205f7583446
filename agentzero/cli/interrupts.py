"""Ctrl-C is heard, whatever it comes upon."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer, main_thread
from types import TracebackType

__all__ = ["every_ctrl_c_heard"]

SOON = 0.01  # seconds: by then the destructor is over


@contextmanager
def every_ctrl_c_heard() -> Iterator[None]:
    """Press Ctrl-C once more where the KeyboardInterrupt could not be raised: in a destructor.

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
        again = Timer(SOON, signal.pthread_kill, [main_thread().ident, signal.SIGINT])
        again.daemon = True
        again.start()
    else:
        sys.__unraisablehook__(swallowed)


def _tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
