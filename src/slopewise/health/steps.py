"""Time steps: what a recurrent layer does to the gradient from each step to the one before.

Invariant: the gradient at a step is that of its output and of all steps after it, by the layer's
own equations in float64, from arrays alone. It is separate from the measure of other layers, whose
calls have no inner steps.

Source: Pascanu, Mikolov & Bengio (2013), section 2: the product of W^T diag(phi').
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slopewise.health.record import Call

Step = dict[str, float]


def measure_steps(call: Call) -> list[Step]:
    """Return for every time step the gradient's norm and the factor to the step before.

    Parameters
    ----------
    call : Call
        Of an RNN, GRU or LSTM of one layer and one direction.

    Returns
    -------
    list of dict of str to float
        `grad`, and `ratio`, which is that of the step before over this one's; for an RNN `A` and
        `M`, whose product it is without the gradient of the outputs. Empty for other layers.
    """
    p = {name.removesuffix("_l0"): value for name, value in call.parameters.items()}
    plain = set(p) <= {"weight_ih", "weight_hh", "bias_ih", "bias_hh"} and "weight_hh" in p
    if not plain or call.x is None or call.grad_y is None or call.y is None or call.x.ndim != 3:
        return []
    first = bool(call.settings.get("batch_first", False))
    x, y, grad = ((v if not first else np.moveaxis(v, 1, 0)) for v in (
        call.x, call.y, call.grad_y))  # fmt: skip
    zero = np.zeros(p["weight_ih"].shape[0])
    from_x = x @ p["weight_ih"].T + p.get("bias_ih", zero)
    before = np.concatenate([np.zeros_like(y[:1]), y[:-1]])
    if call.type == "RNN":
        return _step_rnn(call, p, from_x, before, grad, zero)
    if call.type == "LSTM":
        return _step_lstm(p, from_x, before, grad, zero)
    return _step_gru(p, from_x, before, grad, zero) if call.type == "GRU" else []


def _norm(*parts: Any) -> float:
    return float(np.sqrt(sum(float(np.sum(p**2)) for p in parts)))


def _sigmoid(x: Any) -> Any:
    return 0.5 * (1 + np.tanh(0.5 * x))


def _divide(a: float, b: float) -> float:
    return a / b if b > 0 else 0.0


def _step_rnn(call: Call, p: Any, from_x: Any, before: Any, grad: Any, zero: Any) -> list[Step]:
    weight = p["weight_hh"]
    total = np.zeros_like(grad[0])
    found: list[Step] = []
    for t in reversed(range(len(grad))):
        total = total + grad[t]
        u = from_x[t] + before[t] @ weight.T + p.get("bias_hh", zero)
        # 1 / cosh^2 keeps its digits where 1 - tanh^2 has none left.
        tanh = call.settings.get("nonlinearity", "tanh") == "tanh"
        slope = 1 / np.cosh(np.clip(u, -300, 300)) ** 2 if tanh else (u > 0).astype(float)
        size = _norm(total)
        inner = slope * total
        total = inner @ weight
        a, m = _divide(_norm(inner), size), _divide(_norm(total), _norm(inner))
        found.append({"grad": size, "A": a, "M": m, "ratio": a * m})
    return found[::-1]


def _step_lstm(p: Any, from_x: Any, before: Any, grad: Any, zero: Any) -> list[Step]:
    weight = p["weight_hh"]
    gates: list[Any] = []
    cell = np.zeros_like(before[0])
    for t in range(len(grad)):
        raw = from_x[t] + before[t] @ weight.T + p.get("bias_hh", zero)
        i, f, g, o = np.split(raw, 4, axis=-1)
        i, f, g, o = _sigmoid(i), _sigmoid(f), np.tanh(g), _sigmoid(o)
        old, cell = cell, f * cell + i * g
        gates.append((i, f, g, o, old, np.tanh(cell)))
    dh, dc = np.zeros_like(grad[0]), np.zeros_like(grad[0])
    found: list[Step] = []
    for t in reversed(range(len(grad))):
        i, f, g, o, old, high = gates[t]
        dh = dh + grad[t]
        size = _norm(dh, dc)
        inner = dc + dh * o * (1 - high**2)
        parts = [inner * g * i * (1 - i), inner * old * f * (1 - f), inner * i * (1 - g**2),
                 dh * high * o * (1 - o)]  # fmt: skip
        dh, dc = np.concatenate(parts, axis=-1) @ weight, inner * f
        found.append({"grad": size, "ratio": _divide(_norm(dh, dc), size)})
    return found[::-1]


def _step_gru(p: Any, from_x: Any, before: Any, grad: Any, zero: Any) -> list[Step]:
    weight = p["weight_hh"]
    dh = np.zeros_like(grad[0])
    found: list[Step] = []
    for t in reversed(range(len(grad))):
        from_h = before[t] @ weight.T + p.get("bias_hh", zero)
        rx, zx, nx = np.split(from_x[t], 3, axis=-1)
        rh, zh, nh = np.split(from_h, 3, axis=-1)
        r, z = _sigmoid(rx + rh), _sigmoid(zx + zh)
        n = np.tanh(nx + r * nh)
        dh = dh + grad[t]
        size = _norm(dh)
        dn = dh * (1 - z) * (1 - n**2)
        parts = [dn * nh * r * (1 - r), dh * (before[t] - n) * z * (1 - z), dn * r]
        dh = dh * z + np.concatenate(parts, axis=-1) @ weight
        found.append({"grad": size, "ratio": _divide(_norm(dh), size)})
    return found[::-1]
