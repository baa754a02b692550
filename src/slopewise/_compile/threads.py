"""Threads: a pool that runs the parts of compiled regions.

Invariant: parts are the same whatever the number of threads, and each part writes memory of its
own, so that threads change the time of a call and nothing else. What starts and ends a region is
machine code, so that no interrupt can come in between. It is separate because no other module
makes threads.
"""

from __future__ import annotations

import ctypes
import os
import threading
from queue import SimpleQueue
from typing import Any

from slopewise._core.source import explain
from slopewise.errors import UsageError

_WAKE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
_ENTER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_kept = threading.local()


def keep(error: BaseException) -> None:
    """Keep what was raised while compiled code runs in this thread; the first one stays."""
    if getattr(_kept, "error", None) is None:
        _kept.error = error


def take_kept() -> BaseException | None:
    """Return what was kept in this thread, once."""
    error, _kept.error = getattr(_kept, "error", None), None
    return error


def _count_processors() -> int:
    chosen = os.environ.get("SLOPEWISE_NUM_THREADS", "")
    if chosen.isdigit() and int(chosen) >= 1:
        return int(chosen)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Board(ctypes.Structure):
    """The words through which a call and the threads speak: one job at a time."""

    _fields_ = (
        ("next", ctypes.c_int64),  # the next part that nobody has taken
        ("count", ctypes.c_int64),
        ("function", ctypes.c_void_p),
        ("context", ctypes.c_void_p),
        ("open", ctypes.c_int64),  # whether threads may take part
        ("active", ctypes.c_int64),  # how many are looking
        ("busy", ctypes.c_int64),  # whether a call has the board
        ("helpers", ctypes.c_int64),
        ("wake", ctypes.c_void_p),  # wakes one thread
    )


# The functions that read and write the board. A thread's slot is the first part that it takes: no
# other thread has the same one, and there are no more slots than parts. A thread that wakes late
# finds the board closed, or open for another job, and both are right.
_CODE = """
define internal void @share(ptr %board) {
entry:
  %at = getelementptr i64, ptr %board, i64 1
  %count = load i64, ptr %at
  %function_at = getelementptr i64, ptr %board, i64 2
  %function = load ptr, ptr %function_at
  %context_at = getelementptr i64, ptr %board, i64 3
  %context = load ptr, ptr %context_at
  br label %again
again:
  %slot = phi i64 [-1, %entry], [%kept, %run]
  %mine = atomicrmw add ptr %board, i64 1 seq_cst, align 8
  %some = icmp slt i64 %mine, %count
  br i1 %some, label %run, label %end
run:
  %first = icmp eq i64 %slot, -1
  %kept = select i1 %first, i64 %mine, i64 %slot
  call void %function(ptr %context, i64 %mine, i64 %kept)
  br label %again
end:
  ret void
}

define void @enter(ptr %board) {
entry:
  %active = getelementptr i64, ptr %board, i64 5
  %before = atomicrmw add ptr %active, i64 1 seq_cst, align 8
  %open_at = getelementptr i64, ptr %board, i64 4
  %open = load atomic i64, ptr %open_at seq_cst, align 8
  %may = icmp eq i64 %open, 1
  br i1 %may, label %join, label %leave
join:
  call void @share(ptr %board)
  br label %leave
leave:
  %after = atomicrmw sub ptr %active, i64 1 seq_cst, align 8
  ret void
}

define void @spread(ptr %board, ptr %function, ptr %context, i64 %count) {
entry:
  %busy = getelementptr i64, ptr %board, i64 6
  %taken = cmpxchg ptr %busy, i64 0, i64 1 seq_cst seq_cst, align 8
  %won = extractvalue { i64, i1 } %taken, 1
  br i1 %won, label %post, label %alone
alone:
  %i = phi i64 [0, %entry], [%following, %alone]
  call void %function(ptr %context, i64 %i, i64 0)
  %following = add i64 %i, 1
  %more = icmp slt i64 %following, %count
  br i1 %more, label %alone, label %done
post:
  store atomic i64 0, ptr %board seq_cst, align 8
  %count_at = getelementptr i64, ptr %board, i64 1
  store i64 %count, ptr %count_at
  %function_at = getelementptr i64, ptr %board, i64 2
  store ptr %function, ptr %function_at
  %context_at = getelementptr i64, ptr %board, i64 3
  store ptr %context, ptr %context_at
  %open = getelementptr i64, ptr %board, i64 4
  store atomic i64 1, ptr %open seq_cst, align 8
  %helpers_at = getelementptr i64, ptr %board, i64 7
  %helpers = load i64, ptr %helpers_at
  %others = sub i64 %count, 1
  %fewer = icmp slt i64 %others, %helpers
  %woken = select i1 %fewer, i64 %others, i64 %helpers
  %wake_at = getelementptr i64, ptr %board, i64 8
  %wake = load ptr, ptr %wake_at
  br label %waking
waking:
  %k = phi i64 [0, %post], [%next, %called]
  %left = icmp slt i64 %k, %woken
  br i1 %left, label %called, label %work
called:
  call void %wake(ptr %board, i64 1, i64 0)
  %next = add i64 %k, 1
  br label %waking
work:
  call void @share(ptr %board)
  store atomic i64 0, ptr %open seq_cst, align 8
  %active = getelementptr i64, ptr %board, i64 5
  br label %waiting
waiting:
  %now = load atomic i64, ptr %active seq_cst, align 8
  %gone = icmp eq i64 %now, 0
  br i1 %gone, label %free, label %waiting
free:
  store atomic i64 0, ptr %busy seq_cst, align 8
  br label %done
done:
  ret void
}
"""


class Pool:
    """Threads that wait for jobs. One call uses them at a time; others run their parts alone."""

    def __init__(self) -> None:
        self.wanted = _count_processors()
        self.lock = threading.Lock()
        self.board = Board()
        self.code: Any = None
        self.reset()

    def reset(self) -> None:
        """Forget all threads, as a forked process has none of them."""
        self.lock = threading.Lock()
        self.living = 0
        self.tokens: SimpleQueue[int] = SimpleQueue()
        # A builtin method: no bytecode runs in it, and so no handler of a signal.
        self.wake = _WAKE(self.tokens.put)
        self.board.open = self.board.active = self.board.busy = 0
        self.board.wake = ctypes.cast(self.wake, ctypes.c_void_p).value

    def prepare(self) -> tuple[int, int]:
        """Return the addresses of `spread` and of the board, with enough threads waiting."""
        helpers = self.wanted - 1
        with self.lock:
            if self.code is None:
                from slopewise._compile.jit import Code

                self.code = Code(_CODE)
                self.enter = _ENTER(self.code.address("enter"))
                self.spread = self.code.address("spread")
            while self.living < helpers:
                threading.Thread(target=self._work, name="slopewise", daemon=True).start()
                self.living += 1
        self.board.helpers = helpers
        return self.spread, ctypes.addressof(self.board)

    def _work(self) -> None:
        tokens, enter = self.tokens, self.enter
        while True:
            enter(tokens.get())


_pool = Pool()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.reset)


def find_spreader() -> tuple[int | None, int | None]:
    """Return what runs parts in threads, and its board; None and None for one thread."""
    return _pool.prepare() if _pool.wanted > 1 else (None, None)


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
