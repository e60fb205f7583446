"""`agentzero pipeline serve`: run a pipeline."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from agentzero.cli.targets import pipeline_of
from agentzero.cli.verbose import log, verbose_option

__all__ = ["serve"]


@click.command()
@click.argument("target")
@click.option("--journal", metavar="URL", help="The journal's database, as SQLAlchemy writes it.")
@click.option("-a", "--address", metavar="ADDRESS", help="Where to answer clients and workers.")
@click.option("--events", metavar="ADDRESS", help="Where workers publish their events.")
@click.option("--results", metavar="ADDRESS", help="Where workers push results.")
@click.option(
    "--metrics-port",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    help="Where Prometheus finds metrics.",
)
@verbose_option
def serve(
    target: str,
    journal: str | None,
    address: str | None,
    events: str | None,
    results: str | None,
    metrics_port: int | None,
    verbose: bool,
) -> None:
    """Run the pipeline TARGET.

    TARGET is module:name or path/file.py:name, and that is a Pipeline, or a function without
    arguments that makes one. What the options do not say is
    as the Pipeline says. SIGTERM and Ctrl-C let it finish what runs; a second one ends it at once.

    \b
    Example:
      agentzero pipeline serve steps.py:pipeline --journal sqlite:///jobs.db
    """
    log(verbose)
    pipeline = pipeline_of(target)
    said = {
        "journal": journal,
        "reply_address": address,
        "events_address": events,
        "results_address": results,
        "metrics_port": metrics_port,
    }
    changes: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
    try:
        pipeline.settings = replace(pipeline.settings, **changes)
    except (TypeError, ValueError) as error:
        raise click.UsageError(str(error)) from error
    pipeline.run()
