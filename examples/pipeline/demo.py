"""The worker pipeline on real files: copy each, hash the copy, delete the copy.

One process per step, and this one, which manages them. In the end every digest is compared with
hashlib's own of the original. Ctrl-C stops it at any time; `--help` shows what it can be given.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from display import Display, display_for, show_table
from manager import Manager
from steps import STEPS, Instructions

from agentzero import Event
from agentzero.log import record_from_event

JOB_TYPES = [step.job_type for step in STEPS]
PATIENCE = 30  # seconds without any result before a step counts as lost
GRACE = 3  # seconds for a step to end when it is asked to
SHOWN = 10  # problems that are listed one by one

Processes = Mapping[str, "subprocess.Popen[bytes]"]


class StepLost(Exception):
    """A step ended, or does not answer, while there is still work."""


class StopSignal:
    """Remembers the signal that asks this process to stop, so that nothing is cut short."""

    def __init__(self) -> None:
        self.number = 0
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores SIGHUP
                signal.signal(number, self._remember)

    def _remember(self, number: int, frame: object) -> None:
        self.number = number


# The files


def python_files(folder: Path) -> list[Path]:
    """Return the readable .py files below `folder`, without installed packages."""
    return [path for path in sorted(folder.rglob("*.py")) if is_ours(path, folder)]


def is_ours(path: Path, folder: Path) -> bool:
    """Return whether the demo works on that file."""
    installed = {"site-packages", "dist-packages"} & set(path.relative_to(folder).parts)
    return not installed and is_text(str(path)) and path.is_file() and os.access(path, os.R_OK)


def is_text(name: str) -> bool:
    """Return whether a file's name is Unicode: others cannot be sent as text."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def sha256_of(path: Path) -> str:
    """Return the digest of a file as hashlib calculates it; "" where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


# The processes


def start_step(job_type: str, addresses: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start the process of one step."""
    script = str(Path(__file__).with_name("steps.py"))
    options = [f"--{name}={address}" for name, address in addresses.items()]
    return subprocess.Popen(
        [sys.executable, script, job_type, *options],
        stdin=subprocess.PIPE,  # its end, also by our death, ends the step
        stdout=subprocess.DEVNULL,
        process_group=0,  # Ctrl-C in a terminal is for this process alone
    )


def stop_steps(processes: Processes) -> None:
    """Ask all steps to end, and see to it that they do."""
    for process in processes.values():
        if process.stdin:
            process.stdin.close()
    for process in processes.values():
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def running_steps(addresses: Mapping[str, str]) -> Iterator[Processes]:
    """Start one process per step; stop them all in the end."""
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for job_type in JOB_TYPES:
            processes[job_type] = start_step(job_type, addresses)
        yield processes
    finally:
        stop_steps(processes)


def check_steps(processes: Processes) -> None:
    """Raise StepLost where the process of a step has ended."""
    for job_type, process in processes.items():
        code = process.poll()
        if code is not None:
            how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            raise StepLost(f"step {job_type} (process {process.pid}) {how}")


# The work


def finish_jobs(manager: Manager, processes: Processes, display: Display, stop: StopSignal) -> None:
    """Take turns until every job is finished, or a signal came.

    Raises:
        StepLost: a step cannot do its jobs.
    """
    while manager.unfinished and not stop.number:
        # Asked before the turn too: after Ctrl-Z and fg, what was sent meanwhile is still unread.
        late = manager.silence > PATIENCE
        manager.turn(timeout=0.1)
        display.update({name: done.jobs for name, done in manager.statistics.items()})
        check_steps(processes)
        if late and manager.silence > PATIENCE:
            raise StepLost(f"no result in {PATIENCE} s from step {', '.join(manager.awaited)}")


def show_log(display: Display, event: Event) -> None:
    """Hand the log records among the events to the display."""
    if event.topic == "logs":
        display.log(record_from_event(event))


def problems(
    files: Mapping[int, Path],
    outputs: Mapping[int, Instructions],
    errors: Mapping[int, Mapping[str, str]],
) -> list[str]:
    """Compare every digest with hashlib's of the original; say what failed, is missing or wrong."""
    found = []
    for job, path in files.items():
        if error := errors.get(job):
            found.append(f"failed: {path}: {error['name']}: {error['message']}")
        elif job not in outputs:
            found.append(f"missing: {path}")
        elif outputs[job]["sha256"] != sha256_of(path):
            found.append(f"wrong digest: {path}")
    return found


def report(manager: Manager, files: Mapping[int, Path]) -> bool:
    """Print what was done; return whether every file has the right digest."""
    show_table(manager.statistics)
    print("Events:", ", ".join(f"{n:,} {topic}" for topic, n in sorted(manager.events.items())))
    found = problems(files, manager.outputs, manager.errors)
    for problem in found[:SHOWN]:
        print(problem)
    if len(found) > SHOWN:
        print(f"... and {len(found) - SHOWN:,} more")
    print(f"{len(files) - len(found):,} of {len(files):,} digests are those of hashlib.")
    return not found


def run(paths: Sequence[Path], stop: StopSignal) -> int:
    """Take all files through the pipeline; return the exit code."""
    lost = None
    with (
        TemporaryDirectory(prefix="agentzero-demo-") as folder,
        closing(display_for(JOB_TYPES, len(paths))) as display,
        closing(Manager(JOB_TYPES, partial(show_log, display))) as manager,
        running_steps(manager.addresses) as processes,
    ):
        print("Steps:", ", ".join(f"{name} ({p.pid})" for name, p in processes.items()), flush=True)
        files = {
            manager.submit({"source": str(path), "path": f"{folder}/{number}.py"}): path
            for number, path in enumerate(paths)
        }
        try:
            finish_jobs(manager, processes, display, stop)
        except StepLost as error:
            lost = error
    if stop.number:
        print(f"Stopped by {signal.Signals(stop.number).name}, {manager.unfinished:,} files left.")
        return 128 + stop.number
    complete = report(manager, files)
    if lost:
        print(f"Error: {lost}", file=sys.stderr)
    return 0 if complete and not lost else 1


def main() -> int:
    """Run the demo; return the exit code."""
    library = Path(sysconfig.get_path("stdlib"))
    parser = argparse.ArgumentParser(description="Run a worker pipeline on Python files.")
    parser.add_argument("--folder", type=Path, default=library, help="default: %(default)s")
    parser.add_argument("--limit", type=int, metavar="N", help="take the first N files only")
    options = parser.parse_args()
    if options.limit is not None and options.limit < 1:
        parser.error("--limit is at least 1")
    stop = StopSignal()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # any file name can be shown
    paths = python_files(options.folder)[: options.limit]
    if not paths:
        parser.error(f"no .py files in {options.folder}")
    return run(paths, stop)


if __name__ == "__main__":
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:  # nobody reads our output any more, as under `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    sys.exit(code)
