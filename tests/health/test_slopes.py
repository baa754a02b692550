"""Slopes by formula, and looks that use them: they see what a whole examination sees.

Invariant: formulas are compared with the engine's derivatives, and the readings of a look with
those of a full record of the same batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import slopewise as sw
from slopewise import nn
from slopewise.health.framework import find_framework
from slopewise.health.readings import read
from slopewise.health.slopes import find_known_slope


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["ReLU", "Sigmoid", "Tanh"])
def test_formulas_are_the_engines_derivatives(name: str, dtype: Any) -> None:
    x = np.concatenate([np.linspace(-30, 30, 301), [0.0, -0.0, 1e-20, 45.0, -45.0]]).astype(dtype)
    layer = getattr(nn, name)()
    _, slope = sw.jvp(lambda u: layer(u), (sw.tensor(x),), (sw.ones_like(sw.tensor(x)),))
    found = find_known_slope(name, x)
    assert found.dtype == dtype
    np.testing.assert_allclose(
        found, np.asarray(slope), rtol=2e-6 if dtype == np.float32 else 1e-14
    )


def test_what_is_not_known_or_no_float_is_asked_for() -> None:
    assert find_known_slope("GELU", np.ones(2)) is None
    assert find_known_slope("ReLU", np.ones(2, int)) is None
    assert find_known_slope("ReLU", None) is None


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(6, 6)
        self.act = nn.Tanh()

    def forward(self, x: Any) -> Any:
        return x + self.act(self.inner(x))


MODELS: dict[str, Callable[[], Any]] = {
    "deep and flat": lambda: nn.Sequential(
        *[part for _ in range(12) for part in (nn.Linear(6, 6), nn.Sigmoid())], nn.Linear(6, 3)
    ),
    "normed": lambda: nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(inplace=True),
                                    nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 3)),
    "residual": lambda: nn.Sequential(Residual(), nn.Dropout(0.2), Residual(), nn.Linear(6, 3)),
    "dead": lambda: nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_a_look_reads_what_a_full_record_has(name: str) -> None:
    sw.manual_seed(3)
    model = MODELS[name]()
    if name == "dead":
        with sw.no_grad():
            model[0].bias[:2] = -100.0
    x, y = sw.randn(32, 6), sw.randint(0, 3, (32,))
    frame = find_framework(model)
    before = {k: np.array(v) for k, v in model.state_dict().items()}
    seen = []
    for full in (True, False):
        with frame.keep(model, None):
            record = frame.record(model, nn.functional.cross_entropy, x, y, full=full)
        seen.append(read(record, full=False))
    for k, v in model.state_dict().items():
        np.testing.assert_array_equal(np.asarray(v), before[k])
    whole, look = seen
    assert [f.name for f in whole.factors] == [f.name for f in look.factors]
    for a, b in zip(whole.factors, look.factors, strict=True):
        assert (a.kind, a.type, a.letter) == (b.kind, b.type, b.letter)
        assert math.isclose(a.ratio, b.ratio, rel_tol=1e-4) or math.isnan(a.ratio)
        for group in ("parts", "forward", "weights"):
            one, two = getattr(a, group), getattr(b, group)
            assert one.keys() == two.keys()
            for key, value in one.items():
                assert two[key] == pytest.approx(value, rel=2e-3, abs=1e-5, nan_ok=True), key
    assert look.head.score == whole.head.score
    assert look.head.guess == pytest.approx(whole.head.guess)
