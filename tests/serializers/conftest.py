import pytest

from agentzero.serializers import Serializer, resolve

NAMES = ("json", "msgpack", "cbor")


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def serializer(name: str) -> Serializer:
    return resolve(name)
