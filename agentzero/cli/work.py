"""`agentzero pipeline work`: do the jobs of a step, in this process or in several."""

from __future__ import annotations

import os
import sys
import threading
from functools import partial
from typing import Any

import click

from agentzero.cli.asking import ADDRESS_VARIABLE
from agentzero.cli.crew import Crew, Hopeless
from agentzero.cli.options import number_option, seconds_option
from agentzero.cli.targets import post_of
from agentzero.cli.verbose import log, verbose_option
from agentzero.pipeline import Worker
from agentzero.pipeline.errors import PipelineError
from agentzero.pipeline.executors import Processes

__all__ = ["work"]


@click.command()
@click.argument("target")
@click.option("--step", metavar="STEP", help="Which one, where TARGET is a Pipeline.")
@click.option(
    "-a",
    "--address",
    metavar="ADDRESS",
    envvar=ADDRESS_VARIABLE,
    show_envvar=True,
    help="Where the pipeline answers. Without it, as the Pipeline says.",
)
@number_option("--slots", "How many jobs a process takes at a time.", 1)
@click.option(
    "--executor",
    type=click.Choice(["threads", "processes"]),
    default="threads",
    show_default=True,
    help="Where the jobs of a process run.",
)
@number_option(
    "--processes", "How many worker processes to run; each is started again when it dies."
)
@click.option("--bind", metavar="ADDRESS", help="Where to pull jobs, such as tcp://10.0.0.5.")
@seconds_option("--grace", "How long jobs that run may take to finish when it is to end.", 30.0)
@click.option("--lifeline", is_flag=True, hidden=True, help="End when standard input does.")
@verbose_option
def work(target: str, processes: int | None, verbose: bool, **options: Any) -> None:
    """Do the jobs of a step of a pipeline.

    TARGET is module:name or path/file.py:name, and that is a Step class, or a Pipeline. Start as
    many as you like, here and on other machines. SIGTERM and Ctrl-C let them finish what runs and
    hand back the rest; a second one ends them at once.

    \b
    Example:
      agentzero pipeline work steps.py:pipeline --step resize --processes 4
    """
    log(verbose)
    worker = _worker(target, **options)  # also for a crew: what is wrong is told here, and once
    if processes is not None:
        Crew(_command(target, verbose, options), processes).run()
    elif options["lifeline"]:
        _work_in_crew(worker)
    else:
        _work(worker)


def _worker(
    target: str,
    step: str | None,
    address: str | None,
    slots: int,
    executor: str,
    bind: str | None,
    grace: float,
    lifeline: bool,
) -> Worker:
    post = post_of(target, step)
    try:
        return Worker(
            post.step,
            address or post.reply_address,
            slots=slots,
            executor=partial(Processes, slots) if executor == "processes" else None,
            bind=bind,
            grace=grace,
            serializer=post.serializer,
        )
    except (TypeError, ValueError) as error:
        raise click.UsageError(str(error)) from error


def _work(worker: Worker) -> None:
    try:
        worker.run()
    except PipelineError as error:
        # Another process helps where the steps hang, and what the system refused may pass.
        if type(error) is not PipelineError or error.__cause__ is not None:
            raise
        raise Hopeless(str(error)) from error


def _work_in_crew(worker: Worker) -> None:
    threading.Thread(target=_stop_with_input, args=(worker,), daemon=True).start()
    try:
        _work(worker)
    except Hopeless as error:
        os.write(0, error.message.encode())  # to the crew, which says it once for all
        raise click.exceptions.Exit(error.exit_code) from error


def _stop_with_input(worker: Worker) -> None:
    while os.read(0, 4096):
        pass
    worker.stop()


def _command(target: str, verbose: bool, options: dict[str, Any]) -> list[str]:
    """Return the command of one process: the same work, with a lifeline."""
    said = {"verbose": verbose, **options, "lifeline": True}
    flags = [f"--{name}" for name, value in said.items() if value is True]
    given = {n: value for n, value in said.items() if not isinstance(value, bool | None)}
    values = [f"--{name}={value}" for name, value in given.items()]
    return [sys.executable, "-m", "agentzero", "pipeline", "work", *flags, *values, "--", target]
