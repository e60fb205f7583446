"""What docs/gevent-and-gunicorn.md says of gunicorn's workers: its own files are served."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest
import zmq

from agentzero import SocketManager
from tests.conftest import PATIENCE
from tests.pages import Page
from tests.ports import lasting_port
from tests.processes import ROOT, Ended, Process, running

PAGE = Page(ROOT / "docs" / "gevent-and-gunicorn.md")

# The manager is made where the application is imported: with --preload, before the fork.
MADE_AT_IMPORT = """
from shop import Shop

app = Shop()
app.open()
app.open = lambda: None  # as gunicorn.conf.py would make another
"""

KINDS = {
    "greenlets": [],
    "greenlets, preloaded": ["--preload"],
    "threads": ["--worker-class", "gthread", "--threads", "8"],
    "threads, preloaded": ["--worker-class", "gthread", "--threads", "8", "--preload"],
}


@pytest.fixture
def prices(monkeypatch: pytest.MonkeyPatch) -> Iterator[SocketManager]:
    """Who is asked for prices: a ROUTER of that name."""
    with SocketManager(linger=0) as sockets:
        sockets.create("prices", zmq.ROUTER)
        _, address = sockets.bind_to_random_port("prices", local_address="tcp://127.0.0.1")
        monkeypatch.setenv("PRICES", address)
        yield sockets


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files of the page, in a shop that has patience."""
    pytest.importorskip("gunicorn")
    pytest.importorskip("gevent")
    for block in PAGE.blocks:
        if block.file:
            text = block.text.replace("timeout=2", f"timeout={PATIENCE}")
            (tmp_path / block.file).write_text(text, encoding="utf-8")
    return tmp_path


@contextmanager
def gunicorn(folder: Path, app: str, *options: str) -> Iterator[tuple[Process, str]]:
    """A gunicorn with one worker, and its address."""
    bind = f"127.0.0.1:{lasting_port()}"
    words = ["--chdir", str(folder), "--config", str(folder / "gunicorn.conf.py"), "--bind", bind]
    words += ["--workers", "1", "--no-control-socket", *options, app]
    with running("-m", "gunicorn", *words, measured=False) as process:
        yield process, f"http://{bind}"


def get(address: str) -> tuple[int, str]:
    """What is answered there, once somebody listens."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            with urlopen(address, timeout=PATIENCE) as reply:
                return reply.status, reply.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()
        except URLError:
            assert time.monotonic() < end
            time.sleep(0.05)


def terminated(process: Process) -> Ended:
    os.kill(process.pid, signal.SIGTERM)
    return process.end(PATIENCE)


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_requests_wait_side_by_side_and_the_end_is_clean(
    folder: Path, prices: SocketManager, options: list[str]
) -> None:
    with (
        gunicorn(folder, "shop:app", *options) as (process, address),
        ThreadPoolExecutor(8) as pool,
    ):
        replies = [pool.submit(get, f"{address}/fruit-{number}") for number in range(8)]
        # None of them has its reply yet.
        questions = [prices.recv_from("prices", timeout=PATIENCE) for _ in replies]
        for identity, fruit in questions:
            prices.send_to("prices", identity, fruit.upper())
        said = [reply.result() for reply in replies]
        ended = terminated(process)
    assert said == [(200, f'{{"price": "FRUIT-{number}"}}') for number in range(8)]
    assert ended.code == 0, ended.err
    assert [word for word in ("Traceback", "ERROR", "WARNING") if word in ended.err] == []


def test_a_manager_that_was_made_before_the_fork_says_so(
    folder: Path, prices: SocketManager
) -> None:
    (folder / "early.py").write_text(MADE_AT_IMPORT, encoding="utf-8")
    with gunicorn(folder, "early:app", "--preload") as (process, address):
        code, _ = get(f"{address}/apple")
        ended = terminated(process)
    assert code == 500
    assert "ManagerClosed: the manager was made before fork()" in ended.err
    assert ended.code == 0
