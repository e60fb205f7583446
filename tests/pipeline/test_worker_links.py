"""What a worker's sockets do while there is nobody at the other end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agentzero.pipeline.links import Links
from agentzero.pipeline.wire import Outcome, Result
from tests.pipeline.fake_pipeline import FakePipeline
from tests.pipeline.fake_pipeline import pipeline as pipeline
from tests.processes import eventually

RESULT = Result("j1", 1, Outcome.SUCCESS, {})


@pytest.fixture
def links(pipeline: FakePipeline) -> Iterator[Links]:
    heard: list[object] = []
    links = Links("w1", pipeline.address, None, None, heard.append)
    links.open()
    eventually(lambda: heard)
    links.follow(heard[0])  # type: ignore[arg-type]
    yield links
    links.close()


def test_results_are_sent_while_there_is_a_pipeline(links: Links, pipeline: FakePipeline) -> None:
    eventually(lambda: links.send([RESULT]))
    assert pipeline.result() == RESULT


def test_no_result_is_queued_while_there_is_none(links: Links, pipeline: FakePipeline) -> None:
    eventually(lambda: links.send([RESULT]))
    pipeline.die()
    eventually(lambda: not links.send([RESULT]))
    back = pipeline.back()
    eventually(lambda: links.send([RESULT]))
    assert back.result() == RESULT
    assert back.nothing_comes()
    back.die()


def test_following_the_same_welcome_again_changes_nothing(
    links: Links, pipeline: FakePipeline
) -> None:
    address = links.address
    links.follow(pipeline.welcome)  # type: ignore[arg-type]
    assert links.address == address
    eventually(lambda: links.send([RESULT]))
    assert pipeline.result() == RESULT
