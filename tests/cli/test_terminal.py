"""The figures beside the bar."""

from __future__ import annotations

import pytest

from slopewise.cli import terminal
from slopewise.train.recipe import Progress


def make_progress(trial: int, epoch: int, step: int) -> Progress:
    return Progress(trial, 2, "linear", epoch, 10, step, 40, 1.0, 1.0, 1.0, 1, 0.01)


def test_the_rate_counts_steps_and_not_how_often_it_is_told(monkeypatch: pytest.MonkeyPatch):
    now = [0.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now[0])
    rate = terminal.Rate()
    for second, (epoch, step) in enumerate([(1, 1), (1, 31), (1, 31), (2, 10)]):
        now[0] = second / 4
        rate.count(make_progress(1, epoch, step))
    assert rate.steps == pytest.approx(50 / 0.75)
    now[0] = 2.0
    rate.count(make_progress(2, 1, 1))
    assert rate.steps == pytest.approx((50 / 0.75 + 1 / 1.25) / 2)
    assert rate.left(make_progress(2, 1, 1)) == pytest.approx(399 / rate.steps)
