"""The command line: `agentzero`, or `python -m agentzero`; it needs the extra "cli"."""

from __future__ import annotations

import sys

__all__ = ["main"]

LIBRARIES = ("click", "rich")
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
        import rich  # noqa: F401 - commands import it when they need it

        from agentzero.cli.root import run
    except ModuleNotFoundError as error:
        if error.name not in LIBRARIES:
            raise
        sys.stderr.write(MISSING)
        sys.exit(2)
    sys.exit(run())
