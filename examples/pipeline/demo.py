"""The worker pipeline on real files: copy each, hash the copy, delete the copy.

One process runs the pipeline, and one the worker of each step; this one starts them, starts again
what dies, and submits the files. In the end every digest is compared with hashlib's own of the
original. Kill any process at any moment, this one too, and start it again: it goes on where it was.
Ctrl-C stops it; `--help` shows what it can be given.
"""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
import sysconfig
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from crew import Crew, Hopeless
from display import Display, display_for, ended, passed, show_table
from files import job_of, python_files, sha256_of
from state import COPIES, REPLIES, Busy, is_begun, kept, remove, state_of
from steps import STEPS

from agentzero.errors import SocketTimeout
from agentzero.pipeline import Client, Job
from agentzero.pipeline.errors import JobFailed, PipelineDraining, PipelineError
from agentzero.pipeline.wire import Overview

ANSWER = 2.0  # seconds for each answer of the pipeline: it may have died over the question
PAUSE = 0.1  # seconds between two looks at the work
SHOWN = 10  # problems that are listed one by one

JOB_TYPES = [step.job_type for step in STEPS]

T = TypeVar("T")


class Stopped(Exception):
    """A signal asked this process to stop."""


class StopSignal:
    """Remembers the signal that asks this process to stop, so that nothing is cut short."""

    def __init__(self) -> None:
        self.number = 0
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores SIGHUP
                signal.signal(number, self._remember)

    def check(self) -> None:
        """Raise Stopped if there was one."""
        if self.number:
            raise Stopped

    def _remember(self, number: int, frame: object) -> None:
        self.number = number


class Work:
    """The work on some files: submitted, followed to its end, and checked.

    Args:
        files: what to work on, by the ids of the jobs.
        client: asks the pipeline.
        crew: the processes.
        stop: may end all this.

    Attributes:
        left: how many files are on their way.
    """

    def __init__(
        self, files: Mapping[str, Path], client: Client, crew: Crew, stop: StopSignal
    ) -> None:
        self.left = len(files)
        self._files = files
        self._client = client
        self._crew = crew
        self._stop = stop
        self._passed: dict[str, int] = {}

    def overview(self) -> Overview:
        """Return how far it is."""
        overview = self._ask(self._client.overview)
        self.left = len(self._files) - ended(overview)
        if passed(overview) == self._passed:
            self._crew.doubt()
        else:
            self._passed = passed(overview)
            self._crew.praise()
        return overview

    def submit(self) -> None:
        """Submit a job for each file; the pipeline knows those that it has already."""
        instructions = [
            {"source": str(path), "path": f"{COPIES}/{number}.py"}
            for number, path in enumerate(self._files.values())
        ]
        self._ask(partial(self._client.submit_many, instructions, ids=self._files))

    def follow(self, display: Display) -> Overview:
        """Show the work until all of it has ended."""
        while True:
            overview = self.overview()
            display.update(overview)
            if not self.left:
                return overview
            time.sleep(PAUSE)

    def problems(self) -> list[str]:
        """Compare every digest with hashlib's of the original; say what failed or is wrong."""
        jobs = self._ask(partial(self._client.find, self._files))
        return [problem for job in jobs if (problem := self._problem(job))]

    def _problem(self, job: Job) -> str:
        path = self._files[job.id]
        if job.result is None:
            return f"failed: {path}: {JobFailed(job.id, job.step, job.error or {})}"
        return "" if job.result["sha256"] == sha256_of(path) else f"wrong digest: {path}"

    def _ask(self, question: Callable[[], T]) -> T:
        """Ask until there is an answer, and look after the processes meanwhile."""
        while True:
            self._stop.check()
            self._crew.watch()
            with suppress(SocketTimeout, PipelineDraining):
                return question()
            self._crew.doubt()


def report(overview: Overview, problems: Sequence[str], files: int) -> None:
    """Print what was done."""
    show_table(overview)
    for problem in problems[:SHOWN]:
        print(problem)
    if len(problems) > SHOWN:
        print(f"... and {len(problems) - SHOWN:,} more")
    print(f"{files - len(problems):,} of {files:,} digests are those of hashlib.", flush=True)


def run(paths: Sequence[Path], state: Path, stop: StopSignal) -> int:
    """Take all files through the pipeline, working in that state; return the exit code."""
    files = {job_of(path): path for path in paths}
    begun = is_begun()
    try:
        with Crew() as crew, Client(f"ipc://{REPLIES}", timeout=ANSWER) as client:
            print("Processes:", crew, flush=True)
            work = Work(files, client, crew, stop)
            if begun:
                work.overview()
                done = len(files) - work.left
                print(f"Going on with {done:,} of {len(files):,} files done.", flush=True)
            with closing(display_for(JOB_TYPES, len(files))) as display:
                work.submit()
                overview = work.follow(display)
            problems = work.problems()
    except Stopped:
        name = signal.Signals(stop.number).name
        print(f"Stopped by {name}, {work.left:,} files left: the same command goes on with them.")
        return 128 + stop.number
    report(overview, problems, len(files))
    remove(state)
    return 1 if problems else 0


def main() -> int:
    """Run the demo; return the exit code."""
    library = Path(sysconfig.get_path("stdlib"))
    parser = argparse.ArgumentParser(description="Run a worker pipeline on Python files.")
    parser.add_argument("--folder", type=Path, default=library, help="default: %(default)s")
    parser.add_argument("--limit", type=int, metavar="N", help="take the first N files only")
    parser.add_argument(
        "--state",
        type=Path,
        default=".demo",
        metavar="FOLDER",
        help="where to keep what is done until everything is; default: %(default)s",
    )
    options = parser.parse_args()
    if options.limit is not None and options.limit < 1:
        parser.error("--limit is at least 1")
    stop = StopSignal()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # any file name can be shown
    paths = python_files(options.folder.absolute())[: options.limit]
    if not paths:
        parser.error(f"no .py files in {options.folder}")
    state = state_of(paths, options.state)
    try:
        with kept(state):
            return run(paths, state, stop)
    except (Busy, Hopeless, PipelineError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:  # nobody reads our output any more, as under `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    sys.exit(code)
