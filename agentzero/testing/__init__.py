"""Conformance suites for the authors of serializers and backends; pytest runs them.

They need the extra "testing": `pip install 'agentzero[testing]'`. All that a serializer has to say
in its own tests is what to test:

    import pytest
    from agentzero.testing import SerializerConformance
    from agentzero_yaml import YAML

    class TestYAML(SerializerConformance):
        @pytest.fixture
        def serializer(self):
            return YAML()

A format that keeps more than JSON does says that too, and has it tested; and where it knows
dangers of its own, it adds them:

    from hypothesis import strategies as st
    from agentzero.testing import SerializerConformance, nested, scalars

    class TestYAML(SerializerConformance):
        values = nested(scalars() | st.binary() | st.dates(), keys=st.text() | st.integers())
        hostile = {"a tag of its own": b"!include /etc/passwd"}

A backend of an event loop says on which loop it is to be tested:

    from agentzero.testing import BackendConformance
    from agentzero_trio import TrioBackend

    class TestTrio(BackendConformance):
        loop = "trio"

        @pytest.fixture
        def backend(self):
            return TrioBackend()

A sync backend leaves `loop` out. Where its tasks are not native threads, it says how they start and
how they let others run:

    class TestGevent(BackendConformance):
        spawn = staticmethod(gevent.spawn)
        pause = staticmethod(gevent.sleep)

        @pytest.fixture
        def backend(self):
            return GeventBackend()

No test of a backend takes longer than `PATIENCE` seconds, whatever the backend does, unless it
keeps the thread. What a serializer may crash at, or never end with, it is asked in a child process.
"""

from __future__ import annotations

import pytest

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
