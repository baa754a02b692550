"""Long loops of machine code end when a signal's handler raises, between two rounds."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import slopewise as sw

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers")

LOOPS: dict[str, Callable[[Any], Any]] = {
    "for": lambda w: sw.fori_loop(0, 10**12, lambda i, v: v - 1e-9 * (v - 3.0), w),
    "while": lambda w: sw.while_loop(lambda v: v < 1e18, lambda v: v + 1e-300, w),
    "nested": lambda w: sw.fori_loop(
        0, 10**6, lambda i, v: sw.fori_loop(0, 10**7, lambda j, u: u + 1e-9, v), w
    ),
    "after another": lambda w: sw.fori_loop(
        0, 10**12, lambda i, v: v * 0.5, sw.fori_loop(0, 10**12, lambda i, v: v + 1.0, w)
    ),
}


@contextmanager
def interrupted(error: type[BaseException], seconds: float = 0.2) -> Iterator[None]:
    """Raise an error from a signal's handler, some time after the block has begun."""

    def stop(*_: Any) -> None:
        raise error

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("name", LOOPS)
@pytest.mark.parametrize("error", [KeyboardInterrupt, TimeoutError])
def test_a_long_loop_ends(name: str, error: type[BaseException]) -> None:
    compiled = sw.compile(LOOPS[name])
    start = time.monotonic()
    with pytest.raises(error), interrupted(error):
        compiled(0.0)
    assert time.monotonic() - start < 10


def test_a_call_without_python_ends_too() -> None:
    compiled = sw.compile(LOOPS["while"])
    for _ in range(3):
        assert compiled(1e18) == 1e18
    with pytest.raises(KeyboardInterrupt), interrupted(KeyboardInterrupt):
        compiled(0.0)
    assert compiled(1e18) == 1e18


def test_what_was_trained_until_then_stays() -> None:
    weight = sw.tensor(np.zeros(()), requires_grad=True)
    optimizer = sw.optim.SGD([weight], lr=1.0)

    def step(i: Any, rounds: Any) -> Any:
        optimizer.zero_grad()
        (weight * -1.0).backward()
        optimizer.step()
        return rounds + 1

    @sw.compile
    def train() -> Any:
        return sw.fori_loop(0, 10**12, step, 0)

    with pytest.raises(KeyboardInterrupt), interrupted(KeyboardInterrupt):
        train()
    done = weight.item()
    assert done > 0
    assert done == int(done)


def test_a_handler_that_raises_nothing_changes_nothing() -> None:
    calls: list[int] = []
    compiled = sw.compile(lambda w: sw.fori_loop(0, 400_000_000, lambda i, v: v + 1.0, w))
    before = signal.signal(signal.SIGALRM, lambda *_: calls.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    try:
        assert compiled(0.0) == 400_000_000.0
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert calls
