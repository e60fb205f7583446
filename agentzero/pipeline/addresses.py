"""Addresses as they are bound, and as another host can use them."""

from __future__ import annotations

import re
import socket

from agentzero.pipeline.errors import PipelineError
from agentzero.util import extract_hostname_from_tcp_address

__all__ = ["bindable", "check_address", "check_bind", "local_host_towards", "reachable"]

WILDCARD = re.compile(r"tcp://(\*|0\.0\.0\.0|\[::\]):")
_PORT = re.compile(r":(\d+|\*)$")
_ADDRESS = re.compile(r"tcp://.+:\d+|(?!tcp:)\w+://.+")
_BIND = re.compile(r"(tcp|ipc)://.+")


def check_address(address: object) -> None:
    """Raise an error where nobody could connect to that address.

    Raises:
        TypeError, ValueError: it is no str, or has no transport, or no port that it needs.

    >>> check_address("7710")
    Traceback (most recent call last):
      ...
    ValueError: an address is like 'tcp://127.0.0.1:7710', not '7710'
    """
    if not isinstance(address, str):
        raise TypeError(f"an address is a str, not {address!r}")
    if not _ADDRESS.fullmatch(address) or not _has_sensible_port(address):
        raise ValueError(f"an address is like 'tcp://127.0.0.1:7710', not {address!r}")


def check_bind(bind: object) -> None:
    """Raise an error where `bindable` could make nothing of what was asked for.

    Raises:
        TypeError, ValueError: it is neither None nor a str, or neither tcp nor ipc.

    >>> check_bind("eth0")
    Traceback (most recent call last):
      ...
    ValueError: bind is like 'tcp://eth0' or 'ipc:///run/resize', not 'eth0'
    """
    if bind is None:
        return
    if not isinstance(bind, str):
        raise TypeError(f"bind is a str or None, not {bind!r}")
    if not _BIND.fullmatch(bind) or not _has_sensible_port(bind):
        raise ValueError(f"bind is like 'tcp://eth0' or 'ipc:///run/resize', not {bind!r}")


def _has_sensible_port(address: str) -> bool:
    port = _PORT.search(address) if address.startswith("tcp://") else None
    return port is None or port[1] == "*" or int(port[1]) <= 65535


def reachable(address: str, host: str) -> str:
    """Return an address that is bound to all interfaces as one to connect to, at `host`.

    >>> reachable("tcp://0.0.0.0:7711", "::1")
    'tcp://[::1]:7711'
    >>> reachable("tcp://10.0.0.5:7711", "example.com")
    'tcp://10.0.0.5:7711'
    """
    shown = f"[{host}]" if ":" in host else host
    return WILDCARD.sub(lambda _: f"tcp://{shown}:", address)


def local_host_towards(address: str) -> str:
    """Return this host's own IP address, as whoever listens at `address` sees it.

    Nothing is sent to find out, but it waits for DNS. What is not tcp is on this host.

    Raises:
        PipelineError: there is no way to that address.

    >>> local_host_towards("tcp://127.0.0.1:7710")
    '127.0.0.1'
    """
    host = extract_hostname_from_tcp_address(address)
    if host is None:
        return "127.0.0.1"
    try:
        family, kind, _, _, there = _found(host)
        with socket.socket(family, kind) as probe:
            probe.connect(there)  # of a datagram socket: only picks a route
            return str(probe.getsockname()[0])
    except OSError as error:
        raise PipelineError(f"no own address from which {address} is reached: {error}") from error


def _found(host: str) -> tuple[int, int, int, str, tuple[object, ...]]:
    # IPv4 where there are both kinds, as connections do.
    found = socket.getaddrinfo(host, 9, type=socket.SOCK_DGRAM)
    return min(found, key=lambda info: info[0] != socket.AF_INET)


def bindable(bind: str | None, host: str, name: str) -> str:
    """Return the address to bind, where any port or file will do.

    Args:
        bind: what was asked for: tcp, perhaps without a port, or the beginning of an ipc address.
        host: the host where nothing was asked for.
        name: tells the files of several ipc addresses apart.

    >>> bindable(None, "10.0.0.5", "w1"), bindable("tcp://[::1]", "10.0.0.5", "w1")
    ('tcp://10.0.0.5:*', 'tcp://[::1]:*')
    >>> bindable("tcp://eth0:7000", "10.0.0.5", "w1"), bindable("ipc:///run/resize", "", "w1")
    ('tcp://eth0:7000', 'ipc:///run/resize-w1')
    """
    if bind is None:
        bind = f"tcp://[{host}]" if ":" in host else f"tcp://{host}"
    if bind.startswith("ipc://"):
        return f"{bind}-{name}"
    return bind if _PORT.search(bind) else f"{bind}:*"
