"""Small helpers: addresses and host names, time across machines, exceptions, text and bytes."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

__all__ = [
    "cast_bytes",
    "cast_string",
    "datetime_from_seconds",
    "extract_hostname_from_tcp_address",
    "fix_zeromq_tcp_address",
    "get_default_bind_address",
    "get_free_tcp_port",
    "get_public_ip_address",
    "get_public_zmq_address",
    "resolve_hostname",
    "safe_text",
    "seconds_since",
    "serialized_exception",
]

_T = TypeVar("_T")

_TCP = "tcp://"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# As libzmq reads it: the last colon outside brackets starts the port.
_ENDPOINT = re.compile(r"(?P<host>\[[^\[\]]*\]|[^\[\]]*?)(?P<port>:[^:]*)?")

# Reserved for documentation: routed like the internet, owned by nobody.
_FAR_AWAY = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))


def get_free_tcp_port() -> int:
    """Return a TCP port that nothing on this host listened on a moment ago.

    Another process may take it before you do. To bind a socket,
    `SocketManager.bind_to_random_port` has no such race and is the better choice.

    Raises:
        OSError: where the system has no port left.

    >>> 0 < get_free_tcp_port() < 65536
    True
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
    return port


def get_default_bind_address() -> str:
    """Return `hostname:port`: this host's name, and a port from `get_free_tcp_port`.

    >>> hostname, _, port = get_default_bind_address().rpartition(":")
    >>> hostname != "" and port.isdigit()
    True
    """
    return f"{socket.gethostname()}:{get_free_tcp_port()}"


def get_public_ip_address(hostname: str | None = None) -> str:
    """Return the IP address of `hostname`, or the one under which other hosts reach this host.

    Without `hostname` it is what this host's own name resolves to. Where only this host could use
    that, it is the address its traffic leaves from (no packet is sent to find out), or "127.0.0.1".
    A `hostname` that cannot be resolved is returned as it is. Waits for DNS.

    >>> get_public_ip_address("127.0.0.1")
    '127.0.0.1'
    """
    if hostname:
        return resolve_hostname(hostname)
    own = resolve_hostname(socket.gethostname())
    return own if _reaches_others(own) else _outgoing_address()


def _reaches_others(address: str) -> bool:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return not (ip.is_loopback or ip.is_unspecified or ip.is_link_local)


def _outgoing_address() -> str:
    for family, destination in _FAR_AWAY:
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            # Connecting a datagram socket only picks a route.
            probe.connect((destination, 9))
            return str(probe.getsockname()[0])
    return "127.0.0.1"


def get_public_zmq_address() -> str:
    """Return `tcp://ip:port` from `get_public_ip_address` and `get_free_tcp_port`.

    >>> get_public_zmq_address().startswith("tcp://")
    True
    """
    return f"{_TCP}{_bracketed(get_public_ip_address())}:{get_free_tcp_port()}"


def resolve_hostname(hostname: str) -> str:
    """Return an IP address of `hostname`, IPv4 where it has both kinds.

    A name that is empty or cannot be resolved is returned as it is. Waits for DNS.

    >>> resolve_hostname("::1")
    '::1'
    """
    if not hostname:
        return hostname
    try:
        found = socket.getaddrinfo(hostname, None, type=socket.SOCK_STREAM)
    except (OSError, ValueError):  # ValueError: a NUL, or what no host name can be encoded from
        return hostname
    ipv4 = [info for info in found if info[0] == socket.AF_INET]
    return str((ipv4 or found)[0][4][0])


def extract_hostname_from_tcp_address(address: object) -> str | None:
    """Return the host in a ZeroMQ tcp address, or None for anything that is not one.

    IPv6 comes without its brackets. Of `tcp://source;destination` it is the destination's host.

    >>> extract_hostname_from_tcp_address("tcp://[::1]:6000")
    '::1'
    >>> extract_hostname_from_tcp_address("tcp://eth0:0;example.com:6000")
    'example.com'
    >>> extract_hostname_from_tcp_address("ipc:///tmp/socket") is None
    True
    """
    if not isinstance(address, str) or not address.startswith(_TCP):
        return None
    destination = address.removeprefix(_TCP).rpartition(";")[2]
    host, _ = _split_endpoint(destination)
    return host.strip("[]") or None


def fix_zeromq_tcp_address(address: str | None) -> str:
    """Return `address` with each host name replaced by its IP address, for libzmq to use.

    Left alone: what is not tcp, `*`, names of network interfaces, ports, and host names that cannot
    be resolved. None gives "". Of `tcp://source;destination` both halves count. Waits for DNS.

    >>> fix_zeromq_tcp_address("tcp://127.0.0.1:*")
    'tcp://127.0.0.1:*'
    >>> fix_zeromq_tcp_address("inproc://localhost")
    'inproc://localhost'
    """
    if not address or not address.startswith(_TCP):
        return address or ""
    endpoints = address.removeprefix(_TCP).rsplit(";", 1)
    return _TCP + ";".join(_fix_endpoint(endpoint) for endpoint in endpoints)


def _fix_endpoint(endpoint: str) -> str:
    host, port = _split_endpoint(endpoint)
    name = host.strip("[]")
    ip = name if name == "*" or _is_interface(name) else resolve_hostname(name)
    return endpoint if ip == name else _bracketed(ip) + port


def _split_endpoint(endpoint: str) -> tuple[str, str]:
    """Return the host, and the port with its colon; no host where `endpoint` makes no sense."""
    match = _ENDPOINT.fullmatch(endpoint)
    return (match["host"], match["port"] or "") if match else ("", endpoint)


def _is_interface(name: str) -> bool:
    return any(name == interface for _, interface in socket.if_nameindex())


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def seconds_since(timestamp: float) -> float:
    """Return the seconds from `timestamp`, in seconds since the epoch, until now.

    By the wall clock, as timestamps cross machines: a clock ahead of this one gives less than 0.

    >>> seconds_since(time.time() - 60) >= 60
    True
    """
    return time.time() - timestamp


def datetime_from_seconds(timestamp: float) -> datetime:
    """Return the UTC-aware datetime of `timestamp`, in seconds since the epoch.

    Raises:
        OverflowError: where no datetime is that far away.
        ValueError: where `timestamp` is NaN.

    >>> datetime_from_seconds(0).isoformat()
    '1970-01-01T00:00:00+00:00'
    """
    return _EPOCH + timedelta(seconds=timestamp)


def serialized_exception(e: BaseException) -> dict[str, str]:
    """Return `e` as text that any serializer can write, in or out of an `except` block.

    It never raises, even where `str(e)` does.

    Returns:
        `module` and `name` of its class, its `message`, and its `traceback` with what caused it,
        what it was raised while handling, and its notes.

    >>> described = serialized_exception(ValueError("too small"))
    >>> described["module"], described["name"], described["message"]
    ('builtins', 'ValueError', 'too small')
    >>> described["traceback"]
    'ValueError: too small\\n'
    """
    return {
        "module": safe_text(type(e).__module__),
        "name": safe_text(type(e).__name__),
        "message": safe_text(e),
        "traceback": _first_text(e, _whole_traceback, _own_traceback, safe_text),
    }


def _whole_traceback(e: BaseException) -> str:
    return "".join(traceback.format_exception(e))


def _own_traceback(e: BaseException) -> str:
    frames = "".join(traceback.format_tb(e.__traceback__))
    return f"{frames}{type(e).__name__}: {safe_text(e)}\n"


def safe_text(value: object) -> str:
    r"""Return `value` as text that UTF-8 can encode; never raises.

    Where `str(value)` raises it is `repr(value)`. Lone surrogates are written as escapes.

    >>> safe_text(12.5)
    '12.5'
    >>> safe_text("caf\udce9")
    'caf\\udce9'
    """
    if type(value) is str and value.isascii():
        return value
    # Python can be told to fail on str(bytes).
    preferred = repr if isinstance(value, (bytes, bytearray)) else str
    return _first_text(value, preferred, repr, object.__repr__)


def _first_text(value: _T, *shows: Callable[[_T], str]) -> str:
    for show in shows:
        with contextlib.suppress(Exception):
            return str.encode(show(value), "utf-8", "backslashreplace").decode()
    return "<no text>"


def cast_bytes(value: object) -> bytes:
    """Return `value` as bytes: bytes as they are, text as UTF-8, anything else as its `str`.

    It undoes `cast_string`, whatever the bytes were.

    Raises:
        UnicodeEncodeError: where the text holds a surrogate that `cast_string` does not make.

    >>> cast_bytes("é"), cast_bytes(b"x"), cast_bytes(12)
    (b'\\xc3\\xa9', b'x', b'12')
    """
    if isinstance(value, bytes):
        return value
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    return str(value).encode("utf-8", "surrogateescape")


def cast_string(value: object) -> str:
    r"""Return `value` as text: text as it is, bytes decoded as UTF-8, anything else as its `str`.

    Bytes that are not UTF-8 do not raise: each becomes a lone surrogate (PEP 383), from which
    `cast_bytes` has the same bytes back. Show such text through `safe_text`.

    >>> cast_string(b"logs"), cast_string(12)
    ('logs', '12')
    >>> cast_bytes(cast_string(b"\xff")) == b"\xff"
    True
    """
    if isinstance(value, (bytes, bytearray, memoryview)):
        return str(value, "utf-8", "surrogateescape")
    return str(value)
