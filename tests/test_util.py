"""Addresses, time, exceptions, text and bytes."""

from __future__ import annotations

import socket
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentzero import util

HOSTS = {
    "both.example": ["2001:db8::7", "192.0.2.7"],
    "six.example": ["2001:db8::6"],
    "loop.example": ["127.0.1.1"],
    "localhost": ["127.0.0.1"],
}


def look_up(host: str, port: object, **hints: object) -> list[tuple[object, ...]]:
    """Answer from `HOSTS`; numbers are their own address, as in DNS."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except OSError:
            continue
        return [(family, 0, 0, "", (host, 0))]
    if host not in HOSTS:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")
    kinds = {True: socket.AF_INET6, False: socket.AF_INET}
    return [(kinds[":" in ip], 0, 0, "", (ip, 0)) for ip in HOSTS[host]]


@pytest.fixture
def dns(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Answer name look-ups from `HOSTS`; the result renames this host."""
    monkeypatch.setattr(socket, "getaddrinfo", look_up)

    def rename(hostname: str) -> None:
        monkeypatch.setattr(socket, "gethostname", lambda: hostname)

    return rename


class TestPorts:
    def test_a_free_port_can_be_bound(self) -> None:
        with socket.socket() as server:
            server.bind(("127.0.0.1", util.get_free_tcp_port()))

    def test_the_default_bind_address_is_host_name_and_port(self) -> None:
        hostname, _, port = util.get_default_bind_address().rpartition(":")
        assert hostname == socket.gethostname()
        assert 0 < int(port) < 65536


@pytest.mark.usefixtures("dns")
class TestResolving:
    @pytest.mark.parametrize(
        ("hostname", "ip"),
        [
            ("both.example", "192.0.2.7"),
            ("six.example", "2001:db8::6"),
            ("10.0.0.1", "10.0.0.1"),
            ("::1", "::1"),
        ],
    )
    def test_a_name_becomes_an_address_preferring_ipv4(self, hostname: str, ip: str) -> None:
        assert util.resolve_hostname(hostname) == ip

    @pytest.mark.parametrize("hostname", ["", "nobody.example"])
    def test_an_unknown_name_is_returned_as_it_is(self, hostname: str) -> None:
        assert util.resolve_hostname(hostname) == hostname


@pytest.mark.parametrize("hostname", ["a\0b", "x" * 300, "\ud800", "..", "a..b"])
def test_what_is_no_name_at_all_is_returned_as_it_is(hostname: str) -> None:
    assert util.resolve_hostname(hostname) == hostname


class TestPublicAddress:
    def test_it_is_what_the_hosts_own_name_resolves_to(self, dns: Callable[[str], None]) -> None:
        dns("both.example")
        assert util.get_public_ip_address() == "192.0.2.7"

    def test_another_host_may_be_asked_for(self, dns: Callable[[str], None]) -> None:
        dns("both.example")
        assert util.get_public_ip_address("six.example") == "2001:db8::6"
        assert util.get_public_ip_address("nobody.example") == "nobody.example"

    @pytest.mark.parametrize("hostname", ["loop.example", "nobody.example", ""])
    def test_it_is_an_address_even_where_the_own_name_leads_nowhere(
        self, dns: Callable[[str], None], hostname: str
    ) -> None:
        dns(hostname)
        address = util.get_public_ip_address()
        assert look_up(address, None)
        assert address != "127.0.1.1"

    def test_the_zmq_address_has_ip_and_port(self, dns: Callable[[str], None]) -> None:
        dns("both.example")
        assert util.get_public_zmq_address().startswith("tcp://192.0.2.7:")

    def test_the_zmq_address_has_brackets_around_ipv6(self, dns: Callable[[str], None]) -> None:
        dns("six.example")
        assert util.get_public_zmq_address().startswith("tcp://[2001:db8::6]:")


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("tcp://example.com:6000", "example.com"),
        ("tcp://example.com", "example.com"),
        ("tcp://127.0.0.1:*", "127.0.0.1"),
        ("tcp://*:6000", "*"),
        ("tcp://[::1]:6000", "::1"),
        ("tcp://[fe80::1%eth0]:6000", "fe80::1%eth0"),
        ("tcp://::1:6000", "::1"),
        ("tcp://eth0;example.com:6000", "example.com"),
        ("tcp://10.0.0.1:0;[::1]:6000", "::1"),
        ("tcp://[::1:6000", None),
        ("tcp://:6000", None),
        ("tcp://", None),
        ("ipc:///tmp/socket", None),
        ("inproc://example.com:6000", None),
        ("example.com:6000", None),
        ("", None),
        (None, None),
        (b"tcp://example.com:6000", None),
        (6000, None),
    ],
)
def test_the_host_is_found_in_tcp_addresses_only(address: object, host: str | None) -> None:
    assert util.extract_hostname_from_tcp_address(address) == host


@pytest.mark.usefixtures("dns")
class TestFixingAddresses:
    @pytest.mark.parametrize(
        ("address", "fixed"),
        [
            ("tcp://localhost:6000", "tcp://127.0.0.1:6000"),
            ("tcp://localhost:*", "tcp://127.0.0.1:*"),
            ("tcp://localhost", "tcp://127.0.0.1"),
            ("tcp://six.example:6000", "tcp://[2001:db8::6]:6000"),
            ("tcp://localhost:0;both.example:6000", "tcp://127.0.0.1:0;192.0.2.7:6000"),
        ],
    )
    def test_a_host_name_is_replaced_by_its_address(self, address: str, fixed: str) -> None:
        assert util.fix_zeromq_tcp_address(address) == fixed

    @pytest.mark.parametrize(
        "address",
        [
            "tcp://*:6000",
            "tcp://*:*",
            "tcp://0.0.0.0:0",
            "tcp://[::1]:6000",
            "tcp://::1:6000",
            "tcp://nobody.example:6000",
            "tcp://[nonsense]:6000",
            "tcp://[::1",
            "tcp://",
            "ipc:///tmp/localhost",
            "inproc://localhost",
            "localhost:6000",
        ],
    )
    def test_everything_else_is_left_alone(self, address: str) -> None:
        assert util.fix_zeromq_tcp_address(address) == address

    def test_an_interface_is_left_alone_even_where_a_host_has_its_name(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        interface = socket.if_nameindex()[0][1]
        monkeypatch.setitem(HOSTS, interface, ["192.0.2.9"])
        assert util.fix_zeromq_tcp_address(f"tcp://{interface}:6000") == f"tcp://{interface}:6000"

    def test_the_source_interface_of_a_connection_is_left_alone(self) -> None:
        interface = socket.if_nameindex()[0][1]
        fixed = util.fix_zeromq_tcp_address(f"tcp://{interface};localhost:6000")
        assert fixed == f"tcp://{interface};127.0.0.1:6000"

    @pytest.mark.parametrize("address", [None, ""])
    def test_no_address_gives_no_address(self, address: str | None) -> None:
        assert util.fix_zeromq_tcp_address(address) == ""

    @given(st.text())
    def test_no_text_makes_it_fail(self, text: str) -> None:
        assert util.fix_zeromq_tcp_address("tcp://" + text).startswith("tcp://")


class TestTime:
    @pytest.fixture(autouse=True)
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("time.time", lambda: 1000.5)

    def test_seconds_since_goes_by_the_wall_clock(self) -> None:
        assert util.seconds_since(1000) == 0.5

    def test_a_clock_ahead_gives_less_than_zero(self) -> None:
        assert util.seconds_since(1001) == -0.5

    @pytest.mark.parametrize(
        ("seconds", "moment"),
        [
            (1466424000.25, datetime(2016, 6, 20, 12, 0, 0, 250000, tzinfo=UTC)),
            (-1, datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ],
    )
    def test_a_datetime_is_aware_and_in_utc(self, seconds: float, moment: datetime) -> None:
        assert util.datetime_from_seconds(seconds) == moment
        assert util.datetime_from_seconds(seconds).tzinfo is UTC

    @pytest.mark.parametrize(
        ("seconds", "error"), [(1e300, OverflowError), (float("nan"), ValueError)]
    )
    def test_what_is_no_time_is_refused(self, seconds: float, error: type[Exception]) -> None:
        with pytest.raises(error):
            util.datetime_from_seconds(seconds)


class Mute(Exception):
    def __str__(self) -> NoReturn:
        raise RuntimeError("no words")


class Hostile(Mute):
    __repr__ = Mute.__str__

    @property
    def __notes__(self) -> NoReturn:  # type: ignore[override]
        raise RuntimeError("no notes")


def caught(raising: Callable[[], object]) -> BaseException:
    with pytest.raises(BaseException) as info:  # noqa: PT011
        raising()
    return info.value


def fail_with(error: BaseException, cause: BaseException | None = None) -> NoReturn:
    raise error from cause


class TestSerializedException:
    def test_it_names_class_and_message(self) -> None:
        described = util.serialized_exception(Exception("too small"))
        assert described["module"] == "builtins"
        assert described["name"] == "Exception"
        assert described["message"] == "too small"

    def test_the_traceback_is_there_outside_of_an_except_block(self) -> None:
        error = caught(lambda: fail_with(KeyError("price")))
        text = util.serialized_exception(error)["traceback"]
        assert text.startswith("Traceback (most recent call last):")
        assert "in fail_with" in text
        assert text.endswith("KeyError: 'price'\n")

    def test_the_traceback_is_of_that_exception_inside_of_another_ones_block(self) -> None:
        other = caught(lambda: fail_with(KeyError("price")))
        try:
            fail_with(ValueError("unrelated"))
        except ValueError:
            assert "unrelated" not in util.serialized_exception(other)["traceback"]

    def test_the_traceback_holds_cause_and_notes(self) -> None:
        cause = ValueError("the reason")
        cause.add_note("seen on Monday")
        text = util.serialized_exception(caught(lambda: fail_with(OSError("down"), cause)))
        assert "ValueError: the reason\nseen on Monday" in text["traceback"]
        assert "direct cause" in text["traceback"]

    def test_the_traceback_holds_what_was_being_handled(self) -> None:
        def fail_twice() -> None:
            try:
                fail_with(ValueError("first"))
            except ValueError:
                int("second")

        text = util.serialized_exception(caught(fail_twice))["traceback"]
        assert "ValueError: first" in text
        assert "During handling of the above exception" in text

    def test_a_message_that_cannot_be_told_is_replaced(self) -> None:
        described = util.serialized_exception(caught(lambda: fail_with(Mute())))
        assert described["name"] == "Mute"
        assert described["message"] == "Mute()"
        assert "in fail_with" in described["traceback"]

    def test_the_frames_are_there_even_where_python_cannot_format_the_exception(self) -> None:
        described = util.serialized_exception(caught(lambda: fail_with(Hostile())))
        assert "in fail_with" in described["traceback"]
        assert "Hostile" in described["message"]

    def test_all_of_it_can_be_encoded(self) -> None:
        for text in util.serialized_exception(ValueError("caf\udce9")).values():
            assert text.encode()


class TestTextAndBytes:
    def test_bytes_are_not_written_as_their_repr(self) -> None:
        assert util.cast_bytes(b"x") == b"x"
        assert util.cast_string(b"x") == "x"

    @pytest.mark.parametrize("value", [bytearray(b"x"), memoryview(b"x")])
    def test_other_buffers_are_bytes_too(self, value: object) -> None:
        assert util.cast_bytes(value) == b"x"
        assert util.cast_string(value) == "x"

    def test_text_is_utf_8(self) -> None:
        assert util.cast_bytes("é") == b"\xc3\xa9"
        assert util.cast_string(b"\xc3\xa9") == "é"
        assert util.cast_string("é") == "é"

    def test_other_things_are_written_as_text(self) -> None:
        assert util.cast_bytes(12) == b"12"
        assert util.cast_string(None) == "None"

    @given(st.binary())
    def test_any_bytes_survive_being_text(self, value: bytes) -> None:
        assert util.cast_bytes(util.cast_string(value)) == value

    @given(st.text())
    def test_any_text_survives_being_bytes(self, value: str) -> None:
        assert util.cast_string(util.cast_bytes(value)) == value

    def test_a_surrogate_that_stands_for_no_byte_is_refused(self) -> None:
        with pytest.raises(UnicodeEncodeError):
            util.cast_bytes("\ud800")

    @pytest.mark.parametrize(
        ("value", "text"),
        [("\ud800", r"\ud800"), (b"x", "b'x'"), (Mute(), "Mute()"), (1.5, "1.5")],
    )
    def test_safe_text_can_always_be_encoded(self, value: object, text: str) -> None:
        assert util.safe_text(value) == text

    def test_safe_text_names_what_cannot_speak_for_itself(self) -> None:
        assert "Hostile object" in util.safe_text(Hostile())
