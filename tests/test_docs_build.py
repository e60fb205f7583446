"""The site that Sphinx makes of the documentation: whole, and with every public name."""

from __future__ import annotations

import ast
import json
import zlib
from collections.abc import Iterator
from functools import cached_property
from importlib import import_module
from pathlib import Path
from pkgutil import resolve_name

import pytest

from tests.processes import run
from tests.test_docs import PAGES

CLASSES = [
    "agentzero.SocketManager",
    "agentzero.AsyncSocketManager",
    "agentzero.pipeline.AsyncClient",
    "agentzero.pipeline.Client",
    "agentzero.pipeline.Pipeline",
    "agentzero.pipeline.Worker",
]


class Site:
    """The documentation, made as `make docs` makes it.

    Attributes:
        ended: how Sphinx ended.
    """

    def __init__(self, folder: Path) -> None:
        sphinx = ("-m", "sphinx", "-W", "--keep-going", "-q", "docs", str(folder))
        self.ended = run(*sphinx, within=50, measured=False)
        self._inventory = folder / "objects.inv"
        self._index = folder / "searchindex.js"

    @cached_property
    def kinds(self) -> dict[str, str]:
        """What it documents, by its full name: "class", "method", "module", ..."""
        packed = self._inventory.read_bytes().split(b"\n", 4)[4]
        entries = [line.split()[:2] for line in zlib.decompress(packed).decode().splitlines()]
        return {name: kind.removeprefix("py:") for name, kind in entries if kind[:3] == "py:"}

    @cached_property
    def titles(self) -> list[str]:
        """The titles of its pages."""
        script = self._index.read_text(encoding="utf-8")
        index = json.loads(script.removeprefix("Search.setIndex(").removesuffix(")"))
        return list(index["titles"])

    def has(self, module: str, name: str) -> bool:
        """Whether it documents a name of a module, there or where it is defined."""
        thing = getattr(import_module(module), name)
        return f"{module}.{name}" in self.kinds or _home(thing) in self.kinds


def _home(thing: object) -> str:
    """Where a class or function is defined."""
    return f"{getattr(thing, '__module__', '')}.{getattr(thing, '__qualname__', '')}"


def _imports() -> Iterator[tuple[str, str]]:
    """The names that the code of the pages imports from here, each after its module."""
    for block in (block for page in PAGES for block in page.blocks if block.kind == "python"):
        for node in ast.walk(ast.parse(block.text)):
            if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "agentzero":
                yield from ((str(node.module), alias.name) for alias in node.names)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site"))


def test_it_is_made_without_a_warning(site: Site) -> None:
    assert site.ended.err == ""
    assert site.ended.code == 0


def test_its_pages_have_titles_that_differ(site: Site) -> None:
    assert len(site.titles) > 30
    assert len(set(site.titles)) == len(site.titles)


def test_it_has_every_name_of_a_public_module(site: Site) -> None:
    modules = [name for name, kind in site.kinds.items() if kind == "module"]
    public = [(module, name) for module in modules for name in import_module(module).__all__]
    assert len(public) > 100
    assert [names for names in public if not site.has(*names)] == []


def test_it_has_every_name_that_the_pages_import(site: Site) -> None:
    imported = list(_imports())
    assert len(imported) > 30
    assert [names for names in imported if not site.has(*names)] == []


def test_it_has_every_public_method(site: Site) -> None:
    methods = {
        f"{kind}.{name}"
        for kind in CLASSES
        for name in dir(resolve_name(kind))
        if not name.startswith("_")
    }
    assert len(methods) > 100
    assert methods - site.kinds.keys() == set()
