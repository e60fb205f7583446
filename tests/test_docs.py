"""What the README and the pages of docs/ say is so: all their code is run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agentzero.testing import BackendConformance, SerializerConformance
from tests.environments import DEVELOPERS
from tests.pages import Page, Reader, agrees, said
from tests.ports import having
from tests.processes import ROOT, START, run

PAGES = [Page(path) for path in (ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md")))]

of_pages = pytest.mark.parametrize("page", PAGES, ids=str)
of_programs = pytest.mark.parametrize("page", [p for p in PAGES if p.program], ids=str)
of_guides = pytest.mark.parametrize("page", [p for p in PAGES if p.guides], ids=str)


@of_pages
def test_no_block_of_code_is_left_out(page: Page) -> None:
    assert page.fences == 2 * len(page.blocks)
    assert [block for block in page.blocks if not block.does] == []
    assert page.guides or not any(block.does == "write" for block in page.blocks)


@of_programs
def test_the_programs_print_what_their_comments_say(page: Page, tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(page.program, encoding="utf-8")
    ended = run("-W", "error", str(script), within=START, measured=False)
    assert (ended.code, ended.err) == (0, "")
    comments, printed = said(page.program), ended.out.splitlines()
    assert len(printed) == len(comments) > 0
    both = zip(printed, comments, strict=True)
    assert [(line, comment) for line, comment in both if not agrees(line, comment)] == []


@pytest.mark.timeout(300)
@of_guides
def test_whoever_follows_a_guide_sees_what_it_shows(
    page: Page, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    installs = page.installs
    environment = request.getfixturevalue("environment") if installs else DEVELOPERS
    with having(page.ports):
        Reader(environment, tmp_path).follow(page)


@of_pages
def test_the_tests_it_names_are_there(page: Page) -> None:
    named = set(re.findall(r"\btest_\w+\b(?!\.)", page.text))
    own = re.findall(r"def (test_\w+)", page.text)
    assert named <= {*dir(BackendConformance), *dir(SerializerConformance), *own}


@of_pages
def test_its_links_lead_somewhere(page: Page) -> None:
    assert [link for link in page.links if not (page.path.parent / link).exists()] == []
