"""The process of a soak that is killed: it passes messages on, and answers questions. Bare pyzmq.

    python benchmarks/soak_process.py JOBS RESULTS QUESTIONS

It connects to JOBS and RESULTS, puts its process id before each message, binds to QUESTIONS, and
ends when its stdin does.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import zmq
from soak_questions import answer


def main(jobs: str, results: str, questions: str) -> None:
    """Work until stdin ends."""
    context: zmq.Context[Any] = zmq.Context()
    pull, push, router = map(context.socket, (zmq.PULL, zmq.PUSH, zmq.ROUTER))
    router.bind(questions)
    push.connect(results)
    pull.connect(jobs)
    poller = zmq.Poller()
    for each in (pull, router, sys.stdin):
        poller.register(each, zmq.POLLIN)
    print("ready", flush=True)
    while sys.stdin.fileno() not in (ready := dict(poller.poll())):
        if pull in ready:
            push.send_multipart([str(os.getpid()).encode(), *pull.recv_multipart()])
        if router in ready:
            *route, question = router.recv_multipart()
            router.send_multipart([*route, json.dumps(answer(json.loads(question))).encode()])
    context.destroy(linger=0)


if __name__ == "__main__":
    main(*sys.argv[1:])
