"""What is written as text is a formula that reads back with the same value."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from tests.explain.formulas import draw, engine

import slopewise as sw
from slopewise.errors import FormulaError
from slopewise.explain.derivations import derive
from slopewise.explain.formula import Formula
from slopewise.explain.notation import write
from slopewise.explain.parser import MAX_LENGTH
from slopewise.explain.reading import evaluate
from slopewise.explain.stacks import MAX_DEPTH

BATCHES, EACH = 10, 100


@pytest.mark.parametrize("batch", range(BATCHES))
def test_text_reads_back(batch: int) -> None:
    read = 0
    for seed in range(batch * EACH, (batch + 1) * EACH):
        rng = random.Random(seed)
        tree = draw(rng)
        found = derive(lambda x, y, tree=tree: engine(tree, (x, y)), "xy", "x")
        points = np.array([[rng.uniform(-3, 3), rng.uniform(0, 2)] for _ in range(8)]).T
        for term in (found.function, found.result):
            text = write(found.terms, term)
            if len(text) > MAX_LENGTH or text.count("(") > MAX_DEPTH:
                continue
            wanted = np.broadcast_to(evaluate([term], points)[term.number], (8,))
            given = dict(zip("xy", map(sw.tensor, points), strict=True))
            try:
                formula = Formula(text)
            except FormulaError as error:
                assert "too large" in error.message  # the parser's bound on constant powers
                continue
            if {"nan", "inf"} & set(formula.names):  # what has no value has no formula
                continue
            again = formula({name: given[name] for name in formula.names}).numpy()
            both = np.isfinite(wanted) & np.isfinite(again)
            # Numbers are written in the digits that give them back; only their order may change.
            np.testing.assert_allclose(
                np.broadcast_to(again, (8,))[both], wanted[both], rtol=1e-6, atol=1e-9, err_msg=text
            )
            read += bool(both.any())
    assert read > EACH // 2


@pytest.mark.parametrize(
    "value", [0.1, 1 / 3, math.pi / 2, -math.e, 1e300, 1e-300, -0.5, 2 / 7, 1e-5, 123456789.125]
)
def test_numbers_read_back(value: float) -> None:
    found = derive(lambda x: x * value, "x", "x")
    text = write(found.terms, found.function)
    assert Formula(text)(x=1.0).item() == pytest.approx(value, rel=1e-15)
