"""What is released: an sdist, and the wheel that is made of it, as they are built and installed."""

from __future__ import annotations

import re
import shutil
import subprocess
import tarfile
import tomllib
import venv
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import pytest

from agentzero import __version__
from tests.environments import PATIENCE, Environment
from tests.processes import ROOT, run

# The first test builds; others install.
pytestmark = pytest.mark.timeout(300)

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
EXTRAS = PYPROJECT["project"]["optional-dependencies"]

# Who names the one version: all others ask for it.
VERSION = ROOT / "agentzero" / "_version.py"

# What an extra is for: a program that needs it.
NEEDS = {
    "cli": "import sys; sys.argv = ['agentzero', 'plugins']; import agentzero.cli as c; c.main()",
    "docs": "import furo, myst_parser, sphinx",
    "gevent": "import agentzero; agentzero.SocketManager(backend='gevent').close_all()",
    "pipeline": "from agentzero.pipeline import Pipeline, Step, metrics;"
    "Pipeline('words', [type('Count', (Step,), {'job_type': 'count'})]);"
    "metrics.exported(metrics.Collector('words', None), 0).__enter__()",
    "testing": "from agentzero.testing import BackendConformance, SerializerConformance",
}
AT_RUN_TIME = sorted(NEEDS.keys() - {"docs"})

# Tests of every room which say much in little time.
TELLING = [
    *("test_channel", "test_errors", "test_manager_books", "test_manager_sending_receiving"),
    *("test_manager_typed", "serializers/test_table", "pipeline/test_journal_reading"),
    *("cli/test_options", "cli/test_tables"),
]
MANY = 400  # of them pass


@dataclass(frozen=True)
class Release:
    """The two files that are uploaded."""

    sdist: Path
    wheel: Path

    def unpacked(self, folder: Path) -> Path:
        """Unpack the sdist in a folder; return where it is."""
        with tarfile.open(self.sdist) as archive:
            archive.extractall(folder, filter="data")
        return folder / self.sdist.name.removesuffix(".tar.gz")


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """What `python -m build` makes, with the tools that are here instead of newer ones."""
    folder = tmp_path_factory.mktemp("release")
    words = ("-m", "build", "--no-isolation", "--outdir", str(folder))
    built = run(*words, within=PATIENCE, measured=False)
    assert built.code == 0, built.err
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return Release(sdist, wheel)


@pytest.fixture(scope="module")
def installed(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the wheel, and no extras."""
    empty = Environment(
        tmp_path_factory.mktemp("installed") / "empty", {"agentzero": release.wheel}
    )
    venv.create(empty.folder, with_pip=False, symlinks=True)
    return empty.plus("agentzero")


def test_twine_would_upload_it(release: Release) -> None:
    files = str(release.sdist), str(release.wheel)
    checked = run("-m", "twine", "check", "--strict", *files, within=PATIENCE, measured=False)
    assert checked.code == 0, checked.out


def test_the_sdist_has_what_is_in_the_repository_but_for_its_ci(
    release: Release, tmp_path: Path
) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("this is no checkout")
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True)
    kept = {name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()}
    source = release.unpacked(tmp_path)
    packed = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}
    assert packed - {"PKG-INFO"} == {name for name in kept if not name.startswith(".ci/")}


def test_the_wheel_has_the_package_alone(release: Release) -> None:
    names = ZipFile(release.wheel).namelist()
    assert "agentzero/py.typed" in names
    assert {name.partition("/")[0] for name in names} == {
        "agentzero",
        f"agentzero-{__version__}.dist-info",
    }


def test_no_link_of_the_description_leads_to_a_file_that_an_index_has_not(
    release: Release,
) -> None:
    archive = ZipFile(release.wheel)
    (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
    description = archive.read(name).decode().partition("\n\n")[2]
    assert "# AgentZero" in description
    assert re.findall(r"\]\((?!https?:)", description) == []


@pytest.mark.parametrize("extra", sorted(NEEDS))
def test_an_extra_brings_all_that_it_is_for(installed: Environment, extra: str) -> None:
    ended = installed.plus(f"agentzero[{extra}]").run("-W", "error", "-c", NEEDS[extra])
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("extra", AT_RUN_TIME)
def test_without_an_extra_what_needs_it_says_so(installed: Environment, extra: str) -> None:
    ended = installed.run("-c", NEEDS[extra])
    assert ended.returncode != 0
    assert f"pip install 'agentzero[{extra}]'" in ended.stderr


def test_every_extra_is_known_here_and_to_all_of_them() -> None:
    assert EXTRAS.keys() == {*NEEDS, "all"}
    (everything,) = EXTRAS["all"]
    assert set(re.findall(r"\w+", everything)) == {"agentzero", *NEEDS}


def test_its_tests_pass_where_there_is_nothing_else_of_the_checkout(
    release: Release, installed: Environment, tmp_path: Path
) -> None:
    source = release.unpacked(tmp_path)
    shutil.rmtree(source / "agentzero")
    full = installed.plus("agentzero[cli,gevent,pipeline,testing]", "pytest-timeout")
    where = full.run("-c", "import agentzero; print(agentzero.__file__)", cwd=source)
    assert Path(where.stdout).is_relative_to(full.folder)
    files = [f"tests/{name}.py" for name in TELLING]
    ended = full.run("-m", "pytest", "-q", "-p", "no:cacheprovider", *files, cwd=source)
    assert ended.returncode == 0, ended.stdout
    assert int(re.findall(r"(\d+) passed", ended.stdout)[-1]) >= MANY


def test_the_version_is_said_once() -> None:
    assert PYPROJECT["tool"]["hatch"]["version"]["path"] == str(VERSION.relative_to(ROOT))
    pages = {*ROOT.glob("docs/**/*.md")} - {ROOT / "docs" / "benchmarks.md"}  # of what it measured
    code = [*ROOT.glob("agentzero/**/*.py"), *ROOT.glob("docs/*.py")]
    files = {*pages, *code, ROOT / "README.md", ROOT / "pyproject.toml"}
    said = re.compile(rf"(?<![\w.]){re.escape(__version__)}(?![\w.])")
    assert [path for path in files if said.search(path.read_text("utf-8"))] == [VERSION]


def test_whoever_asks_for_the_version_is_told_it(installed: Environment) -> None:
    program = "from importlib.metadata import version; import agentzero;"
    program += "print(agentzero.__version__, version('agentzero'))"
    assert installed.says(program) == f"{__version__} {__version__}"
