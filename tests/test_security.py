"""Keys that nobody sees, files for their owner alone, and sockets that know whom to let in."""

from __future__ import annotations

import copy
import logging
import os
import pickle
import pprint
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
import zmq.auth

from agentzero import serializers
from agentzero.errors import AgentZeroSocketError
from agentzero.security import (
    ANY,
    ClientKeys,
    KeyPair,
    ServerKeys,
    generate_keys,
    load_public_key,
)
from tests.gate import Gate, gate, guarded, pairs
from tests.processes import START, run

__all__ = ["gate", "guarded", "pairs"]

PAIR = generate_keys()
OTHER = generate_keys()

NO_KEYS = ["", "0" * 39, "0" * 41, "#" * 40, "é" * 40, "0" * 39 + "'", b"\xff" * 40, b"\0" * 40]


# Keys


def test_keys_are_text_or_bytes() -> None:
    assert KeyPair(PAIR.public.decode(), PAIR.secret.decode()) == PAIR
    assert (type(PAIR.public), type(PAIR.secret)) == (bytes, bytes)


@pytest.mark.parametrize("text", NO_KEYS)
@pytest.mark.parametrize(
    "use",
    [
        lambda text: KeyPair(text, PAIR.secret),
        lambda text: KeyPair(PAIR.public, text),
        lambda text: ClientKeys(PAIR, server=text),
        lambda text: ServerKeys(PAIR, allowed=[text]),
        lambda text: ServerKeys(PAIR).allow(text),
        lambda text: ServerKeys(PAIR, allowed=ANY).revoke(text),
    ],
)
def test_what_is_no_key_is_refused_and_not_shown(
    use: Callable[[Any], object], text: str | bytes
) -> None:
    with pytest.raises(ValueError, match=r"key is 40 characters of z85 text") as raised:
        use(text)
    assert not text or str(text) not in str(raised.value)
    assert raised.value.__cause__ is raised.value.__context__ is None


@pytest.mark.parametrize(
    "use",
    [
        lambda: KeyPair(PAIR, PAIR.secret),  # type: ignore[arg-type]
        lambda: KeyPair(PAIR.public, [PAIR.secret]),  # type: ignore[arg-type]
        lambda: ServerKeys((PAIR.public, PAIR.secret)),  # type: ignore[arg-type]
        lambda: ServerKeys(PAIR, allowed=PAIR),  # type: ignore[arg-type]
        lambda: ServerKeys(PAIR, allowed=[PAIR]),  # type: ignore[arg-type]
        lambda: ClientKeys(PAIR.secret, server=PAIR.public),  # type: ignore[arg-type]
        lambda: ClientKeys(PAIR, server=OTHER),  # type: ignore[arg-type]
        lambda: ServerKeys(PAIR, allowed=PAIR.secret),  # type: ignore[arg-type]
    ],
)
def test_what_has_the_wrong_type_is_refused_and_not_shown(use: Callable[[], object]) -> None:
    with pytest.raises(TypeError) as raised:
        use()
    assert PAIR.secret.decode() not in str(raised.value)


def test_a_public_key_of_another_pair_is_refused() -> None:
    with pytest.raises(ValueError, match="does not belong"):
        KeyPair(OTHER.public, PAIR.secret)


@pytest.mark.parametrize("name", ["public", "secret", "anything"])
def test_a_pair_never_changes(name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(PAIR, name, OTHER.secret)


@pytest.mark.parametrize(
    "holder", [PAIR, ServerKeys(PAIR, [OTHER.public]), ClientKeys(PAIR, OTHER.public)]
)
@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        pprint.pformat,
        lambda holder: logging.LogRecord("x", 1, "", 1, "%s", (holder,), None).getMessage(),
        *[lambda holder, name=name: repr(serializers.resolve(name).pack({"keys": holder}))
          for name in ("json", "msgpack", "cbor")],
    ],
)  # fmt: skip
def test_nothing_that_shows_an_object_shows_its_secret(
    holder: object, show: Callable[[object], str]
) -> None:
    shown = show(holder)
    assert PAIR.secret.decode() not in shown
    assert PAIR.secret.hex() not in shown
    assert PAIR.public.decode() in shown or "KeyPair" in shown


def test_a_pair_can_be_pickled_copied_and_compared() -> None:
    for twin in (pickle.loads(pickle.dumps(PAIR)), copy.deepcopy(PAIR), copy.copy(PAIR)):
        assert (twin, hash(twin), twin.secret) == (PAIR, hash(PAIR), PAIR.secret)
    assert PAIR not in (OTHER, PAIR.public)


def test_without_curve_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zmq, "has", lambda capability: False)
    with pytest.raises(AgentZeroSocketError, match="without CURVE"):
        generate_keys()


# Files


@pytest.fixture(params=[0o000, 0o022, 0o277, 0o777])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("umask")
def test_a_key_file_is_its_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    PAIR.save(tmp_path / "secret")
    PAIR.save_public(tmp_path / "public")
    assert (mode(tmp_path / "secret"), mode(tmp_path / "public")) == (0o600, 0o644)


def test_what_was_saved_is_loaded_here_and_by_pyzmq(tmp_path: Path) -> None:
    PAIR.save(str(tmp_path / "secret"))
    assert KeyPair.load(str(tmp_path / "secret")) == PAIR
    assert load_public_key(tmp_path / "secret") == PAIR.public
    assert zmq.auth.load_certificate(tmp_path / "secret") == (PAIR.public, PAIR.secret)


def test_a_public_file_holds_no_secret(tmp_path: Path) -> None:
    PAIR.save_public(tmp_path / "public")
    assert load_public_key(tmp_path / "public") == PAIR.public
    assert zmq.auth.load_certificate(tmp_path / "public") == (PAIR.public, None)
    assert PAIR.secret not in (tmp_path / "public").read_bytes()
    with pytest.raises(ValueError, match=r"public holds no secret key"):
        KeyPair.load(tmp_path / "public")


def test_files_of_pyzmq_are_loaded(tmp_path: Path) -> None:
    public, secret = zmq.auth.create_certificates(tmp_path, "server", {"email": "a@example.com"})
    assert load_public_key(public) == KeyPair.load(secret).public


@pytest.mark.parametrize("save", [PAIR.save, PAIR.save_public])
def test_a_file_is_never_replaced(tmp_path: Path, save: Callable[[Path], None]) -> None:
    path = tmp_path / "file"
    path.write_text("precious")
    with pytest.raises(FileExistsError):
        save(path)
    assert path.read_text() == "precious"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        PAIR.save(tmp_path / "link")
    assert not (tmp_path / "elsewhere").exists()


FULL = """
import resource, sys
from agentzero.security import generate_keys

resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    generate_keys().save(sys.argv[1])
except OSError as error:
    print(error.strerror)
"""


def test_a_disk_that_is_full_leaves_no_half_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    ended = run("-c", FULL, str(path), within=START, measured=False)
    assert (ended.out, ended.err) == ("File too large\n", "")
    assert list(tmp_path.iterdir()) == []


SECRET = b'secret-key = "%s"\n' % PAIR.secret


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0\xff" * 100,
        b"public-key",
        b"public-key = \n" + SECRET,
        b'public-key = "too short"\n' + SECRET,
        b'public-key = "%s"\n' % OTHER.public + SECRET,
        b'public-key = "%s"\nsecret-key = "hush, hush"' % PAIR.public,
        b'public-key = "%s"\nsecret-key\n' % PAIR.public,
    ],
    ids=lambda content: f"{len(content)} bytes",
)
def test_a_file_without_keys_is_refused_by_name_and_not_shown(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "garbage"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="garbage") as raised:
        KeyPair.load(path)
    for secret in (PAIR.secret.decode(), "hush", "short"):
        assert secret not in str(raised.value)


def test_a_public_key_that_is_none_is_refused_by_the_files_name(tmp_path: Path) -> None:
    path = tmp_path / "garbage"
    path.write_bytes(b'public-key = "too short"\n')
    with pytest.raises(ValueError, match="garbage"):
        load_public_key(path)


@pytest.mark.parametrize("load", [KeyPair.load, load_public_key])
def test_what_cannot_be_read_says_why(tmp_path: Path, load: Callable[[Path], object]) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing")
    with pytest.raises(IsADirectoryError):
        load(tmp_path)


# Who is let in


@pytest.mark.parametrize("key", [OTHER.public, OTHER.public.decode()], ids=["bytes", "str"])
def test_one_key_is_not_a_list_of_keys(key: Any) -> None:
    with pytest.raises(TypeError, match="several public keys"):
        ServerKeys(PAIR, allowed=key)


@pytest.mark.parametrize("collection", [list, tuple, set, frozenset, iter])
@pytest.mark.parametrize("key", [OTHER.public, OTHER.public.decode()], ids=["bytes", "str"])
def test_any_collection_of_keys_will_do(collection: Callable[[Any], Any], key: Any) -> None:
    keys = ServerKeys(PAIR, allowed=collection([key]))
    assert keys.admits(OTHER.public)
    assert keys.admits(OTHER.public.decode())
    assert not keys.admits(PAIR.public)


def test_nobody_is_admitted_unless_it_is_said() -> None:
    assert not ServerKeys(PAIR).admits(OTHER.public)
    assert ServerKeys(PAIR, allowed=ANY).admits(OTHER.public)


@pytest.mark.parametrize("allowed", [[], [OTHER.public], ANY])
def test_what_was_said_last_counts(allowed: Any) -> None:
    keys = ServerKeys(PAIR, allowed=allowed)
    for _ in range(2):
        keys.allow(OTHER.public)
        assert keys.admits(OTHER.public)
        keys.revoke(OTHER.public.decode())
        assert not keys.admits(OTHER.public)


def test_it_knows_whether_a_key_was_ever_revoked() -> None:
    keys = ServerKeys(PAIR)
    keys.allow(OTHER.public)
    assert not keys.revoked_any
    keys.revoke(OTHER.public)
    keys.allow(OTHER.public)
    assert keys.revoked_any


@pytest.mark.parametrize(
    "twin_of", [copy.copy, copy.deepcopy, lambda keys: pickle.loads(pickle.dumps(keys))]
)
@pytest.mark.parametrize("allowed", [[], ANY])
def test_a_copy_lets_in_the_same_and_then_goes_its_own_way(
    twin_of: Callable[[ServerKeys], ServerKeys], allowed: Any
) -> None:
    keys, third = ServerKeys(PAIR, allowed), generate_keys().public
    keys.allow(third)
    keys.revoke(OTHER.public)
    twin = twin_of(keys)
    assert (twin.pair, twin.admits(third), twin.admits(OTHER.public)) == (PAIR, True, False)
    assert twin.admits(PAIR.public) == keys.admits(PAIR.public)
    assert twin.revoked_any
    assert twin.domain != keys.domain
    twin.allow(OTHER.public)
    assert not keys.admits(OTHER.public)


def test_clients_with_the_same_keys_are_equal() -> None:
    keys = ClientKeys(PAIR, OTHER.public)
    twin = ClientKeys(KeyPair(PAIR.public, PAIR.secret), OTHER.public.decode())
    assert (twin, hash(twin)) == (keys, hash(keys))
    assert keys not in (ClientKeys(OTHER, OTHER.public), ClientKeys(PAIR, PAIR.public), PAIR)


def test_it_tells_how_many_are_allowed() -> None:
    keys = ServerKeys(PAIR, allowed=[OTHER.public])
    assert "<1 key>" in repr(keys)
    keys.revoke(OTHER.public)
    assert "<0 keys>" in repr(keys)
    assert "allowed=ANY" in repr(ServerKeys(PAIR, allowed=ANY))


def test_any_stays_itself() -> None:
    assert repr(ANY) == "ANY"
    assert pickle.loads(pickle.dumps(ANY)) is copy.deepcopy(ANY) is ANY


# Sockets


@pytest.fixture(params=["tcp://127.0.0.1:*", "ipc://"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"{request.param}{tmp_path}/socket" if request.param == "ipc://" else request.param


def meet(gate: Gate, server: Any, client: Any, address: str) -> tuple[str, bytes]:
    """How the handshake ended for the server, and what it then received."""
    pull = gate.server(zmq.PULL, server, address)
    gate.client(zmq.PUSH, client, pull).send(b"hello")
    outcome = gate.outcome(pull)
    heard = pull.recv() if outcome == "HANDSHAKE_SUCCEEDED" else b""
    assert not pull.poll(0)
    return outcome, heard


@pytest.mark.parametrize("server", [ServerKeys(PAIR, [OTHER.public]), ServerKeys(PAIR, ANY)])
def test_who_is_admitted_gets_its_messages_through(
    guarded: Gate, address: str, server: ServerKeys
) -> None:
    client = ClientKeys(OTHER, PAIR.public)
    assert meet(guarded, server, client, address) == ("HANDSHAKE_SUCCEEDED", b"hello")


@pytest.mark.parametrize("allowed", [[], [PAIR.public]])
def test_who_is_not_admitted_gets_nothing_through(
    guarded: Gate, address: str, allowed: list[bytes]
) -> None:
    server, client = ServerKeys(PAIR, allowed), ClientKeys(OTHER, PAIR.public)
    assert meet(guarded, server, client, address) == ("HANDSHAKE_FAILED_AUTH", b"")


@pytest.mark.parametrize(
    ("server", "client"),
    [
        (ServerKeys(PAIR, ANY), ClientKeys(OTHER, OTHER.public)),
        (ServerKeys(PAIR, ANY), None),
        (None, ClientKeys(OTHER, PAIR.public)),
    ],
    ids=["a client of another server", "a plain client", "a plain server"],
)
def test_who_does_not_fit_gets_nothing_through(
    guarded: Gate, address: str, server: Any, client: Any
) -> None:
    outcome, heard = meet(guarded, server, client, address)
    assert (outcome[:16], heard) == ("HANDSHAKE_FAILED", b"")


def test_where_nobody_answers_nobody_is_let_in(gate: Gate, address: str) -> None:
    server, client = ServerKeys(PAIR, ANY), ClientKeys(OTHER, PAIR.public)
    assert meet(gate, server, client, address) == ("HANDSHAKE_FAILED_NO_DETAIL", b"")


def test_who_is_let_in_changes_while_a_socket_runs(guarded: Gate) -> None:
    keys = ServerKeys(PAIR)
    pull = guarded.server(zmq.PULL, keys)
    for change, outcome in (
        (keys.allow, "HANDSHAKE_SUCCEEDED"),
        (keys.revoke, "HANDSHAKE_FAILED_AUTH"),
        (keys.allow, "HANDSHAKE_SUCCEEDED"),
    ):
        change(OTHER.public)
        client = guarded.client(zmq.PUSH, ClientKeys(OTHER, PAIR.public), pull)
        assert guarded.outcome(client) == outcome


def test_the_server_may_be_the_one_that_connects(guarded: Gate) -> None:
    keys = ServerKeys(PAIR, [OTHER.public])
    pull = guarded.server(zmq.PULL, keys)
    bound = guarded.server(zmq.PUSH, None)
    bound.unbind(bound.get_string(zmq.LAST_ENDPOINT))
    ClientKeys(OTHER, PAIR.public).configure(bound)
    port = bound.bind_to_random_port("tcp://127.0.0.1")
    pull.connect(f"tcp://127.0.0.1:{port}")
    bound.send(b"hello")
    assert pull.recv(copy=False)["User-Id"] == OTHER.public.decode()


@pytest.mark.parametrize("keys", [ServerKeys(PAIR), ClientKeys(OTHER, PAIR.public)])
def test_a_stream_socket_is_refused_as_it_would_be_plain(
    gate: Gate, keys: ServerKeys | ClientKeys
) -> None:
    stream = gate.server(zmq.STREAM, None)
    with pytest.raises(AgentZeroSocketError, match="STREAM"):
        keys.configure(stream)


def test_a_req_is_refused_as_a_server_for_it_would_get_no_reply(guarded: Gate) -> None:
    with pytest.raises(AgentZeroSocketError, match="give them to its peers"):
        guarded.server(zmq.REQ, ServerKeys(PAIR, ANY))
    reply = guarded.server(zmq.REP, ServerKeys(PAIR, ANY))
    request = guarded.client(zmq.REQ, ClientKeys(OTHER, PAIR.public), reply)
    request.send(b"ping")
    assert reply.recv() == b"ping"
    reply.send(b"pong")
    assert request.recv() == b"pong"


def test_no_two_servers_have_the_same_domain() -> None:
    assert len({ServerKeys(PAIR).domain for _ in range(100)}) == 100


@pytest.mark.parametrize("load", [KeyPair.load, load_public_key])
def test_a_file_descriptor_is_no_path(load: Callable[[Any], Any]) -> None:
    with open(__file__) as file:
        with pytest.raises(TypeError):
            load(file.fileno())
        assert file.readline()


@pytest.mark.parametrize("allowed", [None, True, PAIR], ids=["None", "True", "a pair"])
def test_what_is_no_collection_of_keys_is_refused(allowed: Any) -> None:
    with pytest.raises(TypeError, match="several public keys"):
        ServerKeys(PAIR, allowed=allowed)
