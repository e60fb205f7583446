"""A price feed: one task publishes, one for each symbol works out a mean, and one shows the rows.

It runs in threads, or in greenlets without an edit; its first line says which:

    python examples/prices.py
    AGENTZERO_BACKEND=gevent python examples/prices.py    # threads with an event loop each
    python -m gevent.monkey examples/prices.py            # its threads become greenlets

It takes two seconds, or what `--ticks` and `--interval` say; Ctrl-C ends it at any time.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress

import zmq

from agentzero import Event, SocketManager
from agentzero.errors import ManagerClosed, SocketClosed

SYMBOLS = {"copper": 9.0, "gold": 1900.0, "silver": 24.0}
WINDOW = 5  # prices that a mean is of
CLOSED = (SocketClosed, ManagerClosed)  # in the midst of a wait, or before it
PATIENCE = 0.2  # seconds until Ctrl-C is noticed, at the most


class CtrlC:
    """Remembers Ctrl-C, so that nothing is cut short: it may come in any of the tasks."""

    def __init__(self) -> None:
        self.pressed = False
        signal.signal(signal.SIGINT, self._remember)

    def _remember(self, number: int, frame: object) -> None:
        self.pressed = True


def open_sockets(sockets: SocketManager) -> None:
    """Make the feed and one subscriber for each symbol; all of these report to one board."""
    # An XPUB is told who subscribes.
    sockets.ensure_and_bind("feed", zmq.XPUB, "tcp://127.0.0.1:*")
    sockets.ensure_and_bind("board", zmq.PULL, "tcp://127.0.0.1:*")
    sockets.ensure_and_connect("report", zmq.PUSH, sockets.endpoints("board")[0])
    for symbol in SYMBOLS:
        sockets.ensure_and_connect(symbol, zmq.SUB, sockets.endpoints("feed")[0])


def publish_prices(
    sockets: SocketManager, ticks: int, interval: float, over: threading.Event
) -> None:
    """Publish one price of every symbol again and again."""
    chance, prices = random.Random(1), dict(SYMBOLS)
    with suppress(*CLOSED):
        for _ in SYMBOLS:  # what is published before somebody subscribes is lost
            sockets.recv_multipart("feed")
        for tick in range(1, ticks + 1):
            for symbol in prices:
                prices[symbol] *= 1 + chance.uniform(-0.01, 0.01)
                sockets.publish("feed", symbol, [tick, prices[symbol]])
            if over.wait(interval):
                return


def watch(sockets: SocketManager, events: Iterable[Event]) -> None:
    """Report each price of a symbol with the mean of the last ones."""
    recent: deque[float] = deque(maxlen=WINDOW)
    with suppress(*CLOSED):
        for symbol, (tick, price) in events:
            recent.append(price)
            sockets.send("report", [tick, symbol, price, sum(recent) / len(recent)])


def rows(sockets: SocketManager, ticks: int, ctrl_c: CtrlC) -> Iterator[str]:
    """Yield a line for each tick, in their order, whichever report comes first."""
    columns: dict[int, dict[str, str]] = {tick: {} for tick in range(1, ticks + 1)}
    tick = 1
    while tick <= ticks and not ctrl_c.pressed:
        report = sockets.recv_safe("board", timeout=PATIENCE)
        if report is not None:
            number, symbol, price, mean = report
            columns[number][symbol] = f"{price:9.2f} ({mean:7.2f})"
        while tick <= ticks and len(columns[tick]) == len(SYMBOLS):
            yield f"{tick:>4} " + " ".join(columns[tick][symbol] for symbol in SYMBOLS)
            tick += 1


def run(ticks: int, interval: float, ctrl_c: CtrlC) -> None:
    """Show `ticks` rows, or fewer where Ctrl-C ends it."""
    over = threading.Event()
    with SocketManager() as sockets:
        print(f"Waiting with: {sockets.backend.name}", flush=True)
        open_sockets(sockets)
        threads = [
            threading.Thread(target=watch, args=(sockets, sockets.subscribe(symbol, symbol)))
            for symbol in SYMBOLS
        ]
        feed = (sockets, ticks, interval, over)
        threads.append(threading.Thread(target=publish_prices, args=feed))
        for thread in threads:
            thread.start()
        print("tick " + " ".join(f"{symbol:>9} {'(mean)':>9}" for symbol in SYMBOLS))
        for row in rows(sockets, ticks, ctrl_c):
            print(row, flush=True)
    # Its sockets are closed now: that ends the loops of the threads.
    over.set()
    for thread in threads:
        thread.join()


def main() -> int:
    parser = argparse.ArgumentParser(description="A price feed, in threads or in greenlets.")
    parser.add_argument("--ticks", type=int, default=20, help="how many rows (default: 20)")
    parser.add_argument("--interval", type=float, default=0.1, help="seconds between two rows")
    options = parser.parse_args()
    ctrl_c = CtrlC()
    run(options.ticks, options.interval, ctrl_c)
    if ctrl_c.pressed:
        print("Stopped.")
        return 128 + signal.SIGINT
    return 0


if __name__ == "__main__":
    sys.exit(main())
