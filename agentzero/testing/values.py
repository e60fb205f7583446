"""Values to write and read, and what it means that one came back as it was."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

__all__ = ["described", "every", "message", "nested", "same", "scalars", "shown"]


def scalars() -> SearchStrategy[Any]:
    """JSON's own types but for lists and dicts: None, bool, int of 64 bits, finite float, str."""
    return (
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63 - 1)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.sampled_from([2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), -0.0])  # seldom drawn
        | st.text()
    )


def nested(
    leaves: SearchStrategy[Any], keys: SearchStrategy[Any] | None = None
) -> SearchStrategy[Any]:
    """Those leaves, alone and in lists and dicts of any depth.

    Args:
        leaves: what holds nothing else, e.g. `scalars() | st.binary()`.
        keys: the keys of the dicts; None means text.

    >>> from hypothesis import find
    >>> find(nested(scalars(), keys=st.integers()), lambda value: isinstance(value, dict) and value)
    {0: None}
    """
    if keys is None:
        keys = st.text()
    return st.recursive(
        leaves, lambda inner: st.lists(inner) | st.dictionaries(keys, inner), max_leaves=20
    )


def same(one: object, other: object) -> bool:
    """Whether two values are equal, and of the same types all the way down.

    A NaN is the same as a NaN, and 0.0 is not the same as -0.0.

    >>> same([1, {"a": 0.0}], [1, {"a": 0.0}])
    True
    >>> same([1], [True]), same((1,), [1]), same(0.0, -0.0)
    (False, False, False)
    """
    if type(one) is not type(other):
        return False
    if isinstance(one, dict) and isinstance(other, dict):
        return _typed(one) == _typed(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (set, frozenset)) and isinstance(other, (set, frozenset)):
        return _typed(one) == _typed(other)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return _same_leaf(one, other)


def _typed(items: Iterable[Any]) -> set[tuple[type, Any]]:
    return {(type(item), item) for item in items}


def _same_leaf(one: Any, other: Any) -> bool:
    if isinstance(one, (float, Decimal)):
        return repr(one) == repr(other)  # the only one of a NaN, a sign of zero, and digits
    if isinstance(one, datetime.datetime):
        return bool(one == other and one.utcoffset() == other.utcoffset())
    return bool(one == other)


def every(values: SearchStrategy[Any], check: Callable[[Any], None]) -> None:
    """Check many values of a strategy; hypothesis tells the simplest one that fails."""

    patient = settings(deadline=None, suppress_health_check=list(HealthCheck))
    patient(given(values)(check))()


def message(serializer: Any, item: object) -> bytes:
    """What is sent where an item is: what `pack` returns, as the manager sends it."""
    packed = serializer.pack(item)
    return packed.encode() if isinstance(packed, str) else bytes(packed)


def shown(value: object) -> str:
    """A value as text that is short enough for an error."""
    try:
        text = ascii(value)
    except (ValueError, RecursionError):  # an integer too long, nesting too deep
        return f"a large {type(value).__name__}"
    return text if len(text) <= 200 else f"{text[:150]}... ({len(text)} characters)"


def described(error: BaseException) -> str:
    """An error in words, even one that has none; of an assertion just what it says.

    >>> described(MemoryError()), described(ValueError("odd")), described(AssertionError("is odd"))
    ('MemoryError', 'ValueError: odd', 'is odd')
    """
    text = str(error)
    if isinstance(error, AssertionError) and text:
        return text
    name = type(error).__name__
    return f"{name}: {text if len(text) <= 300 else f'{text[:300]}...'}" if text else name
