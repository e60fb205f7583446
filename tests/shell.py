"""A shell for tests: what a reader of a page types goes there, also with "&" behind it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer

from tests.environments import FOREIGN, PATIENCE, Environment

END = "--- the end of a command:"
JOBS = "jobs.log"  # what commands in the background print


class Shell:
    """A bash with job control, in which every command reads an empty input.

    Args:
        process: the bash.
        log: where the output of what runs in the background goes.
    """

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process = process
        self._log = log

    def use(self, environment: Environment) -> None:
        """Have its programs found first."""
        self.run(f"PATH='{environment.folder}/bin':$PATH; hash -r")

    def run(self, command: str) -> tuple[int, str]:
        """Run a command; return its exit code, and what it printed.

        One in the background prints to a log, and `background` returns that.
        """
        assert self._process.stdin
        if command.endswith("&"):
            command = f"{command[:-1]} >>'{self._log}' 2>&1 &"
        self._process.stdin.write(f'{{ {command}\n}} </dev/null; echo "\n{END} $?"\n')
        self._process.stdin.flush()
        lines = list(self._until_end())
        code = lines.pop().removeprefix(END)
        return int(code), "".join(lines).removesuffix("\n")

    def _until_end(self) -> Iterator[str]:
        assert self._process.stdout
        watch = Timer(PATIENCE, self._process.kill)
        watch.start()
        try:
            for line in self._process.stdout:
                yield line
                if line.startswith(END):
                    return
        finally:
            watch.cancel()
        raise AssertionError(f"the shell ended, or had to after {PATIENCE:g} s")

    @property
    def background(self) -> str:
        """What commands in the background have printed."""
        return self._log.read_text() if self._log.exists() else ""


@contextmanager
def shell(environment: Environment, folder: Path) -> Iterator[Shell]:
    """Have a shell in a folder; nothing that was started there outlives the block."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    with subprocess.Popen(
        ["bash", "--norc", "--noprofile"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env=clean,
    ) as process:
        made = Shell(process, folder / JOBS)
        try:
            made.run("set -m")
            made.use(environment)
            yield made
        finally:
            if process.poll() is None:
                made.run('for job in $(jobs -p); do kill -KILL -- "-$job"; done')
            process.kill()
