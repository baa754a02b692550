"""Interrupts: how a long loop of machine code notices that the user wants it to end.

Invariant: a loop ends between two rounds, so that its carries are those after the rounds that were
run; what the handler of the signal raised is raised when the call has returned. It is separate
because it is the only place where compiled code asks Python something while it runs.
"""

from __future__ import annotations

import ctypes

ENDED = -1
"""The status of a call whose loops were ended."""

PERIOD = 20e6  # nanoseconds of work between two looks
LONG = 200e6  # a loop of less is not watched

_FUNCTIONS = ("PyGILState_Ensure", "PyErr_CheckSignals", "PyErr_Fetch", "PyGILState_Release")
WORDS = len(_FUNCTIONS) + 1
_raised = (ctypes.c_void_p * 3)()  # type, value and traceback; only the main thread is interrupted


def list_words() -> list[int]:
    """Return the addresses that the code of `WATCH` needs."""
    found = [ctypes.cast(getattr(ctypes.pythonapi, f), ctypes.c_void_p).value for f in _FUNCTIONS]
    return [*(address or 0 for address in found), ctypes.addressof(_raised)]


def raise_found() -> None:
    """Raise what a signal's handler raised while compiled code ran."""
    if _raised[0] is None:
        return
    words = [ctypes.c_void_p(word) for word in _raised]
    _raised[0] = _raised[1] = _raised[2] = None
    ctypes.pythonapi.PyErr_Restore(*words)  # and so ctypes raises it


def write_watch(first: int) -> list[str]:
    """Return `i1 @watch(routines, status)`: whether loops should end; words start at `first`."""
    loads: list[str] = []
    for i, name in enumerate(("ensure", "check", "fetch", "release", "raised")):
        loads.append(f"  %{name}_at = getelementptr ptr, ptr %routines, i64 {first + i}")
        loads.append(f"  %{name} = load ptr, ptr %{name}_at")
    return [
        "define internal i1 @watch(ptr %routines, ptr %status) noinline nounwind {",
        "entry:",
        "  %alone = icmp eq ptr %routines, null",
        "  br i1 %alone, label %on, label %look",
        "look:",
        "  %known = load i64, ptr %status",
        f"  %over = icmp eq i64 %known, {ENDED}",
        "  br i1 %over, label %end, label %ask",
        "ask:",
        *loads,
        "  %state = call i32 %ensure()",
        "  %answer = call i32 %check()",
        "  %some = icmp ne i32 %answer, 0",
        "  br i1 %some, label %take, label %leave",
        "take:",
        "  %value = getelementptr ptr, ptr %raised, i64 1",
        "  %trace = getelementptr ptr, ptr %raised, i64 2",
        "  call void %fetch(ptr %raised, ptr %value, ptr %trace)",
        f"  store i64 {ENDED}, ptr %status",
        "  br label %leave",
        "leave:",
        "  call void %release(i32 %state)",
        "  ret i1 %some",
        "on:",
        "  ret i1 false",
        "end:",
        "  ret i1 true",
        "}",
    ]
