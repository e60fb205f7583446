"""Measure this library beside bare pyzmq: interleaved rounds, medians, one table.

    python benchmarks/run.py [--rounds 7] [--messages 200000] [--round-trips 4000]

Sender and receiver, or requester and replier, are two processes that talk over tcp loopback. Both
sides of a pair use the same library. A round measures every peer once, so that a machine that slows
down slows down all of them; the ratio is that of the medians.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import msgspec
import zmq
from peers import MESSAGE, PEERS, Measured
from scale import with_and_without_others

PEER_SCRIPT = Path(__file__).with_name("peers.py")
BASELINE = "bare pyzmq"
LIMIT = 120  # seconds that one side may take


def start(*args: str) -> subprocess.Popen[str]:
    """Start one side."""
    command = [sys.executable, str(PEER_SCRIPT), *args]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def converse(peer: str, server: str, client: str, count: int) -> tuple[Measured, Measured]:
    """Let two processes talk; return what server and client measured."""
    serving = start(peer, server, str(count))
    assert serving.stdout is not None
    address = serving.stdout.readline().strip()
    asking = start(peer, client, str(count), address)
    try:
        asked = asking.communicate(timeout=LIMIT)[0]
        served = serving.communicate(timeout=LIMIT)[0]
    finally:
        asking.kill()
        serving.kill()
    return json.loads(served), json.loads(asked)


def measure(rounds: int, messages: int, trips: int) -> dict[str, dict[str, list[float]]]:
    """Return figure -> peer -> values, one of each a round."""
    figures: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for number in range(rounds):
        for peer in sorted(PEERS, reverse=bool(number % 2)):
            received, sent = converse(peer, "receive", "send", messages)
            figures["receive, msg/s"][peer].append(received["rate"])
            figures["send, msg/s"][peer].append(sent["rate"])
            figures["receive, processor us/msg"][peer].append(received["cpu"])
            figures["send, processor us/msg"][peer].append(sent["cpu"])
            _, asked = converse(peer, "reply", "request", trips)
            figures["request/reply p50, us"][peer].append(asked["p50"])
        print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
    return figures


def table(figures: dict[str, dict[str, list[float]]]) -> str:
    """Return the medians as a Markdown table, each with its ratio to the baseline."""
    lines = ["| | " + " | ".join(PEERS) + " |", "| --- |" + " ---: |" * len(PEERS)]
    for figure, by_peer in figures.items():
        base = statistics.median(by_peer[BASELINE])
        cells = [
            f"{statistics.median(by_peer[peer]):,.{0 if base > 100 else 2}f}"
            f" ({statistics.median(by_peer[peer]) / base:.2f})"
            for peer in PEERS
        ]
        lines.append(f"| {figure} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--round-trips", type=int, default=4_000)
    options = parser.parse_args()
    size = len(msgspec.json.encode(MESSAGE))
    print(
        f"{platform.python_implementation()} {platform.python_version()}, pyzmq {zmq.__version__}, "
        f"libzmq {zmq.zmq_version()}, {platform.machine()}; {options.rounds} rounds, a dict of "
        f"{size} bytes as JSON, tcp loopback. In brackets: the ratio to {BASELINE}.\n"
    )
    print(table(measure(options.rounds, options.messages, options.round_trips)))
    alone, among = with_and_without_others(options.rounds)
    print(
        f"\nOne send and one receive: {alone:.2f} us with no other socket, "
        f"{among:.2f} us with 1,000 others registered ({among / alone:.2f})."
    )


if __name__ == "__main__":
    main()
