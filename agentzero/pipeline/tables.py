"""The tables of a journal, and every statement on them, made once."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

from agentzero.pipeline.jobs import LONGEST, State

__all__ = ["VERSION", "jobs", "metadata", "pipelines"]

VERSION: Final = 1  # of the tables

metadata: Final = sa.MetaData()

# Sorted by code points everywhere, as Python does.
_TEXT = (
    sa.String()
    .with_variant(sa.String(collation="C"), "postgresql")
    .with_variant(sa.String(LONGEST), "mysql", "mariadb")
)
_BYTES = sa.LargeBinary(2**32 - 1)

pipelines: Final = sa.Table(
    "agentzero_pipelines",
    metadata,
    sa.Column("name", _TEXT, primary_key=True),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
)

jobs: Final = sa.Table(
    "agentzero_jobs",
    metadata,
    sa.Column("pipeline", _TEXT, primary_key=True),
    sa.Column("id", _TEXT, primary_key=True),
    sa.Column("submitted", sa.Double, nullable=False),
    sa.Column("step", _TEXT, nullable=False),
    sa.Column("state", _TEXT, nullable=False),
    sa.Column("instructions", _BYTES, nullable=False),
    sa.Column("changed", sa.Double, nullable=False),
    sa.Column("due", sa.Double, nullable=False),
    sa.Column("attempts", sa.BigInteger, nullable=False),
    sa.Column("lease", sa.BigInteger, nullable=False),
    sa.Column("worker", _TEXT, nullable=False),
    sa.Column("result", _BYTES),
    sa.Column("error", _BYTES),
)
_job = jobs.c

# Written out in each query, word for word as in the indexes: of a parameter, no database can tell
# whether a partial index will do.
_STATE: Final[dict[State, sa.ColumnElement[str]]] = {
    state: sa.literal_column(f"'{state}'", sa.String) for state in State
}
_QUEUED = _job.state == _STATE[State.QUEUED]
_OTHERS = _job.state != _STATE[State.QUEUED]


def _index(name: str, only: sa.ColumnElement[bool], *columns: sa.Column[Any]) -> None:
    sa.Index(name, *columns, sqlite_where=only, postgresql_where=only)


_index("agentzero_jobs_queued", _QUEUED, _job.pipeline, _job.step, _job.due, _job.id)
_index(
    "agentzero_jobs_others", _OTHERS, _job.pipeline, _job.state, _job.changed, _job.id, _job.step
)


# Statements on many rows: the order of their parameters is that of the names here

_MINE = _job.pipeline == sa.bindparam("_pipeline")
_KEY = _MINE & (_job.id == sa.bindparam("_id"))
_CHANGING = jobs.columns[3:]

INSERT = sa.insert(jobs), jobs.columns.keys()
UPDATE = (
    sa.update(jobs).where(_KEY).values({column: sa.bindparam(column.key) for column in _CHANGING}),
    [*(column.key for column in _CHANGING), "_pipeline", "_id"],
)
DELETE = sa.delete(jobs).where(_KEY), ["_pipeline", "_id"]


# Queries; all take `_pipeline`

_STEP = _job.step == sa.bindparam("step")
_NAMED = _MINE & _job.id.in_(sa.bindparam("ids", expanding=True))

GET = sa.select(jobs).where(_NAMED)
KNOWN = sa.select(_job.id).where(_NAMED)
DUE = (
    sa.select(jobs)
    .where(_MINE, _QUEUED, _STEP, _job.due <= sa.bindparam("until"))
    .order_by(_job.due, _job.id)
    .limit(sa.bindparam("most"))
)
NEXT_DUE = (
    sa.select(_job.due)
    .where(_MINE, _QUEUED, _STEP, _job.due > sa.bindparam("after"))
    .order_by(_job.due)
    .limit(1)
)
RUNNING = sa.select(jobs).where(_MINE, _OTHERS, _job.state == _STATE[State.RUNNING])
DEAD = (
    sa.select(jobs)
    .where(_MINE, _OTHERS, _job.state == _STATE[State.DEAD])
    .order_by(_job.changed, _job.id)
)
DEAD_OF_STEP = DEAD.where(_STEP)
ENDED = (
    sa.select(_job.id, _job.step, _job.state)
    .where(_MINE, _OTHERS, _job.state.in_([_STATE[State.DONE], _STATE[State.CANCELLED]]))
    .where(_job.changed < sa.bindparam("before"))
    .limit(sa.bindparam("most"))
)
COUNTS = sa.union_all(
    sa.select(_job.step, _STATE[State.QUEUED].label("state"), sa.func.count())
    .where(_MINE, _QUEUED)
    .group_by(_job.step),
    sa.select(_job.step, _job.state, sa.func.count())
    .where(_MINE, _OTHERS)
    .group_by(_job.step, _job.state),
)


# Who has the pipeline

_THIS = pipelines.c.name == sa.bindparam("_pipeline")

NEWEST = sa.select(sa.func.max(pipelines.c.version))
FIRST = sa.insert(pipelines).values(
    name=sa.bindparam("_pipeline"), epoch=sa.literal(1), version=sa.literal(VERSION)
)
TAKE = sa.update(pipelines).where(_THIS).values(epoch=pipelines.c.epoch + 1)
EPOCH = sa.select(pipelines.c.epoch).where(_THIS)
# It changes nothing, but locks the row.
HOLD = (
    sa.update(pipelines)
    .where(_THIS, pipelines.c.epoch == sa.bindparam("_epoch"))
    .values(epoch=pipelines.c.epoch),
    ["_pipeline", "_epoch"],
)
