"""Probing steps: a short training of a copy, and of copies with other learning rates.

Invariant: model, optimiser, loader and random generator are left as they were; every copy sees the
same batches and starts at the same point. It is separate from the probe of one batch, since faults
of the learning rate cannot be seen in one.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from slopewise.health.framework import Framework, find_framework
from slopewise.health.heads import rate
from slopewise.health.readings import Trajectory

Batch = tuple[Any, Any]
PLACES = 5
"""Places along the way at which one and the same batch is looked at."""
POWER_STEPS = 8
"""Steps of the power iteration."""
MOST_PARAMETERS = 20_000
"""Parameters up to which the curvature is measured."""
ADAPTIVE = ("Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam")
"""Optimisers that scale each step by the size of gradients."""


def follow(
    model: Any, loss_fn: Callable[[Any, Any], Any], batches: Sequence[Batch], whole: Batch,
    optimizer: Any, steps: int, scale: float = 1.0,
) -> tuple[Trajectory, Any]:  # fmt: skip
    """Take steps on a copy, and return what was seen and the copy.

    Parameters
    ----------
    model : Module
    loss_fn : callable
    batches : sequence of (Tensor, Tensor)
        Taken in turn.
    whole : (Tensor, Tensor)
        Looked at along the way.
    optimizer : Optimizer
        Of the model's parameters.
    steps : int
    scale : float
        Times the learning rate.

    Returns
    -------
    Trajectory, Module
    """
    frame = find_framework(model, "follow")
    own, opt = _copy(model, optimizer)
    for group in opt.param_groups:
        if "lr" in group:
            group["lr"] = float(group["lr"]) * scale
    parameters = [p for group in opt.param_groups for p in group["params"]]
    held = {id(p) for p in parameters}
    counts = [(p.numel(), p.requires_grad and id(p) in held) for p in own.parameters()]
    whole_count = sum(count for count, _ in counts)
    moving = sum(count for count, moves in counts if moves)
    found = Trajectory(rows=len(whole[0]), batch=len(batches[0][0]))
    found.frozen = 1.0 - moving / whole_count if whole_count else 0.0
    if not moving:
        return found, own  # there is no step to take
    group = opt.param_groups[0]
    found.rate = float(group.get("lr", math.nan))
    found.adaptive = type(opt).__name__ in ADAPTIVE
    found.momentum = float(group.get("momentum", 0.0) or 0.0)
    looks = {round(i * steps / (PLACES - 1)) for i in range(PLACES)}
    last: Any = None
    for step in range(steps + 1):
        if step in looks:
            loss, score = look(own, loss_fn, whole)
            found.ends.append(loss)
            found.scores.append(score)
        if step == steps or (found.losses and not math.isfinite(found.losses[-1])):
            break
        x, y = batches[step % len(batches)]
        before = [frame.read(p) for p in parameters]
        found.losses.append(_step(own, loss_fn, x, y, opt))
        gradient = _flatten(frame, (p.grad for p in parameters))
        if last is not None:
            sizes = float(np.linalg.norm(last) * np.linalg.norm(gradient))
            found.cosines.append(float(last @ gradient) / sizes if sizes > 0 else 0.0)
        last = gradient
        now = [frame.read(p) for p in parameters]
        moved = sum(float(np.sum((a - b) ** 2)) for a, b in zip(now, before, strict=True))
        size = sum(float(np.sum(b**2)) for b in before)
        found.ratios.append(math.sqrt(moved / size) if size > 0 else math.nan)
    while len(found.ends) < PLACES:
        found.ends.append(math.nan)
        found.scores.append(math.nan)
    return found, own


def _copy(model: Any, optimizer: Any) -> tuple[Any, Any]:
    """Return copies of a model and of the optimiser that moves it."""
    own, opt = copy.deepcopy((model, optimizer))
    if hasattr(optimizer, "_params") and not hasattr(opt, "_params"):
        # PyTorch's LBFGS keeps its parameters beside what it lets be copied.
        opt._params, opt._numel_cache = opt.param_groups[0]["params"], None
    return own, opt


def _step(model: Any, loss_fn: Callable[[Any, Any], Any], x: Any, y: Any, opt: Any) -> float:
    """Take one step, and return the loss before it."""
    seen: list[float] = []

    def closure() -> Any:
        opt.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        seen.append(float(loss.detach()))
        return loss

    opt.step(closure)
    return seen[0]


def _first(output: Any) -> Any:
    return output[0] if isinstance(output, tuple) else output


def _flatten(frame: Framework, gradients: Iterator[Any]) -> Any:
    found = [np.ravel(frame.read(g)).astype(float) for g in gradients if g is not None]
    return np.concatenate(found) if found else np.zeros(1)


def look(model: Any, loss_fn: Callable[[Any, Any], Any], whole: Batch) -> tuple[float, float]:
    """Return loss and metric of a batch: without dropout, but normalised by the batch itself.

    Running statistics of batch norm lag behind in the first steps.
    """
    frame = find_framework(model, "look")
    modes = [(m, m.training) for m in model.modules()]
    buffers = [(b, frame.read(b)) for _, b in model.named_buffers()]
    model.eval()
    for module, mode in modes:
        if type(module).__name__.startswith("BatchNorm") and len(whole[0]) > 1:
            module.training = mode
    try:
        with frame.no_grad():
            output = model(whole[0])
            loss = float(loss_fn(output, whole[1]))
        found = frame.read(_first(output)).astype(float)
        return loss, rate(found, frame.read(whole[1]))[1]
    finally:
        for module, mode in modes:
            module.training = mode
        for buffer, kept in buffers:
            frame.write(buffer, kept)


def measure_sharpness(model: Any, loss_fn: Callable[[Any, Any], Any], batch: Batch) -> float:
    """Return the largest eigenvalue of the Hessian, by power iteration.

    Products with the Hessian are differences of gradients along a small step, so that every layer
    can be measured. NaN where the network is too large, or the gradient is not finite.
    """
    frame = find_framework(model, "measure_sharpness")
    own = copy.deepcopy(model)
    parameters = [p for p in own.parameters() if p.requires_grad]
    count = sum(p.numel() for p in parameters)
    if count > MOST_PARAMETERS:
        return math.nan
    start = [frame.read(p) for p in parameters]
    size = math.sqrt(sum(float(np.sum(s.astype(float) ** 2)) for s in start)) or 1.0
    direction = np.random.default_rng(0).normal(size=count)
    largest = math.nan
    reach = 1e-3 * size
    for _ in range(POWER_STEPS):
        direction /= np.linalg.norm(direction) or 1.0
        step = reach * direction
        ends = [
            _gradient_at(frame, own, loss_fn, batch, parameters, start, side * step)
            for side in (1, -1)
        ]
        product = (ends[0] - ends[1]) / (2 * reach)
        largest = float(direction @ product)
        if not np.all(np.isfinite(product)) or not np.any(product):
            return math.nan
        direction = product
    return largest


def _gradient_at(
    frame: Framework, model: Any, loss_fn: Callable[[Any, Any], Any], batch: Batch,
    parameters: list[Any], start: list[Any], shift: Any,
) -> Any:  # fmt: skip
    place = 0
    for p, value in zip(parameters, start, strict=True):
        part = shift[place : place + value.size].reshape(value.shape)
        frame.write(p, value + part.astype(value.dtype))
        p.grad = None
        place += value.size
    loss_fn(model(batch[0]), batch[1]).backward()
    return np.concatenate([
        np.ravel(frame.read(p.grad)).astype(float) if p.grad is not None else np.zeros(value.size)
        for p, value in zip(parameters, start, strict=True)
    ])  # fmt: skip
