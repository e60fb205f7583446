"""`agentzero pipeline`: the commands that ask a pipeline; the others have modules of their own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

import click

from agentzero.cli import bodies
from agentzero.cli.asking import asks, waits
from agentzero.cli.lazy import LazyGroup
from agentzero.cli.output import show, warn
from agentzero.pipeline import Client
from agentzero.pipeline.errors import JobCancelled, JobFailed, JobNotFound, ResultTimeout

__all__ = ["pipeline"]

COMMANDS = {
    "serve": "Run the pipeline TARGET.",
    "top": "Watch a pipeline.",
    "work": "Do the jobs of a step of a pipeline.",
}

UNENDED = (JobCancelled, JobFailed, JobNotFound, ResultTimeout)


@click.group(cls=LazyGroup, later=COMMANDS)
def pipeline() -> None:
    """Serve a durable worker pipeline, work for it, submit jobs, watch it.

    Data is written to standard output, JSON in one line each where that is no terminal; all else to
    standard error. The exit code is 0, or 1 where something failed or took too long, or 2 where
    the command was not understood.

    \b
    Example:
      agentzero pipeline serve steps.py:pipeline &
      agentzero pipeline work steps.py:Resize --slots 4 &
      agentzero pipeline submit --wait '{"path": "a.png"}'
    """


@pipeline.command()
@click.argument("jobs", nargs=-1, metavar="[BODY]...")
@click.option("--id", metavar="ID", help="The id of the job, where there is one only.")
@click.option("--wait", is_flag=True, help="Print the results, and not the ids.")
@waits
def submit(
    client: Client, timeout: float, jobs: tuple[str, ...], id: str | None, wait: bool
) -> None:
    """Submit jobs, and print their ids.

    Each BODY is a JSON object: what the first step is given. Without any, or with "-", they are
    read from standard input, one per line. A job that is submitted twice under one id is done once.

    \b
    Example:
      agentzero pipeline submit '{"path": "a.png"}' '{"path": "b.png"}'
      cat jobs.jsonl | agentzero pipeline submit --wait
    """
    accepted = []
    for batch in _batches(jobs, id):
        ids = client.submit_many(batch, ids=None if id is None else [id])
        accepted += ids
        if not wait:
            click.echo("\n".join(ids))
    if wait:
        _show_results(client, accepted, timeout)


def _batches(jobs: tuple[str, ...], id: str | None) -> Iterator[list[dict[str, Any]]]:
    if id is not None and (len(jobs) != 1 or jobs == ("-",)):
        raise click.UsageError("--id is for one BODY, given as an argument")
    if jobs and jobs != ("-",):
        yield bodies.arguments(jobs)
    elif not jobs and sys.stdin.isatty():
        raise click.UsageError("give a BODY, or JSON objects on standard input, one per line")
    else:
        yield from bodies.lines(sys.stdin.buffer)  # type: ignore[arg-type] # it is no raw stream


def _show_results(client: Client, ids: list[str], timeout: float) -> None:
    end = monotonic() + timeout
    _for_each(ids, lambda id: show(client.result(id, max(0.0, end - monotonic()))))


def _for_each(ids: tuple[str, ...] | list[str], do: Callable[[str], object]) -> None:
    """Do something with each job; say for which that fails, and exit with 1 in the end if any."""
    failed = False
    for id in ids:
        try:
            do(id)
        except UNENDED as error:
            warn(f"Error: {error}")
            failed = True
    if failed:
        raise click.exceptions.Exit(1)


@pipeline.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@asks
def status(client: Client, ids: tuple[str, ...]) -> None:
    """Print jobs, as they stand in the journal.

    \b
    Example:
      agentzero pipeline status 01a2075e4aa47284a17a14d8058aae49
    """
    _for_each(ids, lambda id: show(client.status(id)))


@pipeline.command()
@click.argument("id", metavar="ID")
@waits
def result(client: Client, timeout: float, id: str) -> None:
    """Wait until a job has ended, and print its result.

    \b
    Example:
      agentzero pipeline result 01a2075e4aa47284a17a14d8058aae49 --timeout 60
    """
    _show_results(client, [id], timeout)


@pipeline.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@asks
def cancel(client: Client, ids: tuple[str, ...]) -> None:
    """Cancel jobs that have not ended, and print how many that were.

    The exit code is 1 unless that were all.

    \b
    Example:
      agentzero pipeline cancel 01a2075e4aa47284a17a14d8058aae49
    """
    _show_count(client.cancel(*ids), ids, "not cancelled: they have ended, or are unknown")


@pipeline.command()
@click.option("--step", metavar="STEP", help="Only those of this step.")
@click.option(
    "--limit",
    type=click.IntRange(0, 1_000_000_000),
    default=100,
    show_default=True,
    metavar="N",
    help="How many at the most.",
)
@asks
def dead(client: Client, step: str | None, limit: int) -> None:
    """Print the dead letters, the oldest first.

    These are jobs that failed as often as their step allows.

    \b
    Example:
      agentzero pipeline dead --step resize --limit 10
    """
    for job in client.dead(step, limit):
        show(job)


@pipeline.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--step", metavar="STEP", help="All of this step.")
@click.option("--all", "every", is_flag=True, help="All there are.")
@asks
def requeue(client: Client, ids: tuple[str, ...], step: str | None, every: bool) -> None:
    """Queue dead letters again, and print how many.

    Each goes on at the step where it failed. With IDs, the exit code is 1 unless that were all.

    \b
    Example:
      agentzero pipeline requeue --step resize
    """
    if bool(ids) + (step is not None) + every != 1:
        raise click.UsageError("say which: IDs, or --step, or --all")
    _show_count(client.requeue(*ids, step=step), ids, "not queued: they are no dead letters")


def _show_count(count: int, ids: tuple[str, ...], otherwise: str) -> None:
    show(count)
    if count < len(set(ids)):
        warn(f"Error: {len(set(ids)) - count} of {len(set(ids))} jobs were {otherwise}")
        raise click.exceptions.Exit(1)
