"""Arguments that are wrong are found where they are given, and not where they would be used."""

from __future__ import annotations

from math import inf

__all__ = ["checked_seconds", "checked_whole"]


def checked_seconds(value: object, what: str, *, least: float = 0.0, most: float = inf) -> float:
    """Return a number of seconds that is not below `least`, nor above `most`.

    Raises:
        TypeError: it is not a number.
        ValueError: it is out of these bounds, or a NaN.

    >>> checked_seconds(1.5, "grace")
    1.5
    >>> checked_seconds(-1, "grace")
    Traceback (most recent call last):
      ...
    ValueError: grace is a number of seconds, 0 or more, not -1
    """
    bounds = f"{least:g} or more" if most == inf else f"from {least:g} to {most:g}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{what} is a number of seconds, {bounds}, not {value!r}")
    if not least <= value <= most:
        raise ValueError(f"{what} is a number of seconds, {bounds}, not {value!r}")
    return value


def checked_whole(value: object, what: str) -> int:
    """Return a whole number that is not below 0.

    Raises:
        TypeError: it is no whole number.
        ValueError: it is below 0.

    >>> checked_whole(100, "limit")
    100
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{what} is a whole number, not {value!r}")
    if value < 0:
        raise ValueError(f"{what} is 0 or more, not {value}")
    return value
