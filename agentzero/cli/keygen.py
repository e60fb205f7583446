"""`agentzero keygen`: make a pair of CURVE keys."""

from __future__ import annotations

from pathlib import Path

import click

from agentzero.security import KeyPair, generate_keys

__all__ = ["keygen"]


@click.command()
@click.argument("name", type=click.Path(path_type=Path), metavar="NAME")
def keygen(name: Path) -> None:
    """Make a pair of CURVE keys.

    It prints the public one. NAME.secret holds both keys, and only you can read it: it stays on
    this machine. NAME.public holds the public key alone, to hand out. A file that is there already
    is never written over.

    \b
    Example:
      agentzero keygen server
    """
    if not name.name:
        raise click.UsageError(f"{str(name)!r} names no file")
    secret, public = (name.with_name(f"{name.name}.{kind}") for kind in ("secret", "public"))
    pair = generate_keys()
    try:
        _save(pair, secret, public)
    except FileExistsError as error:
        raise click.UsageError(f"{error.filename} is there already: choose another NAME") from error
    except OSError as error:
        raise click.FileError(str(error.filename or name), str(error.strerror)) from error
    click.echo(pair.public)


def _save(pair: KeyPair, secret: Path, public: Path) -> None:
    pair.save(secret)
    try:
        pair.save_public(public)
    except BaseException:
        secret.unlink()
        raise
