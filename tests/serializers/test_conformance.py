"""What every serializer promises, of those that are built in."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import strategies as st

from agentzero.serializers import CBOR, JSON, MSGPACK
from agentzero.testing import SerializerConformance, nested, scalars
from tests.serializers.malformed import HOSTILE


def hostile(name: str) -> dict[str, bytes]:
    """What looks like that format, by a name for each."""
    return {f"{number}. {raw[:12]!r}": raw for number, raw in enumerate(HOSTILE[name])}


WIDE = st.integers(-(2**63), 2**64 - 1)


class TestJSON(SerializerConformance):
    # Python itself makes no text of longer integers.
    values = nested(scalars() | st.integers(-(10**4000), 10**4000))
    hostile = hostile("json")

    @pytest.fixture
    def serializer(self) -> JSON:
        return JSON()


class TestMSGPACK(SerializerConformance):
    values = nested(
        scalars() | WIDE | st.floats() | st.binary(), keys=st.text() | WIDE | st.binary()
    )
    hostile = hostile("msgpack")

    @pytest.fixture
    def serializer(self) -> MSGPACK:
        return MSGPACK()


class TestCBOR(SerializerConformance):
    leaves = (
        scalars()
        | st.integers()
        | st.floats()
        | st.binary()
        | st.dates()
        | st.datetimes(timezones=st.just(datetime.UTC))
        | st.uuids()
        | st.decimals(allow_nan=False, allow_infinity=False).filter(
            lambda d: d or not d.is_signed()
        )
    )
    values = nested(leaves | st.sets(scalars()), keys=leaves.filter(lambda key: key == key))
    hostile = hostile("cbor")

    @pytest.fixture
    def serializer(self) -> CBOR:
        return CBOR()
