"""The files that the demo works on."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5


def python_files(folder: Path) -> list[Path]:
    """Return the readable .py files below `folder`, without installed packages."""
    return [path for path in sorted(folder.rglob("*.py")) if is_ours(path, folder)]


def is_ours(path: Path, folder: Path) -> bool:
    """Return whether the demo works on that file."""
    installed = {"site-packages", "dist-packages"} & set(path.relative_to(folder).parts)
    return not installed and is_text(str(path)) and path.is_file() and os.access(path, os.R_OK)


def is_text(name: str) -> bool:
    """Return whether a file's name is Unicode: others cannot be sent as text."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def sha256_of(path: Path) -> str:
    """Return the digest of a file as hashlib calculates it; "" where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def job_of(path: Path) -> str:
    """Return the id of a file's job: always the same, so that no second one is made for it."""
    return str(uuid5(NAMESPACE_URL, path.as_uri()))
