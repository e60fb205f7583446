"""Conformance suites for the authors of serializers and backends; pytest runs them.

They need the extra "testing": `pip install 'agentzero[testing]'`. All that a serializer has to say
in its own tests is what to test::

    import pytest
    from agentzero.testing import SerializerConformance
    from agentzero_yaml import YAML


    class TestYAML(SerializerConformance):
        @pytest.fixture
        def serializer(self):
            return YAML()

A format that keeps more than JSON does says that too, and has it tested; and where it knows
dangers of its own, it adds them::

    from hypothesis import strategies as st
    from agentzero.testing import SerializerConformance, nested, scalars


    class TestYAML(SerializerConformance):
        values = nested(scalars() | st.binary() | st.dates(), keys=st.text() | st.integers())
        hostile = {"a tag of its own": b"!include /etc/passwd"}

A backend of an event loop says on which loop it is to be tested::

    from agentzero.testing import BackendConformance
    from agentzero_trio import TrioBackend


    class TestTrio(BackendConformance):
        loop = "trio"

        @pytest.fixture
        def backend(self):
            return TrioBackend()

A sync backend leaves `loop` out. Where its tasks are not native threads, it says how they start and
how they let others run::

    class TestGevent(BackendConformance):
        spawn = staticmethod(gevent.spawn)
        pause = staticmethod(gevent.sleep)

        @pytest.fixture
        def backend(self):
            return GeventBackend()

No test of a backend takes longer than `PATIENCE` seconds, whatever the backend does, unless it
keeps the thread.

What is made to crash a serializer, to hang it or to take all memory is tried in child processes,
which are forked; so are threads, and packing inside of packing. Ordinary values and random bytes
are not. A case there may take `PATIENCE` seconds, and a test with two that do not end is over; a
class may say otherwise::

    class TestYAML(SerializerConformance):
        patience = 5.0

A child has the memory of the tests, but none of their threads. So a library that has started
threads of its own, or holds a lock while it is forked, may hang there without any fault of its
own. The suite cannot tell that from a serializer that never ends.
"""

from __future__ import annotations

try:
    import anyio  # noqa: F401
    import hypothesis  # noqa: F401
    import pytest
except ModuleNotFoundError as _error:
    mends = "agentzero.testing needs what comes with pip install 'agentzero[testing]'"
    raise ModuleNotFoundError(f"{_error}; {mends}", name=_error.name) from _error

pytest.register_assert_rewrite(
    "agentzero.testing.children",
    "agentzero.testing.exchange",
    "agentzero.testing.managers",
    "agentzero.testing.packing",
    "agentzero.testing.unpacking",
    "agentzero.testing.waiters",
)

from agentzero.testing.conformance import BackendConformance, SerializerConformance  # noqa: E402
from agentzero.testing.lab import PATIENCE  # noqa: E402
from agentzero.testing.values import nested, scalars  # noqa: E402

__all__ = ["PATIENCE", "BackendConformance", "SerializerConformance", "nested", "scalars"]
