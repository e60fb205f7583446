"""Many tasks on one socket: nothing is lost, nothing is doubled, and closing never aborts."""

from __future__ import annotations

import json

import pytest

from tests.processes import START, run, running


def needs(backend: str) -> None:
    """Skip the test where what the backend needs is not installed."""
    for module in {"threads": (), "trio": ("anyio", "agentzero_trio")}.get(backend, (backend,)):
        pytest.importorskip(module)


@pytest.mark.timeout(150)
@pytest.mark.parametrize(
    ("backend", "total", "high_water_mark"),
    [
        ("threads", 80_000, 5),
        ("threads", 20_000, 1),
        ("gevent", 40_000, 5),
        ("asyncio", 20_000, 5),
        ("uvloop", 20_000, 5),
        ("trio", 10_000, 5),
    ],
)
def test_senders_and_receivers_that_share_a_dealer_lose_and_double_nothing(
    backend: str, total: int, high_water_mark: int
) -> None:
    needs(backend)
    mark = str(high_water_mark)
    with running("-m", "tests.peers.echo", mark, measured=False) as echo:
        peer = ["-m", "tests.peers.traffic", backend, echo.line(), str(total), mark]
        ended = run(*peer, within=120, measured=False)
    assert ended.err == ""
    assert ended.code == 0
    found = json.loads(ended.out)
    assert found.pop("seconds") < 80
    nothing = {"lost": 0, "doubled": 0, "unknown": 0, "overtaken": 0, "errors": []}
    assert found == nothing | {"received": total}


@pytest.mark.parametrize("how", ["close", "close_all"])
@pytest.mark.parametrize(
    ("backend", "rounds"),
    [("threads", 150), ("gevent", 100), ("asyncio", 50), ("uvloop", 50), ("trio", 50)],
)
def test_sockets_closed_under_busy_tasks_end_them_and_never_the_process(
    backend: str, how: str, rounds: int
) -> None:
    needs(backend)
    peer = ["-m", "tests.peers.closing", backend, how, str(rounds)]
    ended = run(*peer, within=START + 25, measured=False)
    assert ended.err == ""
    assert ended.code == 0
    found = json.loads(ended.out)
    assert found["wrong"] == []
    assert sum(found["counts"].values()) == 8 * rounds
    assert found["counts"]["SocketClosed"], "nobody was in the middle of anything"


CLOSED_IN_THE_TURN_OF_A_WAIT = """
import time, gevent, zmq
from agentzero import SocketManager
from agentzero.errors import SocketClosed

def wait():
    try:
        sockets.recv("in", 5)
    except SocketClosed:
        print("woken")

def close():
    sockets.close("in")
    time.sleep(0.05)  # holds up the loop: the socket is really gone when it looks again

sockets = SocketManager(backend="gevent", linger=0)
sockets.create("in", zmq.PULL)
waiting = gevent.spawn(wait)
gevent.spawn(close).join()
waiting.join()
"""


def test_a_socket_closed_in_the_turn_in_which_a_greenlet_began_to_wait_wakes_it() -> None:
    ended = run("-c", CLOSED_IN_THE_TURN_OF_A_WAIT, within=START)
    assert ended.err == ""
    assert (ended.code, ended.out) == (0, "woken\n")
