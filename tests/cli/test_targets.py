"""Targets: what `module:name` and `path/file.py:name` find."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from agentzero.cli.targets import TargetFailed, pipeline_of, post_of
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


BROKEN = {
    "import nowhere_to_be_found": "ModuleNotFoundError: No module named 'nowhere_to_be_found'",
    "def": "SyntaxError: invalid syntax",
    "1 / 0": "ZeroDivisionError: division by zero",
    "def it(): raise OSError('no such disk')": "OSError: no such disk",
    "from agentzero.pipeline import Pipeline\nit = Pipeline('it', [])": "ValueError: a pipeline",
    "from agentzero.pipeline import Step\nclass it(Step):\n  job_type = 'it'\n"
    "  def __init__(self): self.missing": "AttributeError: 'it' object has no attribute",
}


@pytest.mark.parametrize("module", ["broken", "broken.py"])
@pytest.mark.parametrize(("code", "said"), BROKEN.items())
def test_of_what_a_target_raises_its_own_part_is_shown(
    module: str, code: str, said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "broken.py").write_text(code)
    with pytest.raises(TargetFailed) as caught:
        post_of(f"{module}:it", None)
    caught.value.show()
    err = capsys.readouterr().err
    assert said in err
    assert {*re.findall('File "(.*?)"', err)} == {str(folder / "broken.py")}
    assert caught.value.exit_code == 1


def test_what_a_target_raised_first_is_shown_as_well(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "broken.py").write_text(
        "import importlib\n"
        "try: importlib.import_module('nowhere_to_be_found')\n"
        "except ImportError as e: raise OSError('so') from e"
    )
    with pytest.raises(TargetFailed) as caught:
        pipeline_of("broken:it")
    caught.value.show()
    err = capsys.readouterr().err
    assert re.findall('File "(.*?)"', err) == 2 * [str(folder / "broken.py")]
    assert "ModuleNotFoundError: No module named 'nowhere_to_be_found'" in err


def test_an_extra_that_is_missing_is_no_fault_of_the_target(folder: Path) -> None:
    (folder / "broken.py").write_text("raise ModuleNotFoundError('install agentzero[pipeline]')")
    with pytest.raises(ModuleNotFoundError, match="install"):
        pipeline_of("broken:it")
