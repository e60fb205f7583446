"""Publishing log records, and rebuilding them."""

from __future__ import annotations

import copy
import io
import json
import logging
import logging.handlers
import math
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from enum import IntEnum
from typing import Any, NoReturn

import cbor2
import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentzero.errors import DeserializationError, ManagerClosed, SerializationError
from agentzero.events import Event
from agentzero.log import PublishedRecord, ZMQPubHandler, record_from_event

Codec = tuple[Callable[[Any], bytes], Callable[[bytes], Any]]

CODECS: dict[str, Codec] = {
    "json": (msgspec.json.encode, msgspec.json.decode),
    "msgpack": (msgpack.packb, msgpack.unpackb),
    "cbor": (cbor2.dumps, cbor2.loads),
}


class Manager:
    """Keeps what was published as a peer would receive it; can be told to fail."""

    def __init__(self, codec: str = "json") -> None:
        self.pack, self.unpack = CODECS[codec]
        self.frames: list[tuple[str, str | bytes, bytes]] = []
        self.full = False
        self.error: BaseException | None = None
        self.before: Callable[[], object] = lambda: None

    def publish_nowait(self, name: str, topic: str | bytes, data: object) -> bool:
        self.before()
        if self.error:
            raise self.error
        if not self.full:
            self.frames.append((name, topic, self.pack(data)))
        return not self.full

    def events(self) -> list[Event]:
        return [Event(str(topic), self.unpack(frame)) for _, topic, frame in self.frames]

    @property
    def event(self) -> Event:
        (event,) = self.events()
        return event


@pytest.fixture(params=list(CODECS))
def manager(request: pytest.FixtureRequest) -> Manager:
    return Manager(request.param)


@pytest.fixture
def handler(manager: Manager) -> ZMQPubHandler:
    return ZMQPubHandler(manager)


@pytest.fixture
def logger(handler: ZMQPubHandler) -> logging.Logger:
    return logger_of("shop", handler)


def logger_of(name: str, handler: logging.Handler) -> logging.Logger:
    """Return a logger in a world of its own, with nothing but `handler`."""
    logger = logging.Manager(logging.RootLogger(logging.NOTSET)).getLogger(name)
    logger.addHandler(handler)
    return logger


@pytest.fixture(autouse=True)
def silent(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """No test may make logging complain."""
    yield
    assert capfd.readouterr() == ("", "")


def fail(*_: object) -> NoReturn:
    raise RuntimeError("no words")


class Mute:
    __str__ = __repr__ = fail


class Level(IntEnum):
    CUSTOM = 35


def circular() -> list[object]:
    ring: list[object] = []
    ring.extend([ring] * 10)
    return ring


def deep() -> list[object]:
    nest: list[object] = []
    for _ in range(100_000):
        nest = [nest]
    return nest


class TestWhatIsPublished:
    def test_message_level_and_args(self, logger: logging.Logger, manager: Manager) -> None:
        logger.info("%s has %d left", "apple", 3)
        data = manager.event.data
        assert (data["msg"], data["level"], data["args"]) == ("apple has 3 left", 20, ["apple", 3])

    def test_a_mapping_as_args(self, logger: logging.Logger, manager: Manager) -> None:
        logger.info("%(n)d left", {"n": 3})
        assert (manager.event.data["msg"], manager.event.data["args"]) == ("3 left", {"n": 3})

    def test_it_goes_to_the_socket_and_topic_asked_for(self) -> None:
        manager = Manager()
        ZMQPubHandler(manager, "out", b"app").emit(logging.makeLogRecord({"msg": "x"}))
        assert manager.frames[0][:2] == ("out", b"app")

    def test_socket_and_topic_are_both_logs_by_default(self) -> None:
        manager = Manager()
        ZMQPubHandler(manager).emit(logging.makeLogRecord({"msg": "x"}))
        assert manager.frames[0][:2] == ("logs", "logs")

    def test_everything_that_makeLogRecord_needs(
        self, logger: logging.Logger, manager: Manager
    ) -> None:
        logger.warning("hot", extra={"shelf": {"row": 4}})
        record = logging.makeLogRecord(manager.event.data)
        assert record.getMessage() == "hot"
        assert (record.name, record.levelno, record.levelname) == ("shop", 30, "WARNING")
        assert (record.pathname, record.threadName) == (__file__, "MainThread")
        assert vars(record)["shelf"] == {"row": 4}

    def test_every_standard_field(self, logger: logging.Logger, manager: Manager) -> None:
        logger.warning("hot")
        sample = vars(logging.makeLogRecord({}))
        assert set(sample) - {"exc_info"} <= set(manager.event.data)

    def test_the_formatter_writes_the_message(
        self, logger: logging.Logger, handler: ZMQPubHandler, manager: Manager
    ) -> None:
        handler.setFormatter(logging.Formatter("<%(name)s> %(message)s"))
        logger.info("hot")
        assert manager.event.data["msg"] == "<shop> hot"

    def test_a_traceback_is_text_of_its_own(self, logger: logging.Logger, manager: Manager) -> None:
        try:
            fail()
        except RuntimeError:
            logger.exception("broken")
        data = manager.event.data
        assert data["msg"] == "broken"
        assert data["exc_text"].startswith("Traceback")
        assert data["exc_text"].endswith("RuntimeError: no words")

    def test_the_formatter_may_withhold_tracebacks(
        self, logger: logging.Logger, handler: ZMQPubHandler, manager: Manager
    ) -> None:
        class Discreet(logging.Formatter):
            def formatException(self, ei: object) -> str:
                return "(withheld)"

        handler.setFormatter(Discreet())
        logger.error("broken", exc_info=ValueError("secret"))
        assert manager.event.data["exc_text"] == "(withheld)"
        assert "secret" not in json.dumps(manager.event.data)

    def test_where_it_was_logged(self, logger: logging.Logger, manager: Manager) -> None:
        logger.info("here", stack_info=True)
        data = manager.event.data
        assert data["stack_info"].startswith("Stack (most recent call last)")
        assert data["funcName"] == "test_where_it_was_logged"

    def test_a_level_the_application_made(
        self, logger: logging.Logger, manager: Manager, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(logging, "_levelToName", {35: "NOTICE"})
        logger.log(Level.CUSTOM, "noted")
        assert manager.event.data["level"] == 35
        assert manager.event.data["levelname"] == "NOTICE"

    def test_the_time_is_the_records_own(self, handler: ZMQPubHandler, manager: Manager) -> None:
        handler.emit(logging.makeLogRecord({"msg": "x", "created": 1466424000.25}))
        assert manager.event.data["created"] == 1466424000.25


class TestWhatNoSerializerCanWrite:
    @pytest.mark.parametrize(
        ("value", "published"),
        [
            (None, None),
            (True, True),
            (2**64 - 1, 2**64 - 1),
            (2**64, "18446744073709551616"),
            (-(2**63) - 1, "-9223372036854775809"),
            (0.5, 0.5),
            (math.nan, "nan"),
            (-math.inf, "-inf"),
            ("caf\udce9", r"caf\udce9"),
            (b"\xff", r"b'\xff'"),
            (Decimal("0.1"), "0.1"),
            (Level.CUSTOM, 35),
            ((1, [2, {3}]), [1, [2, [3]]]),
            ({1: {"a": math.inf}}, {"1": {"a": "inf"}}),
            ([[1], [1]], [[1], [1]]),
        ],
        ids=repr,
    )
    def test_it_becomes_text_and_the_rest_stays(
        self, logger: logging.Logger, manager: Manager, value: object, published: object
    ) -> None:
        logger.info("%s %s", "a", value, extra={"field": value})
        assert manager.event.data["args"] == ["a", published]
        assert manager.event.data["field"] == published

    @pytest.mark.usefixtures("no_collection")
    @pytest.mark.parametrize("make", [Mute, circular, deep, threading.Lock, lambda: 10**5000])
    def test_the_record_arrives_whatever_the_argument(
        self, logger: logging.Logger, manager: Manager, make: Callable[[], object]
    ) -> None:
        logger.info("got %s from %s", make(), "me", extra={"field": make()})
        assert "got " in manager.event.data["msg"]
        assert manager.event.data["args"][1] == "me"
        assert record_from_event(manager.event).getMessage() == manager.event.data["msg"]

    def test_an_integer_too_long_for_decimal_is_hexadecimal(
        self, logger: logging.Logger, manager: Manager
    ) -> None:
        logger.info("%x", 10**5000)
        assert manager.event.data["args"] == [hex(10**5000)]

    def test_a_message_that_does_not_fit_its_arguments_says_so(
        self, logger: logging.Logger, manager: Manager
    ) -> None:
        logger.info("%d left", "x")
        assert manager.event.data["msg"].startswith("%d left ['x'] [cannot be formatted: TypeError")

    def test_a_formatter_that_fails_is_reported_with_the_message(
        self, logger: logging.Logger, handler: ZMQPubHandler, manager: Manager
    ) -> None:
        handler.setFormatter(logging.Formatter("%(nowhere)s"))
        logger.info("hot")
        assert "hot" in manager.event.data["msg"]
        assert "nowhere" in manager.event.data["msg"]

    def test_exception_information_that_cannot_be_formatted_says_so(
        self, handler: ZMQPubHandler, manager: Manager
    ) -> None:
        handler.emit(logging.makeLogRecord({"msg": "x", "exc_info": True}))
        assert manager.event.data["exc_text"].startswith("[traceback cannot be formatted: ")

    def test_a_message_that_is_no_text(self, logger: logging.Logger, manager: Manager) -> None:
        logger.info(Mute())
        assert "RuntimeError: no words" in manager.event.data["msg"]


class TestOtherHandlers:
    def test_they_see_the_record_as_it_was(self, handler: ZMQPubHandler) -> None:
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        record = logging.makeLogRecord(
            {"msg": "%s", "args": ("x",), "exc_info": (KeyError, KeyError(1), None)}
        )
        before = copy.copy(vars(record))
        handler.emit(record)
        assert vars(record) == before

    def test_their_traceback_is_not_published(
        self, handler: ZMQPubHandler, manager: Manager
    ) -> None:
        error = (KeyError, KeyError(1), None)
        handler.emit(logging.makeLogRecord({"exc_info": error, "exc_text": "in colour"}))
        assert manager.event.data["exc_text"] == "KeyError: 1"

    def test_their_text_time_is_not_published(
        self, handler: ZMQPubHandler, manager: Manager
    ) -> None:
        record = logging.makeLogRecord({"msg": "x"})
        logging.Formatter("%(asctime)s %(message)s").format(record)
        handler.emit(record)
        assert not {"asctime", "message"} & set(manager.event.data)


class TestDropping:
    def test_nothing_is_dropped_while_all_goes_well(
        self, logger: logging.Logger, handler: ZMQPubHandler
    ) -> None:
        logger.info("fine")
        assert handler.dropped == 0

    def test_a_full_queue_drops_and_counts(
        self, logger: logging.Logger, handler: ZMQPubHandler, manager: Manager
    ) -> None:
        manager.full = True
        logger.info("lost")
        logger.info("lost too")
        assert handler.dropped == 2

    @pytest.mark.parametrize(
        "error", [ManagerClosed("gone"), SerializationError("no form"), RuntimeError("bug")]
    )
    def test_an_error_drops_and_counts_and_the_next_record_passes(
        self,
        logger: logging.Logger,
        handler: ZMQPubHandler,
        manager: Manager,
        error: Exception,
    ) -> None:
        manager.error = error
        logger.info("lost")
        manager.error = None
        logger.info("found")
        assert handler.dropped == 1
        assert manager.event.data["msg"] == "found"

    def test_being_interrupted_is_no_drop_and_blocks_nothing(
        self, logger: logging.Logger, manager: Manager
    ) -> None:
        manager.error = KeyboardInterrupt()
        with pytest.raises(KeyboardInterrupt):
            logger.info("interrupted")
        manager.error = None
        logger.info("next")
        assert manager.event.data["msg"] == "next"

    def test_a_record_that_a_filter_rejects_is_no_drop(
        self, logger: logging.Logger, handler: ZMQPubHandler, manager: Manager
    ) -> None:
        handler.addFilter(lambda record: record.levelno > logging.INFO)
        logger.info("quiet")
        logger.error("loud")
        assert manager.event.data["msg"] == "loud"
        assert handler.dropped == 0


class TestItsOwnLogging:
    @pytest.mark.parametrize("name", ["agentzero", "agentzero.core", "someones.serializer"])
    def test_what_publishing_logs_is_dropped_not_published(
        self, logger: logging.Logger, handler: ZMQPubHandler, manager: Manager, name: str
    ) -> None:
        inner = logger_of(name, handler)
        manager.before = lambda: inner.error("cannot send")
        logger.info("hot")
        assert manager.event.data["msg"] == "hot"
        assert handler.dropped == 1

    def test_two_handlers_do_not_keep_each_other_busy(self, logger: logging.Logger) -> None:
        noisy = [Manager(), Manager()]
        for manager in noisy:
            manager.before = lambda: logger.error("cannot send")
            logger.addHandler(ZMQPubHandler(manager))
        logger.info("hot")
        assert [manager.event.data["msg"] for manager in noisy] == ["hot", "hot"]

    def test_what_the_library_logs_otherwise_is_published(
        self, handler: ZMQPubHandler, manager: Manager
    ) -> None:
        logger_of("agentzero.core", handler).error("cannot decode")
        assert manager.event.data["name"] == "agentzero.core"

    def test_what_an_argument_logs_is_published(
        self, logger: logging.Logger, handler: ZMQPubHandler, manager: Manager
    ) -> None:
        class Chatty:
            def __str__(self) -> str:
                logger.info("inner")
                return "me"

        logger.info("outer %s", Chatty())
        assert "inner" in [event.data["msg"] for event in manager.events()]
        assert handler.dropped == 0


class TestThreads:
    def test_all_records_of_all_threads_are_published_or_counted(
        self, logger: logging.Logger, handler: ZMQPubHandler, manager: Manager
    ) -> None:
        def work() -> None:
            for number in range(200):
                logger.info("%d", number)

        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            manager.full = True
            run_in_threads(work)
            manager.full = False
            run_in_threads(work)
        finally:
            sys.setswitchinterval(interval)
        assert (handler.dropped, len(manager.frames)) == (1600, 1600)

    def test_one_thread_that_publishes_holds_up_no_other(
        self, logger: logging.Logger, handler: ZMQPubHandler, manager: Manager
    ) -> None:
        inside, go_on = threading.Event(), threading.Event()

        def hold() -> None:
            manager.before = lambda: None
            inside.set()
            go_on.wait()

        manager.before = hold
        thread = threading.Thread(target=logger.info, args=("slow",))
        thread.start()
        inside.wait()
        logger.info("quick")
        go_on.set()
        thread.join()
        assert [event.data["msg"] for event in manager.events()] == ["quick", "slow"]
        assert handler.dropped == 0

    def test_a_signal_handler_may_log_at_any_moment(
        self, logger: logging.Logger, handler: ZMQPubHandler, manager: Manager
    ) -> None:
        previous = signal.signal(signal.SIGTERM, lambda *_: logger.warning("stopping"))
        try:
            signal.raise_signal(signal.SIGTERM)
            manager.before = lambda: signal.raise_signal(signal.SIGTERM)
            logger.info("hot")
        finally:
            signal.signal(signal.SIGTERM, previous)
        assert [event.data["msg"] for event in manager.events()] == ["stopping", "hot"]
        assert handler.dropped == 1


def run_in_threads(work: Callable[[], None]) -> None:
    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def shown(record: logging.LogRecord) -> str:
    """What the simplest of applications would print of `record`."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(asctime)s %(message)s"))
    handler.handle(record)
    return stream.getvalue()


class TestRebuilding:
    def test_a_record_comes_back(self, logger: logging.Logger, manager: Manager) -> None:
        kept = logging.handlers.BufferingHandler(capacity=2)
        logger.addHandler(kept)
        logger.warning("%s at 100%%", "CPU", extra={"host": "a1"})
        record = record_from_event(manager.event)
        original = {"taskName": None} | vars(kept.buffer[0])
        assert vars(record) == original | {"msg": "CPU at 100%"}
        assert record.getMessage() == "CPU at 100%"
        assert record.args == ("CPU",)

    def test_a_mapping_as_args_comes_back(self, logger: logging.Logger, manager: Manager) -> None:
        logger.info("%(n)d%%", {"n": 3})
        record = record_from_event(manager.event)
        assert (record.getMessage(), record.args) == ("3%", {"n": 3})

    def test_traceback_and_stack_are_shown(self, logger: logging.Logger, manager: Manager) -> None:
        logger.error("broken", exc_info=ValueError("the reason"), stack_info=True)
        text = shown(record_from_event(manager.event))
        assert text.count("ValueError: the reason") == 1
        assert text.count("Stack (most recent call last)") == 1

    def test_a_traceback_in_the_message_is_not_shown_twice(
        self, logger: logging.Logger, handler: ZMQPubHandler, manager: Manager
    ) -> None:
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.error("broken", exc_info=ValueError("the reason"), stack_info=True)
        text = shown(record_from_event(manager.event))
        assert text.count("ValueError: the reason") == 1
        assert text.count("Stack (most recent call last)") == 1

    def test_a_record_can_be_relayed(self, logger: logging.Logger, manager: Manager) -> None:
        logger.error("%d%%", 3, exc_info=ValueError("x"), extra={"host": "a1"})
        first = record_from_event(manager.event)
        manager.frames.clear()
        logger.handle(first)
        assert vars(record_from_event(manager.event)) == vars(first)

    def test_a_record_can_be_pickled(self) -> None:
        record = record_from_event(Event("logs", {"msg": "100%", "level": 20, "args": [1]}))
        again = pickle.loads(pickle.dumps(record))
        assert isinstance(again, PublishedRecord)
        assert vars(again) == vars(record)

    def test_message_and_level_are_enough(self) -> None:
        record = record_from_event(Event("logs", {"msg": "100%", "level": 40}))
        assert (record.levelno, record.levelname, record.args) == (40, "ERROR", ())
        assert shown(record).startswith("ERROR ")
        assert (record.process, record.thread) == (None, None)

    def test_the_fraction_of_a_second_follows_from_the_time(self) -> None:
        record = record_from_event(Event("logs", {"msg": "x", "level": 1, "created": 5.25}))
        assert (record.created, record.msecs) == (5.25, 250)


class TestHostileEvents:
    @pytest.mark.parametrize(
        ("data", "wrong"),
        [
            (None, "null"),
            ("text", "str"),
            ([["msg", "x"], ["level", 1]], "array"),
            ({}, "msg"),
            ({"msg": "x"}, "level"),
            ({"msg": b"x", "level": 1}, "msg"),
            ({"msg": {}, "level": 1}, "msg"),
            ({"msg": "x", "level": "INFO"}, "level"),
            ({"msg": "x", "level": True}, "level"),
            ({"msg": "x", "level": 10**5000}, "level"),
            ({"msg": "x", "level": 1, "created": math.nan}, "created"),
            ({"msg": "x", "level": 1, "created": 1e300}, "created"),
            ({"msg": "x", "level": 1, "msecs": math.inf}, "msecs"),
            ({"msg": "x", "level": 1, "name": None}, "name"),
            ({"msg": "x", "level": 1, "exc_text": [1]}, "exc_text"),
            ({"msg": "x", "level": 1, 2: 3}, "key"),
        ],
    )
    def test_what_is_no_record_is_refused_by_the_name_of_what_is_wrong(
        self, data: object, wrong: str
    ) -> None:
        with pytest.raises(DeserializationError, match=f"not a log record: .*{wrong}") as info:
            record_from_event(Event("logs:a1", data))
        assert info.value.topic == "logs:a1"

    @pytest.mark.parametrize(
        "name",
        [
            *["getMessage", "__class__", "__dict__", "__init__", "__reduce_ex__"],
            *["exc_info", "message", "asctime", "levelno"],
        ],
    )
    def test_a_field_cannot_replace_a_part_of_the_record(self, name: str) -> None:
        record = record_from_event(Event("logs", {"msg": "x", "level": 20, name: "hostile"}))
        assert isinstance(record, PublishedRecord)
        assert "hostile" not in vars(record).values()
        assert shown(record).endswith(" x\n")

    @given(
        st.dictionaries(
            st.sampled_from(sorted({*vars(logging.makeLogRecord({})), "level"})),
            st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
        )
    )
    def test_what_is_not_refused_can_be_shown(self, fields: dict[str, object]) -> None:
        try:
            record = record_from_event(Event("logs", {"msg": "x", "level": 20} | fields))
        except DeserializationError:
            return
        assert shown(record)
