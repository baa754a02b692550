"""Schedules without an oracle: closed forms, order of calls, resuming, errors."""

from __future__ import annotations

import math
from typing import Any

import pytest

import slopewise as sw
from slopewise.optim import SGD, lr_scheduler


def sgd(lr: float = 1.0, **options: Any) -> SGD:
    return SGD([sw.zeros(1, requires_grad=True)], lr=lr, **options)


def rates(schedule: Any, steps: int) -> list[float]:
    """Return the rates that a schedule sets, the first one included."""
    found = [schedule.optimizer.param_groups[0]["lr"]]
    for _ in range(steps):
        schedule.optimizer.step()
        schedule.step()
        found.append(schedule.get_last_lr()[0])
    return found


def test_closed_forms() -> None:
    assert rates(lr_scheduler.StepLR(sgd(), 2, 0.5), 5) == [1, 1, 0.5, 0.5, 0.25, 0.25]
    assert rates(lr_scheduler.MultiStepLR(sgd(), [1, 3, 3], 0.5), 4) == [1, 0.5, 0.5, 0.125, 0.125]
    assert rates(lr_scheduler.ExponentialLR(sgd(), 0.5), 3) == [1, 0.5, 0.25, 0.125]
    assert rates(lr_scheduler.LambdaLR(sgd(2.0), lambda t: 1 / (t + 1)), 3) == [2, 1, 2 / 3, 0.5]
    cosine = rates(lr_scheduler.CosineAnnealingLR(sgd(), 10, eta_min=0.1), 25)
    expected = [0.1 + 0.9 * (1 + math.cos(math.pi * t / 10)) / 2 for t in range(26)]
    assert cosine == pytest.approx(expected, abs=1e-12)


def test_one_cycle_rises_and_falls() -> None:
    optimizer = sgd(momentum=0.9)
    schedule = lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=100)
    assert optimizer.param_groups[0]["momentum"] == 0.95
    found = rates(schedule, 99)
    assert found[0] == pytest.approx(1 / 25) and found[-1] == pytest.approx(1 / 25 / 1e4)
    assert max(found) == pytest.approx(1.0) and found.index(max(found)) == 29
    with pytest.raises(ValueError, match=r"Tried to step 101 times.*100"):
        rates(schedule, 2)


def test_plateau_waits_then_falls() -> None:
    optimizer = sgd()
    schedule = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1, cooldown=1)
    found = []
    for loss in [1.0, 0.5, 0.5, 0.5, 0.5, 0.5, float("nan")]:
        schedule.step(loss)
        found.append(optimizer.param_groups[0]["lr"])
    assert found == [1, 1, 1, 0.5, 0.5, 0.5, 0.25]
    assert schedule.get_last_lr() == [0.25]
    state = schedule.state_dict()
    other = lr_scheduler.ReduceLROnPlateau(sgd())
    other.load_state_dict(state)
    assert other.best == 0.5 and other.patience == 1


def test_resuming_at_an_epoch() -> None:
    optimizer = sgd()
    optimizer.param_groups[0]["initial_lr"] = 1.0
    schedule = lr_scheduler.CosineAnnealingLR(optimizer, 10, last_epoch=4)
    assert optimizer.param_groups[0]["lr"] == pytest.approx((1 + math.cos(math.pi / 2)) / 2)
    assert schedule.last_epoch == 5


def test_wrong_order_warns() -> None:
    schedule = lr_scheduler.ExponentialLR(sgd(), 0.5)
    with pytest.warns(UserWarning, match=r"before `optimizer\.step\(\)`"):
        schedule.step()


def test_errors() -> None:
    with pytest.raises(TypeError, match="not an Optimizer"):
        lr_scheduler.ExponentialLR(3, 0.5)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="initial_lr"):
        lr_scheduler.ExponentialLR(sgd(), 0.5, last_epoch=3)
    with pytest.raises(ValueError, match="1 lr_lambdas"):
        lr_scheduler.LambdaLR(sgd(), [abs, abs])
    with pytest.raises(ValueError, match="total_steps OR"):
        lr_scheduler.OneCycleLR(sgd(), 1.0)
    with pytest.raises(ValueError, match="cycle_momentum"):
        optimizer = sw.optim.Adagrad([sw.zeros(1, requires_grad=True)])
        lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=5)
    for options in ({"factor": 1.0}, {"mode": "least"}, {"threshold_mode": "share"}):
        with pytest.raises(ValueError, match=r"[Ff]actor|mode"):
            lr_scheduler.ReduceLROnPlateau(sgd(), **options)
    for kind, bad in ((lr_scheduler.StepLR, 0), (lr_scheduler.CosineAnnealingLR, 0)):
        with pytest.raises(ValueError, match="at least 1"):
            kind(sgd(), bad)
