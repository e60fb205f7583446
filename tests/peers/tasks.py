"""A task, whatever a backend's tasks are: a thread, or a greenlet."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


class Task:
    """A function that runs beside others; `error` waits for its end."""

    def __init__(self, function: Callable[..., object], *arguments: Any) -> None:
        self._function = function
        self._arguments = arguments
        self._error: BaseException | None = None
        self._join: Callable[[], object] = lambda: None

    def run(self) -> None:
        try:
            self._function(*self._arguments)
        except BaseException as error:
            self._error = error

    def error(self) -> BaseException | None:
        """Wait until it has ended; return what it raised."""
        self._join()
        return self._error


def start(backend: str, function: Callable[..., object], *arguments: Any) -> Task:
    """Start a task that suits the backend of that name."""
    task = Task(function, *arguments)
    if backend == "gevent":
        import gevent

        task._join = gevent.spawn(task.run).join
    else:
        thread = threading.Thread(target=task.run)
        thread.start()
        task._join = thread.join
    return task
