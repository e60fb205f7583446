"""What authors of backends inherit."""

from __future__ import annotations

from agentzero.testing.managers import ManagerConformance
from agentzero.testing.waiters import WaiterConformance

__all__ = ["BackendConformance"]


class BackendConformance(WaiterConformance, ManagerConformance):
    """What every backend promises, as tests; a class named `Test...` inherits them.

    The class has a fixture `backend`, which returns a new backend for each test, and where they
    apply the attributes and methods below.

    Attributes:
        loop: of an async backend, the event loop it is for, by anyio's name.
        loop_options: anyio's options of that loop, e.g. `{"use_uvloop": True}`.
        spawn: of a sync backend, a function that starts another one as a task.
        pause: of a sync backend, a function that lets other tasks run for so many seconds.

    >>> import pytest
    >>> from agentzero.backends import resolve
    >>> class TestThreads(BackendConformance):
    ...     @pytest.fixture
    ...     def backend(self):
    ...         return resolve("threads")
    """
