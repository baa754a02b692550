"""The diagnosis: from readings to findings, by rules whose thresholds have reasons.

Invariant: a pure function of readings. A suspicion has a strength in logarithms, 1 at its
threshold; what the trajectory shows of learning moves the threshold: a network that learns well is
ill only where signs are plain, and one that does not learn is searched for the likeliest cause. It
is separate from the measure and from whoever takes the readings.

Sources: gradient ratios: Glorot & Bengio (2010); dead networks by depth and width: Lu et al.
(2019), Dying ReLU and initialization, theorem 1; the edge of stability 2 / lr: Cohen et al. (2021).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from slopewise.health.apportion import share, split, split_nominal
from slopewise.health.finding import Finding
from slopewise.health.heads import RANGES
from slopewise.health.measure import Factor
from slopewise.health.progress import STRONG, Progress, judge_progress
from slopewise.health.readings import Readings

RATIO = 1e3
"""Gradients that differ by three orders of magnitude: no one learning rate serves both ends."""
FORGOTTEN = 1e6
"""Networks still learn from steps of time whose gradient is smaller by some orders of magnitude."""
CONTRAST = 100.0
"""Columns whose deviations differ by this are seen by the weights as if one of them were alone."""
SIZE = 30.0
"""Inputs of this size saturate weights that were drawn for inputs of size 1."""
OFFSET = 10.0
"""Columns so many deviations from 0 make one direction of the Hessian 100 times as steep."""
DEAD = 0.7
"""Half of the units are dead where inputs have one sign; more than that is not chance."""
FAR = 5.0
"""Outputs drawn by weights of the right size lose about as much as guessing, not five times."""
LEFT = 0.1
"""Below a tenth of what guessing leaves, there is nothing to complain of at the head."""
SIGN = 0.01
"""Being right costs more than guessing by a hundredth of either: no matter of rounding."""


def diagnose(readings: Readings) -> list[Finding]:
    """Return what is wrong, the gravest first; nothing where all is well.

    Parameters
    ----------
    readings : Readings

    Returns
    -------
    list of Finding

    Examples
    --------
    >>> from slopewise.health.readings import Head, Inputs, Readings
    >>> diagnose(Readings([], Head(loss=0.7, guess=0.7, best=0.0, grad=0.1), Inputs(rms=1.0)))
    []
    """
    if readings.inputs.broken:
        return _check_numbers(readings)  # all that follows would follow from it
    if readings.trajectory is not None and readings.trajectory.frozen == 1:
        return [_freeze(readings, 10.0)]
    progress = judge_progress(readings)
    certain = [
        *_check_head(readings),
        *_check_cut(readings),
        *_check_symmetry(readings),
        *_check_inputs(readings, progress),
        *_check_targets(readings, progress),
        *_check_frozen(readings, progress),
    ]
    finite = _check_finite(readings)
    flow = [*_check_dead(readings), *_check_chain(readings), *_check_saturation(readings),
            *_check_norms(readings), *_check_bend(readings), *_check_width(readings),
            *_check_time(readings, progress)]  # fmt: skip
    rates = _check_rate(readings, progress)
    limit = progress.threshold
    if not progress.known and is_converged(readings):
        limit = STRONG  # as where steps show that it learns
    flow = [f for f in flow if f.strength >= limit]
    if any(f.id == "cut_off" for f in certain):
        flow = []  # what would be told of a gradient that is not there
    if finite:
        flow = [f for f in flow if f.id != "dying_relu"]  # what is no number wakes no unit
        finite = _excuse(finite, readings, progress)
    t = readings.trajectory
    if progress.too_low and t is not None and not t.adaptive and not flow:
        # Without Adam a step is as long as the gradient: where that vanishes, steps are short.
        flow = [f for f in _check_chain(readings, True) if f.id == "vanishing"
                and f.strength >= 0.4]  # fmt: skip
    found = [*certain, *finite, *flow, *rates]
    if not found and (progress.stuck or progress.lag > 0.15):
        found = _search(readings, progress)
    return _order(found)


def is_converged(readings: Readings) -> bool:
    """Return whether what the loss has left is small, so that small gradients are right."""
    head = readings.head
    left = head.left
    if math.isnan(left):
        return False
    good = head.metric == "r2" or head.score >= 0.95 or head.score >= 0.5 + 0.5 * head.chance
    return left < LEAST_LEFT and good


LEAST_LEFT = 0.15
"""A loss below this share of guessing's is that of a network that has learned."""


def _order(found: Sequence[Finding]) -> list[Finding]:
    """Return the gravest first: what makes the others happen before what follows from it."""
    drawn_small = any(f.id in ("vanishing", "forward_collapse") and f.cause == "initialisation"
                      for f in found)  # fmt: skip
    places: dict[str, float] = {
        "broken_input": 0, "cut_off": 0, "frozen": 1, "target_scale": 1,
        "wrong_head": 0, "no_head_gradient": 0, "symmetry": 1, "input_scale": 2,
        "dying_relu": 5 if drawn_small else 3, "saturated": 4, "exploding": 4,
        "vanishing": 4, "forward_collapse": 4,
        "normalisation": 4, "too_narrow": 5, "oscillation": 6, "learning_rate_high": 6,
        "learning_rate_low": 7,
    }  # fmt: skip
    narrow = max((f.strength for f in found if f.id == "too_narrow"), default=0.0)
    others = max((f.strength for f in found if places[f.id] in (3, 4)), default=0.0)
    places["too_narrow"] = 2.6 if narrow > 1.5 or (narrow > 0.7 and others < 1) else 5
    proved = [f.id for f in found if f.id in _STEPS and f.strength > 1]
    for id in proved:
        # What a smaller rate puts right is not the fault of the layers, unless they are far off.
        if all(f.strength < 2 for f in found if places[f.id] in (3, 4, 5)):
            places[id] = 2.5
    return sorted(found, key=lambda f: (places[f.id], -f.strength))


_STEPS = ("oscillation", "learning_rate_high")


def _weights(readings: Readings) -> list[Factor]:
    return [f for f in readings.factors if f.letter == "M" and f.type != "Embedding"]


# ------------------------------------------------------------------ the head


def _check_head(readings: Readings) -> list[Finding]:
    head = readings.head
    whole = head.guess - head.best
    layer = _name_output(readings)
    shown = {"loss": head.loss, "loss_guess": head.guess, "loss_best": head.best}
    if math.isfinite(head.sure) and head.surer < -1 and head.surer < 1.5 * head.sure:
        shown["loss_sure"] = head.surer
        return [_head("wrong_head", "loss", layer, shown)]
    if not whole > 0:
        if head.unfit:
            return [_head("wrong_head", "shapes", layer, shown)]
        if -whole > SIGN * max(abs(head.guess), abs(head.best)):
            # Guessing costs less than being right: what is learned is to be wrong.
            return [replace(_head("wrong_head", "sign", "", shown), factor="", remedies=())]
        return []
    left = head.left
    if head.last == "softmax" and head.width == 1 and left > LEFT:
        return [_head("no_head_gradient", "one_unit", layer, {**shown, "passed": head.passed})]
    logits = math.isfinite(head.sure) and head.sure < head.exact - 0.1 * whole
    if logits and head.last in RANGES:
        twice = head.last in ("softmax", "sigmoid")
        shown["loss_reach"] = head.reach
        return [_head("wrong_head", "twice" if twice else "output", layer, shown)]
    if math.isfinite(head.reach) and head.reach - head.best > 0.1 * whole:
        shown["loss_reach"] = head.reach
        return [_head("wrong_head", "range", layer, shown)]
    if left > LEFT and (head.grad == 0 or head.passed < 1e-4):
        shown["passed"] = head.passed
        cause = "saturation" if head.last in ("sigmoid", "softmax", "tanh") else "output"
        return [_head("no_head_gradient", cause if head.grad else "loss", layer, shown)]
    return []


def _name_output(readings: Readings) -> str:
    """Return the layer that bounds the outputs, else the last one with weights."""
    factors = readings.factors
    last = max((i for i, f in enumerate(factors) if f.letter == "M"), default=-1)
    after = [f.name for f in factors[last + 1 :] if f.type.lower() == readings.head.last]
    return after[-1] if after else factors[last].name if last >= 0 else ""


def _check_cut(readings: Readings) -> list[Finding]:
    """No gradient at all before some place, though weights and units would let it pass."""
    weights = _weights(readings)
    head = readings.head
    if len(weights) < 2 or not head.grad > 0 or not math.isfinite(head.loss):
        return []
    factors = readings.factors
    if math.isnan(weights[0].grad_out):
        # Not a gradient of 0, but none: the tape does not lead there.
        place = max(i for i, f in enumerate(factors) if f is weights[0] or _is_cut(f))
    elif weights[0].grad_out == 0:
        stops = [i for i, f in enumerate(factors) if f.grad_in == 0 and f.grad_out > 0]
        if not stops or factors[stops[-1]].letter != "R":
            return []
        place = stops[-1]
    else:
        return []
    shown = {"ratio": 0.0}
    return [Finding("cut_off", "cut", factors[place].name, "", 100.0, shown, (), {}, 10.0)]


def _is_cut(factor: Factor) -> bool:
    return factor.letter == "M" and math.isnan(factor.grad_out)


def _head(id: str, cause: str, layer: str, shown: dict[str, float]) -> Finding:
    shown = {k: v for k, v in shown.items() if math.isfinite(v)}
    return Finding(id, cause, layer, "A", 100.0, shown, ("head",), {layer: 100.0}, 10.0)


# ------------------------------------------------------------------ input and symmetry


def _check_inputs(readings: Readings, progress: Progress) -> list[Finding]:
    x = readings.inputs
    if x.normalised or math.isnan(x.rms):
        return []
    strength = max(
        math.log(max(x.contrast, 1)) / math.log(CONTRAST),
        abs(math.log(max(x.rms, LEAST))) / math.log(SIZE),
        math.log(max(x.offset, 1)) / math.log(OFFSET),
    )
    if strength < max(1.0, progress.threshold):
        return []
    shown = {"input_rms": x.rms, "input_contrast": x.contrast, "input_offset": x.offset}
    return [Finding("input_scale", "input", "", "", 100.0, shown,
                    ("standardise", "batch_norm", "lower_rate"), {}, strength)]  # fmt: skip


LEAST = 1e-30


def _check_numbers(readings: Readings) -> list[Finding]:
    x = readings.inputs
    shown = {"input_broken": x.broken}
    if x.column >= 0:
        shown["input_column"] = float(x.column)
    return [Finding("broken_input", "not_numbers", "", "", 100.0, shown, (), {}, 10.0)]


def _check_targets(readings: Readings, progress: Progress) -> list[Finding]:
    """Numbers to be learned that are far larger or smaller than what outputs start as."""
    size = readings.head.target
    if not 0 < size < math.inf or readings.head.left < LEAST_LEFT:
        return []
    strength = abs(math.log(size)) / math.log(RATIO)
    if strength < max(1.0, progress.threshold):
        return []
    shown = {"target_size": size, "loss": readings.head.loss, "loss_guess": readings.head.guess}
    return [Finding("target_scale", "target", "", "", 100.0, shown,
                    ("scale_target", "raise_rate"), {}, strength)]  # fmt: skip


def _check_frozen(readings: Readings, progress: Progress) -> list[Finding]:
    t = readings.trajectory
    if t is None or t.frozen < 0.5 or not (progress.stuck or progress.lag > 0.15):
        return []
    return [_freeze(readings, 1.0 + t.frozen)]


def _freeze(readings: Readings, strength: float) -> Finding:
    share = readings.trajectory.frozen if readings.trajectory is not None else 1.0
    return Finding("frozen", "left_out", "", "", 100.0, {"frozen": share}, (), {}, strength)


def _check_symmetry(readings: Readings) -> list[Finding]:
    hidden = _weights(readings)[:-1]
    alike = [
        f
        for f in hidden
        if f.weights.get("rows", 1) > 1
        and f.weights.get("unlike", 1.0) < 1e-4
        and f.weights.get("unlike_grad", 1.0) < 1e-3
    ]
    if not alike:
        return []
    shares = {f.name: 100 / len(alike) for f in alike}
    shown = {"unlike": alike[0].weights["unlike"], "unlike_grad": alike[0].weights["unlike_grad"]}
    return [Finding("symmetry", "constant", alike[0].name, "M", shares[alike[0].name], shown,
                    ("initialisation",), shares, 10.0)]  # fmt: skip


# ------------------------------------------------------------------ numbers that are none


def _check_finite(readings: Readings) -> list[Finding]:
    broken = [f for f in readings.factors if math.isnan(f.forward.get("rms", 0.0))]
    sound = math.isfinite(readings.head.loss)
    if sound and not broken:
        return []
    layer, letter, cause = _grown(readings.factors)
    spoilt = [f for f in readings.factors if not math.isfinite(f.weights.get("norm", 0.0))]
    if spoilt:
        layer, letter, cause = spoilt[0].name, "M", "not_numbers"
    shown = {"loss": readings.head.loss, "largest_rms": max(
        (f.forward.get("rms", 0.0) for f in readings.factors
         if math.isfinite(f.forward.get("rms", 0.0))), default=0.0)}  # fmt: skip
    remedies = ("activation", "initialisation", "layer_norm") if cause == "activation" else (
        "initialisation", "layer_norm", "clipping")  # fmt: skip
    return [
        Finding("exploding", cause, layer, letter, 100.0, shown, remedies, {layer: 100.0}, 10.0)
    ]


def _excuse(found: list[Finding], readings: Readings, progress: Progress) -> list[Finding]:
    """Where numbers broke down while steps were taken, the steps are to blame first."""
    t = readings.trajectory
    if t is None or not progress.too_high or not math.isfinite(t.ends[0]):
        return found
    return [replace(f, strength=1.5) for f in found]


def _grown(factors: Sequence[Factor]) -> tuple[str, str, str]:
    """Return the layer, letter and cause where values grow most, going forward."""
    gains: dict[str, float] = {}
    most: dict[str, tuple[float, str]] = {}
    before = 1.0
    for f in factors:
        rms = f.forward.get("rms", math.nan)
        over = not math.isfinite(rms) or rms > 1e30
        gain = 30.0 if over else math.log(max(rms, LEAST)) - math.log(max(before, LEAST))
        letter = f.letter if f.letter in _GROWN else "M"
        gains[letter] = gains.get(letter, 0.0) + max(gain, 0.0)
        most[letter] = max(most.get(letter, (-math.inf, "")), (gain, f.name))
        if over:
            break
        before = rms
    if not gains:
        return "", "", "initialisation"
    letter = max(gains, key=lambda k: gains[k])
    return most[letter][1], letter, _GROWN[letter]


_GROWN = {"A": "activation", "N": "normalisation", "M": "initialisation"}


# ------------------------------------------------------------------ the chain


def _check_chain(readings: Readings, searching: bool = False) -> list[Finding]:
    """Vanishing, exploding, and forward collapse.

    Weight gradients that are alike at both ends are fine, unless a fault is known to be there.
    """
    weights = _weights(readings)
    head = readings.head
    found: list[Finding] = []
    if not math.isfinite(head.loss) or not weights:
        return []
    first, last = weights[0], weights[-1]
    parts = split(readings.factors)
    ratio = _divide(0.0 if math.isnan(first.grad_out) else first.grad_out, head.grad)
    updates = _divide(first.weights.get("grad", math.nan), last.weights.get("grad", math.nan))
    spread = _collapse(readings)
    shown = {"ratio": ratio, "weight_ratio": updates, "spread": spread}
    shown = {k: v for k, v in shown.items() if math.isfinite(v)}
    if math.isfinite(ratio) and len(weights) > 1:
        log = math.log(max(ratio, LEAST))
        strength = abs(log) / math.log(RATIO)
        if log < 0:
            fine = math.isfinite(updates) and updates > 1 / math.sqrt(RATIO)
            shares, kinds = share(parts, -1)
            nominal = split_nominal(readings.factors)
            if ratio == 0 and sum(p.log for p in nominal) < -math.log(RATIO):
                shares, kinds = share(nominal, -1)
            kinds.pop("other", None)
            cause = next(iter(kinds), "initialisation")
            id = "forward_collapse" if fine and spread < 0.1 else "vanishing"
            if not fine or spread < 0.1 or searching:
                found.append(_chain(id, cause, shares, readings.factors, shown, strength))
        else:
            shares, kinds = share(parts, 1)
            cause = next(iter(kinds), "initialisation")
            found.append(_chain("exploding", cause, shares, readings.factors, shown, strength))
    if not found or found[0].strength < 1:
        if math.isfinite(spread) and spread > 0 and len(weights) > 1:
            strength = -math.log(max(spread, LEAST)) / math.log(RATIO)
            shares, kinds = share(parts, -1)
            cause = next(iter(kinds), "initialisation")
            found.append(
                _chain("forward_collapse", cause, shares, readings.factors, shown, strength)
            )
        # Outputs that start far from guessing: weights drawn too large.
        began = readings.trajectory.ends[0] if readings.trajectory is not None else math.inf
        sound = began < 2 * max(head.guess, head.best)  # what is far now was not so at first
        if head.metric == "accuracy" and 1 < head.left < math.inf and not sound:
            # A squared error of outputs of size 1 is some times that of guessing as it is.
            logits = math.isfinite(head.sure) and head.sure < head.exact
            strength = math.log(head.left) / math.log(SIZE)
            if logits:
                # Where one class is rare, guessing it costs little; knowing nothing costs more.
                known = max(head.guess - head.best, math.log(max(2, head.width)))
                strength = math.log(max((head.loss - head.best) / known, LEAST)) / math.log(FAR)
            layer, letter, cause = _grown(readings.factors)
            shown = {**shown, "left": head.left}
            found.append(Finding("exploding", cause, layer, letter, 100.0, shown, (
                "initialisation", "standardise", "batch_norm", "lower_rate"), {layer: 100.0},
                strength))  # fmt: skip
    return found


def _divide(a: float, b: float) -> float:
    return a / b if b > 0 and math.isfinite(a) else math.nan


def _collapse(readings: Readings) -> float:
    """Return how much of the first layer's deviation over samples is left before the end.

    In itself and beside what all samples have in common, whichever is less.
    """
    forward = [f.forward for f in _weights(readings)[:-1]]
    spreads = [s["spread"] for s in forward if math.isfinite(s.get("spread", math.nan))]
    sizes = [s["spread"] * s["rms"] for s in forward if math.isfinite(s.get("spread", math.nan))]
    if not spreads or max(spreads) <= 0 or sizes[0] <= 0:
        return math.nan
    return min(spreads[-1] / max(spreads), sizes[-1] / sizes[0])


def _chain(
    id: str, cause: str, shares: dict[str, float], factors: Sequence[Factor],
    shown: dict[str, float], strength: float,
) -> Finding:  # fmt: skip
    letters = {"activation": "A", "saturation": "A", "initialisation": "M", "normalisation": "N"}
    letter = letters.get(cause, "M")
    own = {f.name for f in factors if f.letter == letter}
    layer = next((name for name in shares if name in own), next(iter(shares), ""))
    return Finding(id, cause, layer, letter, shares.get(layer, 0.0), shown,
                   _CHAIN_REMEDIES[cause], shares, strength)  # fmt: skip


_CHAIN_REMEDIES = {
    "activation": ("activation", "batch_norm", "layer_norm", "initialisation", "residual"),
    "saturation": ("initialisation", "batch_norm", "activation", "standardise", "residual"),
    "initialisation": ("initialisation", "lsuv", "batch_norm", "layer_norm", "residual"),
    "normalisation": ("layer_norm", "batch_norm", "residual"),
    "other": ("residual", "initialisation", "batch_norm"),
}


# ------------------------------------------------------------------ activations


def _activations(readings: Readings) -> list[Factor]:
    """Hidden activations; the one at the output is the head's."""
    weights = [i for i, f in enumerate(readings.factors) if f.letter == "M"]
    return [f for i, f in enumerate(readings.factors)
            if f.letter == "A" and weights and i < weights[-1]]  # fmt: skip


def _check_dead(readings: Readings) -> list[Finding]:
    hidden = [f for f in _activations(readings) if "dead" in f.parts]
    if not hidden:
        return []
    worst = max(hidden, key=lambda f: f.parts["dead"])
    mean = sum(f.parts["dead"] for f in hidden) / len(hidden)
    whole = sum(f.parts["dead"] for f in hidden)
    if worst.parts["dead"] == 0 or mean < 0.1:
        return []
    widths = [f.weights.get("rows", 1e9) for f in _weights(readings)[:-1]]
    narrow = min(widths, default=1e9)
    doomed = 1 - (1 - 2.0 ** -min(narrow, 1000)) ** max(len(widths), 1)
    awake = min((f.parts["live"] for f in hidden), default=1e9)
    shares = {f.name: 100 * f.parts["dead"] / whole for f in hidden if f.parts["dead"] > 0}
    shown = {"dead": worst.parts["dead"], "dead_mean": mean, "width": narrow, "doomed": doomed}
    small = sum(p.log for p in split_nominal(readings.factors)) < -math.log(RATIO)
    cause = "width" if doomed > 0.1 and not small else "initialisation"
    remedies = (
        ("width", "activation", "layer_norm", "batch_norm", "residual")
        if (cause == "width")
        else ("initialisation", "activation", "batch_norm", "lower_rate")
    )
    # One unit that is awake passes one number on, whatever the layer was given.
    strength = max(mean / DEAD, 2.0 if awake < 1 else 1.0 if awake <= 1 else 0.0)
    return [Finding("dying_relu", cause, worst.name, "A", shares[worst.name], shown, remedies,
                    dict(sorted(shares.items(), key=lambda s: -s[1])), strength)]  # fmt: skip


def _check_saturation(readings: Readings) -> list[Finding]:
    """Slopes far below the steepest because inputs are large, not because the activation is."""
    hidden = [f for f in _activations(readings) if f.type.lower() in ("sigmoid", "tanh", "softsign",
              "hardtanh", "hardsigmoid") and f.formula is not None]  # fmt: skip
    if not hidden:
        return []
    losses = {f.name: -math.log(max(f.ratio / f.parts.get("bound", 1.0), LEAST)) for f in hidden}
    worst = max(hidden, key=lambda f: losses[f.name])
    whole = sum(losses.values())
    flat = sum(f.parts["saturated"] for f in hidden) / len(hidden)
    if whole <= 0:
        return []
    # A third of the units flat, or slopes at a third of the steepest.
    strength = max(flat / 0.33, whole / len(hidden) / math.log(3))
    shares = {n: 100 * x / whole for n, x in sorted(losses.items(), key=lambda s: -s[1])}
    large = readings.inputs.rms > 3 and not readings.inputs.normalised
    shown = {"saturated": flat, "slope": worst.ratio, "bound": worst.parts.get("bound", 1.0)}
    remedies = ("standardise", "initialisation", "batch_norm", "activation") if large else (
        "initialisation", "batch_norm", "activation", "lower_rate")  # fmt: skip
    return [Finding("saturated", "input" if large else "initialisation", worst.name, "A",
                    shares[worst.name], shown, remedies, shares, strength)]  # fmt: skip


def _check_bend(readings: Readings) -> list[Finding]:
    """Activations used in their straight part only, so that the layers make one product."""
    hidden = [f for f in _activations(readings) if 0 < f.parts.get("bend", math.nan) < math.inf
              and f.forward.get("rms", 0.0) > 0]  # fmt: skip
    if not hidden:
        return []
    logs = {f.name: -math.log(f.parts["bend"]) for f in hidden if f.parts["bend"] < 1}
    if len(logs) < len(hidden):
        return []
    strength = min(logs.values()) / math.log(STRAIGHT)
    place = next(i for i, f in enumerate(readings.factors) if f is hidden[0])
    normed = any(f.letter == "N" for f in readings.factors[max(0, place - 1) : place])
    whole = sum(logs.values())
    shares = {n: 100 * x / whole for n, x in sorted(logs.items(), key=lambda s: -s[1])}
    cause = "normalisation" if normed else "initialisation"
    name = next(iter(shares))
    return [Finding("forward_collapse", cause, name, "N" if normed else "M", shares[name],
                    {"bend": min(f.parts["bend"] for f in hidden)}, _CHAIN_REMEDIES[
                        "initialisation"], shares, strength)]  # fmt: skip


STRAIGHT = 100.0
"""Slopes that vary by a hundredth are those of a straight line."""


def _check_norms(readings: Readings) -> list[Finding]:
    found: list[Finding] = []
    for f in readings.factors:
        if f.letter == "N" and f.formula is not None and f.parts.get("kept", 1.0) < 0.05:
            shown = {"kept": f.parts["kept"], "scale": f.parts.get("scale", math.nan)}
            found.append(Finding("normalisation", "batch", f.name, "N", 100.0, shown,
                                 ("layer_norm", "larger_batch"), {f.name: 100.0}, 1.0))  # fmt: skip
    return found[:1]


def _check_time(readings: Readings, progress: Progress) -> list[Finding]:
    """A gradient that does not reach the first steps of a sequence.

    That is right where the last steps are enough, so it is told of networks that do not learn.
    """
    if not (progress.stuck or progress.lag > 0.15):
        return []
    found: list[Finding] = []
    for f in readings.factors:
        grads = [step["grad"] for step in f.steps]
        if len(grads) < 2 or not 0 < max(grads) < math.inf:
            continue
        ratio = max(grads[0], LEAST) / max(grads)
        strength = -math.log(ratio) / math.log(FORGOTTEN)
        if strength < 1:
            continue
        shown = {"time_ratio": ratio, "time_steps": float(len(grads))}
        found.append(Finding("vanishing", "time", f.name, "", 100.0, shown,
                             ("recurrence", "optimiser"), {f.name: 100.0}, strength))  # fmt: skip
    return found


def _check_width(readings: Readings) -> list[Finding]:
    """A layer with fewer numbers than what has to pass through it."""
    weights = _weights(readings)
    if len(weights) < 2:
        return []
    narrow = min(weights[:-1], key=lambda f: f.weights.get("rows", 1e9))
    rows = narrow.weights.get("rows", 1e9)
    # Classes need about as many directions as their logarithm; fewer cannot be told apart. Numbers
    # that are made through a narrow layer, as in an autoencoder, are meant to be.
    classes = readings.head.metric == "accuracy"
    need = min(readings.head.width, readings.inputs.width) if classes else 1
    bits = max(1.0, math.log2(max(need, 1)))
    strength = bits / rows * 0.75
    if strength < 0.35:
        return []
    shown = {"width": rows, "outputs": float(readings.head.width)}
    return [Finding("too_narrow", "width", narrow.name, "M", 100.0, shown, ("width",),
                    {narrow.name: 100.0}, strength)]  # fmt: skip


# ------------------------------------------------------------------ steps


def _check_rate(readings: Readings, progress: Progress) -> list[Finding]:
    t = readings.trajectory
    if t is None or not t.ratios:
        return []
    shown = {"rate": t.rate, "update_ratio": progress.ratio, "loss_start": t.ends[0],
             "loss_end": t.ends[-1], "cosine": progress.cosine, "sharpness": t.sharpness,
             "loss_lower": progress.lower, "loss_higher": progress.higher}  # fmt: skip
    shown = {k: v for k, v in shown.items() if math.isfinite(v)}
    if progress.too_high:
        noisy = not progress.explodes and t.batch * 16 <= t.rows and t.batch <= 8
        id = "oscillation" if noisy or (progress.bounces and not progress.diverges) else (
            "learning_rate_high")  # fmt: skip
        remedies = ("larger_batch", "lower_rate", "optimiser", "clipping") if noisy else (
            "lower_rate", "clipping", "optimiser", "batch_norm")  # fmt: skip
        return [Finding(id, "batch" if noisy else "learning_rate", "", "", 100.0, shown, remedies,
                        {}, progress.high)]  # fmt: skip
    if progress.too_low:
        return [Finding("learning_rate_low", "learning_rate", "", "", 100.0, shown,
                        ("raise_rate", "optimiser"), {}, progress.low)]  # fmt: skip
    return []


def _search(readings: Readings, progress: Progress) -> list[Finding]:
    """Return the likeliest cause of a network that does not learn, where no sign is plain."""
    found: list[Finding] = []
    for seen in (readings, readings.after):
        if seen is not None:
            found += [*_check_dead(seen), *_check_chain(seen, True), *_check_bend(seen),
                      *_check_saturation(seen)]  # fmt: skip
    found = [f for f in found if f.strength >= progress.threshold]
    return sorted(found, key=lambda f: -f.strength)[:1]
