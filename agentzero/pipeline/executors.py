"""Where jobs are done: threads that keep no process, processes that never outlive it, or yours."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeAlias, TypeVar

__all__ = ["DaemonThreads", "ExecutorSource", "Pool", "Processes", "check_executor"]

P = ParamSpec("P")
T = TypeVar("T")

ExecutorSource: TypeAlias = "Executor | Callable[[], Executor] | None"

_Work: TypeAlias = "tuple[Future[Any], Callable[[], Any]] | None"


class DaemonThreads(Executor):
    """An executor of daemon threads: one that hangs does not keep the process from ending.

    Those of a ThreadPoolExecutor are waited for at the interpreter's exit.

    Args:
        threads: how many calls are executed at a time.

    >>> with DaemonThreads(2) as executor:
    ...     executor.submit(pow, 2, 10).result()
    1024
    """

    def __init__(self, threads: int) -> None:
        self._most = threads
        self._queue: SimpleQueue[_Work] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._closed = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Execute `fn(*args, **kwargs)` in one of the threads.

        Raises:
            RuntimeError: it is shut down.
        """
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("cannot submit after shutdown")
            if len(self._threads) < self._most:
                self._start()
            self._queue.put((future, lambda: fn(*args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more work, and end the threads once what was submitted is done.

        Args:
            wait: whether to wait for that.
            cancel_futures: whether to cancel what has not begun.
        """
        with self._lock:
            self._closed = True
        if cancel_futures:
            self._cancel()
        for _ in self._threads:
            self._queue.put(None)
        if wait:
            for thread in self._threads:
                thread.join()

    def _start(self) -> None:
        name = f"agentzero-job-{len(self._threads)}"
        thread = threading.Thread(target=_work, args=(self._queue,), name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _cancel(self) -> None:
        while not self._queue.empty():
            work = self._queue.get()
            if work is not None:
                work[0].cancel()


def _work(queue: SimpleQueue[_Work]) -> None:
    while (work := queue.get()) is not None:
        future, call = work
        if future.set_running_or_notify_cancel():
            _settle(future, call)
        del work, future, call  # or an idle thread would keep a result alive


def _settle(future: Future[Any], call: Callable[[], Any]) -> None:
    try:
        result = call()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)


class Processes(ProcessPoolExecutor):
    """A process pool whose processes ignore Ctrl-C, and never outlive the process that made it.

    That one decides when to end, and what becomes of jobs meanwhile. A program that uses it needs
    `if __name__ == "__main__":`, as the processes import its main module.

    Args:
        processes: how many.
    """

    def __init__(self, processes: int) -> None:
        context = multiprocessing.get_context("spawn")
        ours, self._lifeline = context.Pipe(duplex=False)
        super().__init__(processes, context, initializer=_live_with, initargs=(ours,))
        # All start together: one that starts later is not watched until the next call is submitted
        # or ends, and if it dies before that, its call never ends.
        self._safe_to_dynamically_spawn_children = False

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As that of every executor; what still runs is killed where it does not `wait`."""
        super().shutdown(wait, cancel_futures=cancel_futures)
        self._lifeline.close()


def _live_with(lifeline: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with, args=(lifeline,), daemon=True).start()


def _die_with(lifeline: Connection) -> None:
    lifeline.poll(None)  # nothing is ever sent: this is its end
    os._exit(1)


def check_executor(source: object) -> None:
    """Raise an error where a `Pool` could not be made of it.

    Raises:
        TypeError: it is no executor, and nothing that makes one.

    >>> check_executor("processes")
    Traceback (most recent call last):
      ...
    TypeError: an executor, or a function that makes one, not 'processes'
    """
    if source is not None and not isinstance(source, Executor) and not callable(source):
        raise TypeError(f"an executor, or a function that makes one, not {source!r}")


class Pool:
    """The executor of a worker: one that was given, or one of its own.

    Args:
        source: an executor, which its owner shuts down; or a function that makes one, which is
            shut down here, and made anew when it breaks; None means daemon threads.
        threads: how many of these.
    """

    def __init__(self, source: ExecutorSource, threads: int) -> None:
        check_executor(source)
        self._factory: Callable[[], Executor] | None = None
        if isinstance(source, Executor):
            self.executor: Executor = source
        else:
            self._factory = source or (lambda: DaemonThreads(threads))
            self.executor = self._made()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Submit to the executor, or to another one if it is found broken.

        Raises:
            BrokenExecutor: it is broken, and not ours to make anew.
            RuntimeError: its owner has shut it down.
        """
        executor = self.executor
        try:
            return executor.submit(fn, *args, **kwargs)
        except BrokenExecutor as error:
            self.renew(executor, error)
            return self.executor.submit(fn, *args, **kwargs)

    def renew(self, broken: Executor, error: BrokenExecutor) -> None:
        """Replace an executor that broke, unless that is done already.

        Raises:
            BrokenExecutor: `error`, where it is not ours to make anew.
        """
        if broken is not self.executor:
            return
        if self._factory is None:
            raise error
        self.close()
        self.executor = self._made()

    def close(self) -> None:
        """Let go of the executor; wait for nothing."""
        if self._factory is not None:
            self.executor.shutdown(wait=False, cancel_futures=True)

    def _made(self) -> Executor:
        assert self._factory is not None
        made = self._factory()
        if not isinstance(made, Executor):
            raise TypeError(f"{self._factory!r} made {made!r}, which is no executor")
        return made
