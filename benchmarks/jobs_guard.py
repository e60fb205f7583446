"""Runs a command for as long as stdin is open, so that nothing outlives a measurement.

python benchmarks/jobs_guard.py COMMAND ...
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys

GRACE = 5  # seconds


def main(*command: str) -> None:
    """Run the command, and end it: in peace, or else by force, with all its processes."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends whoever holds stdin
    sys.stdin.read()
    process.terminate()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
