"""What a compiled function tells about itself."""

from __future__ import annotations

from typing import Any

import numpy as np

import slopewise as sw


def test_the_listing_names_loops_and_rewrites() -> None:
    f = sw.compile(lambda x: (sw.tanh(x) * 1.0).sum(0) / 4.0)
    x = np.ones((64, 40))
    np.testing.assert_allclose(f(x), np.tanh(x).sum(0) / 4)
    text = f.explain()
    assert "add of tanh(i0[" in text
    assert "x / 2^k = x * 2^-k (1)" in text
    assert "define" in f.llvm()
    assert "ret" in f.asm()


def test_a_number_that_comes_up_later_keeps_no_kernels_apart() -> None:
    def function(x: Any, a: Any) -> Any:
        grown = sw.exp(x)
        return (grown * 2.0).sum(), grown * sw.exp(a * 0.5)

    x = np.linspace(0.0, 1.0, 50)
    compiled = sw.compile(function)
    total, scaled = compiled(x, 0.3)
    np.testing.assert_allclose(total, 2.0 * np.exp(x).sum(), rtol=1e-14)
    np.testing.assert_allclose(scaled, np.exp(x + 0.15), rtol=1e-14)
    loops = [line for line in compiled.explain().splitlines() if line.strip().startswith("for ")]
    assert len(loops) == 1
