"""What a process holds: descriptors, native threads, memory."""

from __future__ import annotations

import ctypes
import gc
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

PAGE = os.sysconf("SC_PAGE_SIZE")

# How much memory may grow. In ten stages one after another it went up and down by 3 of 36 MiB, and
# by 8 more where the last messages of a stage were large.
SHARE, MIB = 1.2, 8.0


@dataclass
class Held:
    """What a process holds at one time.

    Attributes:
        fds: open descriptors.
        threads: native threads.
        mib: resident memory in MiB.
    """

    fds: int
    threads: int
    mib: float

    def grown(self, before: Held) -> list[str]:
        """Return in words what is more than it was and may be."""
        limits = asdict(before) | {"mib": before.mib * SHARE + MIB}
        return [
            f"{name} grew from {getattr(before, name):g} to {value:g}"
            for name, value in asdict(self).items()
            if value > limits[name]
        ]


def held() -> Held:
    """Return what this process holds now."""
    gc.collect()
    # What glibc keeps for later is no growth.
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/statm", encoding="ascii") as file:
        pages = int(file.read().split()[1])
    return Held(
        len(os.listdir("/proc/self/fd")),
        len(os.listdir("/proc/self/task")),
        round(pages * PAGE / 2**20, 1),
    )


async def settled(pause: Callable[[float], Any], before: Held | None, within: float) -> Held:
    """Return what this process holds once that is no more than before, or stays as it is."""
    end = time.monotonic() + within
    last, now, still = None, held(), 0
    while still < 10 and time.monotonic() < end:
        if before is not None and not now.grown(before):
            break
        await pause(0.03)
        last, now = now, held()
        still = still + 1 if (now.fds, now.threads) == (last.fds, last.threads) else 0
    return now
