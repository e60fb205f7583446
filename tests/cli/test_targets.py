"""Targets: what `module:name` and `path/file.py:name` find."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from agentzero.cli.targets import pipeline_of, post_of
from agentzero.pipeline.wire import REPLY_ADDRESS

PROGRAM = """
from agentzero.pipeline import Pipeline, Step


class Double(Step):
    job_type = "double"


class Half(Step):
    job_type = "half"


class Group:
    step = Half()


one = Pipeline("one", [Double], reply_address="tcp://*:7000", serializer="cbor")
both = Pipeline("both", [Double, Half], reply_address="tcp://10.0.0.5:7000")
nothing = 7


def made():
    return both
"""


@pytest.fixture(autouse=True)
def program(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module, which is forgotten after the test."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = {*sys.modules}
    path = folder / "program.py"
    path.write_text(PROGRAM)
    yield path
    for name in {*sys.modules} - before:
        if name.partition(".")[0] in ("program", "acme", "broken"):
            del sys.modules[name]


@pytest.mark.parametrize("module", ["program", "program.py", "./program.py"])
def test_a_pipeline_is_found_or_made(module: str) -> None:
    assert pipeline_of(f"{module}:one").name == "one"
    assert pipeline_of(f"{module}:made").name == "both"


@pytest.mark.parametrize(
    ("target", "step", "expected"),
    [
        ("program:Double", None, ("double", REPLY_ADDRESS, None)),
        ("program:Double", "double", ("double", REPLY_ADDRESS, None)),
        ("program:Group.step", None, ("half", REPLY_ADDRESS, None)),
        ("program:one", None, ("double", "tcp://127.0.0.1:7000", "cbor")),
        ("program:both", "half", ("half", "tcp://10.0.0.5:7000", None)),
        ("program:made", "double", ("double", "tcp://10.0.0.5:7000", None)),
    ],
)
def test_a_post_is_a_step_and_the_way_to_its_pipeline(
    target: str, step: str | None, expected: tuple[str, str, str | None]
) -> None:
    post = post_of(target, step)
    assert (post.step.job_type, post.reply_address, post.serializer) == expected


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("program", "a target is module:name or path/file.py:name, not 'program'"),
        ("program.py:", "a target is module:name"),
        (":one", "a target is module:name"),
        ("nowhere.py:it", "there is no file nowhere.py"),
        ("nowhere:it", "there is no module nowhere"),
        ("os.nowhere:it", "there is no module os.nowhere"),
        ("program:absent", "program:absent: module 'program' has no attribute 'absent'"),
        ("program:nothing", "program:nothing is no Pipeline, and makes none, but is 7"),
        ("program:Double", "program:Double is no Pipeline"),
    ],
)
def test_what_is_no_pipeline_is_said(target: str, said: str) -> None:
    with pytest.raises(click.UsageError) as caught:
        pipeline_of(target)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("target", "step", "said"),
    [
        ("program:nothing", None, "program:nothing is no Pipeline"),
        ("program:both", None, "say which with --step: program:both has double, half"),
        ("program:both", "x", "it has no step 'x': program:both has double, half"),
        ("program:one", "x", "it has no step 'x': program:one has double"),
        ("program:Double", "x", "program:Double is the step 'double', not 'x'"),
    ],
)
def test_what_is_no_step_is_said(target: str, step: str | None, said: str) -> None:
    with pytest.raises(click.UsageError) as caught:
        post_of(target, step)
    assert said in str(caught.value)


def test_a_file_whose_name_is_taken_is_said(folder: Path) -> None:
    (folder / "logging.py").write_text("it = 1")
    with pytest.raises(click.UsageError, match=r"logging.py cannot be imported: .* has its name"):
        pipeline_of("logging.py:it")


def test_a_file_of_a_package_is_imported_as_its_module(folder: Path, program: Path) -> None:
    package = folder / "source" / "acme"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    program.rename(package / "program.py")
    (package / "main.py").write_text("from .program import one")
    assert pipeline_of("source/acme/main.py:one").name == "one"


def test_what_the_module_itself_lacks_is_its_own_fault(folder: Path) -> None:
    (folder / "broken.py").write_text("import nowhere_to_be_found")
    with pytest.raises(ModuleNotFoundError, match="nowhere_to_be_found"):
        pipeline_of("broken:it")
