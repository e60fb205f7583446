"""Real environments for tests: virtual ones, into which pip installs wheels of this checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

import pytest

from tests.processes import ROOT

# How long building, installing or a program may take, in seconds: far more than any machine needs.
PATIENCE = 120.0

# What the environment of a test run would change in another one; CI, say, makes pytest tell more.
FOREIGN = ("AGENTZERO_", "BUILD_NUMBER", "CI", "COLUMNS", "COVERAGE", "PYTEST_", "PYTHON")
FOREIGN += ("VIRTUAL_ENV",)


@dataclass(frozen=True)
class Environment:
    """A virtual environment with nothing of the checkout but installed wheels.

    It never changes: `plus` makes another one.

    Attributes:
        folder: where it is.
        wheels: the wheels of the checkout by the name of their distribution.
    """

    folder: Path
    wheels: dict[str, Path]

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    def plus(self, *requirements: str) -> Environment:
        """Another environment: this one, and what `pip install` with these words adds to it.

        The name of a distribution of the checkout, also with extras, means its wheel, and never
        one of an index.
        """
        folder = Path(mkdtemp(dir=self.folder.parent))
        # Links will do: pip and Python replace a file, and never write into it.
        shutil.copytree(
            self.folder, folder, symlinks=True, copy_function=os.link, dirs_exist_ok=True
        )
        _repoint(folder, self.folder)
        richer = Environment(folder, self.wheels)
        wheels = str(self.wheels["agentzero"].parent)
        _install(richer.python, "--find-links", wheels, *map(self._located, requirements))
        return richer

    def run(
        self, *arguments: str, cwd: Path | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run its Python to the end, outside of the checkout.

        Args:
            arguments: as for the interpreter: `-c` and a program, or `-m` and a module.
            cwd: where to run; the environment's own folder where left out.
            variables: environment variables to set beside those of a clean shell.
        """
        clean = {k: v for k, v in os.environ.items() if not k.startswith(FOREIGN)}
        return subprocess.run(
            [str(self.python), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=cwd or self.folder,
            env=clean | variables,
            timeout=PATIENCE,
        )

    def says(self, program: str, **variables: str) -> str:
        """What a program prints; it fails the test where it fails or complains."""
        ended = self.run("-c", program, cwd=None, **variables)
        assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr
        return ended.stdout.rstrip("\n")

    def _located(self, word: str) -> str:
        name, bracket, extras = word.partition("[")
        return f"{self.wheels[name]}{bracket}{extras}" if name in self.wheels else word


# What the tests themselves run in: it has the checkout and all tools, and is never added to.
DEVELOPERS = Environment(Path(sys.prefix), {})


@pytest.fixture(scope="session")
def environment() -> Iterator[Environment]:
    """A clean environment with agentzero and what it needs, and no extras."""
    with TemporaryDirectory(prefix="agentzero-environments-") as folder:
        wheels = _build(Path(folder, "wheels"))
        empty = Environment(Path(folder, "empty"), wheels)
        venv.create(empty.folder, with_pip=False, symlinks=True)
        yield empty.plus("agentzero")


def _build(folder: Path) -> dict[str, Path]:
    plugins = [str(path.parent) for path in ROOT.glob("*/plugins/*/pyproject.toml")]
    # Everything that building needs is installed with the developers' tools.
    offline = ("--no-deps", "--no-build-isolation", "--no-index")
    done = _pip("wheel", *offline, "--wheel-dir", str(folder), str(ROOT), *plugins)
    assert done.returncode == 0, done.stderr
    return {path.name.partition("-")[0].replace("_", "-"): path for path in folder.iterdir()}


def _repoint(copy: Path, original: Path) -> None:
    """Have the scripts of a copied environment run its own interpreter."""
    for script in filter(Path.is_file, (copy / "bin").iterdir()):
        first, newline, rest = script.read_bytes().partition(b"\n")
        if first.startswith(f"#!{original}/".encode()):
            script.unlink()  # or the original would change too
            script.write_bytes(first.replace(bytes(original), bytes(copy)) + newline + rest)
            script.chmod(0o755)


def _install(python: Path, *arguments: str) -> None:
    # Python compiles what is imported, which is less than there is.
    done = _pip("--python", str(python), "install", "--no-compile", *arguments)
    if done.returncode and not _reaches_an_index():
        pytest.skip("pip reaches no package index")
    assert done.returncode == 0, done.stderr


def _reaches_an_index() -> bool:
    with TemporaryDirectory() as folder:
        return not _pip("download", "--no-deps", "--dest", folder, "pluggy").returncode


def _pip(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
