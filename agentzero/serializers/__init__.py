"""Serializers: objects to bytes and back. Built in are "json", "msgpack" and "cbor"."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from agentzero.catalogue import Available, Catalogue
from agentzero.plugins import Registry, hookimpl
from agentzero.serializers.base import BaseSerializer, Serializer, unreadable, unwritable
from agentzero.serializers.forms import form_of
from agentzero.serializers.json import JSON
from agentzero.serializers.typed import check_type, convert

if TYPE_CHECKING:
    from agentzero.serializers.cbor import CBOR
    from agentzero.serializers.msgpack import MSGPACK

__all__ = [
    "CBOR",
    "JSON",
    "MSGPACK",
    "BaseSerializer",
    "Serializer",
    "available",
    "check_type",
    "convert",
    "form_of",
    "resolve",
    "unreadable",
    "unwritable",
]

DEFAULT = "json"
ENVIRONMENT_VARIABLE = "AGENTZERO_SERIALIZER"

_LAZY = {"CBOR": "cbor", "MSGPACK": "msgpack"}

_catalogue = Catalogue("serializer", sys.modules[__name__])


def __getattr__(name: str) -> Any:
    # Their libraries are imported by those who use them, and not with this package.
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _catalogue.find(_LAZY[name])


@hookimpl
def agentzero_register_serializers(registry: Registry) -> None:
    """Bring the built-in serializers."""
    registry.add("json", JSON)
    registry.add("msgpack", f"{__name__}.msgpack:MSGPACK", requires="msgpack")
    registry.add("cbor", f"{__name__}.cbor:CBOR", requires="cbor2")


def available() -> dict[str, Available]:
    """Every serializer by name: what it is, who brings it, and why it cannot be used, if so.

    >>> [name for name in available() if name in ("cbor", "json", "msgpack")]
    ['cbor', 'json', 'msgpack']
    """
    return _catalogue.available()


def resolve(spec: Serializer | str | None = None) -> Serializer:
    """The serializer that is meant.

    Args:
        spec: an instance of one, the name of one, or None for the one that
            $AGENTZERO_SERIALIZER names, else JSON.

    Raises:
        PluginError: no serializer has that name, or it cannot be used.
        TypeError: `spec` is none of these.

    >>> resolve("cbor")
    CBOR()
    """
    if spec is None:
        spec = os.environ.get(ENVIRONMENT_VARIABLE) or DEFAULT
    if isinstance(spec, str):
        made: Serializer = _catalogue.make(spec, Serializer)
        return made
    if isinstance(spec, type) or not isinstance(spec, Serializer):
        raise TypeError(
            f"a serializer is an instance with pack and unpack, a name or None, not {spec!r}"
        )
    return spec
