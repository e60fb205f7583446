"""The README's programs do what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
PROGRAMS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_prints_what_the_readme_says(
    program: str, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = re.findall(r"print\(.*\)  # (\{.*?\})", program)
    exec(compile(program, str(README), "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out.splitlines() == printed
    assert printed
