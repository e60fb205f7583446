"""Targets of commands: objects in modules, named `module:name` or `path/file.py:name`."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

import agentzero
from agentzero.pipeline import Step
from agentzero.pipeline.addresses import reachable
from agentzero.pipeline.wire import REPLY_ADDRESS
from agentzero.serializers import Serializer

if TYPE_CHECKING:
    from agentzero.pipeline import Pipeline

__all__ = ["Post", "TargetFailed", "pipeline_of", "post_of"]

# Where the frames of a traceback are that tell a user nothing of what is wrong with a target.
NOT_THEIRS = (
    str(Path(agentzero.__file__).parent),
    str(Path(importlib.__file__).parent),
    "<frozen importlib",
    "<string>",  # what dataclasses generates
)


@dataclass(frozen=True)
class Post:
    """What a worker is to do, where its pipeline answers, and in which serializer it speaks."""

    step: Step
    reply_address: str = REPLY_ADDRESS
    serializer: Serializer | str | None = None


class TargetFailed(click.ClickException):
    """The code of a target raised an exception; what is shown of its traceback is the user's part.

    Attributes:
        target: its name.
        error: what it raised.
    """

    def __init__(self, target: str, error: Exception) -> None:
        super().__init__(f"{target} raised {type(error).__name__}: {error}")
        self.target = target
        self.error = error

    def show(self, file: IO[Any] | None = None) -> None:
        """Write the traceback to standard error."""
        click.echo(_their_traceback(self.error), file, nl=False, err=True)
        click.echo(f"Error: {self.target} cannot be loaded", file, err=True)


def _their_traceback(error: Exception) -> str:
    told = traceback.TracebackException.from_exception(error)
    _drop_frames(told)
    return "".join(told.format() if told.stack else told.format_exception_only())


def _drop_frames(told: traceback.TracebackException) -> None:
    theirs = [frame for frame in told.stack if not frame.filename.startswith(NOT_THEIRS)]
    told.stack = traceback.StackSummary.from_list(theirs)
    for other in (told.__cause__, told.__context__):
        if other is not None:
            _drop_frames(other)


@contextmanager
def _running(target: str) -> Iterator[None]:
    """Run code of a target: what it raises is its own fault."""
    try:
        yield
    except click.ClickException:
        raise
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and "agentzero[" in str(error):
            raise  # what to install is all there is to say
        raise TargetFailed(target, error) from error


def pipeline_of(target: str) -> Pipeline:
    """Return the pipeline that a target is, or that it makes.

    Raises:
        click.UsageError: it is none, or is not there.
        TargetFailed: it raised something.
    """
    found = _load(target)
    return _as_pipeline(found, target)


def post_of(target: str, step: str | None) -> Post:
    """Return what there is to do at a target: a Step, or the one of that job type in a pipeline.

    Raises:
        click.UsageError: it is neither, or is not there, or it is not said which step.
        TargetFailed: it raised something.
    """
    found = _load(target)
    if not isinstance(found, Step) and not _is_step(found):
        return _post_in(_as_pipeline(found, target), target, step)
    with _running(target):
        made: Step = found() if isinstance(found, type) else found
    if step not in (None, made.job_type):
        raise click.UsageError(f"{target} is the step {made.job_type!r}, not {step!r}")
    return Post(made)


def _post_in(pipeline: Pipeline, target: str, step: str | None) -> Post:
    address = reachable(pipeline.settings.reply_address, "127.0.0.1")
    chosen = _chosen(pipeline, target, step)
    with _running(target):
        return Post(chosen(), address, pipeline.settings.serializer)


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

    with _running(target):
        made = found() if callable(found) and not isinstance(found, type) else found
    if not isinstance(made, Pipeline):
        raise click.UsageError(f"{target} is no Pipeline, and makes none, but is {made!r}")
    return made


def _load(target: str) -> Any:
    module, _, name = target.rpartition(":")
    if not module or not name:
        raise click.UsageError(f"a target is module:name or path/file.py:name, not {target!r}")
    find: Callable[[Any], Any] = attrgetter(name)
    with _running(target):
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
    module = importlib.import_module(".".join(names))
    if Path(str(module.__file__)).resolve() != path.resolve():
        raise click.UsageError(f"{path} cannot be imported: {module.__file__} has its name")
    return module


def _imported(module: str) -> Any:
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        # One that it imports itself is no fault of the command line.
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise click.UsageError(f"there is no module {error.name}") from error
