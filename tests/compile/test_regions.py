"""Regions and threads: chunks and parts change the order of sums and nothing else.

Invariant: the limits are lowered so that the smallest arrays are cut, into chunks that divide the
rows and chunks that do not.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.compile.test_registry import CASES, compare

import slopewise as sw
from slopewise._compile import cutting, regions
from slopewise._core.graph import Primitive
from slopewise._core.rules import Sample
from slopewise.errors import UsageError


@pytest.fixture
def cut_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut everything that has two rows."""
    for name, value in (("WORTH", 1), ("HEAVY", 1e-9), ("SHARE", 1e-10), ("PARTS", 3),
                        ("_FEWEST", 2), ("CHUNK", 64), ("ABREAST", 2)):  # fmt: skip
        for module in (regions, cutting):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(regions, "_pays", lambda *_: True)


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    before = sw.get_num_threads()
    yield sw.set_num_threads
    sw.set_num_threads(before)


@pytest.mark.usefixtures("cut_small")
@pytest.mark.parametrize(("primitive", "sample"), CASES)
def test_every_primitive_in_chunks_and_parts(primitive: Primitive, sample: Sample) -> None:
    compare(primitive, sample, np.float64, checked=True)


def chain(w: Any, x: Any, y: Any) -> Any:
    """Return a loss whose gradient reads `x` twice, with sums along rows and columns."""
    z = sw.tanh(x @ w)
    p = sw.softmax(z, 1)
    return (p * y).sum() + sw.logsumexp(z, 1).mean() + (z.amax(1) - z.mean(0).sum()).sum()


@pytest.mark.usefixtures("cut_small")
@pytest.mark.parametrize("rows", [2, 3, 7, 16, 37, 64, 101])
@pytest.mark.parametrize("columns", [1, 2, 5])
def test_gradients_through_regions(rows: int, columns: int) -> None:
    rng = np.random.default_rng(rows)
    arrays = rng.random((4, columns)), rng.random((rows, 4)), rng.random((rows, columns))
    both = sw.value_and_grad(chain, argnums=(0, 1))
    value, slopes = both(*map(sw.tensor, arrays))
    compiled = sw.compile(both)
    found, found_slopes = compiled(*arrays)
    assert rows < 16 or "times" in compiled.explain()
    np.testing.assert_allclose(found, value.numpy(), rtol=1e-12)
    for a, b in zip(found_slopes, slopes, strict=True):
        np.testing.assert_allclose(a, b.numpy(), rtol=1e-11, atol=1e-14)


@pytest.mark.usefixtures("cut_small")
@given(st.integers(2, 40), st.integers(1, 9), st.integers(0, 3), st.booleans())
def test_sums_of_both_axes(rows: int, columns: int, seed: int, narrow: bool) -> None:
    dtype = np.float32 if narrow else np.float64
    x = np.random.default_rng(seed).standard_normal((rows, columns)).astype(dtype)

    def function(x: Any) -> Any:
        centred = x - x.mean(0)
        return centred / (centred * centred).sum(0), centred.cumsum(0), centred.argmax(0), x.min()

    expected = function(sw.tensor(x))
    found = sw.compile(function)(x)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(
            a, b.numpy(), rtol=1e-4 if narrow else 1e-12, atol=1e-5 if narrow else 1e-14
        )


def test_a_large_input_is_read_once() -> None:
    def loss(w: Any, x: Any) -> Any:
        return ((x @ w) ** 2).mean()

    compiled = sw.compile(sw.grad(loss))
    compiled(np.ones(4), np.ones((40_000, 4)))
    assert "rows, " in compiled.explain()
    assert compiled._last.executable.arena_bytes < 100_000  # type: ignore[attr-defined]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threads_change_no_bit(dtype: Any, threads: Callable[[int], None]) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((20_003, 31)).astype(dtype)
    first, second = (rng.standard_normal(s).astype(dtype) for s in ((31, 300), (300, 7)))

    def loss(first: Any, second: Any, x: Any) -> Any:
        return sw.logsumexp(sw.tanh(x @ first) @ second, 1).mean()

    compiled = sw.compile(sw.value_and_grad(loss, argnums=(0, 1)))
    results: list[list[bytes]] = []
    for count in (1, 2, 3, 7):
        threads(count)
        for _ in range(3):
            value, slopes = compiled(first, second, x)
            results.append([np.asarray(a).tobytes() for a in (value, *slopes)])
    assert "parts" in compiled.explain()
    assert all(r == results[0] for r in results)


def test_several_callers_share_the_threads(threads: Callable[[int], None]) -> None:
    threads(3)
    x = np.random.default_rng(0).random(2_000_000)
    compiled = sw.compile(lambda x: (sw.exp(x) * x).sum())
    expected = compiled(x)
    found: list[float] = []

    def call() -> None:
        found.extend(float(compiled(x)) for _ in range(5))

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert found == [expected] * 20


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own(threads: Callable[[int], None]) -> None:
    threads(2)
    x = np.random.default_rng(0).random(2_000_000)
    compiled = sw.compile(lambda x: (sw.exp(x) * x).sum())
    expected = compiled(x)
    child = os.fork()
    if child == 0:
        os._exit(0 if compiled(x) == expected else 1)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        time.sleep(0.01)
    else:
        os.kill(child, signal.SIGKILL)
        pytest.fail("the forked process hangs")
    assert status == 0


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers")
def test_an_interrupt_comes_after_the_call(threads: Callable[[int], None]) -> None:
    threads(2)
    x = np.random.default_rng(0).random(200_000)
    compiled = sw.compile(
        lambda x: sw.fori_loop(0, 60, lambda i, s: s + (sw.exp(x) * x).sum() * 1e-9, x[0])
    )
    expected = compiled(x)

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, stop)
    try:
        for delay in (0.002, 0.005, 0.01):
            with pytest.raises(KeyboardInterrupt):
                signal.setitimer(signal.ITIMER_REAL, delay)
                for _ in range(10_000):
                    compiled(x)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert compiled(x) == expected


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "2"])
def test_a_wrong_number_of_threads_is_refused(count: Any) -> None:
    with pytest.raises(UsageError, match="set_num_threads"):
        sw.set_num_threads(count)
