"""The soak of one backend, in a process of its own. It prints what it found, as one JSON line.

python benchmarks/soak_backend.py BACKEND SECONDS SEED FOLDER
"""

from __future__ import annotations

import faulthandler
import json
import logging
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import zmq
from soak_growth import Held, settled
from soak_killed import Relay, TooMuch
from soak_ledger import UNREADABLE, Ledger
from soak_pipes import Feed, Pipe
from soak_questions import Questions
from soak_sides import BACKENDS, Side, got
from soak_stage import PATIENCE, Stage
from soak_strangers import Strangers

from agentzero.events import SocketStats
from agentzero.security import ANY, ClientKeys, ServerKeys, generate_keys

Keys: TypeAlias = dict[str, dict[str, Any]]

# Seconds that go into beginning, settling and ending.
OVERHEAD = 3.0

# Two stages: what the first one leaves behind is no growth.
WARM_UP = 1 / 3

# The threads backend keeps two descriptors for each task of the most that ever waited at once.
CROWD = 64


def begin(stage: Stage, server: dict[str, Any], client: dict[str, Any]) -> None:
    """Start all scenes of a stage; `server` and `client` are options for CURVE."""
    Pipe(stage, "pipe", "tcp", bare=1)
    Pipe(stage, "curve pipe", "tcp", bare=1, receives=server, sends=client)
    Pipe(stage, "frames", "tcp", raw=True)
    Pipe(stage, "to bare", "ipc", bare_receiver=True)
    Pipe(stage, "ipc pipe", "ipc")
    Pipe(
        stage,
        "inproc pipe",
        "inproc",
        receives={"serializer": "msgpack"},
        sends={"serializer": "msgpack"},
    )
    Feed(stage, "feed", "tcp", bare=1)
    Feed(stage, "curve feed", "tcp", publishes=server, subscribes=client)
    Feed(stage, "from bare", "ipc", bare_publisher=True)
    Questions(stage, "router", "tcp", zmq.ROUTER)
    Questions(stage, "curve rep", "ipc", zmq.REP, serves=server, asks=client)
    Questions(stage, "by hand", "tcp", zmq.ROUTER, by="hand")
    Questions(stage, "bare router", "tcp", zmq.ROUTER, by="bare")
    Relay(stage, "relay")
    TooMuch(stage, "too much")
    strangers = stage.bare()
    stage.start("coming and going", strangers, Strangers(stage, strangers).run)
    stage.start("coming and going", stage.manager, stage.close_at_random)


async def run_stage(stage: Stage, seconds: float, keys: Keys) -> None:
    """Let everything happen for some seconds, and account for it."""
    begin(stage, **keys)
    await stage.manager.pause(seconds)
    await stage.settle()
    for name in stage.manager.sockets.names():
        stage.close(stage.manager, name)
    stage.ledger.close()


async def crowd(side: Side) -> None:
    """Let more tasks wait at once than a stage has."""
    done = 0

    async def wait() -> None:
        nonlocal done
        await got(side.sockets.recv_safe("crowd", timeout=0.3))
        done += 1

    side.sockets.create("crowd", zmq.PULL)
    for _ in range(CROWD):
        side.tasks.start(wait)
    while done < CROWD:
        await side.pause(0.01)
    side.sockets.close("crowd")


@asynccontextmanager
async def managed(sockets: Any) -> AsyncIterator[Any]:
    """Close a manager at last."""
    try:
        yield sockets
    finally:
        await got(sockets.close_all())


async def soak(backend: str, seconds: float, seed: str, folder: Path) -> dict[str, Any]:
    """Do both stages with one manager; return what was found."""
    tasks, ledger = BACKENDS[backend](), Ledger()
    pair = generate_keys()
    server = ServerKeys(pair, allowed=ANY)
    client = ClientKeys(generate_keys(), server=pair.public)
    keys: Keys = {"server": {"curve": server}, "client": {"curve": client}}
    found: list[Held] = []
    active = max(seconds - OVERHEAD, seconds * 0.35)
    async with managed(tasks.manager(timeout=PATIENCE)) as sockets:
        side = Side(sockets, tasks, bare=False)
        await crowd(side)
        for share in (WARM_UP, 1 - WARM_UP):
            stage = Stage(ledger, side, f"{seed} {backend} {len(found)}", folder)
            await run_stage(stage, active * share, keys)
            found.append(await settled(tasks.pause, found[0] if found else None, 5))
            if ledger.faults:  # another stage would wait long for the same
                break
        stats = sockets.stats()
    warm, end = found[0], found[-1]
    ledger.faults += end.grown(warm)
    compare(stats, ledger)
    return {
        "counts": dict(ledger.counts),
        "lost": dict(ledger.lost),
        "stats": asdict(stats),
        "warm": asdict(warm),
        "end": asdict(end),
        "faults": ledger.faults,
    }


def compare(stats: SocketStats, ledger: Ledger) -> None:
    """Compare what the manager counted in all with what it told of."""
    told = ledger.counts[UNREADABLE]
    # A socket may be closed, and its counts taken, between receiving a message and reading it.
    closed = ledger.counts["sockets closed under their users"]
    if not stats.undecodable <= told <= stats.undecodable + closed:
        ledger.fault(f"{stats}, but {told} undecodable messages were told of")


def main(backend: str, seconds: str, seed: str, folder: str) -> None:
    """Soak, and say what was found."""
    faulthandler.register(signal.SIGUSR1)
    logging.disable()  # what is logged of garbage
    began = time.monotonic()
    work = partial(soak, backend, float(seconds), seed, Path(folder))
    found = BACKENDS[backend]().run(work)
    print(json.dumps(found | {"seconds": time.monotonic() - began}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
