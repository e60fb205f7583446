"""`keygen`: the files that it makes, and never writes over."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentzero.security import KeyPair, load_public_key
from tests.cli.inside import Agent


def test_it_writes_a_pair_and_prints_the_public_key(agent: Agent, folder: Path) -> None:
    ran = agent("keygen", "server")
    pair = KeyPair.load(folder / "server.secret")
    assert (ran.code, ran.lines, ran.err) == (0, [pair.public], "")
    assert load_public_key(folder / "server.public") == pair.public
    assert pair.secret.decode() not in (folder / "server.public").read_text()
    assert (folder / "server.secret").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("there", ["server.secret", "server.public"])
def test_no_file_is_written_over(there: str, agent: Agent, folder: Path) -> None:
    (folder / there).write_text("precious")
    ran = agent("keygen", "server")
    assert (ran.code, ran.out) == (2, b"")
    assert f"{there} is there already" in ran.err
    assert [(path.name, path.read_text()) for path in folder.iterdir()] == [(there, "precious")]


def test_a_name_may_have_dots_and_folders(agent: Agent, folder: Path) -> None:
    (folder / "keys").mkdir()
    assert agent("keygen", "keys/db.example.com").code == 0
    names = {path.name for path in (folder / "keys").iterdir()}
    assert names == {"db.example.com.secret", "db.example.com.public"}


def test_a_folder_that_is_not_there_is_named(agent: Agent) -> None:
    ran = agent("keygen", "nowhere/server")
    assert (ran.code, ran.out) == (1, b"")
    [line] = ran.err.splitlines()
    assert "nowhere/server.secret" in line
    assert "No such file or directory" in line


@pytest.mark.parametrize("name", ["", "./"])
def test_a_name_that_names_no_file_is_wrong_usage(name: str, agent: Agent) -> None:
    ran = agent("keygen", name)
    assert (ran.code, ran.out) == (2, b"")
    assert "names no file" in ran.err
