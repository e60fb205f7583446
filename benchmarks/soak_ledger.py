"""The accounts of a soak: who sent what, who got it, and what may have become of the rest.

A flow leads from its senders to its receivers, of which one is open at a time. A sender numbers its
messages from 1. What one receiver gets from one sender has consecutive numbers, and begins with 1
where no earlier receiver can have had the beginning. A message that nobody got is accounted for
where a receiver that it may have been on its way to has ended, or where nobody was subscribed yet.
Whatever else happens to a message is a fault.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field

TOO_EARLY = "no subscription yet"

# What is counted of the undecodable messages that the manager received, by whoever it told of them.
UNREADABLE = "undecodable for the manager"


@dataclass(eq=False)
class Sender:
    """One sender, from the making of its socket to its end.

    Attributes:
        key: what it writes on its messages.
        born: how many receivers its flow had had by then.
        sent: how many messages it has sent.
        last: the highest number that anybody got.
        missing: lower ones that nobody got.
        heard: receiver -> the last number that it got.
        hearer: the receiver that got the last message.
    """

    key: str
    born: int
    sent: int = 0
    last: int = 0
    missing: set[int] = field(default_factory=set)
    heard: dict[int, int] = field(default_factory=dict)
    hearer: int = 0

    @property
    def lost(self) -> int:
        """How many of its messages nobody got so far."""
        return len(self.missing) + max(0, self.sent - self.last)


class Receiver:
    """One receiver, from the making of its socket to its end."""

    def __init__(self, flow: Flow, number: int) -> None:
        self.flow, self.number = flow, number
        self.ending = ""
        self.count = self.undecodable = 0

    def got(self, key: str, number: int, *, intact: bool = True, readable: bool = True) -> None:
        """Note a message, which another sender may have written."""
        with self.flow.ledger.lock:
            self._seen(readable)
            sender = self.flow.senders.get(key)
            if sender is None:
                self.flow.fault(f"a message of {key!r}, who sends elsewhere")
            elif not intact:
                self.flow.fault(f"message {number} of {key} was changed on its way")
            else:
                self._got(sender, number)

    def stray(self, *, readable: bool) -> None:
        """Note what none of ours sent: garbage that is a message for an old version of ZMTP."""
        with self.flow.ledger.lock:
            self._seen(readable)
            self.flow.ledger.counts["strays"] += 1
            if not self.flow.open_to_strays:
                self.flow.fault("a message that nobody sent")

    def _seen(self, readable: bool) -> None:
        self.count += 1
        self.undecodable += not readable
        self.flow.ledger.counts["undecodable"] += not readable

    def _got(self, sender: Sender, number: int) -> None:
        before = sender.heard.get(self.number, 0)
        if number <= before or (number <= sender.last and number not in sender.missing):
            self.flow.fault(f"message {number} of {sender.key} came twice, or was overtaken")
        elif number > before + 1 and (before or not self.flow.late_start(sender, self)):
            gone = f"{before + 1} to {number - 1}"
            self.flow.fault(f"{sender.key}: {gone} are missing, and {number} came")
        sender.missing.update(range(sender.last + 1, number))
        sender.missing.discard(number)
        sender.last = max(sender.last, number)
        sender.heard[self.number] = number
        sender.hearer = self.number
        self.flow.ledger.counts["received"] += 1
        self.flow.last_came = time.monotonic()

    def end(self, reason: str) -> None:
        """Note that what is on its way to it is lost, and why."""
        with self.flow.ledger.lock:
            self.ending = self.ending or reason


class Flow:
    """What is sent from one side to the other.

    Args:
        ledger: where it is counted.
        name: how it is spoken of.
        subscribed: whether receivers get only what is sent once they have subscribed.
        open_to_strays: whether garbage may come through as messages.
    """

    def __init__(
        self, ledger: Ledger, name: str, *, subscribed: bool = False, open_to_strays: bool = False
    ) -> None:
        self.ledger, self.name = ledger, name
        self.subscribed, self.open_to_strays = subscribed, open_to_strays
        self.senders: dict[str, Sender] = {}
        self.receivers: list[Receiver] = []
        self.last_came = 0.0

    def sender(self, key: str | None = None) -> Sender:
        """Return a new sender."""
        with self.ledger.lock:
            key = key or self.ledger.key()
            self.senders[key] = Sender(key, len(self.receivers))
            return self.senders[key]

    def receiver(self) -> Receiver:
        """Return a new receiver, which is open now."""
        with self.ledger.lock:
            self.receivers.append(Receiver(self, len(self.receivers) + 1))
            return self.receivers[-1]

    def sent(self, sender: Sender) -> None:
        """Note that the sender's next message is on its way."""
        with self.ledger.lock:
            sender.sent += 1
            self.ledger.counts["sent"] += 1

    def fault(self, text: str) -> None:
        """Note what may not be."""
        self.ledger.fault(f"{self.name}: {text}")

    def late_start(self, sender: Sender, receiver: Receiver) -> bool:
        """Return whether the receiver may have missed the sender's first messages."""
        return self.subscribed or max(sender.born, 1) < receiver.number

    def hears(self, sender: Sender) -> bool:
        """Return whether the receiver that is open has heard of the sender."""
        with self.ledger.lock:
            return self._heard_by_open(sender)

    def _heard_by_open(self, sender: Sender) -> bool:
        receiver = self.receivers[-1] if self.receivers else None
        return receiver is not None and not receiver.ending and sender.hearer == receiver.number

    def busy(self, seconds: float) -> bool:
        """Return whether a message came in the last seconds."""
        return time.monotonic() < self.last_came + seconds

    def due(self) -> int:
        """Return how many messages are still to come."""
        with self.ledger.lock:
            return sum(map(self._due, self.senders.values()))

    def _due(self, sender: Sender) -> int:
        if self._heard_by_open(sender) or not self._excuse(sender):
            return max(0, sender.sent - sender.last)
        return 0

    def _excuse(self, sender: Sender) -> str:
        endings = [r.ending for r in self.receivers[max(sender.born, 1) - 1 :] if r.ending]
        return endings[-1] if endings else TOO_EARLY if self.subscribed else ""

    def close(self) -> None:
        """Account for whatever nobody got."""
        for sender in self.senders.values():
            excuse, due = self._excuse(sender), self._due(sender)
            if due or (sender.lost and not excuse):
                self.fault(
                    f"{sender.key}: {sender.lost} of {sender.sent} messages never came, and "
                    f"{sender.last} is the last that did"
                )
            elif sender.lost:
                self.ledger.lost[excuse] += sender.lost


class Ledger:
    """All accounts of one backend.

    Attributes:
        counts: of messages, sockets and whatever else happened.
        lost: reason -> how many messages were lost for it.
        faults: what may not be, in words.
    """

    MOST_FAULTS = 50

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.counts: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self.faults: list[str] = []
        self._flows: list[Flow] = []
        self._keys = 0

    def key(self) -> str:
        """Return a name that no sender has had."""
        with self.lock:
            self._keys += 1
            return f"sender {self._keys}"

    def flow(self, name: str, *, subscribed: bool = False, open_to_strays: bool = False) -> Flow:
        """Return a new flow."""
        flow = Flow(self, name, subscribed=subscribed, open_to_strays=open_to_strays)
        self._flows.append(flow)
        return flow

    def count(self, what: str, by: int = 1) -> None:
        """Count something."""
        with self.lock:
            self.counts[what] += by

    def fault(self, text: str) -> None:
        """Note what may not be; beyond the first few it is only counted."""
        with self.lock:
            self.counts["faults"] += 1
            if len(self.faults) < self.MOST_FAULTS:
                self.faults.append(text)

    def close(self) -> None:
        """Account for all flows, and forget them."""
        with self.lock:
            for flow in self._flows:
                flow.close()
            self._flows.clear()
