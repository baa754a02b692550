"""Refusals: what is wrong with an argument, and what to give instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import slopewise as sw
from slopewise import nn
from slopewise.errors import UsageError
from slopewise.health import Watcher, cure, examine
from slopewise.nn import functional as F

X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64)


def make() -> Any:
    sw.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


WRONG: list[tuple[Callable[[Any], Any], str]] = [
    (lambda m: examine(m, "mse", (X, Y)), "loss_fn must be a function"),
    (lambda m: examine(m, F.cross_entropy, (X, Y), batch_size=0), "batch_size"),
    (lambda m: examine(m, F.cross_entropy, (X, Y), batch_size=2.5), "whole number"),
    (lambda m: examine(m, F.cross_entropy, (X, Y), budget="many"), "budget must be a whole"),
    (lambda m: examine(m, F.cross_entropy, (X, Y), optimizer=sw.optim.Adam), "made of parameters"),
    (lambda m: examine(m, F.cross_entropy, (X[:0], Y[:0])), "0 rows of input"),
    (lambda m: examine(m, F.cross_entropy, (X, Y[:9])), "40 rows of input and 9"),
    (lambda m: Watcher(m, F.cross_entropy, None), "pair of input and target"),
    (lambda m: Watcher(m, 3, (X, Y)), "loss_fn must be a function"),
    (lambda m: Watcher(m, F.cross_entropy, (X, Y), every=True), "whole number"),
    (lambda m: cure(m, F.cross_entropy, (X, Y), margin="2%"), "margin must lie between"),
    (lambda m: cure(m, F.cross_entropy, (X, Y), confidence=95), "confidence must lie between"),
    (lambda m: cure(m, F.cross_entropy, (X, Y), remedies="head"), r"such as \['head'\]"),
    (lambda m: cure(m, F.cross_entropy, (X, Y), held=X), "held must be a pair"),
    (lambda m: cure(m, F.cross_entropy, (X[:5], Y[:5])), "5 rows are too few"),
    (lambda m: cure(m, F.cross_entropy, (X, Y), held=(X[:0], Y[:0])), "0 rows are too few"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_wrong_arguments_are_named_with_a_remedy(number: int) -> None:
    call, said = WRONG[number]
    with pytest.raises(UsageError, match=said) as caught:
        call(make())
    assert str(caught.value).split(":")[0] in ("examine", "watch", "cure")


def test_models_and_optimisers_of_two_libraries() -> None:
    torch: Any = pytest.importorskip("torch")
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 2))
    with pytest.raises(UsageError, match="torch's and the optimizer's are slopewise's"):
        examine(theirs, torch.nn.functional.cross_entropy, (X, Y),
                optimizer=sw.optim.SGD(make().parameters(), lr=0.1))  # fmt: skip
    with pytest.raises(UsageError, match="build the same layers"):
        cure(theirs, torch.nn.functional.cross_entropy, (X, Y))
