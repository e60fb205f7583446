"""Signals that ask a process to end, handed to whoever can end it in good order."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["ending_signals"]


@contextmanager
def ending_signals(callback: Callable[[], object]) -> Iterator[None]:
    """Call `callback` at each SIGTERM and SIGINT, as long as the block runs.

    Only the main thread is told of signals: in any other, nothing changes. Nor does it for a signal
    that is ignored, as SIGINT is in what a shell runs in the background.

    Args:
        callback: called between any two instructions of the main thread, also amid itself: it must
            take no lock, and wait for nothing.

    >>> with ending_signals(lambda: print("asked to end")):
    ...     signal.raise_signal(signal.SIGTERM)
    asked to end
    """
    previous = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            if signal.getsignal(number) not in (signal.SIG_IGN, None):  # None: set by no Python
                previous[number] = signal.signal(number, lambda *_: callback())
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
