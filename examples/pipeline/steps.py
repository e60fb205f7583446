"""The steps of the pipeline. Each runs in a process of its own and does one type of job:

python steps.py calculate-hash --events tcp://127.0.0.1:6000 --results tcp://127.0.0.1:6001
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import shutil
import signal
import threading
from pathlib import Path
from typing import ClassVar

import msgspec
import zmq

from agentzero import SocketManager
from agentzero.util import serialized_exception

Instructions = dict[str, str]

ANNOUNCE_EVERY = 0.1  # seconds without a job


class Available(msgspec.Struct):
    """A worker's announcement: which type of job it does, and where it takes jobs."""

    job_type: str
    address: str


class Job(msgspec.Struct):
    """What the manager sends to a worker."""

    id: int
    instructions: Instructions


class Result(msgspec.Struct):
    """What a worker answers: the output of the job, or the error that it failed with."""

    id: int
    worker: str
    output: Instructions | None = None
    error: dict[str, str] | None = None


class Step:
    """A worker for one type of job: subclasses say which, and how it is done.

    Args:
        events: the address where the manager subscribes to events.
        results: the address where the manager pulls results.
    """

    job_type: ClassVar[str]

    def __init__(self, events: str, results: str) -> None:
        self.running = True
        # When the manager is gone, messages to it may hold up our exit for one second.
        self.sockets = SocketManager(linger=1)
        self.sockets.create("jobs", zmq.PULL)
        _, self.address = self.sockets.bind_to_random_port(
            "jobs", zmq.POLLIN, local_address="tcp://127.0.0.1"
        )
        self.sockets.ensure_and_connect("results", zmq.PUSH, results, zmq.POLLOUT)
        self.sockets.ensure_and_connect("events", zmq.PUB, events, zmq.POLLOUT)
        self.logger = self.sockets.get_logger("events", "logs", logger_name=self.job_type)
        self.logger.setLevel(logging.INFO)

    def execute(self, instructions: Instructions) -> Instructions:
        """Do one job; what it returns is the next step's instructions."""
        raise NotImplementedError

    def run(self) -> None:
        """Work until `stop`; without work, say again and again that this worker is available.

        Once would not do: a PUB socket drops what it publishes before its connection is up.
        """
        with self.sockets:
            while self.running:
                job = self.sockets.recv_safe("jobs", timeout=ANNOUNCE_EVERY, type=Job)
                if job is None:
                    available = Available(self.job_type, self.address)
                    self.sockets.publish("events", "available", available)
                else:
                    self.work(job)

    def stop(self) -> None:
        """Let `run` end after the job at hand; any thread or signal handler may call this."""
        self.running = False

    def work(self, job: Job) -> None:
        """Do one job, send its result, and publish what happens as events."""
        self.publish("started", job)
        try:
            output = self.execute(job.instructions)
        except Exception as error:
            self.logger.error("job %d failed: %s", job.id, error)
            result = Result(job.id, self.address, error=serialized_exception(error))
            outcome = "failed"
        else:
            result = Result(job.id, self.address, output=output)
            outcome = "success"
        self.sockets.send("results", result)
        self.publish(outcome, job)

    def publish(self, topic: str, job: Job) -> None:
        """Publish what became of a job."""
        self.sockets.publish("events", topic, {"id": job.id, "job_type": self.job_type})


class GenerateFile(Step):
    """Copies the file `source` to `path`."""

    job_type = "generate-file"

    def execute(self, instructions: Instructions) -> Instructions:
        """Copy one file."""
        source, path = Path(instructions["source"]), Path(instructions["path"])
        shutil.copyfile(source, path)
        self.logger.info("copied %s to %s", source.name, path.name)
        return {"path": str(path)}


class CalculateHash(Step):
    """Calculates the `sha256` of the file `path`."""

    job_type = "calculate-hash"

    def execute(self, instructions: Instructions) -> Instructions:
        """Hash one file."""
        path = Path(instructions["path"])
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self.logger.info("hashed %s: %s", path.name, digest)
        return instructions | {"sha256": digest}


class DeleteFile(Step):
    """Deletes the file `path`."""

    job_type = "delete-file"

    def execute(self, instructions: Instructions) -> Instructions:
        """Delete one file."""
        path = Path(instructions["path"])
        path.unlink()
        self.logger.info("deleted %s", path.name)
        return {"sha256": instructions["sha256"]}


STEPS: tuple[type[Step], ...] = (GenerateFile, CalculateHash, DeleteFile)


def stop_when_asked(step: Step) -> None:
    """Have `step` stop on SIGTERM, and when standard input ends.

    Whoever starts a step holds the other end of its standard input, and the system closes that
    when they die, however they die: no step outlives its parent.
    """

    def wait_for_end_of_input() -> None:
        os.read(0, 1)
        step.stop()

    threading.Thread(target=wait_for_end_of_input, daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: step.stop())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, who then stops us


def main() -> None:
    """Run the step that the command line names."""
    classes = {step.job_type: step for step in STEPS}
    parser = argparse.ArgumentParser(description="Run one step of the pipeline.")
    parser.add_argument("job_type", choices=classes)
    parser.add_argument("--events", required=True, metavar="ADDRESS")
    parser.add_argument("--results", required=True, metavar="ADDRESS")
    options = parser.parse_args()
    step = classes[options.job_type](options.events, options.results)
    stop_when_asked(step)
    step.run()


if __name__ == "__main__":
    main()
