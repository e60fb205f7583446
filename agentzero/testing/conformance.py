"""What authors of backends and of serializers inherit."""

from __future__ import annotations

from agentzero.testing.exchange import ExchangeConformance
from agentzero.testing.managers import ManagerConformance
from agentzero.testing.packing import PackingConformance
from agentzero.testing.unpacking import UnpackingConformance
from agentzero.testing.waiters import WaiterConformance

__all__ = ["BackendConformance", "SerializerConformance"]


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


class SerializerConformance(PackingConformance, UnpackingConformance, ExchangeConformance):
    """What every serializer promises, as tests; a class named `Test...` inherits them.

    The class has a fixture `serializer`, which returns a new instance for each test, and where
    they apply the attributes below.

    Attributes:
        values: a hypothesis strategy of what comes back equal, and of the same types; by itself
            `nested(scalars())`, which is all that JSON knows. A format that keeps more says so
            with `nested(scalars() | st.binary(), keys=st.text() | st.integers())`, for example.
        hostile: messages, by a name for each, that may be dangerous to read in this format
            alone; the suite has those of common formats.
        patience: how many seconds a message that may hang or crash the process may take, in a
            child process; `PATIENCE` by itself. After two that take longer a test is over.
        large: how large the largest messages are, in bytes; 16 MiB by itself. A serializer that
            is written in Python may need a smaller number to be done in time.

    Whatever serializer it is, texts, finite floats and small integers come back as they were, in
    dicts with keys of text and in lists. What else there is, from None to objects without a form,
    it may refuse with SerializationError. A typed message that it refuses is a skipped test.

    >>> import pytest
    >>> from hypothesis import strategies as st
    >>> from agentzero.serializers import resolve
    >>> from agentzero.testing import nested, scalars
    >>> class TestMsgpack(SerializerConformance):
    ...     values = nested(scalars() | st.binary(), keys=st.text() | st.integers(0, 2**64 - 1))
    ...     hostile = {"an extension of no bytes": b"\\xc7\\x00\\x01"}
    ...
    ...     @pytest.fixture
    ...     def serializer(self):
    ...         return resolve("msgpack")
    """
