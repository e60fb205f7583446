"""A process that forks others: each begins with everything imported, in milliseconds.

It runs alone in its thread and holds no sockets, so that forking is safe. It reads one command per
line, `role {options as JSON}`, and answers each with the id of the new process. When its input
ends, it kills all those that are left.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import sys
import traceback
from typing import Any

from agentzero.pipeline import Pipeline, Worker
from tests.pipeline.errands import STEPS


def pipeline(journal: str, steps: list[str], file_size: int | None = None, **options: Any) -> None:
    """Run a pipeline; its files may have so many bytes, and more after somebody says so."""
    if file_size is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, resource.RLIM_INFINITY))
    Pipeline("errands", [STEPS[name] for name in steps], journal, **options).run()


def worker(step: str, reply_address: str, log: str, **options: Any) -> None:
    """Run a worker of a step, that writes down each execution."""
    errand = STEPS[step]()
    errand.log = log
    Worker(errand, reply_address, **options).run()


ROLES = {"pipeline": pipeline, "worker": worker}


def hatch(role: str, options: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        logging.basicConfig(level=logging.WARNING, format=f"{role} %(process)d: %(message)s")
        ROLES[role](**options)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    pids: list[int] = []
    for line in sys.stdin:
        role, _, options = line.partition(" ")
        pids.append(hatch(role, json.loads(options)))
        print(pids[-1], flush=True)
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    for pid in pids:
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
