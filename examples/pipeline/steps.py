"""The steps of the pipeline: three types of job, and how each is done.

A job may be done more than once, wholly or in part, so each step can find its work done already.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from uuid import uuid4

from agentzero.pipeline import Instructions, Step


class GenerateFile(Step):
    """Copies the file `source` to `path`."""

    job_type = "generate-file"
    min_backoff = 0.1

    def execute(self, instructions: Instructions) -> Instructions:
        """Copy one file, so that nobody ever sees half of it."""
        source, path = Path(instructions["source"]), Path(instructions["path"])
        copy = path.with_suffix(f".{uuid4()}")
        shutil.copyfile(source, copy)
        copy.replace(path)
        self.logger.info("copied %s to %s", source.name, path.name)
        return {"path": str(path)}


class CalculateHash(Step):
    """Calculates the `sha256` of the file `path`."""

    job_type = "calculate-hash"
    min_backoff = 0.1

    def execute(self, instructions: Instructions) -> Instructions:
        """Hash one file."""
        path = Path(instructions["path"])
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self.logger.info("hashed %s: %s", path.name, digest)
        return instructions | {"sha256": digest}


class DeleteFile(Step):
    """Deletes the file `path`."""

    job_type = "delete-file"
    min_backoff = 0.1

    def execute(self, instructions: Instructions) -> Instructions:
        """Delete one file, unless it is gone already."""
        path = Path(instructions["path"])
        path.unlink(missing_ok=True)
        self.logger.info("deleted %s", path.name)
        return {"sha256": instructions["sha256"]}


STEPS: tuple[type[Step], ...] = (GenerateFile, CalculateHash, DeleteFile)
