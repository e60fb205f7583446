"""What a serializer is: `pack` makes bytes of an object, `unpack` makes an object of bytes."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from agentzero.errors import DeserializationError, SerializationError

__all__ = ["BaseSerializer", "Serializer", "unreadable", "unwritable"]


@runtime_checkable
class Serializer(Protocol):
    """Whatever has `pack` and `unpack`; both may be called from many threads at once."""

    def pack(self, item: Any, /) -> bytes | str:
        """The item as bytes, or as text that is sent as UTF-8."""

    def unpack(self, item: bytes, /) -> Any:
        """The item that those bytes stand for."""


class BaseSerializer:
    """A base for serializers of your own: write `pack` and `unpack`, and `initialize` to set up.

    >>> class Words(BaseSerializer):
    ...     def initialize(self, separator=" "):
    ...         self.separator = separator
    ...
    ...     def pack(self, item):
    ...         return self.separator.join(item)
    ...
    ...     def unpack(self, item):
    ...         return item.decode().split(self.separator)
    >>> words = Words(separator="-")
    >>> words.pack(["to", "be"])
    'to-be'
    >>> words.unpack(b"to-be")
    ['to', 'be']
    """

    def __init__(self, *args: Any, **kw: Any) -> None:
        self.initialize(*args, **kw)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def initialize(self, *args: Any, **kw: Any) -> None:
        """Set up; called with whatever the serializer was made with. Does nothing by itself."""

    def pack(self, item: Any) -> bytes | str:
        """The item as bytes, or as text that is sent as UTF-8.

        Raises:
            SerializationError: the item has no exact form in this format.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say how to pack")

    def unpack(self, item: bytes) -> Any:
        """The item that those bytes stand for.

        Raises:
            DeserializationError: the bytes are not in this format.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say how to unpack")


def unwritable(form: str, error: Exception) -> SerializationError:
    """The error to raise for an item that cannot be written in the format called `form`.

    >>> print(unwritable("JSON", ValueError("a NaN")))
    cannot be written as JSON: ValueError: a NaN
    """
    return SerializationError(f"cannot be written as {form}: {_describe(error)}")


def unreadable(form: str, raw: object, error: Exception) -> DeserializationError:
    """The error to raise for bytes that cannot be read in the format called `form`.

    >>> unreadable("JSON", b"{", ValueError("truncated")).raw
    b'{'
    """
    taken = bytes(raw) if isinstance(raw, (bytes, bytearray, memoryview)) else b""
    return DeserializationError(f"cannot be read as {form}: {_describe(error)}", raw=taken)


def _describe(error: Exception) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
