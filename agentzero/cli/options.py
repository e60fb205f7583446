"""Options that commands share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

import click

from agentzero.errors import PluginError
from agentzero.serializers import BaseSerializer, Serializer, available, resolve

__all__ = [
    "Command",
    "Raw",
    "Seconds",
    "completing",
    "count_option",
    "number_option",
    "seconds_option",
    "serializer_of",
    "serializer_option",
    "timeout_option",
]

Command: TypeAlias = Callable[..., Any]


class Seconds(click.FloatRange):
    """A time in seconds, between these bounds; "inf" is for ever, where there is no upper one.

    >>> Seconds().convert("inf", None, None)
    inf
    """

    name = "number of seconds"

    def __init__(self, least: float = 0, most: float | None = None) -> None:
        super().__init__(least, most)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number that a word is."""
        seconds = float(super().convert(value, param, ctx))
        if math.isnan(seconds):
            self.fail(f"{value!r} is not a valid number.", param, ctx)
        return seconds


def timeout_option(does: str, default: float = math.inf) -> Callable[[Command], Command]:
    """Return the option --timeout; `does` says of what it is the limit."""
    return click.option(
        "--timeout",
        type=Seconds(),
        metavar="SECONDS",
        envvar="AGENTZERO_TIMEOUT",
        show_envvar=True,
        default=default,
        show_default="for ever" if default == math.inf else True,
        help=does,
    )


def seconds_option(
    name: str,
    does: str,
    default: float | None = None,
    *,
    least: float = 0,
    most: float | None = None,
) -> Callable[[Command], Command]:
    """Return an option of that name, which is a time in seconds, between these bounds."""
    return click.option(
        name,
        type=Seconds(least, most),
        metavar="SECONDS",
        default=default,
        show_default=True,
        help=does,
    )


def number_option(
    name: str, does: str, default: int | None = None, *, least: int = 1, most: int | None = None
) -> Callable[[Command], Command]:
    """Return an option of that name, which is a whole number, between these bounds."""
    return click.option(
        name,
        type=click.IntRange(least, most),
        metavar="N",
        default=default,
        show_default=True,
        help=does,
    )


def count_option(does: str) -> Callable[[Command], Command]:
    """Return the option --count, None where it is not given; `does` says what it counts."""
    return number_option("--count", does)


def completing(
    names: Callable[[], Iterable[str]],
) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Return what a shell is to ask for the names that begin with a word, in either case.

    >>> completing(lambda: ["WARNING", "INFO"])(None, None, "w")
    ['WARNING']
    """

    def complete(_context: click.Context, _option: click.Parameter, begun: str) -> list[str]:
        return [name for name in names() if name.lower().startswith(begun.lower())]

    return complete


serializer_option: Final = click.option(
    "--serializer",
    metavar="NAME",
    shell_complete=completing(available),
    envvar="AGENTZERO_SERIALIZER",
    show_envvar=True,
    default="json",
    show_default=True,
    help="How data is written on the wire: json, msgpack, cbor, or one of a plugin.",
)


class Raw(BaseSerializer):
    """Bytes as they are.

    >>> Raw().pack(b"data"), Raw().unpack(b"data")
    (b'data', b'data')
    """

    def pack(self, item: Any) -> bytes:
        """Return the item, which has to be bytes."""
        if not isinstance(item, bytes):
            raise TypeError(f"{type(item).__name__} is no bytes")
        return item

    def unpack(self, item: bytes) -> bytes:
        """Return the item."""
        return item


def serializer_of(name: str) -> Serializer:
    """Return the serializer of that name.

    Raises:
        click.UsageError: there is none, or it cannot be used.

    >>> serializer_of("cbor")
    CBOR()
    """
    try:
        return resolve(name)
    except PluginError as error:
        raise click.UsageError(str(error)) from error
