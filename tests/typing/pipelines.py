"""Steps, pipelines and their clients."""
# pyright: strict

from __future__ import annotations

import logging
from concurrent.futures import ProcessPoolExecutor
from typing import Any, assert_type

from agentzero.pipeline import AsyncClient, Client, Instructions, Job, Pipeline, State, Step, Worker


class Count(Step):
    job_type = "count"
    max_retries = 2
    time_limit = 60.0

    def __init__(self, least: int = 1) -> None:
        self.least = least

    def execute(self, instructions: Instructions) -> Instructions:
        assert_type(self.logger, logging.Logger)
        return {"words": len(instructions["text"].split())}


class Report(Step):
    job_type = "report"

    def execute(self, instructions: dict[str, Any]) -> dict[str, Any]:
        return instructions


pipeline = Pipeline("words", [Count, Report], "sqlite:///words.db", lease=5)
worker = Worker(Count(least=2), slots=4, executor=ProcessPoolExecutor)


def asks(client: Client) -> None:
    with client as same:
        assert_type(same, Client)
        id = client.submit({"text": "to be"}, id="hamlet")
        assert_type(id, str)
        assert_type(client.submit_many({"text": line} for line in "ab"), list[str])
        assert_type(client.result(id, timeout=2), dict[str, Any])
        assert_type(client.status(id), Job)
        assert_type(client.status(id).state, State)
        assert_type(client.status(id).result, dict[str, Any] | None)
        assert_type(client.cancel(id, "macbeth"), int)
        assert_type(client.dead("count"), list[Job])
        assert_type([step.job_type for step in client.overview().steps], list[str])


async def asks_awaited() -> None:
    async with AsyncClient(timeout=2) as client:
        id = await client.submit({"text": "to be"})
        assert_type(id, str)
        assert_type(await client.result(id), dict[str, Any])
        assert_type((await client.find([id]))[0].error, dict[str, str] | None)
