"""The examples of one file, run as a user runs them: the same in threads and in greenlets."""

from __future__ import annotations

import ast
import signal
from pathlib import Path

import pytest

from tests.processes import ROOT, START, run, running

PRICES = str(ROOT / "examples" / "prices.py")

# How it is started, what $AGENTZERO_BACKEND says, and who waits then.
WAYS = {
    "plain": ([PRICES], None, "threads"),
    "threads by the environment": ([PRICES], "threads", "threads"),
    "gevent by the environment": ([PRICES], "gevent", "gevent"),
    "monkey-patched": (["-m", "gevent.monkey", PRICES], None, "gevent"),
    "monkey-patched, but threads": (["-m", "gevent.monkey", PRICES], "threads", "threads"),
}


class Way:
    """One way to start the example."""

    def __init__(self, arguments: list[str], backend: str) -> None:
        self.arguments = arguments
        self.first_line = f"Waiting with: {backend}"


@pytest.fixture(params=WAYS.values(), ids=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Way:
    arguments, environment, backend = request.param
    if "gevent" in (environment, backend) or "gevent.monkey" in arguments:
        pytest.importorskip("gevent")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("AGENTZERO_BACKEND", raising=False)
    if environment:
        monkeypatch.setenv("AGENTZERO_BACKEND", environment)
    return Way(arguments, backend)


EXPECTED = """\
tick    copper    (mean)      gold    (mean)    silver    (mean)
   1      8.93 (   8.93)   1913.20 (1913.20)     24.13 (  24.13)
   2      8.89 (   8.91)   1913.03 (1913.12)     24.10 (  24.11)
   3      8.92 (   8.91)   1924.07 (1916.77)     23.91 (  24.05)
"""


def test_the_prices_are_the_same_whoever_waits(way: Way) -> None:
    options = ["--ticks", "3", "--interval", "0.01"]
    ended = run(*way.arguments, *options, within=START, measured=False)
    assert (ended.code, ended.err) == (0, "")
    first_line, _, rest = ended.out.partition("\n")
    assert first_line == way.first_line
    assert rest == EXPECTED


@pytest.mark.parametrize("interval", ["0.01", "1000"], ids=["busy", "idle"])
def test_ctrl_c_ends_the_prices_without_a_traceback(way: Way, interval: str) -> None:
    options = ["--ticks", "1000000", "--interval", interval]
    with running(*way.arguments, *options, measured=False) as process:
        assert process.line() == way.first_line
        assert process.line().startswith("tick")
        assert process.line().startswith("   1 ")
        process.interrupt()
        ended = process.end(START)
    assert (ended.code, ended.err) == (128 + signal.SIGINT, "")
    assert ended.out.endswith("Stopped.\n")


def test_ctrl_c_before_the_first_price_ends_it_as_well(way: Way) -> None:
    with running(*way.arguments, measured=False) as process:
        assert process.line() == way.first_line
        process.interrupt()
        ended = process.end(START)
    assert (ended.code, ended.err) == (128 + signal.SIGINT, "")


def test_the_prices_use_only_this_library_and_the_standard_one() -> None:
    tree = ast.parse(Path(PRICES).read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not any(str(name).startswith(("gevent", "agentzero.backends")) for name in imported)
