"""Whatever a manager is in the middle of: closing it, or leaving it to the exit, ends in time."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import zmq

from tests.peers.remote import Remote
from tests.processes import START, Ended, run, running

Make = Callable[..., Any]

# Loops end when their socket is closed; all others are told of it.
LOOPS = {"serve REP", "serve ROUTER", "subscribe", "subscribe, half read"}


def quietly(ended: Ended) -> bool:
    assert (ended.code, ended.err) == (0, "")
    return True


def test_all_who_wait_are_ended_by_closing(backend: Any) -> None:
    peer = ["-m", "tests.peers.ending", backend.name, "close_all", "waiting"]
    ended = run(*peer, within=START, measured=False)
    assert quietly(ended)
    endings = json.loads(ended.out)
    assert len(endings) == 13
    assert endings == {name: None if name in LOOPS else "SocketClosed" for name in endings}


LEFT_WAITING = """
import asyncio, {loop}
from tests.peers.ending import idle, opened, waits
from tests.peers.tasks import tasks_of

async def main():
    sockets = opened(tasks_of("asyncio"))
    idle(sockets)
    tasks = [asyncio.create_task(work()) for work in waits(sockets).values()]
    assert await sockets.recv_safe("PULL", 0.2) is None
    print(sum(task.done() for task in tasks))

with asyncio.Runner(loop_factory={loop}.new_event_loop) as runner:
    runner.run(main())
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_tasks_that_still_wait_do_not_keep_the_process(loop: str) -> None:
    pytest.importorskip(loop)
    ended = run("-c", LEFT_WAITING.format(loop=loop), within=START, measured=False)
    assert quietly(ended)
    assert ended.out == "0\n"


@pytest.mark.parametrize("fate", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_messages_that_nobody_takes_any_more_hold_it_up_for_its_linger(
    backend: Any, fate: signal.Signals, eventually: Make, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        processes = []
        for how in ("close_all", "exit"):
            address = f"ipc://{tmp_path}/{how}"
            peer = Remote("bare", eventually)
            stack.callback(peer.kill)
            peer.ensure_and_bind("peer", zmq.DEALER, address)
            arguments = [backend.name, how, "sending", address, str(peer.pid), str(int(fate))]
            started = running("-m", "tests.peers.ending", *arguments, measured=False)
            processes.append(stack.enter_context(started))
            peer.begin("send", "peer", peer.recv("peer"))  # it does not live to tell of its end
        for process in processes:
            ended = process.end(START)
            assert quietly(ended)
            assert ended.out == "ending\n"
