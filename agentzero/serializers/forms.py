"""What an object is written as that a format's library does not know."""

from __future__ import annotations

import datetime
import numbers
import operator
from collections.abc import Callable
from typing import Any, TypeAlias

__all__ = ["form_of"]

Form: TypeAlias = Callable[[Any], Any]


def form_of(item: object) -> object:
    """What to write for an item: its own kind's plain form, else `str(item)`.

    Subclasses of the basic types, and the numbers of numerical libraries, are written as the
    number, text or bytes that they are. Dates of other libraries are written as ISO 8601 text.

    Raises:
        ValueError: a number that no float holds exactly.

    >>> class Metres(float): ...
    >>> form_of(Metres(1.5)), form_of(1j)
    (1.5, '1j')
    """
    for kind, form in _FORMS:
        if isinstance(item, kind):
            return form(item)
    return str(item)


def _exact_float(item: Any) -> float:
    number = float(item)
    if number != item and item == item:
        raise ValueError(f"{item!r} is no 64-bit float")
    return number


def _iso(item: Any) -> str:
    return str(item.isoformat())


_FORMS: tuple[tuple[type | tuple[type, ...], Form], ...] = (
    (str, str.__str__),
    (bool, str),  # it comes here as a key alone, and is no number there
    ((bytes, bytearray, memoryview), bytes),
    (numbers.Integral, operator.index),
    (numbers.Rational, str),
    (numbers.Real, _exact_float),
    ((datetime.date, datetime.time), _iso),
)
