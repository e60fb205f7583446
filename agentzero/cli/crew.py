"""A crew: worker processes that are started again when they die."""

from __future__ import annotations

import logging
import subprocess
import threading
from collections.abc import Sequence
from queue import SimpleQueue
from time import monotonic

from agentzero.pipeline.signals import ending_signals
from agentzero.pipeline.step import backoff

__all__ = ["Crew"]

logger = logging.getLogger("agentzero.cli")

SHORTEST, LONGEST = 1.0, 60.0  # seconds until a process is started again
PROVEN = 60.0  # seconds after which one that dies counts as the first to do so


class Crew:
    """Processes that run one command, and are kept running until a signal asks them to end.

    Each leads a process group, so that Ctrl-C in a terminal reaches this process alone. When it
    dies itself, the standard input of the others comes to its end.

    Args:
        command: what each runs. It ends in good order at SIGTERM, and at once at another.
        processes: how many there are to be.
    """

    def __init__(self, command: Sequence[str], processes: int) -> None:
        self._command = command
        self._processes = processes
        self._running: set[subprocess.Popen[bytes]] = set()
        self._ending = threading.Event()
        self._lock = threading.Lock()
        # Whether a signal came, or else one of the threads has ended.
        self._news: SimpleQueue[bool] = SimpleQueue()

    def run(self) -> None:
        """Keep them running until SIGTERM or SIGINT; a second signal is passed on as well."""
        with ending_signals(lambda: self._news.put(True)):
            for _ in range(self._processes):
                threading.Thread(target=self._keep, daemon=True).start()
            left = self._processes
            while left:
                if self._news.get():
                    self._terminate()
                else:
                    left -= 1

    def _terminate(self) -> None:
        with self._lock:
            self._ending.set()
            for process in self._running:
                process.terminate()

    def _keep(self) -> None:
        deaths = 0
        try:
            while (lived := self._run_once()) is not None:
                deaths = 1 if lived >= PROVEN else deaths + 1
                self._ending.wait(backoff(deaths, SHORTEST, LONGEST))
        finally:
            self._news.put(False)

    def _run_once(self) -> float | None:
        """Run the command to its end; return how long that took, None when all are to end."""
        with self._lock:
            if self._ending.is_set():
                return None
            # Its standard input is a lifeline: nothing is ever written.
            process = subprocess.Popen(self._command, stdin=subprocess.PIPE, process_group=0)
            self._running.add(process)
        began = monotonic()
        with process:
            code = process.wait()
        with self._lock:
            self._running.discard(process)
        if not self._ending.is_set():
            logger.warning("%s; starting another", _end_of(process.pid, code))
        return monotonic() - began


def _end_of(pid: int, code: int) -> str:
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    return f"worker process {pid} {how}"
