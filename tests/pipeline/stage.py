"""A whole pipeline of real processes that a test kills, stops and starts as it likes."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from agentzero.pipeline import Client
from agentzero.pipeline.journal import Journal
from tests.ports import lasting_port
from tests.processes import ROOT, eventually, is_running

PATIENCE = 30.0  # seconds in which anything must have happened


class Stage:
    """Starts processes, and reads what they left behind.

    Args:
        folder: for the journal and the log of executions.
        hatchery: the process that forks the others.
    """

    def __init__(self, folder: Path, hatchery: subprocess.Popen[str]) -> None:
        self.log = folder / "executions"
        self.log.touch()
        self.database = folder / "jobs.db"
        self.journal = f"sqlite:///{self.database}"
        self.addresses = {
            name: f"tcp://127.0.0.1:{lasting_port()}"
            for name in ("reply_address", "events_address", "results_address")
        }
        self.options: dict[str, Any] = {"heartbeat": 0.2, "lease": 2.0, "grace": 5.0}
        self._hatchery = hatchery
        self._watch_endings()

    @property
    def reply_address(self) -> str:
        return self.addresses["reply_address"]

    # Processes

    def pipeline(self, *steps: str, **options: Any) -> int:
        """Start the pipeline, or start it again; return its process."""
        names = steps or ("fetch", "store")
        return self._start(
            "pipeline", self.addresses | self.options | options, journal=self.journal, steps=names
        )

    def worker(self, step: str = "fetch", **options: Any) -> int:
        return self._start(
            "worker", options, step=step, reply_address=self.reply_address, log=str(self.log)
        )

    def _start(self, role: str, options: dict[str, Any], **more: Any) -> int:
        assert self._hatchery.stdin
        assert self._hatchery.stdout
        self._hatchery.stdin.write(f"{role} {json.dumps(options | more)}\n")
        self._hatchery.stdin.flush()
        return int(self._hatchery.stdout.readline())

    def client(self, timeout: float = PATIENCE) -> Client:
        return Client(self.reply_address, timeout=timeout)

    # What they left behind

    def executions(self) -> list[tuple[str, str, int]]:
        """Return the step, the name and the process of each execution that was begun."""
        lines = [line.split() for line in self.log.read_text().splitlines()]
        return [(step, name, int(pid)) for step, name, pid in lines]

    def wait_for_execution(self, name: str, number: int = 1) -> int:
        """Wait until a job is executed for the so many-th time; return the process that does it."""
        found: list[int] = []

        def enough() -> bool:
            found[:] = [pid for _, other, pid in self.executions() if other == name]
            return len(found) >= number

        eventually(enough, PATIENCE)
        return found[number - 1]

    def _watch_endings(self) -> None:
        # The database itself writes down how often a job ended: once is right.
        with Journal(self.journal, "errands"):
            pass
        with self._connected() as database:
            database.executescript("""
                CREATE TABLE endings (id TEXT, state TEXT);
                CREATE TRIGGER watch AFTER UPDATE ON agentzero_jobs
                WHEN NEW.state IN ('done', 'dead') BEGIN
                    INSERT INTO endings VALUES (NEW.id, NEW.state);
                END;
            """)

    def endings(self) -> dict[str, list[str]]:
        """Return how each job ended, as often as it did."""
        endings: dict[str, list[str]] = {}
        with self._connected() as database:
            for name, state in database.execute("SELECT id, state FROM endings"):
                endings.setdefault(name, []).append(state)
        return endings

    def states(self) -> Counter[str]:
        """Return how many jobs the journal has in each state."""
        with self._connected() as database:
            counts = database.execute("SELECT state, count(*) FROM agentzero_jobs GROUP BY state")
            return Counter(dict(counts.fetchall()))

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.database, timeout=PATIENCE)) as database, database:
            yield database


@contextmanager
def hatching() -> Iterator[subprocess.Popen[str]]:
    """Have a hatchery, and nothing left of it in the end."""
    # Measured processes are several times slower, and these measure nothing that others do not.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE")}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.pipeline.hatchery"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment,
    ) as hatchery:
        yield hatchery


def kill(pid: int) -> None:
    """Kill a process as nobody can prevent."""
    os.kill(pid, signal.SIGKILL)


def ends(pid: int) -> None:
    """Wait until a process has ended."""
    eventually(lambda: not is_running(pid), PATIENCE)
