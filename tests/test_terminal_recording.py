"""The terminals of the README show what the program really does."""

from __future__ import annotations

import re
import runpy
from itertools import groupby
from xml.etree import ElementTree

from tests.ports import having
from tests.processes import ROOT

SCRIPT = ROOT / "docs" / "terminal_recording.py"
PICTURE = SCRIPT.with_name("terminal.svg")

TEXT = "{http://www.w3.org/2000/svg}text"


def shown(svg: str) -> list[str]:
    """The lines that a picture shows: pieces of text at the same height are one."""
    pieces = ElementTree.fromstring(svg).iter(TEXT)
    lines = groupby(pieces, lambda piece: piece.get("y"))
    return [
        "".join(piece.text or "" for piece in line).replace("\xa0", " ").rstrip()
        for _, line in lines
    ]


def test_the_picture_shows_what_the_commands_do() -> None:
    source = runpy.run_path(str(SCRIPT))
    with having({6000, 6001}):
        anew = source["picture"](source["conversation"]())
    assert shown(PICTURE.read_text(encoding="utf-8")) == shown(anew), (
        f"python docs/{SCRIPT.name} > docs/{PICTURE.name}"
    )


def test_what_the_readme_has_typed_is_in_the_picture() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"]({PICTURE.relative_to(ROOT)})" in readme
    typed = re.findall(r"^\$ (.*?)(?: &)?$", readme, re.MULTILINE)
    lines = [line.removeprefix("$") for line in shown(PICTURE.read_text(encoding="utf-8"))]
    assert typed
    assert [command for command in typed if command not in lines] == []
