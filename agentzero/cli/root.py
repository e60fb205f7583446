"""The command `agentzero`: its commands, imported when they are asked for, and how it ends."""

from __future__ import annotations

import io
import sys

import click

from agentzero import __version__
from agentzero.cli import INTERRUPTED
from agentzero.cli.interrupts import Terminated, sigterm_heard
from agentzero.cli.lazy import LazyGroup
from agentzero.cli.output import warn
from agentzero.errors import AgentZeroSocketError

__all__ = ["agentzero", "run"]

COMMANDS = {
    "bench": "Measure how fast messages go.",
    "completion": "Have a shell complete what you type.",
    "doctor": "Find out what answers at ADDRESS.",
    "keygen": "Make a pair of CURVE keys.",
    "logs": "Print log records as they come.",
    "pipeline": "Serve a durable worker pipeline, work for it, submit jobs, watch it.",
    "plugins": "List serializers and backends.",
    "proxy": "Pass messages on between two addresses.",
    "pub": "Publish messages under TOPIC.",
    "pull": "Print the messages that are handed out here.",
    "push": "Hand out messages, each to one that pulls.",
    "rep": "Answer questions.",
    "req": "Ask, and print the replies.",
    "sub": "Print what is published.",
}

TERMINATED = 143  # as of a process that SIGTERM ended


@click.group(
    cls=LazyGroup, later=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def agentzero() -> None:
    """AgentZero: ZeroMQ sockets by name, and what is built on them.

    Data is written to standard output, all else to standard error. The exit code is 0, or 1 where
    something failed or took too long, or 2 where the command was not understood.

    \b
    Example:
      agentzero sub tcp://127.0.0.1:6000 --count 1 &
      agentzero pub tcp://127.0.0.1:6000 weather sunny

    Each command has a --help of its own. "agentzero completion --help" tells how to have a shell
    complete what you type.
    """


@sigterm_heard()
def run() -> int:
    """Run the command that the arguments say; return what to exit with."""
    if sys.stdout is None:
        return _failed("standard output is closed", 1)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # any id can be shown
    try:
        code = agentzero.main(prog_name="agentzero", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort as abort:
        return TERMINATED if isinstance(abort.__cause__, Terminated) else INTERRUPTED
    except AgentZeroSocketError as error:  # some are OSErrors as well
        return _failed(error, 1)
    except OSError as error:
        sys.stdout = io.StringIO()  # or else Python writes the rest of it when it ends
        return _failed(error, 1)
    except MemoryError:
        return _failed("there is not enough memory", 1)
    except ModuleNotFoundError as error:
        if "agentzero[" not in str(error):
            raise
        return _failed(error, 2)
    return int(code or 0)


def _failed(error: object, code: int) -> int:
    warn(f"Error: {error}")
    return code
