"""The code of Markdown pages, and a reader who does all that a page says.

A page has four kinds of blocks:

- A file, python or toml, whose first line is a comment with its name: "# tests/test_poll.py".
- A program, python. Those of a page are run as one, and each line that it prints is told by the
  comment behind its print: "print(1 + 1)  # 2".
- A console: commands after "$ ", and below each the lines of its output that matter, where "..."
  stands for anything. They are typed into a shell, in the folder of the page's files.
- Names, "{eval-rst}", for Sphinx to put their docstrings there.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.environments import Environment
from tests.processes import ROOT
from tests.shell import shell

FENCED = re.compile(r"^```(\S*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NAMED = re.compile(r"# ([\w./-]+\.(?:py|toml))\n")
DIRECTIVES = re.compile(r"(\.\. (auto|py:)[a-z]+:: .*\n|   +(?!>>>).*\n|\n)*")
PRINTED = re.compile(r"\bprint\(.*\)  # (.*)")
LINKED = re.compile(r"\]\((?!https?:)([^)#]+)")
PORT = re.compile(r":((?:60|77)\d\d)\b")
FAULT = re.compile(r"\d+ failed|Traceback|Error: ")


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        kind: what the page says it is: "python", "console", ...
        text: what it holds.
        line: where it begins.
        file: the file that it is, named by its first line, or "".
    """

    kind: str
    text: str
    line: int
    file: str

    @property
    def does(self) -> str:
        """What is done: "write", "run", "type", "document", or "" where nobody knows."""
        if self.file:
            return "write"
        if self.kind == "{eval-rst}" and DIRECTIVES.fullmatch(self.text):
            return "document"
        return {"python": "run", "console": "type"}.get(self.kind, "")


class Page:
    """A Markdown page of the checkout.

    Args:
        path: where it is, below the checkout.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = path.read_text(encoding="utf-8")
        self.blocks = list(_blocks(self.text))

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def fences(self) -> int:
        """How many lines begin or end a block, wherever and of whatever style."""
        return len(re.findall(r"^\s*(?:```|~~~)", self.text, re.MULTILINE))

    @property
    def links(self) -> list[str]:
        """The files that it links to."""
        return LINKED.findall(self.text)

    @property
    def guides(self) -> bool:
        """Whether it has commands to type."""
        return any(block.does == "type" for block in self.blocks)

    @property
    def installs(self) -> bool:
        """Whether its commands begin with nothing installed; else they are for the developers."""
        return any("$ pip install " in block.text for block in self.blocks)

    @property
    def ports(self) -> set[int]:
        """The ports that a reader has to have: those of a pipeline, where they are named."""
        return {int(port) for port in PORT.findall(self.text)} if self.guides else set()

    @property
    def program(self) -> str:
        """Its programs as one, with the line numbers of the page."""
        lines: list[str] = []
        for block in self.blocks:
            if block.does == "run":
                lines += [""] * (block.line - len(lines)) + block.text.splitlines()
        return "\n".join(lines)


def _blocks(text: str) -> Iterator[Block]:
    for match in FENCED.finditer(text):
        kind, code = match.groups()
        named = NAMED.match(code)
        file = named[1] if named else ""
        yield Block(kind, code, text.count("\n", 0, match.start(2)), file)


def said(program: str) -> list[str]:
    """What the comments behind its prints say that it prints."""
    return PRINTED.findall(program)


def agrees(printed: str, comment: str) -> bool:
    """Whether a line is what a comment says; after ", or " the comment speaks to the reader."""
    return comment == printed or comment.startswith(f"{printed}, or ")


class Reader:
    """Somebody who writes the files of a page and types its commands, in order.

    Args:
        environment: where the commands run.
        folder: where the files go.
    """

    def __init__(self, environment: Environment, folder: Path) -> None:
        self._environment = environment
        self._folder = folder

    def follow(self, page: Page) -> None:
        """Do all that it says; fail where something else comes of it."""
        with shell(self._environment, self._folder) as self._shell:
            for block in page.blocks:
                if block.does == "write":
                    self._write(block)
                elif block.does == "type":
                    for command, shown in _commands(block.text):
                        self._type(command, shown, f"{page}:{block.line}: $ {command}")

    def _write(self, block: Block) -> None:
        path = self._folder / block.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")

    def _type(self, command: str, shown: list[str], where: str) -> None:
        if command.startswith("pip install "):
            self._install(shlex.split(command)[2:])
            assert not shown, where
        else:
            code, printed = self._shell.run(command)
            told = f"{where}\n{printed}\n{self._shell.background}"
            assert _shows(printed, shown), told
            assert bool(code) == bool(FAULT.search("\n".join(shown))), told

    def _install(self, words: list[str]) -> None:
        self._environment = self._environment.plus(*map(self._meant, words))
        self._shell.use(self._environment)

    def _meant(self, word: str) -> str:
        """What is installed: "." is the reader's package, and ".[extras]" the checkout's."""
        return str(self._folder) if word == "." else re.sub(r"^\.(?=\[)", "agentzero", word)


def _commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each command, and the lines that it prints."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, *shown = part.splitlines()
        yield command, shown


def _shows(printed: str, shown: list[str]) -> bool:
    """Whether those lines are among what was printed, in this order."""
    lines = iter(printed.splitlines())
    return all(any(_pattern(want).fullmatch(line) for line in lines) for want in shown)


def _pattern(line: str) -> re.Pattern[str]:
    """What matches a line: three dots stand for anything, and pytest's numbers for any number."""
    pattern = re.escape(line).replace(re.escape("..."), ".*")
    if re.search(r"\d (passed|failed)", line):
        pattern = re.sub(r"\d+(\\\.\d+)?", r"[0-9.]+", pattern)
    return re.compile(pattern)
