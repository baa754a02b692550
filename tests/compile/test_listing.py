"""What a compiled function tells about itself."""

from __future__ import annotations

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
