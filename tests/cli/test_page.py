"""The page of the command line names all that there is."""

from __future__ import annotations

import re

import click
import pytest

from agentzero.cli.root import COMMANDS
from tests.cli.test_help import COMMANDS as EVERY
from tests.processes import ROOT

PAGE = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_is_in_its_table(name: str) -> None:
    assert re.search(rf"^\|.*`{name}`.*\|", PAGE, re.MULTILINE)


def test_each_variable_is_in_its_table() -> None:
    rows = re.findall(r"^\| `(AGENTZERO_\w+)` \| `(--[\w-]+)` \|", PAGE, re.MULTILINE)
    assert set(rows) == {
        (option.envvar, option.opts[-1])
        for command in EVERY.values()
        for option in command.params
        if isinstance(option, click.Option) and option.envvar
    }
