"""`plugins`: what it says of built-ins, of plugins, and of broken ones."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.cli.inside import Agent
from tests.processes import START

PLUGIN = """
from agentzero import hookimpl

@hookimpl
def agentzero_register_serializers(registry):
    registry.add("lacking", dict, requires="no_such_module", install="Lacking")
    registry.add("failing", lambda: 1 / 0)
    registry.add("json", dict)
"""


def install(folder: Path, name: str, source: str) -> None:
    """Have a distribution with one module, which is a plugin."""
    (folder / f"{name}.py").write_text(source)
    info = folder / f"{name}-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[agentzero]\n{name}_entry = {name}\n")


def test_both_kinds_are_listed_with_their_origin(agent: Agent) -> None:
    ran = agent("plugins")
    assert ran.code == 0
    rows = [line.decode().split() for line in ran.lines]
    assert rows[0] == ["KIND", "NAME", "FROM", "STATE"]
    assert ["serializer", "json", "agentzero", "usable"] in rows
    assert ["backend", "threads", "agentzero", "usable"] in rows
    assert ["async", "backend", "asyncio", "agentzero", "usable"] in rows


def test_it_is_told_what_is_wrong_with_a_plugin(folder: Path) -> None:
    install(folder, "acme", PLUGIN)
    install(folder, "broken", "import no_such_library")
    ended = subprocess.run(
        [sys.executable, "-m", "agentzero", "plugins", "--json"],
        capture_output=True,
        text=True,
        timeout=START,
    )
    assert ended.returncode == 0
    rows = {row["name"]: row for row in map(json.loads, ended.stdout.splitlines())}
    assert rows["lacking"] | {"kind": "serializer", "origin": "acme"} == rows["lacking"]
    assert rows["lacking"]["problem"] == "no_such_module is not installed: pip install Lacking"
    assert "fails: ZeroDivisionError" in rows["failing"]["problem"]
    assert rows["json"]["problem"] is None
    assert rows["json"]["ignored"] == ["acme"]
    assert "No module named 'no_such_library'" in rows["broken_entry"]["problem"]
    [line] = ended.stderr.splitlines()
    assert line.startswith("Warning: the plugin broken is broken and left out: ModuleNotFound")
