"""The soak: its short form, and that its accounts tell of whatever may not be."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.processes import ROOT, START, run

BACKENDS = ["threads", "gevent", "asyncio", "uvloop"]
HAPPENED = ["sent", "received", "rejected", "undecodable", "questions answered", "processes killed"]

# A few of the first messages that a PULL receives are lost, and a few come twice.
CARELESS = """
import itertools, weakref
from agentzero.channel import Channel

numbers, kept, receive = itertools.count(1), weakref.WeakKeyDictionary(), Channel.try_recv

def careless(self, *args):
    if self in kept:
        return kept.pop(self)
    message = receive(self, *args)
    if self.kind.name == "PULL" and message is not None:
        number = next(numbers)
        if number in (50, 100, 150, 200):
            message = receive(self, *args)
        elif number in (60, 110, 160, 210):
            kept[self] = message
    return message

Channel.try_recv = careless
"""

pytestmark = pytest.mark.timeout(150)


@pytest.fixture
def soak(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Import a module of the soak."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return import_module


@pytest.fixture
def ledger(soak: Callable[[str], Any]) -> Any:
    return soak("soak_ledger").Ledger()


@pytest.fixture
def flow(ledger: Any) -> Any:
    return ledger.flow("jobs")


def sending(flow: Any, count: int) -> Any:
    """Return a sender that has sent so many messages."""
    sender = flow.sender()
    for _ in range(count):
        flow.sent(sender)
    return sender


def figures(out: str, name: str) -> list[str]:
    """Return a row of the table."""
    [row] = re.findall(rf"^{re.escape(name)}  +(.*)$", out, re.MULTILINE)
    return str(row).split()


def test_sockets_that_are_misused_for_twenty_seconds_lose_nothing_and_leave_nothing_behind() -> (
    None
):
    for backend in BACKENDS[1:]:
        pytest.importorskip(backend)
    ended = run("benchmarks/soak.py", "--seconds", "20", within=140, measured=False)
    assert ended.err == ""
    assert "All is accounted for, and nothing has grown." in ended.out, ended.out
    assert ended.code == 0
    assert re.match(r"seed \d+\n", ended.out)
    assert ended.out.splitlines()[1].split() == BACKENDS
    for name in HAPPENED:
        assert all(int(figure) > 0 for figure in figures(ended.out, name)), ended.out


def test_a_library_that_loses_and_doubles_messages_fails_the_soak(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(CARELESS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    options = "--backend", "threads", "--seconds", "2", "--seed", "1"
    ended = run("benchmarks/soak.py", *options, within=START + 60, measured=False)
    assert ended.code == 1, ended.out
    assert re.search(r"^\d+ faults:$", ended.out, re.MULTILINE)
    assert re.search(r"^threads: .*: sender \d+: (\d+) to \1 are missing", ended.out, re.MULTILINE)
    assert "came twice, or was overtaken" in ended.out


@pytest.mark.parametrize(
    ("received", "fault"),
    [
        ([1, 2, 4], "jobs: sender 1: 3 to 3 are missing, and 4 came"),
        ([2, 3, 4], "jobs: sender 1: 1 to 1 are missing, and 2 came"),
        ([1, 2, 3], "jobs: sender 1: 1 of 4 messages never came, and 3 is the last that did"),
        ([1, 2, 2, 3, 4], "jobs: message 2 of sender 1 came twice, or was overtaken"),
        ([1, 3, 2, 4], "jobs: message 2 of sender 1 came twice, or was overtaken"),
    ],
    ids=[
        "one is lost",
        "the first is lost",
        "the last is lost",
        "one is doubled",
        "one is overtaken",
    ],
)
def test_a_message_that_did_not_come_once_and_in_order_is_a_fault(
    ledger: Any, flow: Any, received: list[int], fault: str
) -> None:
    receiver = flow.receiver()
    sender = sending(flow, 4)
    for number in received:
        receiver.got(sender.key, number)
    ledger.close()
    assert fault in ledger.faults


def test_what_comes_once_and_in_order_is_none(ledger: Any, flow: Any) -> None:
    receiver = flow.receiver()
    sender = sending(flow, 4)
    for number in range(1, 5):
        receiver.got(sender.key, number)
    assert flow.hears(sender)
    assert flow.due() == 0
    ledger.close()
    assert (ledger.faults, dict(ledger.lost)) == ([], {})


def test_what_was_on_its_way_to_a_receiver_that_ended_is_accounted_for(
    ledger: Any, flow: Any
) -> None:
    first = flow.receiver()
    sender = sending(flow, 5)
    first.got(sender.key, 1)
    first.end("receiver closed")
    second = flow.receiver()
    for number in (4, 5):
        second.got(sender.key, number)
    ledger.close()
    assert (ledger.faults, dict(ledger.lost)) == ([], {"receiver closed": 2})


def test_what_a_receiver_got_that_heard_of_the_sender_is_not_excused_by_an_earlier_one(
    ledger: Any, flow: Any
) -> None:
    sender = sending(flow, 5)
    flow.receiver().end("receiver closed")
    flow.receiver().got(sender.key, 4)
    assert flow.due() == 1
    ledger.close()
    assert ledger.faults == [
        "jobs: sender 1: 4 of 5 messages never came, and 4 is the last that did"
    ]


def test_a_sender_that_came_after_the_receiver_may_not_lose_its_first_messages(
    ledger: Any, flow: Any
) -> None:
    flow.receiver().end("receiver closed")
    receiver = flow.receiver()
    receiver.got(sending(flow, 2).key, 2)
    assert ledger.faults == ["jobs: sender 1: 1 to 1 are missing, and 2 came"]


def test_what_was_published_before_anybody_subscribed_is_accounted_for(ledger: Any) -> None:
    news = ledger.flow("news", subscribed=True)
    sender = sending(news, 3)
    news.receiver().got(sender.key, 3)
    ledger.close()
    assert (ledger.faults, dict(ledger.lost)) == ([], {"no subscription yet": 2})


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"checksum": 1}, "jobs: message 1 of sender 1 was changed on its way"),
        ({"key": "sender 9"}, "jobs: a message of 'sender 9', who sends elsewhere"),
        ({"key": None}, "jobs: a message that nobody sent"),
    ],
)
def test_a_message_that_is_not_what_was_sent_is_a_fault(
    soak: Callable[[str], Any], ledger: Any, flow: Any, change: dict[str, Any], fault: str
) -> None:
    payload = soak("soak_payload")
    receiver = flow.receiver()
    message = payload.marked(sending(flow, 1).key, 1, ["body"])
    payload.note(receiver, message | change)
    assert ledger.faults == [fault]


def test_more_descriptors_threads_or_much_more_memory_are_growth(
    soak: Callable[[str], Any],
) -> None:
    held = soak("soak_growth").Held
    before = held(fds=10, threads=4, mib=40.0)
    assert held(fds=9, threads=4, mib=55.9).grown(before) == []
    assert held(fds=11, threads=5, mib=57.0).grown(before) == [
        "fds grew from 10 to 11",
        "threads grew from 4 to 5",
        "mib grew from 40 to 57",
    ]
