"""What data looks like: on a terminal, and elsewhere."""

from __future__ import annotations

import os
import pty
import re
import sys
from collections.abc import Callable
from typing import Any

import pytest

from agentzero.cli.output import one_line, show, show_event

STYLE = re.compile(r"\x1b\[[\d;]*m")


@pytest.fixture
def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """What a function writes to standard output where that is a terminal, without its colours."""

    def written(function: Callable[..., object], *args: Any) -> str:
        ours, theirs = pty.openpty()
        with open(theirs, "w", encoding="utf-8") as terminal, open(ours, "rb") as reader:
            monkeypatch.setattr(sys, "stdout", terminal)
            function(*args)
            terminal.flush()
            said = os.read(reader.fileno(), 65536).decode()
            monkeypatch.undo()
        return STYLE.sub("", said.replace("\r\n", "\n"))

    return written


def test_data_is_pretty_on_a_terminal(on_a_terminal: Callable[..., str]) -> None:
    assert on_a_terminal(show, {"a": [1, "é"]}) == '{\n  "a": [\n    1,\n    "é"\n  ]\n}\n'


def test_data_is_one_line_elsewhere(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    show({"a": [1, "é"]})
    assert capsysbinary.readouterr().out == '{"a":[1,"é"]}\n'.encode()


def test_a_topic_stands_before_its_data(on_a_terminal: Callable[..., str]) -> None:
    assert on_a_terminal(show_event, b"sky", "blue") == 'sky "blue"\n'


@pytest.mark.parametrize("hostile", ["\x1b[2J", "\x9b2J", "\u202e", "\x07", "\U000e0001"])
def test_what_comes_from_elsewhere_cannot_play_with_a_terminal(
    hostile: str, on_a_terminal: Callable[..., str]
) -> None:
    shown = on_a_terminal(show_event, f"sky{hostile}\n".encode(), {hostile: hostile})
    assert hostile not in shown
    assert shown.replace("\n", "").isprintable()
    assert shown.startswith("sky\\u")
    assert len(shown.splitlines()) == 3
    assert one_line(f"Error: {hostile}\n").isprintable()
