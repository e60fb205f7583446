"""Pairs of CURVE keys, and the files that keep them."""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from typing import Any

import zmq
from zmq.auth import load_certificate
from zmq.utils import z85

from agentzero.errors import AgentZeroSocketError

__all__ = ["KeyPair", "checked_key", "generate_keys", "load_public_key"]

KEY_BYTES = 32

PRIVATE, PUBLIC = 0o600, 0o644

# The form that zmq.auth and CZMQ read and write.
SECRET_FILE = """\
#   ZeroMQ CURVE **Secret** Certificate
#   DO NOT PROVIDE THIS FILE TO OTHER USERS nor change its permissions.

metadata
curve
    public-key = "{public}"
    secret-key = "{secret}"
"""
PUBLIC_FILE = """\
#   ZeroMQ CURVE Public Certificate
#   Exchange securely, or use a secure mechanism to verify the contents
#   of this file after exchange.

metadata
curve
    public-key = "{public}"
"""


def checked_key(key: object, what: str = "a public key") -> bytes:
    """Return `key` as bytes when it is the z85 text of a key; no error shows what it is.

    Raises:
        TypeError: it is neither str nor bytes.
        ValueError: it is not 40 characters that z85 allows.
    """
    if not isinstance(key, str | bytes):
        raise TypeError(f"{what} is a str or bytes, not {type(key).__name__}")
    with suppress(ValueError, KeyError, struct.error):
        text = key.encode("ascii") if isinstance(key, str) else bytes(key)
        if len(z85.decode(text)) == KEY_BYTES:
            return text
    raise ValueError(f"{what} is 40 characters of z85 text, and this is not")


def require_curve() -> None:
    """Raise AgentZeroSocketError where libzmq was built without CURVE."""
    if not zmq.has("curve"):
        raise AgentZeroSocketError("libzmq was built without CURVE: install pyzmq from a wheel")


class KeyPair:
    """A public key, which others may know, and the secret key that belongs to it.

    Neither `repr` nor a log nor a serializer shows the secret. Pickling takes it along.

    Args:
        public: z85 text, 40 characters, as pyzmq has it.
        secret: likewise.

    Raises:
        ValueError: one of them is not a key, or they do not belong together.

    >>> pair = generate_keys()
    >>> KeyPair(pair.public, pair.secret) == pair
    True
    >>> pair
    KeyPair(public=b'...', secret=...)
    """

    # Not a dataclass: serializers, and with them the log handler, write all fields of one.
    __slots__ = ("_public", "_secret")

    def __init__(self, public: str | bytes, secret: str | bytes) -> None:
        self._public = checked_key(public)
        self._secret = checked_key(secret, "a secret key")
        require_curve()
        if zmq.curve_public(self._secret) != self._public:
            raise ValueError("the public key does not belong to the secret key")

    @property
    def public(self) -> bytes:
        """The key to hand out, as z85 text.

        >>> len(generate_keys().public)
        40
        """
        return self._public

    @property
    def secret(self) -> bytes:
        """The key to keep, as z85 text.

        >>> len(generate_keys().secret)
        40
        """
        return self._secret

    def __repr__(self) -> str:
        return f"KeyPair(public={self.public!r}, secret=...)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KeyPair) and self._secret == other._secret

    def __hash__(self) -> int:
        return hash(self._public)

    def __reduce__(self) -> tuple[Any, ...]:
        return KeyPair, (self._public, self._secret)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write both keys to a new file that only its owner can read, mode 0600.

        `KeyPair.load`, `zmq.auth.load_certificate` and CZMQ read it.

        Raises:
            FileExistsError: there is something of that name; it stays as it is.
            OSError: the file cannot be written; nothing of it is left.

        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> pair = generate_keys()
        >>> with TemporaryDirectory() as folder:
        ...     pair.save(Path(folder, "server.secret"))
        ...     KeyPair.load(Path(folder, "server.secret")) == pair
        True
        """
        text = SECRET_FILE.format(public=self.public.decode(), secret=self.secret.decode())
        write_new(path, text, PRIVATE)

    def save_public(self, path: str | os.PathLike[str]) -> None:
        """Write the public key alone to a new file, to hand out; mode 0644, else as `save`.

        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> pair = generate_keys()
        >>> with TemporaryDirectory() as folder:
        ...     pair.save_public(Path(folder, "server.public"))
        ...     load_public_key(Path(folder, "server.public")) == pair.public
        True
        """
        write_new(path, PUBLIC_FILE.format(public=self.public.decode()), PUBLIC)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> KeyPair:
        """Read what `save` wrote, or any other ZeroMQ certificate with a secret key.

        Raises:
            ValueError: the file holds no such keys; the text names the file, and shows none of it.
            OSError: it cannot be read.

        >>> KeyPair.load("no-such-file")
        Traceback (most recent call last):
          ...
        FileNotFoundError: [Errno 2] No such file or directory: 'no-such-file'
        """
        public, secret = certificate(path)
        if secret is None:
            raise ValueError(f"{path} holds no secret key")
        try:
            return cls(public, secret)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None


def generate_keys() -> KeyPair:
    """Return a new pair of keys.

    Raises:
        AgentZeroSocketError: libzmq was built without CURVE.

    >>> generate_keys() == generate_keys()
    False
    """
    require_curve()
    return KeyPair(*zmq.curve_keypair())


def load_public_key(path: str | os.PathLike[str]) -> bytes:
    """Return the public key in a file that `save_public` or `save` wrote.

    Raises:
        ValueError: the file holds no such key; the text names the file, and shows none of it.
        OSError: it cannot be read.

    >>> load_public_key("no-such-file")
    Traceback (most recent call last):
      ...
    FileNotFoundError: [Errno 2] No such file or directory: 'no-such-file'
    """
    public, _ = certificate(path)
    return checked_key(public, f"the public key in {path}")


def certificate(path: str | os.PathLike[str]) -> tuple[bytes, bytes | None]:
    """Return the public key of a file, unchecked, and its secret key where it has one."""
    os.stat(path := os.fspath(path))  # load_certificate would not say why it cannot read a file
    try:
        return load_certificate(path)
    except (ValueError, IndexError):
        raise ValueError(f"{path} is not a ZeroMQ certificate") from None


def write_new(path: str | os.PathLike[str], text: str, mode: int) -> None:
    """Write a file that was not there, whole or not at all."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with open(fd, "w", encoding="ascii") as file:
            os.fchmod(fd, mode)  # whatever the umask took away
            file.write(text)
            file.flush()
            os.fsync(fd)
    except BaseException:
        with suppress(OSError):
            os.unlink(path)
        raise
