"""Targets of commands: objects in modules, named `module:name` or `path/file.py:name`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agentzero.pipeline import Step
from agentzero.pipeline.addresses import reachable
from agentzero.pipeline.wire import REPLY_ADDRESS
from agentzero.serializers import Serializer

if TYPE_CHECKING:
    from agentzero.pipeline import Pipeline

__all__ = ["Post", "pipeline_of", "post_of"]


@dataclass(frozen=True)
class Post:
    """What a worker is to do, where its pipeline answers, and in which serializer it speaks."""

    step: Step
    reply_address: str = REPLY_ADDRESS
    serializer: Serializer | str | None = None


def pipeline_of(target: str) -> Pipeline:
    """Return the pipeline that a target is, or that it makes.

    Raises:
        click.UsageError: it is none, or is not there.
    """
    found = _load(target)
    return _as_pipeline(found, target)


def post_of(target: str, step: str | None) -> Post:
    """Return what there is to do at a target: a Step, or the one of that job type in a pipeline.

    Raises:
        click.UsageError: it is neither, or is not there, or it is not said which step.
    """
    found = _load(target)
    if not isinstance(found, Step) and not _is_step(found):
        return _post_in(_as_pipeline(found, target), target, step)
    made: Step = found() if isinstance(found, type) else found
    if step not in (None, made.job_type):
        raise click.UsageError(f"{target} is the step {made.job_type!r}, not {step!r}")
    return Post(made)


def _post_in(pipeline: Pipeline, target: str, step: str | None) -> Post:
    address = reachable(pipeline.settings.reply_address, "127.0.0.1")
    return Post(_chosen(pipeline, target, step)(), address, pipeline.settings.serializer)


def _is_step(found: object) -> bool:
    return isinstance(found, type) and issubclass(found, Step)


def _chosen(pipeline: Pipeline, target: str, step: str | None) -> type[Step]:
    if step is None and len(pipeline.steps) == 1:
        return pipeline.steps[0]
    for each in pipeline.steps:
        if each.job_type == step:
            return each
    said = "say which with --step" if step is None else f"it has no step {step!r}"
    raise click.UsageError(f"{said}: {target} has {', '.join(pipeline.job_types)}")


def _as_pipeline(found: Any, target: str) -> Pipeline:
    from agentzero.pipeline import Pipeline  # not before: a worker of a Step needs no database

    made = found() if callable(found) and not isinstance(found, type) else found
    if not isinstance(made, Pipeline):
        raise click.UsageError(f"{target} is no Pipeline, and makes none, but is {made!r}")
    return made


def _load(target: str) -> Any:
    module, _, name = target.rpartition(":")
    if not module or not name:
        raise click.UsageError(f"a target is module:name or path/file.py:name, not {target!r}")
    find: Callable[[Any], Any] = attrgetter(name)
    loaded = _imported_file(Path(module)) if module.endswith(".py") else _imported(module)
    try:
        return find(loaded)
    except AttributeError as error:
        raise click.UsageError(f"{target}: {error}") from error


def _imported_file(path: Path) -> Any:
    """Import a file as the module that it is, so that other processes can import it as well."""
    if not path.is_file():
        raise click.UsageError(f"there is no file {path}")
    folder, names = path.resolve().parent, [path.stem]
    while (folder / "__init__.py").exists():
        folder, names = folder.parent, [folder.name, *names]
    sys.path.insert(0, str(folder))
    module = import_module(".".join(names))
    if Path(str(module.__file__)).resolve() != path.resolve():
        raise click.UsageError(f"{path} cannot be imported: {module.__file__} has its name")
    return module


def _imported(module: str) -> Any:
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        # One that it imports itself is no fault of the command line.
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise click.UsageError(f"there is no module {error.name}") from error
