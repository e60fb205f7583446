"""Draws terminal.svg: two terminals that talk, as they come out of the real program.

    python docs/terminal_recording.py > docs/terminal.svg

The tests have them talk anew, and compare what they show with what the picture shows.
"""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

ROWS, COLUMNS = 40, 80
PATIENCE = "20"  # seconds that a command waits

COLOURS = TerminalTheme(
    (13, 17, 23),
    (201, 209, 217),
    [
        (72, 79, 88),
        (255, 123, 114),
        (126, 231, 135),
        (210, 153, 34),
        (121, 192, 255),
        (210, 168, 255),
        (165, 214, 255),
        (201, 209, 217),
    ],
)

# The fonts are those of the reader: a picture in a page can load none.
WINDOW = """\
<svg width="{width}" height="{height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
  font: {char_height}px/{line_height}px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace
}}
.{unique_id}-title {{ font: 600 16px system-ui, -apple-system, "Segoe UI", sans-serif }}
{styles}
</style>
{chrome}
<g class="{unique_id}-matrix" transform="translate({terminal_x}, {terminal_y})">
{matrix}
</g>
</svg>
"""


class Terminal:
    """A terminal, in which commands are typed.

    Args:
        title: what stands above it.

    Attributes:
        screen: all that it shows, with the escapes for its colours.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self.screen = ""

    def run(self, command: str) -> None:
        """Type a command, and wait for its end."""
        with self.running(command):
            pass

    @contextmanager
    def running(self, command: str) -> Iterator[None]:
        """Type a command; do the block meanwhile, and wait for the end of both."""
        self.screen += f"\x1b[1;32m$\x1b[0m \x1b[1m{command}\x1b[0m\n"
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (ROWS, COLUMNS))
        try:
            with _started(command, theirs) as process:
                os.close(theirs)
                yield
                self.screen += _written(ours)
                assert process.wait() == 0, self.screen
        finally:
            os.close(ours)


def _started(command: str, terminal: int) -> subprocess.Popen[bytes]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.Popen(
        ["sh", "-c", command],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={"PATH": path, "TERM": "xterm-256color", "AGENTZERO_TIMEOUT": PATIENCE},
    )


def _written(terminal: int) -> str:
    """Return what is written on a terminal, when nobody can write there any more."""
    chunks = []
    while chunk := _read(terminal):
        chunks.append(chunk)
    return b"".join(chunks).decode().replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # how Linux says that
        return b""


def conversation() -> list[Terminal]:
    """Have two terminals talk."""
    here, there = Terminal("one terminal"), Terminal("another one")
    with here.running("agentzero sub tcp://127.0.0.1:6000 weather --count 1"):
        there.run(
            """agentzero pub tcp://127.0.0.1:6000 weather '{"city": "Oslo", "sky": "blue"}'"""
        )
    with here.running("agentzero rep tcp://127.0.0.1:6001 --command 'tr a-z A-Z' --count 2"):
        there.run("agentzero req tcp://127.0.0.1:6001 'is anybody there?'")
        there.run("agentzero doctor tcp://127.0.0.1:6001")
        there.run("echo 'each line is a message' | agentzero req tcp://127.0.0.1:6001")
    return [here, there]


def picture(terminals: list[Terminal]) -> str:
    """Return the SVG of terminals, one below the other.

    >>> picture([Terminal("mine")]).startswith("<svg")
    True
    """
    windows, width, top = [], 0, 0
    for terminal in terminals:
        window = _window(terminal)
        width, height = map(int, re.findall(r'(?:width|height)="(\d+)', window)[:2])
        windows.append(f'<g transform="translate(0, {top})">\n{window}</g>')
        top += height + 12
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {top - 12}" role="img">'
    return "\n".join([head, "<title>Two terminals that talk</title>", *windows, "</svg>\n"])


def _window(terminal: Terminal) -> str:
    console = Console(file=io.StringIO(), record=True, width=COLUMNS + 2, force_terminal=True)
    console.print(Text.from_ansi(terminal.screen), end="")
    name = re.sub(r"\W+", "-", terminal.title)
    svg = console.export_svg(
        title=terminal.title, theme=COLOURS, code_format=WINDOW, unique_id=name
    )
    return re.sub(r' clip-path="[^"]*"', "", svg)  # no line is too long


if __name__ == "__main__":
    sys.stdout.write(picture(conversation()))
