"""The tables of the pages "Move from ..." show calls that are made in their programs."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.pages import Page
from tests.processes import ROOT

PAGES = [Page(path) for path in sorted(ROOT.glob("docs/move-from-*.md"))]

# What is installed here, so that what was before can be run as well.
RUNNABLE = {"move-from-pyzmq"}


def calls(page: Page) -> Iterator[str]:
    """The calls in the table of tasks: what comes after, and what was before where that runs."""
    [tasks] = re.findall(r"^## Task by task$(.*?)^## ", page.text + "## ", re.DOTALL | re.MULTILINE)
    for row in re.findall(r"^\| (.*) \|$", tasks, re.MULTILINE):
        _, *cells = row.split(" | ")
        shown = cells if page.path.stem in RUNNABLE else cells[-1:]
        yield from re.findall(r"`([^`]*\([^`]*)`", " ".join(shown))


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_its_calls_are_made_in_its_program(page: Page) -> None:
    shown = list(calls(page))
    assert len(shown) > 10
    assert [code for code in shown if code not in page.program] == []


def test_there_is_a_page_for_each_origin() -> None:
    origins = {page.path.stem.removeprefix("move-from-") for page in PAGES}
    assert origins == {"pyzmq", "agentzero-0", "zerorpc"}
