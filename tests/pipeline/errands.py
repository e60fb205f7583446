"""Steps that write down, in a file that all processes share, whenever they are executed."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from agentzero.pipeline import Instructions, Step


class Errand(Step):
    """Writes a line for each execution, and then does what the instructions say.

    Attributes:
        log: the file. A line has the step, the name in the instructions and the process.
    """

    max_retries = 100  # a worker that is killed costs a try
    min_backoff = 0.01
    max_backoff = 0.1
    log = os.devnull

    def execute(self, instructions: Instructions) -> Instructions:
        self.note(f"{self.job_type} {instructions['name']} {os.getpid()}\n")
        if instructions.get("step", self.job_type) == self.job_type:
            self.misbehave(instructions)
        return instructions | {self.job_type: os.getpid()}

    def note(self, line: str) -> None:
        file = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, line.encode())  # one write is never mixed with another
        os.close(file)

    def misbehave(self, instructions: Instructions) -> None:
        if "until" in instructions:
            while not Path(instructions["until"]).exists():
                time.sleep(0.005)
        if instructions.get("kill"):
            os.kill(os.getpid(), signal.SIGKILL)
        if instructions.get("fail"):
            raise ValueError(instructions["fail"])


class Fetch(Errand):
    job_type = "fetch"


class Store(Errand):
    job_type = "store"


class Fragile(Errand):
    """One that gives up soon."""

    job_type = "fragile"
    max_retries = 2


STEPS: dict[str, type[Errand]] = {step.job_type: step for step in (Fetch, Store, Fragile)}
