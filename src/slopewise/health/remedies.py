"""Remedies: each makes of a plan of training other plans, with the line that says what changed.

Invariant: a plan is never changed; a remedy returns new plans with copies of the model, or none
where it does not fit. It is separate from the cure, which tries them, and from surgery, which knows
layers.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import slopewise as sw
from slopewise import nn, optim
from slopewise.health import surgery
from slopewise.health.finding import Finding
from slopewise.health.heads import rate_rows
from slopewise.health.probe import as_tensor, record_batch
from slopewise.health.record import Record

LOWER = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
"""Multiples of the learning rate that are tried; their inverses to raise it."""
ADAM_RATES = (1e-2, 3e-3, 1e-3)
"""Rates that are tried with Adam."""
WIDTH = 32
"""Hidden layers are made at least so wide."""


@dataclass(frozen=True)
class Plan:
    """A training that can be repeated.

    Attributes
    ----------
    model : Module
        As it is before training; a copy is trained.
    loss_fn : callable
    make_optimizer : callable
        From parameters to an optimiser.
    batch : int
    clip : float or None
        The largest norm of the gradient.
    draw : callable or None
        What draws a model's weights anew, for each seed.
    changes : tuple of str
        Lines of code, one for each remedy.
    remedies : tuple of str
    """

    model: Any
    loss_fn: Callable[[Any, Any], Any]
    make_optimizer: Callable[[Any], Any]
    batch: int
    clip: float | None = None
    draw: Callable[[Any], None] | None = None
    changes: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()

    def prepare(self, seed: int) -> tuple[Any, Any]:
        """Return a model that is ready to be trained, and its optimiser."""
        model = copy.deepcopy(self.model)
        if self.draw is not None:
            state = sw.get_rng_state()
            sw.manual_seed(seed)
            self.draw(model)
            sw.set_rng_state(state)
        return model, self.make_optimizer(model.parameters())


@dataclass(frozen=True)
class Rows:
    """Rows to train on, and rows to judge by, with their places among all."""

    x: Any
    y: Any
    held_x: Any
    held_y: Any
    places: Any = None


def train_plan(plan: Plan, rows: Rows, steps: int, seed: int) -> tuple[float, Any]:
    """Train a copy for so many steps, and return its score on held-out rows, and the copy.

    Parameters
    ----------
    plan : Plan
    rows : Rows
    steps : int
    seed : int
        Of the order of the rows, and of what is drawn.

    Returns
    -------
    float, Module
        Accuracy, or R squared; minus infinity where training broke down.
    """
    model, optimizer = plan.prepare(seed)
    random = np.random.default_rng(seed)
    model.train()
    state = sw.get_rng_state()
    sw.manual_seed(seed)
    taken = 0
    try:
        while taken < steps:
            order = random.permutation(len(rows.x))
            for i in range(0, len(order), plan.batch):
                picked = order[i : i + plan.batch]
                if taken == steps or (len(picked) < 2 < min(plan.batch, len(order))):
                    break
                if not _step(model, plan, optimizer, rows.x[picked], rows.y[picked]):
                    return -math.inf, model
                taken += 1
    finally:
        sw.set_rng_state(state)
    return score(model, rows), model


def _step(model: Any, plan: Plan, optimizer: Any, x: Any, y: Any) -> bool:
    """Take a step, and say whether the loss was a number."""
    seen: list[float] = []

    def closure() -> Any:
        optimizer.zero_grad()
        loss = plan.loss_fn(model(x), y)
        loss.backward()
        if plan.clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), plan.clip)
        seen.append(float(loss))
        return loss

    optimizer.step(closure)
    return math.isfinite(seen[-1])


def score(model: Any, rows: Rows) -> float:
    """Return accuracy or R squared on held-out rows; minus infinity for none."""
    points = score_rows(model, rows)
    found = float(points.mean()) if points is not None else math.nan
    return found if math.isfinite(found) else -math.inf


def score_rows(model: Any, rows: Rows) -> Any:
    """Return each held-out row's part of the score, or None."""
    model.eval()
    with sw.no_grad():
        output = model(rows.held_x)
    output = output[0] if isinstance(output, tuple) else output
    return rate_rows(np.asarray(output, float), np.asarray(rows.held_y))[1]


def remake(optimizer: Any, **changes: float) -> Callable[[Any], Any]:
    """Return a factory of optimisers like one, with other settings."""
    kind = type(optimizer)
    known = inspect.signature(kind.__init__).parameters
    group = optimizer.param_groups[0]
    settings = {k: v for k, v in group.settings().items() if k in known} | changes
    return lambda parameters: kind(parameters, **settings)


def list_variants(
    remedy: str, plan: Plan, rows: Rows, finding: Finding | None = None
) -> Iterator[Plan]:
    """Give the plans that a remedy makes of a plan.

    Parameters
    ----------
    remedy : str
        One of `finding.REMEDIES`.
    plan : Plan
    rows : Rows
    finding : Finding, optional
        What it is to cure.

    Yields
    ------
    Plan
    """
    state = sw.get_rng_state()
    sw.manual_seed(0)
    try:
        made = list(_MAKERS[remedy](plan, rows, finding))
    finally:
        sw.set_rng_state(state)
    for variant in made:
        yield replace(variant, remedies=(*plan.remedies, remedy))


def _probe(plan: Plan, rows: Rows) -> tuple[Any, Record]:
    """Return a copy of the model, and a record of it."""
    model = copy.deepcopy(plan.model)
    dtype = next((p.dtype for p in model.parameters()), sw.get_default_dtype())
    count = min(len(rows.x), 256)
    return model, record_batch(model, plan.loss_fn, as_tensor(rows.x[:count], dtype),
                               rows.y[:count])  # fmt: skip


def _say(plan: Plan, line: str) -> tuple[str, ...]:
    return (*plan.changes, line)


def _redraw(plan: Plan, rows: Rows) -> Callable[[Any], None]:
    """Return what draws the weights of a plan's model anew."""
    _, record = _probe(plan, rows)
    return lambda model: surgery.initialise(model, record)


# ------------------------------------------------------------------ the remedies


def _fix_head(plan: Plan, rows: Rows, finding: Finding | None) -> Iterator[Plan]:
    if finding is None or finding.id not in ("wrong_head", "no_head_gradient", "saturated"):
        return
    model, record = _probe(plan, rows)
    found = surgery.find_output(record)
    if finding.cause == "loss":
        line = "model = nn.Sequential(model, nn.LogSoftmax(1))"
        yield replace(plan, model=nn.Sequential(model, nn.LogSoftmax(1)), changes=_say(plan, line))
    elif found is not None:
        one = finding.cause == "one_unit"
        new = nn.Sigmoid() if one else nn.Identity()
        model = surgery.replace(model, found.name, new)
        yield replace(plan, model=model,
                      changes=_say(plan, f"model{_path(found.name)} = nn.{new!r}"))  # fmt: skip


def _path(name: str) -> str:
    """Return a dotted name as Python: numbers in brackets."""
    return "".join(f"[{p}]" if p.isdigit() else f".{p}" for p in name.split("."))


def _scale_target(plan: Plan, rows: Rows, finding: Finding | None) -> Iterator[Plan]:
    y = np.asarray(rows.y)
    if y.dtype.kind != "f" or not len(y) or np.all((y == 0) | (y == 1)):
        return  # classes, also as ones and zeros, have the size that losses expect
    mean, deviation = float(y.mean()), float(y.std())
    if not deviation > 0 or (abs(mean) < deviation and 0.5 < deviation < 2):
        return

    def measure(output: Any, target: Any) -> Any:
        return plan.loss_fn((output - mean) / deviation, (target - mean) / deviation)

    model = nn.Sequential(copy.deepcopy(plan.model), surgery.Rescale(mean, deviation))
    old = plan.draw
    draw = None if old is None else (lambda made: old(made[0]))
    yield replace(plan, model=model, loss_fn=measure, draw=draw, changes=_say(
        plan, "y = (y - y_train.mean()) / y_train.std()"))  # fmt: skip


def _remember(plan: Plan, rows: Rows, finding: Finding | None) -> Iterator[Plan]:
    kinds = (nn.RNN, nn.GRU, nn.LSTM)
    if not any(isinstance(m, kinds) for m in plan.model.modules()):
        return
    old = plan.draw

    def draw(model: Any) -> None:
        if old is not None:
            old(model)
        for module in model.modules():
            if isinstance(module, kinds):
                surgery.open_gates(module)

    yield replace(plan, draw=draw, changes=_say(
        plan, "nn.init.orthogonal_(layer.weight_hh_l0)  # and forget gates' bias 3"))  # fmt: skip


def _standardise(plan: Plan, rows: Rows, finding: Finding | None) -> Iterator[Plan]:
    x = np.asarray(rows.x)
    if x.dtype.kind != "f":
        return
    # Columns that hardly ever move, as at the edge of an image, are better left small.
    for whole, axis in ((False, "0"), (True, "")):
        layer = surgery.Standardise(x, whole)
        yield _with_front(plan, nn.Sequential(layer, copy.deepcopy(plan.model)),
                          f"x = (x - x_train.mean({axis})) / x_train.std({axis})")  # fmt: skip


def _with_front(plan: Plan, model: Any, line: str) -> Plan:
    """Return a plan with a layer in front; what draws the inner model still finds it."""
    old = plan.draw
    draw = None if old is None else (lambda made: old(made[1]))
    return replace(plan, model=model, draw=draw, changes=_say(plan, line))


def _initialise(plan: Plan, rows: Rows, finding: Finding | None) -> Iterator[Plan]:
    _, record = _probe(plan, rows)
    weights = surgery.find_weights(record)
    gain = surgery.find_gain(surgery.next_activation(record, weights[0])) if weights else 1.0
    yield replace(plan, draw=lambda model: surgery.initialise(model, record), changes=_say(plan, (
        f"for layer in layers: nn.init.orthogonal_(layer.weight, {gain:.3g});"
        " nn.init.zeros_(layer.bias)")))  # fmt: skip


def _equalise(plan: Plan, rows: Rows, finding: Finding | None) -> Iterator[Plan]:
    _, record = _probe(plan, rows)
    x = rows.x[:256]
    yield replace(plan, draw=lambda model: surgery.equalise(model, record, x), changes=_say(
        plan, "layer.weight /= layer(h).std()  # layer by layer, after orthogonal_"))  # fmt: skip


def _swap_activation(plan: Plan, rows: Rows, finding: Finding | None) -> Iterator[Plan]:
    _, record = _probe(plan, rows)
    types = {call.type for call in surgery.find_hidden(record)}
    for make in (nn.ReLU, nn.Tanh, nn.ELU):
        name = make.__name__
        model = copy.deepcopy(plan.model)
        if types == {name} or surgery.swap_activations(model, record, make) is None:
            continue
        changed = replace(plan, model=model, changes=_say(plan, f"activation = nn.{name}"))
        yield replace(changed, draw=_redraw(changed, rows))


def _insert(kind: str) -> Callable[..., Iterator[Plan]]:
    def make(plan: Plan, rows: Rows, finding: Finding | None) -> Iterator[Plan]:
        model, record = _probe(plan, rows)
        name = "BatchNorm1d" if kind == "batch" else "LayerNorm"
        inserted = surgery.insert_norms(model, record, kind)
        if inserted is not None:
            line = f"layer = nn.Sequential(layer, nn.{name}(width))"
            plain = replace(plan, model=inserted, draw=None, changes=_say(plan, line))
            yield replace(plain, draw=_redraw(plain, rows))
        else:
            model, record = _probe(plan, rows)
            if surgery.swap_norms(model, record, kind) is not None:
                yield replace(plan, model=model, draw=None,
                              changes=_say(plan, f"norm = nn.{name}(width)"))  # fmt: skip

    return make


def _connect(plan: Plan, rows: Rows, finding: Finding | None) -> Iterator[Plan]:
    model = copy.deepcopy(plan.model)
    if surgery.wrap_residual(model) is not None:
        changed = replace(plan, model=model, draw=None,
                          changes=_say(plan, "h = h + block(h)"))  # fmt: skip
        yield replace(changed, draw=_redraw(changed, rows))


def _change_rate(scales: tuple[float, ...]) -> Callable[..., Iterator[Plan]]:
    def make(plan: Plan, rows: Rows, finding: Finding | None) -> Iterator[Plan]:
        optimizer = plan.make_optimizer(plan.model.parameters())
        if "lr" not in optimizer.param_groups[0]:
            return
        old = float(optimizer.param_groups[0]["lr"])
        for scale in scales:
            yield replace(plan, make_optimizer=remake(optimizer, lr=old * scale),
                          changes=_say(plan, f"lr = {old * scale:.3g}"))  # fmt: skip

    return make


def _use_adam(plan: Plan, rows: Rows, finding: Finding | None) -> Iterator[Plan]:
    for lr in ADAM_RATES:
        yield replace(plan, make_optimizer=lambda p, lr=lr: optim.Adam(p, lr=lr), changes=_say(
            plan, f"optimizer = optim.Adam(model.parameters(), lr={lr:g})"))  # fmt: skip


def _clip(plan: Plan, rows: Rows, finding: Finding | None) -> Iterator[Plan]:
    yield replace(plan, clip=1.0, changes=_say(
        plan, "nn.utils.clip_grad_norm_(model.parameters(), 1.0)"))  # fmt: skip


def _enlarge(plan: Plan, rows: Rows, finding: Finding | None) -> Iterator[Plan]:
    batch = min(len(rows.x), max(32, plan.batch * 4))
    if batch > plan.batch:
        yield replace(plan, batch=batch, changes=_say(plan, f"batch_size = {batch}"))


def _widen(plan: Plan, rows: Rows, finding: Finding | None) -> Iterator[Plan]:
    model, record = _probe(plan, rows)
    if surgery.widen(model, record, WIDTH) is not None:
        changed = replace(plan, model=model, draw=None, changes=_say(plan, f"width = {WIDTH}"))
        yield replace(changed, draw=_redraw(changed, rows))


_MAKERS: dict[str, Callable[..., Iterator[Plan]]] = {
    "head": _fix_head, "scale_target": _scale_target, "standardise": _standardise,
    "initialisation": _initialise, "recurrence": _remember,
    "lsuv": _equalise, "activation": _swap_activation, "batch_norm": _insert("batch"),
    "layer_norm": _insert("layer"), "residual": _connect, "lower_rate": _change_rate(LOWER),
    "raise_rate": _change_rate(tuple(1 / s for s in LOWER)), "optimiser": _use_adam,
    "clipping": _clip, "larger_batch": _enlarge, "width": _widen,
}  # fmt: skip
