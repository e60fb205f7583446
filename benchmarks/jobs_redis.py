"""A Redis server of a measurement, as it is when nobody has configured it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

from jobs import REDIS
from jobs_side import guarded, until
from redis import Redis
from redis.exceptions import ConnectionError as NotYet

from agentzero.util import get_free_tcp_port


@contextmanager
def redis_server() -> Iterator[str]:
    """Run a server with its files in a folder of its own; yield its URL."""
    port = str(get_free_tcp_port())
    options = ("--bind", "127.0.0.1", "--port", port, "--loglevel", "warning")
    with TemporaryDirectory() as folder, guarded(REDIS, *options, "--dir", folder):
        url = f"redis://127.0.0.1:{port}"
        until(lambda: _answers(url))
        yield url


def _answers(url: str) -> bool:
    with Redis.from_url(url) as client:
        try:
            return client.ping() is True
        except NotYet:
            return False
