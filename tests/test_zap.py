"""What libzmq is answered when it asks who may come in: RFC 27."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zmq.utils import z85

from agentzero.security import ANY, ServerKeys, generate_keys
from agentzero.zap import answer

SERVER = generate_keys()
ALICE, BOB = generate_keys().public, generate_keys().public
SOME = ServerKeys(SERVER, allowed=[ALICE])
ALL = ServerKeys(SERVER, allowed=ANY)
REALMS = {SOME.domain: SOME, ALL.domain: ALL}


def asked(
    *credentials: bytes,
    version: bytes = b"1.0",
    number: bytes = b"7",
    domain: bytes = SOME.domain,
    mechanism: bytes = b"CURVE",
) -> list[bytes]:
    return [version, number, domain, b"127.0.0.1", b"identity", mechanism, *credentials]


def test_a_client_that_is_admitted_is_let_in_under_the_name_of_its_key() -> None:
    reply = answer(asked(z85.decode(ALICE)), REALMS)
    assert reply == [b"1.0", b"7", b"200", b"OK", ALICE, b""]


def test_each_domain_has_rules_of_its_own() -> None:
    key = z85.decode(BOB)
    assert answer(asked(key), REALMS)[2] == b"400"
    assert answer(asked(key, domain=ALL.domain), REALMS)[2] == b"200"


def test_a_key_that_is_revoked_is_refused_and_let_in_again_when_it_is_allowed() -> None:
    keys = ServerKeys(SERVER, allowed=[ALICE])
    request = asked(z85.decode(ALICE), domain=keys.domain)
    realms = {keys.domain: keys}
    keys.revoke(ALICE)
    assert answer(request, realms)[2] == b"400"
    keys.allow(ALICE)
    assert answer(request, realms)[2] == b"200"


@pytest.mark.parametrize(
    ("request_", "status", "text"),
    [
        (asked(z85.decode(BOB)), b"400", b"unknown key"),
        (asked(z85.decode(ALICE), domain=b""), b"400", b"unknown domain"),
        (asked(z85.decode(ALICE), domain=b"elsewhere"), b"400", b"unknown domain"),
        (asked(ALICE), b"400", b"malformed credentials"),
        (asked(z85.decode(ALICE)[:-1]), b"400", b"malformed credentials"),
        (asked(), b"400", b"malformed credentials"),
        (asked(z85.decode(ALICE), b""), b"400", b"malformed credentials"),
        (asked(mechanism=b"NULL"), b"400", b"only CURVE is let in"),
        (asked(b"user", b"password", mechanism=b"PLAIN"), b"400", b"only CURVE is let in"),
        (asked(z85.decode(ALICE), mechanism=b"curve"), b"400", b"only CURVE is let in"),
        (asked(z85.decode(ALICE), version=b"2.0"), b"500", b"malformed request"),
        (asked()[:5], b"500", b"malformed request"),
    ],
)
def test_whoever_else_asks_is_refused(request_: list[bytes], status: bytes, text: bytes) -> None:
    assert answer(request_, REALMS) == [b"1.0", b"7", status, text, b"", b""]


@pytest.mark.parametrize("frames", [[], [b"1.0"]])
def test_a_request_without_a_number_is_answered_without_one(frames: list[bytes]) -> None:
    assert answer(frames, REALMS) == [b"1.0", b"", b"500", b"malformed request", b"", b""]


frames = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"1.0", b"CURVE", b"NULL", *REALMS, z85.decode(BOB), z85.decode(ALICE)]),
)


@given(st.one_of(st.lists(frames, max_size=9), st.builds(asked, frames, domain=frames)))
def test_whatever_is_asked_only_the_admitted_are_let_in(request_: list[bytes]) -> None:
    reply = answer(request_, REALMS)
    assert len(reply) == 6
    assert all(type(frame) is bytes for frame in reply)
    let_in = reply[2] == b"200"
    assert let_in == (reply[4] != b"")
    if let_in:
        assert REALMS[request_[2]].admits(reply[4])
        assert request_[5:] == [b"CURVE", z85.decode(reply[4])]
