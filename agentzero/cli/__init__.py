"""The command line: `agentzero`, or `python -m agentzero`; it needs the extra "cli"."""

from __future__ import annotations

import sys

from agentzero.cli.interrupts import every_ctrl_c_heard

__all__ = ["INTERRUPTED", "main"]

LIBRARIES = ("click", "rich")
INTERRUPTED = 130  # as of a process that SIGINT ended
MISSING = "Error: the command line needs click and rich: pip install 'agentzero[cli]'\n"


def main() -> None:
    """Run the command that the arguments say, and exit: with 0, 1 (it failed) or 2 (wrong usage).

    >>> import sys
    >>> sys.argv = ["agentzero", "--version"]
    >>> main()
    Traceback (most recent call last):
      ...
    SystemExit: 0
    """
    try:
        with every_ctrl_c_heard():
            code = _run()
    except KeyboardInterrupt:  # while it starts
        code = INTERRUPTED
    sys.exit(code)


def _run() -> int:
    try:
        import rich  # noqa: F401 - commands import it when they need it

        from agentzero.cli.root import run
    except ModuleNotFoundError as error:
        if error.name not in LIBRARIES:
            raise
        sys.stderr.write(MISSING)
        return 2
    return run()
