"""One round of all figures of the peers; medians over rounds."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from statistics import median
from typing import TypeAlias

from children import converse
from peers import BARE, PYNNG, Peer

RECEIVE = "receive, msg/s"
SEND = "send, msg/s"
RECEIVE_CPU = "receive, processor us/msg"
SEND_CPU = "send, processor us/msg"
P50 = "request/reply p50, us"
FIGURES = (RECEIVE, SEND, RECEIVE_CPU, SEND_CPU, P50)

Medians: TypeAlias = dict[str, dict[str, float]]


class Rounds:
    """What was measured: by whom, which figure, one value a round."""

    def __init__(self) -> None:
        self.stalled: Counter[str] = Counter()
        self._values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))

    def add(self, who: str, figure: str, value: float) -> None:
        """Add the value of one round."""
        self._values[who][figure].append(value)

    def medians(self) -> Medians:
        """Return who -> figure -> the median over all rounds."""
        return {
            who: {figure: median(values) for figure, values in by_figure.items()}
            for who, by_figure in self._values.items()
        }


def one_round(peer: Peer, messages: int, trips: int) -> Iterator[tuple[str, float]]:
    """Measure each figure of a peer once.

    Its partner is bare pyzmq where it receives or sends, so that nobody waits for a slow partner
    of its own; of pynng, which speaks another protocol, and of a round trip, it is its own kind.
    """
    partner = PYNNG if peer == PYNNG else BARE
    received, _ = converse((*peer.command, "receive"), (*partner.command, "send"), messages)
    yield RECEIVE, received["rate"]
    yield RECEIVE_CPU, received["cpu"]
    _, sent = converse((*partner.command, "receive"), (*peer.command, "send"), messages)
    yield SEND, sent["rate"]
    yield SEND_CPU, sent["cpu"]
    _, asked = converse((*peer.command, "reply"), (*peer.command, "request"), trips)
    yield P50, asked["p50"]


def add_round(rounds: Rounds, peers: Sequence[Peer], messages: int, trips: int) -> None:
    """Measure all peers once, in that order; one that stalls has a second chance."""
    for peer in peers:
        try:
            figures = list(one_round(peer, messages, trips))
        except RuntimeError as error:
            print(f"{peer.name} stalled: {error}", file=sys.stderr, flush=True)
            rounds.stalled[peer.name] += 1
            figures = list(one_round(peer, messages, trips))
        for figure, value in figures:
            rounds.add(peer.name, figure, value)
