"""A conformance suite for the authors of backends; pytest runs it.

It needs the extra "testing": `pip install 'agentzero[testing]'`. All that a backend of an event
loop has to say in its own tests is what to test, and on which loop:

    import pytest
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

No test takes longer than `PATIENCE` seconds, whatever the backend does, unless it keeps the thread.
"""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("agentzero.testing.managers", "agentzero.testing.waiters")

from agentzero.testing.conformance import BackendConformance  # noqa: E402
from agentzero.testing.lab import PATIENCE  # noqa: E402

__all__ = ["PATIENCE", "BackendConformance"]
