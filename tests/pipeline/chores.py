"""A step that does whatever its instructions say, in any executor; files say when."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from agentzero.pipeline import Instructions, Step


def chore(do: str, **details: object) -> dict[str, object]:
    """The instructions for one."""
    return {"do": do, **{name: _plain(detail) for name, detail in details.items()}}


def _plain(detail: object) -> object:
    return str(detail) if isinstance(detail, Path) else detail


class Chore(Step):
    job_type = "chore"

    def execute(self, instructions: Instructions) -> Any:
        details = {name: detail for name, detail in instructions.items() if name != "do"}
        return getattr(self, instructions["do"])(**details)

    def echo(self, text: str) -> Any:
        return {"text": text}

    def give(self, what: str) -> Any:
        """What no step should return."""
        return {"a list": [1], "nothing": None, "not a number": {"number": float("nan")}}[what]

    def fail(self, text: str) -> Any:
        raise ValueError(text)

    def leave(self) -> Any:
        raise SystemExit(3)

    def interrupt(self) -> Any:
        raise KeyboardInterrupt

    def log(self, text: str) -> Any:
        self.logger.info("it says %s", text, extra={"lock": _Unpicklable()})
        return {"process": os.getpid()}

    def wait(self, begun: str, until: str) -> Any:
        """Say so by making one file, and wait for another."""
        with Path(begun).open("a") as file:
            file.write("x")
        while not Path(until).exists():
            time.sleep(0.005)
        return {"process": os.getpid()}

    def compute(self, begun: str, until: str) -> Any:
        """As `wait`, and never pause."""
        Path(begun).touch()
        while not Path(until).exists():
            sum(range(1000))
        return {}

    def die(self) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)

    def wait_and_die(self, begun: str, until: str) -> Any:
        self.wait(begun, until)
        self.die()


class HastyChore(Chore):
    """One that may not take long."""

    time_limit = 0.2


class BriskChore(Chore):
    """One that may take a little longer."""

    time_limit = 1.0


class _Unpicklable:
    def __reduce__(self) -> Any:
        raise TypeError("not to be pickled")
