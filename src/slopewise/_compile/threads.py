"""Threads: a pool that runs the parts of compiled regions.

Invariant: parts are the same whatever the number of threads, and each part writes memory of its
own, so that threads change the time of a call and nothing else. The pool is empty after a fork, and
fills again when it is needed. It is separate because no other module makes threads.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections import deque
from typing import Any

from slopewise._core.source import explain
from slopewise.errors import UsageError

_ROUTINE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
_TAKE = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def _count_processors() -> int:
    chosen = os.environ.get("SLOPEWISE_NUM_THREADS", "")
    if chosen.isdigit() and int(chosen) >= 1:
        return int(chosen)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_kept = threading.local()


def keep(error: BaseException) -> None:
    """Keep what was raised while compiled code runs in this thread; the first one stays."""
    if getattr(_kept, "error", None) is None:
        _kept.error = error


def take_kept() -> BaseException | None:
    """Return what was kept in this thread, once."""
    error, _kept.error = getattr(_kept, "error", None), None
    return error


class _Job:
    """One region that is being run: what to call, and who has started on it."""

    __slots__ = ("address", "done", "finished", "lock", "open", "started", "take")

    def __init__(self, take: int, address: int) -> None:
        self.take = take
        self.address = address
        self.lock = threading.Lock()
        self.open = True
        self.started = 0
        self.finished = 0
        self.done = threading.Semaphore(0)

    def join_in(self) -> bool:
        """Return whether there is still something to do; who is let in must leave."""
        with self.lock:
            self.started += self.open
            return self.open

    def leave(self) -> None:
        """Say that a thread has finished its parts."""
        with self.lock:
            self.finished += 1
        self.done.release()

    def close(self) -> None:
        """Let nobody in any more, and wait for those who are in, as they use the caller's stack."""
        while True:
            try:
                self.open = False
                with self.lock:  # whoever was being let in is counted now
                    started = self.started
                while self.finished < started:
                    self.done.acquire()
                return
            except BaseException as error:  # an interrupt, which has to wait
                keep(error)


class Pool:
    """Threads that wait for jobs. One call uses them at a time; others run their parts alone."""

    def __init__(self) -> None:
        self.wanted = _count_processors()
        self.reset()

    def reset(self) -> None:
        """Forget all threads, as a forked process has none of them."""
        self.busy = threading.Lock()
        self.ready = threading.Semaphore(0)
        self.jobs: deque[_Job] = deque()
        self.living = 0

    def run(self, take: int, job_address: int, count: int) -> None:
        """Run the parts of a job: here, and in as many threads as are wanted."""
        job = _Job(take, job_address)
        owned = False
        try:
            helpers = min(self.wanted, count) - 1
            owned = helpers > 0 and self.busy.acquire(blocking=False)
            if owned:
                self._call(job, helpers)
            _TAKE(take)(job_address)
        except BaseException as error:  # raised through compiled code it would be lost
            keep(error)
        finally:
            job.close()
            if owned:
                self.busy.release()

    def _call(self, job: _Job, helpers: int) -> None:
        """Wake threads for a job."""
        while self.living < helpers:
            threading.Thread(target=self._work, name="slopewise", daemon=True).start()
            self.living += 1
        for _ in range(helpers):
            self.jobs.append(job)
            self.ready.release()

    def _work(self) -> None:
        ready, jobs = self.ready, self.jobs
        while True:
            ready.acquire()
            job = jobs.popleft()
            if job.join_in():
                try:
                    _TAKE(job.take)(job.address)
                finally:
                    job.leave()


_pool = Pool()
_routine = _ROUTINE(_pool.run)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.reset)


def find_spreader() -> int | None:
    """Return the address of the routine that runs parts in threads; None for one thread."""
    return ctypes.cast(_routine, ctypes.c_void_p).value if _pool.wanted > 1 else None


def set_num_threads(count: int) -> None:
    """Set how many threads one call of a compiled function may use.

    The results do not depend on it, to the last bit. At the start it is the number of processors
    that this process may use, or the environment variable SLOPEWISE_NUM_THREADS.

    Parameters
    ----------
    count : int
        At least 1.

    Raises
    ------
    UsageError
        If `count` is no such number.

    Examples
    --------
    >>> import slopewise as sw
    >>> before = sw.get_num_threads()
    >>> sw.set_num_threads(1)
    >>> sw.get_num_threads()
    1
    >>> sw.set_num_threads(before)
    """
    number: Any = count
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise UsageError(
            explain(f"set_num_threads: needs a whole number from 1 on, not {count!r}.")
        )
    _pool.wanted = count


def get_num_threads() -> int:
    """Return how many threads one call of a compiled function may use.

    Returns
    -------
    int

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.get_num_threads() >= 1
    True
    """
    return _pool.wanted
