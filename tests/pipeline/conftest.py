from __future__ import annotations

from tests.pipeline.databases import database as database
from tests.pipeline.databases import journal as journal
from tests.pipeline.databases import opened as opened
from tests.pipeline.databases import postgresql as postgresql
from tests.pipeline.databases import server as server
from tests.pipeline.databases import sqlite as sqlite
