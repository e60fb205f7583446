"""The layers of docs/architecture.md hold: imports run down, or to the right within a layer."""

from __future__ import annotations

import ast
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.processes import ROOT

SCRIPT = ROOT / "docs" / "architecture_rooms.py"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PACKAGE = ROOT / "agentzero"


@pytest.fixture(scope="module")
def source() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


def rooms(folder: Path) -> set[str]:
    """The modules and packages in a folder; a package stands for all that is in it."""
    packages = {path.parent.name for path in folder.glob("*/__init__.py")}
    return {path.stem for path in folder.glob("*.py")} | packages


def imports(folder: Path) -> set[tuple[str, str]]:
    """Who imports whom, of the rooms in a folder, wherever in the code that happens."""
    within = ".".join(folder.relative_to(ROOT).parts)
    known = rooms(folder)
    pairs = {
        (path.relative_to(folder).parts[0].removesuffix(".py"), _room(name, within, known))
        for path in folder.rglob("*.py")
        for name in _imported(ast.parse(path.read_text(encoding="utf-8")))
        if f"{name}.".startswith(f"{within}.")
    }
    return {(source, target) for source, target in pairs if source != target}


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "whole names show where a module belongs"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _room(name: str, within: str, known: set[str]) -> str:
    first = name.removeprefix(within).lstrip(".").partition(".")[0]
    return first if first in known else "__init__"


def table(heading: str) -> list[list[str]]:
    """The rooms that the rows of a table name, from above."""
    [section] = re.findall(rf"^## {heading}$(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    rows = [line.split("|")[-3] for line in section.splitlines() if line.startswith("| ")]
    names = [re.findall(r"`(\w+)(?:\.py|/)`", row) for row in rows]
    return [row for row in names if row]


def upward(pairs: set[tuple[str, str]], layers: list[list[str]]) -> list[tuple[str, str]]:
    """Those imports that run up, or to the left within a layer."""
    places = {name: (y, x) for y, layer in enumerate(layers) for x, name in enumerate(layer)}
    return sorted((one, other) for one, other in pairs if places[one] >= places[other])


def drawn(source: dict[str, Any]) -> list[list[str]]:
    return [[room.name for room in layer.rooms] for layer in source["LAYERS"]]


def test_the_drawing_has_every_room_once(source: dict[str, Any]) -> None:
    names = [name for layer in drawn(source) for name in layer]
    assert sorted(names) == sorted(rooms(PACKAGE))


def test_imports_run_down_or_to_the_right(source: dict[str, Any]) -> None:
    pairs = imports(PACKAGE)
    assert ("core", "steps") in pairs
    assert ("pipeline", "__init__") in pairs
    assert upward(pairs, drawn(source)) == []


def test_rooms_that_are_drawn_over_one_another_would_be_hidden(source: dict[str, Any]) -> None:
    for layer in source["LAYERS"]:
        for one, other in zip(layer.rooms, layer.rooms[1:], strict=False):
            assert one.column + one.columns <= other.column


def test_the_way_of_a_message_is_a_way_of_imports(source: dict[str, Any]) -> None:
    pairs = imports(PACKAGE)
    way = {(call.source, call.target) for call in source["WAY"]}
    assert way <= pairs
    assert {("aio", target) for one, target in way if one == "core"} <= pairs


def test_the_drawing_is_what_its_source_draws(source: dict[str, Any]) -> None:
    there = (ROOT / "docs" / "architecture.svg").read_text(encoding="utf-8")
    assert there == source["drawing"](), "python docs/architecture_rooms.py > docs/architecture.svg"


def test_the_page_tells_of_the_rooms_as_they_are_drawn(source: dict[str, Any]) -> None:
    told = [name for row in table("The rooms") for name in row]
    assert told == [name for layer in drawn(source) for name in layer]


def test_the_pipeline_s_imports_run_down_its_table() -> None:
    layers, folder = table("The pipeline"), PACKAGE / "pipeline"
    names = [name for layer in layers for name in layer]
    assert sorted([*names, "__init__"]) == sorted(rooms(folder))
    pairs = {pair for pair in imports(folder) if "__init__" not in pair}
    assert len(pairs) > 50
    assert upward(pairs, layers) == []
