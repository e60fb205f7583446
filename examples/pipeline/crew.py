"""The processes of the demo: started, started again when they die, and ended."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from time import monotonic
from types import TracebackType

from steps import STEPS

ROLES = ("pipeline", *(step.job_type for step in STEPS))
PATIENCE = 30  # seconds without any progress before all processes count as hung
DEATHS = 5  # of one process without any progress, before that is hopeless
GRACE = 3  # seconds for a process to end when it is asked to


class Hopeless(Exception):
    """A process dies again and again."""


class Crew:
    """A process for each role: the pipeline, and a worker for each step."""

    def __init__(self) -> None:
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.praise()

    def __enter__(self) -> Crew:
        for role in ROLES:
            self._start(role)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Ask all to end, and see to it that they do."""
        for process in self._processes.values():
            process.terminate()
        end = monotonic() + GRACE
        for process in self._processes.values():
            try:
                process.wait(max(0.0, end - monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def __str__(self) -> str:
        return ", ".join(f"{role} ({process.pid})" for role, process in self._processes.items())

    def praise(self) -> None:
        """Note that there is progress."""
        self._progress = monotonic()
        self._deaths: Counter[str] = Counter()

    def doubt(self) -> None:
        """Kill all where there has been no progress for too long: something hangs."""
        if monotonic() - self._progress > PATIENCE:
            print(f"No progress in {PATIENCE} s: all processes are killed.", flush=True)
            self._progress = monotonic()
            for process in self._processes.values():
                process.kill()
                process.wait()

    def watch(self) -> None:
        """Start again what has ended.

        Raises:
            Hopeless: that did not help.
        """
        for role, process in self._processes.items():
            code = process.poll()
            if code is not None:
                self._replace(role, process.pid, code)

    def _replace(self, role: str, pid: int, code: int) -> None:
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        self._deaths[role] += 1
        if self._deaths[role] >= DEATHS:
            raise Hopeless(f"{role} ({pid}) {how}, {DEATHS} times without any progress")
        self._start(role)
        again = self._processes[role].pid
        print(f"{role} ({pid}) {how}: started again ({again})", flush=True)

    def _start(self, role: str) -> None:
        script = Path(__file__).with_name("process.py")
        self._processes[role] = subprocess.Popen(
            [sys.executable, script, role],
            stdin=subprocess.PIPE,  # its end, also by our death, ends the process
            stdout=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C in a terminal is for this process alone
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},  # they import what we do
        )
