"""Trained runs: every member of a committee is examined, and the worst one told."""

from __future__ import annotations

import numpy as np
import pytest

import slopewise as sw
from slopewise.health.run_folder import examine_run
from slopewise.train.tables import read_arrays


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_the_worst_member_is_told(lang: str) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(300, 3))
    columns = {f"x{i}": x[:, i] for i in range(3)} | {"y": x[:, 0] * 2 + np.sin(x[:, 1])}
    result = sw.train.fit(columns, target="y", epochs=20, folds=3, hidden=(8,))
    predictor, table = result.predictor, read_arrays(columns)
    assert examine_run(predictor, table, lang).findings == ()
    predictor.arrays["hidden1.bias"][2] = -100.0
    found = examine_run(predictor, table, lang)
    assert found.findings[0].id == "dying_relu"
    assert found.findings[0].layer == {"en": "activation 1", "ko": "활성화 1"}[lang]
