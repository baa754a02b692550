"""Every schedule against PyTorch's: the rates (and momenta) of each step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import slopewise as sw

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle

STEPS = 120
CASES: list[tuple[str, dict[str, Any]]] = [
    ("StepLR", {"step_size": 7, "gamma": 0.5}),
    ("StepLR", {"step_size": 1}),
    ("MultiStepLR", {"milestones": [3, 10, 10, 60], "gamma": 0.3}),
    ("ExponentialLR", {"gamma": 0.97}),
    ("CosineAnnealingLR", {"T_max": 50}),
    ("CosineAnnealingLR", {"T_max": 13, "eta_min": 0.01}),
    ("LambdaLR", {"lr_lambda": lambda step: 0.9**step + 0.01 * step}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": STEPS}),
    ("OneCycleLR", {"max_lr": [0.5, 0.2], "epochs": 12, "steps_per_epoch": 10, "pct_start": 0.4,
                    "anneal_strategy": "linear", "three_phase": True}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": STEPS, "cycle_momentum": False,
                    "div_factor": 10.0, "final_div_factor": 50.0}),
]  # fmt: skip


def optimizers(name: str = "SGD", **options: Any) -> list[Any]:
    """Return an optimiser with two groups, in both libraries."""
    made = []
    for lib in (sw, torch):
        tensors = [lib.zeros(2, requires_grad=True) for _ in range(2)]
        groups = [{"params": [tensors[0]]}, {"params": [tensors[1]], "lr": 0.03}]
        made.append(getattr(lib.optim, name)(groups, lr=0.1, **options))
    return made


def settings(optimizer: Any) -> list[Any]:
    """Return what a schedule may have changed."""
    return [
        [g["lr"], g.get("momentum", 0.0), g.get("betas", (0.0, 0.0))[0]]
        for g in optimizer.param_groups
    ]


@pytest.mark.parametrize(("name", "options"), CASES, ids=lambda v: v if isinstance(v, str) else "")
@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_schedule(name: str, options: dict[str, Any], optimizer: str) -> None:
    ours, theirs = optimizers(optimizer, **({"momentum": 0.9} if optimizer == "SGD" else {}))
    a = getattr(sw.optim.lr_scheduler, name)(ours, **options)
    b = getattr(torch.optim.lr_scheduler, name)(theirs, **options)
    for step in range(STEPS - 1):
        np.testing.assert_allclose(settings(ours), settings(theirs), rtol=1e-9, err_msg=str(step))
        assert a.get_last_lr() == pytest.approx(b.get_last_lr(), rel=1e-9)
        for part in (ours, theirs, a, b):
            part.step()
    if name == "OneCycleLR":
        return
    # A change by hand carries on.
    for optimizer_ in (ours, theirs):
        optimizer_.param_groups[0]["lr"] = 0.77
    for _ in range(20):
        for part in (ours, theirs, a, b):
            part.step()
        np.testing.assert_allclose(settings(ours), settings(theirs), rtol=1e-9)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"patience": 2, "factor": 0.5, "cooldown": 3},
        {"mode": "max", "patience": 1, "threshold": 0.1, "threshold_mode": "abs"},
        {"patience": 0, "min_lr": [0.05, 0.001]},
        {"patience": 1, "eps": 0.01},
    ],
    ids=str,
)
def test_plateau(options: dict[str, Any]) -> None:
    ours, theirs = optimizers()
    a = sw.optim.lr_scheduler.ReduceLROnPlateau(ours, **options)
    b = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **options)
    rng = np.random.default_rng(0)
    values = np.minimum.accumulate(rng.random(80)) + 0.05 * rng.random(80)
    values[40] = np.nan
    for value in values:
        a.step(sw.tensor(value))
        b.step(torch.tensor(value))
        np.testing.assert_allclose(settings(ours), settings(theirs), rtol=1e-12)


@pytest.mark.parametrize(("name", "options"), CASES, ids=lambda v: v if isinstance(v, str) else "")
def test_going_on_from_a_state(name: str, options: dict[str, Any]) -> None:
    whole, _ = optimizers(momentum=0.9)
    schedule = getattr(sw.optim.lr_scheduler, name)(whole, **options)
    for _ in range(30):
        whole.step()
        schedule.step()
    again, _ = optimizers(momentum=0.9)
    resumed = getattr(sw.optim.lr_scheduler, name)(again, **options)
    again.load_state_dict(whole.state_dict())
    resumed.load_state_dict(schedule.state_dict())
    for _ in range(30):
        for part in (whole, schedule, again, resumed):
            part.step()
        assert settings(whole) == settings(again)
