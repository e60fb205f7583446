"""One total time, spent across any number of waits."""

from __future__ import annotations

import math
from time import monotonic

__all__ = ["Deadline", "checked_timeout", "milliseconds"]


def checked_timeout(timeout: float, what: str = "timeout") -> float:
    """Return `timeout` when it is a time that can be waited: 0 or more, `math.inf` included.

    Raises:
        TypeError: it is not a number.
        ValueError: it is negative, or not a number in the sense of IEEE 754.

    >>> checked_timeout(1.5)
    1.5
    """
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise TypeError(f"{what} must be a number (math.inf waits for ever), not {timeout!r}")
    if not timeout >= 0:
        raise ValueError(f"{what} must be 0 or more (math.inf waits for ever), not {timeout!r}")
    return timeout


def milliseconds(seconds: float) -> int:
    """Return seconds as libzmq takes them: whole milliseconds, -1 for ever.

    >>> milliseconds(0.25), milliseconds(math.inf)
    (250, -1)
    """
    return -1 if seconds == math.inf else min(math.ceil(seconds * 1000), 2**31 - 1)


class Deadline:
    """The moment at which a time-out of `timeout` seconds, counted from now, is over.

    Args:
        timeout: seconds from now; 0 is over at once, `math.inf` never.

    >>> Deadline(0).left()
    0.0
    """

    __slots__ = ("_end", "timeout")

    def __init__(self, timeout: float) -> None:
        self.timeout: float = checked_timeout(timeout)
        self._end = monotonic() + timeout

    def left(self) -> float:
        """Return the seconds that are left, 0.0 when there are none.

        >>> import math
        >>> Deadline(math.inf).left()
        inf
        """
        return max(0.0, self._end - monotonic())
