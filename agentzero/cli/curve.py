"""The options --curve-*: the keys of a command's sockets."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeAlias

import click

from agentzero.security import (
    ANY,
    ClientKeys,
    KeyPair,
    ServerKeys,
    generate_keys,
    load_public_key,
)

__all__ = ["Keys", "curve_options", "keys_of"]

Command: TypeAlias = Callable[..., Any]
Keys: TypeAlias = ServerKeys | ClientKeys

KEY_LENGTH = 40  # characters


def curve_options(command: Callable[..., Any]) -> Command:
    """Give a command the options of CURVE, and what they mean as `curve`: keys, or None."""

    @wraps(command)
    def run(
        *args: Any,
        curve_key: str | None,
        curve_server: str | None,
        curve_allow: tuple[str, ...],
        **options: Any,
    ) -> Any:
        return command(*args, curve=keys_of(curve_key, curve_server, curve_allow), **options)

    for option in reversed(_CURVE):
        run = option(run)
    return run


_CURVE = (
    click.option(
        "--curve-key",
        metavar="FILE",
        envvar="AGENTZERO_CURVE_KEY",
        show_envvar=True,
        help="Encrypt with CURVE, with the pair of keys in this file.",
    ),
    click.option(
        "--curve-server",
        metavar="KEY",
        envvar="AGENTZERO_CURVE_SERVER",
        show_envvar=True,
        help="Be a client of the server with this public key: a file, or the key itself.",
    ),
    click.option(
        "--curve-allow",
        metavar="KEY",
        envvar="AGENTZERO_CURVE_ALLOW",
        show_envvar=True,
        multiple=True,
        help="Be a server, and let in the client with this public key, or any. Repeat it for more.",
    ),
)


def keys_of(
    curve_key: str | None, curve_server: str | None, curve_allow: tuple[str, ...]
) -> Keys | None:
    """Return the keys that the options mean, None where none are given.

    A client without keys of its own gets new ones, which a server lets in that lets in any.

    Raises:
        click.UsageError: something is missing, contradicts another, or is no key.
    """
    if curve_server is None and not curve_allow:
        if curve_key is not None:
            raise click.UsageError("--curve-key needs --curve-server or --curve-allow as well")
        return None
    if curve_server is not None and curve_allow:
        raise click.UsageError("--curve-server is for clients, --curve-allow for servers")
    if curve_allow and curve_key is None:
        raise click.UsageError("--curve-allow needs the server's own keys: --curve-key")
    try:
        pair = generate_keys() if curve_key is None else KeyPair.load(curve_key)
        if curve_server is not None:
            return ClientKeys(pair, server=_public_key(curve_server))
        anybody = "any" in curve_allow
        return ServerKeys(pair, allowed=ANY if anybody else [*map(_public_key, curve_allow)])
    except OSError as error:
        raise click.UsageError(f"{error.filename}: {error.strerror}") from error
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _public_key(said: str) -> bytes:
    if Path(said).is_file():
        return load_public_key(said)
    if len(said) != KEY_LENGTH:
        raise ValueError(f"there is no file {said!r}, and that is no public key")
    return said.encode()
