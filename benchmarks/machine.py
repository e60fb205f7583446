"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import zmq
from jobs import REDIS

import agentzero

LIBRARIES = (
    "pyzmq",
    "msgspec",
    "sqlalchemy",
    "gevent",
    "greenlet",
    "uvloop",
    "trio",
    "aiozmq",
    "pynng",
    "numpy",
    "dramatiq",
    "rq",
    "redis",
)


def description() -> dict[str, str]:
    """Return what is to be known, by what it is."""
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": f"{os.cpu_count()} x {processor()}, {platform.machine()}, {platform.system()}",
        "load when it began": f"{os.getloadavg()[0]:.2f}",
        "Python": python(),
        "libraries": ", ".join(libraries()),
    }


def processor() -> str:
    """Return the model of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or "processor"


def python() -> str:
    """Return which Python, and how it was built."""
    optimized = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
    return (
        f"{platform.python_implementation()} {platform.python_version()}, built"
        f" {'with' if optimized else 'without'} profile-guided optimization"
    )


def libraries() -> Iterator[str]:
    """Return each library that is installed, and the Redis server, with their versions."""
    yield f"agentzero {agentzero.__version__}"
    yield f"libzmq {zmq.zmq_version()}"
    for library in LIBRARIES:
        try:
            yield f"{library} {version(library)}"
        except PackageNotFoundError:
            continue
    if shutil.which(REDIS):
        said = subprocess.run([REDIS, "--version"], capture_output=True, text=True, check=True)
        yield f"{REDIS} {said.stdout.partition('v=')[2].split()[0]}"
