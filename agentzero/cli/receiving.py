"""What all commands that receive have in common."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice, repeat
from typing import Any

import click

from agentzero import SocketManager
from agentzero.cli.link import Link
from agentzero.cli.output import show_bytes, warn
from agentzero.errors import DeserializationError, SerializationError

__all__ = ["show_each", "unpacked"]


def show_each(
    sockets: SocketManager,
    name: str,
    link: Link,
    timeout: float,
    count: int | None,
    show: Callable[[list[bytes]], None],
) -> None:
    """Receive messages and show each; go on after those that cannot be shown.

    Args:
        sockets, name: where they come from.
        link: how they are written. Raw ones are shown here: the last frame, and a newline.
        timeout: seconds that each may take.
        count: how many there are to be; None for any number.
        show: writes the frames of one.

    Raises:
        SocketTimeout: none came in time.
        click.exceptions.Exit: with 1 after all, where one could not be shown.
    """
    failed = False
    for _ in islice(repeat(None), count):
        frames = sockets.recv_multipart(name, timeout)
        try:
            show_bytes(frames[-1]) if link.raw else show(frames)
        except (DeserializationError, SerializationError) as error:
            warn(f"Error: a message was left out: {error} (--raw shows its bytes)")
            failed = True
    if failed:
        raise click.exceptions.Exit(1)


def unpacked(link: Link, frames: list[bytes], expected: int) -> Any:
    """Return the data of a message: what its last frame says.

    Raises:
        DeserializationError: it has another number of frames, or cannot be read.
    """
    if len(frames) != expected:
        raise DeserializationError(f"it has {len(frames)} frames, and not {expected}")
    try:
        return link.serializer.unpack(frames[-1])
    except Exception as error:  # whatever a plugin raises
        raise DeserializationError(str(error)) from error
