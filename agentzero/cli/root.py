"""The command `agentzero`: its groups, imported when they are asked for, and how it ends."""

from __future__ import annotations

import io
import sys

import click

from agentzero import __version__
from agentzero.cli.lazy import LazyGroup
from agentzero.errors import AgentZeroSocketError

__all__ = ["agentzero", "run"]

GROUPS = {"pipeline": "Serve a durable worker pipeline, work for it, submit jobs, watch it."}

INTERRUPTED = 130  # as of a process that SIGINT ended


@click.group(cls=LazyGroup, later=GROUPS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def agentzero() -> None:
    """AgentZero: ZeroMQ sockets by name, and what is built on them.

    \b
    Example:
      agentzero pipeline --help
    """


def run() -> int:
    """Run the command that the arguments say; return what to exit with."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # any id can be shown
    try:
        code = agentzero.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return INTERRUPTED
    except AgentZeroSocketError as error:
        return _failed(error, 1)
    except ModuleNotFoundError as error:
        if "agentzero[" not in str(error):
            raise
        return _failed(error, 2)
    return int(code or 0)


def _failed(error: Exception, code: int) -> int:
    click.echo(f"Error: {error}", err=True)
    return code
