"""The socket of a command: opened, bound or connected as its options say."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec

import click
import zmq

from agentzero import SocketManager
from agentzero.cli.curve import Keys, curve_options
from agentzero.cli.options import Command, Raw, serializer_of, serializer_option
from agentzero.cli.output import warn
from agentzero.errors import (
    AgentZeroSocketError,
    PluginError,
    SocketBindError,
    SocketConnectError,
    SocketTimeout,
)
from agentzero.serializers import Serializer

__all__ = ["Link", "attach", "linked", "managing"]

P = ParamSpec("P")

PATIENCE = 10.0  # seconds

# These are no fault of the address.
NOT_NOW = (errno.EADDRINUSE, errno.EACCES, errno.EMFILE)


@contextmanager
def managing(
    serializer: Serializer | str | None = None, patience: float = PATIENCE
) -> Iterator[SocketManager]:
    """Have a manager, which waits in the end until all is sent: not after Ctrl-C or a time-out.

    Args:
        serializer: how data is written.
        patience: seconds that sending what is left may take in the end.

    Raises:
        click.UsageError: the environment names a backend or serializer that there is not.
        click.ClickException: not all was sent in time.
    """
    try:
        sockets = SocketManager(serialization_backend=serializer)
    except PluginError as error:
        raise click.UsageError(str(error)) from error
    with sockets:
        try:
            yield sockets
        except (KeyboardInterrupt, SocketTimeout):
            for name in sockets.names():
                sockets.set_socket_option(name, zmq.LINGER, 0)
            raise
        _send_the_rest(sockets, patience)


def _send_the_rest(sockets: SocketManager, patience: float) -> None:
    sockets.linger = patience
    for name in sockets.names():
        if sockets.get_by_name(name).get(zmq.LINGER):  # a SUB has none
            # Only so can be told whether all was sent.
            sockets.set_socket_option(name, zmq.LINGER, -1)
    sockets.close_all()
    if not sockets.context.closed:
        raise click.ClickException(f"not all was taken in {patience:g} s: messages were dropped")


def attach(
    sockets: SocketManager,
    name: str,
    kind: int,
    address: str,
    *,
    bind: bool,
    curve: Keys | None = None,
    options: Mapping[int, int] | None = None,
) -> None:
    """Create a socket with these options, and bind or connect it.

    Raises:
        click.UsageError: the address is no good, or the keys are not for such a socket.
        AgentZeroSocketError: the address is in use.
    """
    if address.startswith("inproc:"):
        raise click.UsageError(f"{address} does not leave this process: use tcp or ipc")
    try:
        sockets.create(name, kind, curve=curve)
    except AgentZeroSocketError as error:
        raise click.UsageError(str(error)) from error
    for option, value in (options or {}).items():
        sockets.set_socket_option(name, option, value)
    try:
        (sockets.bind if bind else sockets.connect)(name, address)
    except (SocketBindError, SocketConnectError) as error:
        if getattr(error.__cause__, "errno", None) in NOT_NOW:
            raise
        raise click.UsageError(str(error)) from error
    [actual] = sockets.endpoints(name)
    if actual != address:
        warn(f"{name}: bound to {actual}")


@dataclass(frozen=True)
class Link:
    """Where a command's socket is to be, and how it speaks there.

    Attributes:
        address: the endpoint.
        bind: whether it is bound there; otherwise it connects.
        serializer: how data is written.
        curve: keys, None for plain connections.
    """

    address: str
    bind: bool
    serializer: Serializer
    curve: Keys | None

    @property
    def raw(self) -> bool:
        """Whether messages are bytes, as they are."""
        return isinstance(self.serializer, Raw)

    @contextmanager
    def open(
        self,
        name: str,
        kind: int,
        options: Mapping[int, int] | None = None,
        patience: float = PATIENCE,
    ) -> Iterator[SocketManager]:
        """Have a manager with that socket, bound or connected.

        Args:
            name: what the socket is called.
            kind: zmq.SUB, ...
            options: socket options to set before that.
            patience: as for `managing`.

        Raises:
            click.UsageError, AgentZeroSocketError: as for `managing` and `attach`.

        >>> link = Link("tcp://127.0.0.1:6000", False, Raw(), None)
        >>> with link.open("in", zmq.PULL) as sockets:
        ...     sockets.endpoints("in")
        ['tcp://127.0.0.1:6000']
        """
        with managing(self.serializer, patience) as sockets:
            attach(
                sockets,
                name,
                kind,
                self.address,
                bind=self.bind,
                curve=self.curve,
                options=options,
            )
            yield sockets


def linked(
    *, bind: bool, raw: bool = False
) -> Callable[[Callable[Concatenate[Link, P], Any]], Command]:
    """Give a command a Link as its first argument, and the options to make it.

    It is to stand above the command's own arguments, as ADDRESS is the first.

    Args:
        bind: whether the socket is bound where neither --bind nor --connect is given.
        raw: whether there is an option --raw.
    """

    def decorate(command: Callable[Concatenate[Link, P], Any]) -> Command:
        @wraps(command)
        def run(
            address: str,
            bind: bool,
            serializer: str,
            curve: Keys | None,
            *args: P.args,
            **kwargs: P.kwargs,
        ) -> Any:
            raw = kwargs.pop("raw", False)
            codec = Raw() if raw else serializer_of(serializer)
            return command(Link(address, bind, codec, curve), *args, **kwargs)

        options = curve_options(run)
        if raw:
            options = _raw_option(options)
        return _address(_bind_option(bind)(serializer_option(options)))

    return decorate


_address = click.argument("address", metavar="ADDRESS")
_raw_option = click.option(
    "--raw", is_flag=True, help="Messages are bytes, as they are; no serializer touches them."
)


def _bind_option(default: bool) -> Callable[[Command], Command]:
    return click.option(
        "--bind/--connect",
        default=default,
        show_default=True,
        help="Whether peers connect here, or this connects to one.",
    )
