"""What type checkers make of the library, and of programs written with it, in tests/typing."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.processes import ROOT, run

# Without its cache mypy takes long, and there are other tests.
PATIENCE = 240.0
pytestmark = pytest.mark.timeout(PATIENCE + 60)

PROGRAMS = sorted(ROOT.glob("tests/typing/*.py"))
REFUSED = re.compile(r"# refused: (.+)")


@pytest.fixture(autouse=True)
def environment_of_pyright(monkeypatch: pytest.MonkeyPatch) -> None:
    """What pyright asks for installed packages is the first Python of $PATH."""
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)


def mypy() -> set[str]:
    """What mypy finds in the programs: "path:line code"."""
    checked = run(
        "-m", "mypy", "--output=json", *map(str, PROGRAMS), within=PATIENCE, measured=False
    )
    found = [json.loads(line) for line in checked.out.splitlines()]
    return {f"{ROOT / each['file']}:{each['line']} {each['code']}" for each in found}


def pyright() -> set[str]:
    """What pyright finds in them."""
    found = ask_pyright(*map(str, PROGRAMS))["generalDiagnostics"]
    return {f"{each['file']}:{each['range']['start']['line'] + 1} {each['rule']}" for each in found}


def ask_pyright(*arguments: str) -> dict[str, Any]:
    checked = run("-m", "pyright", "--outputjson", *arguments, within=PATIENCE, measured=False)
    report: dict[str, Any] = json.loads(checked.out)
    return report


def marked() -> Iterator[tuple[str, str]]:
    """Each mistake as the programs tell it: "path:line", and what one checker calls it."""
    for path in PROGRAMS:
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            for names in REFUSED.findall(line):
                yield from ((f"{path}:{number}", name) for name in names.split(", "))


def test_mypy_accepts_what_is_right_and_refuses_what_is_not() -> None:
    told = {f"{where} {name}" for where, name in marked() if not name.startswith("report")}
    assert mypy() == told


def test_so_does_pyright() -> None:
    told = {f"{where} {name}" for where, name in marked() if name.startswith("report")}
    assert pyright() == told


def test_every_type_of_the_library_is_known_to_its_users() -> None:
    checked = ask_pyright("--verifytypes", "agentzero", "--ignoreexternal")["typeCompleteness"]
    symbols = [each for each in checked["symbols"] if each["isExported"]]
    assert "agentzero.core.SocketManager.recv" in {each["name"] for each in symbols}
    assert [each["name"] for each in symbols if not each["isTypeKnown"]] == []
    assert [each["name"] for each in symbols if each["isTypeAmbiguous"]] == []
    assert checked["completenessScore"] == 1
