"""Reverse mode: one walk over recorded nodes, from outputs to leaves.

Invariant: nodes are visited in falling creation order, so that every consumer of a node has given
its share before the node is pulled. The walk is iterative and frees what it used. First-order walks
run on plain arrays; `attached` walks run on Values and are recorded themselves.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import Any

import numpy as np

from slopewise._core.aval import Aval
from slopewise._core.graph import Edge, Node, Primitive, operand_at
from slopewise._core.quiet import hush, restore
from slopewise._core.rules import Contract, Higher, Jvp, Linear, Multilinear, Partials, Zero
from slopewise._core.source import explain, locate
from slopewise._core.state import enable_grad, state
from slopewise._core.trace import Graph, ancestors, placeholder
from slopewise._core.value import Value, is_sequence, is_tuple, new_value, new_zeros
from slopewise._ops.arithmetic import add, all_finite, guarded_mul, mul
from slopewise._ops.comparison import where
from slopewise.errors import GradientError, GradientWarning

_ndarray = np.ndarray
Bars = Sequence[Any]


def read_operands(node: Node, attached: bool) -> Sequence[Any]:
    """Return the operands of a node: arrays, or Values attached to the graph."""
    if node.operands is None:
        raise GradientError(freed_message(node))
    if attached:
        return [operand_at(node, i) for i in range(len(node.edges))]
    return node.operands


def read_out(node: Node, attached: bool) -> Any:
    """Return the output of a node, if its rule reads it."""
    if not attached:
        return node.out
    out = node.out
    if is_tuple(out):
        return tuple(
            new_value(None if isinstance(o, Aval) else o, _select(node, i, o), True)
            for i, o in enumerate(out)
        )
    return new_value(node.out, node, True)


def _select(node: Node, i: int, out: Any) -> Node:
    from slopewise._core.graph import select_output

    return select_output(node, i, Aval(out.shape, out.dtype))


def freed_message(node: Node) -> str:
    """Return why a second backward pass through a node fails, and the remedy."""
    return (
        "Trying to backward through the graph a second time: the values that"
        f" `{node.primitive.name}` kept ({locate(node.place)}) were freed by the first"
        " backward. Call the first one as backward(retain_graph=True), or compute the loss"
        " again before each backward."
    )


def check_guards(node: Node) -> None:
    """Refuse to use kept values that were changed in place since they were kept."""
    for storage, version, array in node.guards:
        if storage.version == version and (storage.checksum is None or storage.unchanged(array)):
            continue
        raise GradientError(
            "one of the variables needed for gradient computation has been modified by an"
            f" inplace operation: `{node.primitive.name}` at {locate(node.place)} kept a tensor"
            f" of shape {tuple(array.shape)} that was changed afterwards (in place, or through a"
            " NumPy or DLPack alias). Change a copy instead: x = x + ... in place of x += ...,"
            " or x.clone() before the change."
        )


def _is_tame(factor: Any) -> bool:
    """Return whether a factor is a constant without NaN or infinite elements."""
    return not isinstance(factor, Value) and all_finite(factor)


def pull_partials(node: Node, rule: Partials, out_bar: Any, attached: bool, masked: bool) -> Bars:
    operands = read_operands(node, attached)
    out = read_out(node, attached)
    params = node.params
    bars: list[Any] = []
    for edge, partial in zip(node.edges, rule.partials, strict=True):
        if edge is None or partial is None:
            bars.append(None)
            continue
        factor = partial(out, *operands, **params)
        if type(factor) is np.float64:
            factor = float(factor)  # computed from numbers alone: the cotangent keeps its dtype
        if not rule.singular and (not masked or (attached and _is_tame(factor))):
            bars.append(out_bar * factor)
        elif attached:
            bars.append(guarded_mul(out_bar, factor))
        else:
            bar = out_bar * factor
            if not all_finite(bar):
                bar = guarded_mul(out_bar, factor)
                if rule.singular and all_finite(out_bar) and not all_finite(bar):
                    report_singular(node)
            bars.append(bar)
    return bars


def pull_linear(node: Node, rule: Linear, out_bar: Any, attached: bool, masked: bool) -> Bars:
    operands = read_operands(node, attached)
    wrt = rule.wrt
    # An edge knows its shape and dtype, as an Aval does; an operand without an edge was kept as an
    # Aval, or is a number.
    operands = [
        e if e is not None and (wrt is None or i in wrt) else x
        for i, (e, x) in enumerate(zip(node.edges, operands, strict=True))
    ]
    bars = rule.transpose(out_bar, *operands, **node.params)
    parts: Bars = bars if is_sequence(bars) else (bars,)
    if wrt is None:
        return parts
    full: list[Any] = [None] * len(operands)
    for i, bar in zip(wrt, parts, strict=True):
        full[i] = bar
    return full


def pull_multilinear(
    node: Node, rule: Multilinear, out_bar: Any, attached: bool, masked: bool
) -> Bars:
    operands = list(read_operands(node, attached))
    if masked and node.primitive is mul:
        factors = operands[::-1]
        return [
            None if edge is None else (mul if _is_tame(x) else guarded_mul)(out_bar, x)
            for edge, x in zip(node.edges, factors, strict=True)
        ]
    bars: list[Any] = []
    for i, edge in enumerate(node.edges):
        if edge is None:
            bars.append(None)
            continue
        kept = operands[i]
        operands[i] = edge
        bars.append(rule.transposes[i](out_bar, *operands, **node.params))
        operands[i] = kept
    return bars


def pull_jvp(node: Node, rule: Jvp, out_bar: Any, attached: bool, masked: bool) -> Bars:
    operands = read_operands(node, attached)
    out = read_out(node, attached)
    several = is_tuple(out)
    outs: Bars = out if is_tuple(out) else (out,)
    out_bars: Bars = out_bar if is_tuple(out_bar) else (out_bar,)
    wrt = tuple([i for i in rule.wrt if node.edges[i] is not None])
    key = (
        node.primitive,
        tuple([(x.shape, x.dtype) for x in (*outs, *operands)]),
        tuple([bar is not None for bar in out_bars]),
        wrt,
        tuple(node.params.items()),
        masked,
    )
    graph = _TRANSPOSED.get(key)
    if graph is None:
        if len(_TRANSPOSED) >= _MOST_TRANSPOSED:
            _TRANSPOSED.clear()
        graph = _TRANSPOSED[key] = transpose_rule(*key, len(outs), several)
    results = graph(*[bar for bar in out_bars if bar is not None], *outs, *operands)
    bars: list[Any] = [None] * len(operands)
    for i, bar in zip(wrt, results, strict=True):
        bars[i] = bar
    return bars


_TRANSPOSED: dict[Any, Graph] = {}
_MOST_TRANSPOSED = 2048


def transpose_rule(
    primitive: Primitive,
    shapes: Sequence[tuple[tuple[int, ...], Any]],
    present: tuple[bool, ...],
    wrt: tuple[int, ...],
    params: tuple[tuple[str, Any], ...],
    masked: bool,
    count: int,
    several: bool,
) -> Graph:
    """Return the graph (out_bars, outs, operands) -> bars: the transpose of a traced jvp rule."""
    rule: Any = primitive.derivative
    avals = [Aval(shape, dtype) for shape, dtype in shapes]
    with enable_grad():
        outs = [placeholder(a) for a in avals[:count]]
        operands = [placeholder(a) for a in avals[count:]]
        seeds = {i: placeholder(avals[count + i], requires_grad=True) for i in wrt}
        places: Sequence[int] = rule.wrt
        zeros = {i: new_zeros(avals[count + i])._value for i in places}
        tangents = tuple(seeds.get(i, zeros[i]) for i in places)
        out_dot = rule.rule(
            tangents, tuple(outs) if several else outs[0], *operands, **dict(params)
        )
        dots = out_dot if several else (out_dot,)
        bars = [placeholder(a) for a, p in zip(avals[:count], present, strict=True) if p]
        live = [dot for dot, p in zip(dots, present, strict=True) if p]
        heads = [(d._edge, b) for d, b in zip(live, bars, strict=True) if isinstance(d, Value)]
        targets = {s._edge for s in seeds.values()}
        found = walk_back(heads, targets, attached=True, retain=True, masked=masked)
    results = [found.get(seeds[i]._edge, zeros[i]) for i in wrt]
    return Graph([v._edge for v in (*bars, *outs, *operands)], results)


def pull_zero(node: Node, rule: Zero, out_bar: Any, attached: bool, masked: bool) -> Bars:
    return [None] * len(node.edges)


def pull_higher(node: Node, rule: Higher, out_bar: Any, attached: bool, masked: bool) -> Bars:
    bars = rule.pull(node, out_bar, masked) if rule.masking else rule.pull(node, out_bar)
    if attached:
        return bars
    # Copied, since a user's rule may give one array to several operands.
    return [np.array(b._value) if isinstance(b, Value) else b for b in bars]


PULLS: dict[type, Callable[..., Bars]] = {
    Partials: pull_partials,
    Linear: pull_linear,
    Multilinear: pull_multilinear,
    Jvp: pull_jvp,
    Zero: pull_zero,
    Higher: pull_higher,
}


def pull(node: Node, out_bar: Any, attached: bool, masked: bool = False) -> Bars:
    """Return one cotangent for each operand of a node.

    `masked` says that the cotangent may be 0 because `where` selected the other branch.
    """
    if node.guards:
        check_guards(node)
    rule = node.primitive.derivative
    return PULLS[type(rule)](node, rule, out_bar, attached, masked)


def report_singular(node: Node) -> None:
    """Explain an infinite or undefined derivative: a warning, or an error under detect_anomaly."""
    name = node.primitive.name
    message = (
        f"{name}: its derivative is infinite or undefined at a value met here"
        f" ({locate(node.place)}), so the gradient is inf or NaN. Keep the operand away from the"
        f" singular point ({name}(x + eps), or clamp(x, min=eps)), or select the other branch with"
        " where(): a branch that is not selected contributes exactly 0."
    )
    if state.anomaly:
        raise GradientError(message)
    warnings.warn(message, GradientWarning, stacklevel=2)


def accumulate(old: Any, new: Any) -> Any:
    """Return the sum of two cotangents; tuples stand for the outputs of one node."""
    if is_tuple(old):
        return tuple(
            b if a is None else a if b is None else add(a, b) for a, b in zip(old, new, strict=True)
        )
    return add(old, new)


def walk_back(
    heads: Sequence[tuple[Edge, Any]],
    targets: set[Any] | None,
    *,
    attached: bool,
    retain: bool,
    boundary: bool = False,
    masked: bool = False,
) -> dict[Any, Any]:
    """Push cotangents from `heads` to the leaves, or to the `targets`; return them by edge.

    `heads` are (edge, cotangent) pairs. The result also has entries for the leaves that were
    reached when `targets` is None. With `boundary` the walk ends at the targets: what lies above
    them is not asked for, even where one target is reached through another.

    Above a `where` a cotangent of exactly 0 stays 0, whatever it is multiplied by: the branch that
    was not selected contributes nothing. With `masked` the heads count as coming from one.
    """
    bars: dict[Any, Any] = {}
    shadows: dict[Any, Any] = {}
    shared: set[int] = set()
    results: dict[Any, Any] = {}
    queue: list[tuple[int, Node]] = []
    pending: list[_Pending] = []
    behind: set[Any] = {edge for edge, _ in heads} if masked else set()
    wanted = None if targets is None else leads_to(targets, [edge for edge, _ in heads], boundary)

    def give(edge: Edge, bar: Any, tally: dict[Any, Any] = bars) -> None:
        if wanted is not None and edge not in wanted:
            return
        known = tally.get(edge)
        tally[edge] = bar if known is None else accumulate(known, bar)
        if known is None and isinstance(edge, Node):
            heappush(queue, (-edge.order, edge))

    def detour(node: Node) -> Any:
        """Do what few nodes need; return the cotangent to pull the ordinary way, if any is left."""
        out_bar = bars.pop(node, None)
        shadow = shadows.pop(node, None)
        total = _total(out_bar, shadow)
        seen = total if total is None else _observe(node, total, targets, results)
        if seen is not total:
            out_bar, shadow = seen, None
            cancel(node)
        if shadow is not None:
            mine = [p for p in pending if node in p.heads]
            for p in mine:
                p.held.append((node, shadow))
            if not mine:
                give_all(node, shadow, shadows)
        for p in [p for p in pending if node is p.last]:
            pending.remove(p)
            if node in behind:
                behind.add(p.edge)
            give(p.edge, p.out_bar)
        if out_bar is None or not node.active:
            return None
        if wanted is not None and (
            not leads_on(node, wanted) or (boundary and targets is not None and node in targets)
        ):
            return None
        if node.output >= 0:
            parent = node.edges[0]
            if parent.out is None:
                raise GradientError(freed_message(parent))
            count = len(parent.out)
            if node in behind:
                behind.add(parent)
            give(parent, tuple(out_bar if i == node.output else None for i in range(count)))
            return None
        if node.bypass is None:
            return out_bar
        edge, passed = node.bypass
        if node in behind:
            behind.add(edge)
        if _observed(passed, targets):
            pending.append(_Pending(passed, edge, out_bar))
            give_all(node, out_bar, shadows)
        else:
            give(edge, out_bar)
        if not retain:
            node.free()
        return None

    def cancel(node: Node) -> None:
        """A hook changed a passed-by cotangent: send all of them the ordinary way after all."""
        for p in [p for p in pending if node in p.passed]:
            pending.remove(p)
            for head, shadow in p.held:
                give_all(head, shadow, bars)
            for n in p.passed:
                if n in shadows:
                    give(n, shadows.pop(n))

    def give_all(node: Node, bar: Any, tally: dict[Any, Any]) -> None:
        parts = pull(node, bar, attached, node in behind)
        if leaves_zeros(node, behind):
            behind.update(node.edges)
        for edge, part in zip(node.edges, parts, strict=True):
            # A shadow ends at a leaf; a cotangent of its own goes on.
            if part is not None and edge is not None and (tally is bars or isinstance(edge, Node)):
                give(edge, part, tally)

    recording = state.grad_enabled
    state.grad_enabled = attached
    token = hush()
    try:
        for edge, bar in heads:
            give(edge, bar)
            shared.add(id(bar))
        while queue:
            node = heappop(queue)[1]
            if node.plain and targets is None and not shadows and not pending:
                out_bar = bars.pop(node, None)
            else:
                out_bar = detour(node)
            if out_bar is None:
                continue
            if behind:
                parts = pull(node, out_bar, attached, node in behind)
                if leaves_zeros(node, behind):
                    behind.update(node.edges)
            else:
                parts = pull(node, out_bar, attached)
                if node.primitive is where or node.primitive is guarded_mul:
                    behind.update(node.edges)
            for edge, bar in zip(node.edges, parts, strict=True):
                if edge is None or bar is None or (wanted is not None and edge not in wanted):
                    continue
                known = bars.get(edge)
                if known is not None:
                    bars[edge] = accumulate(known, bar)
                    continue
                bars[edge] = bar
                if isinstance(edge, Node):
                    heappush(queue, (-edge.order, edge))
                elif bar is out_bar or getattr(bar, "base", None) is not None:
                    shared.add(id(bar))
            if not retain and not node.light:
                # Freed here, one node at a time, so that a long chain is never freed recursively.
                node.free()
        for leaf, bar in bars.items():
            if isinstance(leaf, Node) or (targets is not None and leaf not in targets):
                continue
            if leaf._hooks:
                given, bar = bar, _apply_hooks(leaf._hooks, bar)
                if bar is not given:
                    shared.add(id(bar))
            results[leaf] = np.array(bar) if id(bar) in shared and not attached else bar
    finally:
        restore(token)
        state.grad_enabled = recording
    return results


def leaves_zeros(node: Node, behind: set[Any]) -> bool:
    """Return whether a node's cotangents can be 0 because `where` did not select their branch."""
    if node.primitive is where or node.primitive is guarded_mul:
        return True
    return node in behind and type(node.primitive.lowering) is not Contract


def leads_to(targets: set[Any], heads: Sequence[Edge], boundary: bool) -> set[Any]:
    """Return the targets and the nodes above `heads` through which a target is reached."""
    wanted = set(targets)
    for node in ancestors(heads):
        if leads_on(node, wanted):
            wanted.add(node)
    if not boundary:
        return wanted
    # Only what is reached without passing a target counts.
    reached = set(targets)
    pending = [h for h in heads if h in wanted and h not in targets]
    while pending:
        node = pending.pop()
        if node in reached:
            continue
        reached.add(node)
        edges = (*node.edges, node.bypass[0]) if node.bypass is not None else node.edges
        pending.extend(e for e in edges if e in wanted and e not in reached)
    return reached


def leads_on(node: Node, wanted: set[Any]) -> bool:
    """Return whether one of a node's edges is wanted."""
    if node.bypass is not None and node.bypass[0] in wanted:
        return True
    return any(edge is not None and edge in wanted for edge in node.edges)


class _Pending:
    """A recognised composition whose passed-by values somebody watches.

    log(softmax(x)) sends its cotangent straight to x. Where a value that is passed by has a hook,
    retains its gradient or is a target, the ordinary cotangents are computed too, as shadows: they
    are shown to the watchers and end at the head (softmax), and only then the better way is taken.
    If a hook changes one, the bypass is cancelled and the changed cotangent goes the ordinary way.
    There can be several heads (two calls of exp on one operand); what has arrived at one is held
    until the last one is reached.
    """

    __slots__ = ("edge", "heads", "held", "last", "out_bar", "passed")

    def __init__(self, passed: tuple[Node, ...], edge: Edge, out_bar: Any) -> None:
        self.passed = passed
        self.edge = edge
        self.out_bar = out_bar
        self.heads = [n for n in passed if not any(e is p for e in n.edges for p in passed)]
        self.last = min(self.heads, key=lambda n: n.order)
        self.held: list[tuple[Node, Any]] = []


def _observed(passed: tuple[Node, ...], targets: set[Any] | None) -> bool:
    return any(
        n.hooks or n.retained is not None or (targets is not None and n in targets) for n in passed
    )


def _total(a: Any, b: Any) -> Any:
    if a is None:
        return b
    return a if b is None else accumulate(a, b)


def _apply_hooks(hooks: Sequence[Callable[[Any], Any]], bar: Any) -> Any:
    for hook in list(hooks):
        value = bar if isinstance(bar, Value) else new_value(np.asarray(bar), None, False)
        changed = hook(value)
        if changed is not None:
            shape = tuple(value.shape)
            if not isinstance(changed, Value) or tuple(changed.shape) != shape:
                shown = (
                    f"a Tensor of shape {tuple(changed.shape)}"
                    if isinstance(changed, Value)
                    else type(changed).__name__
                )
                raise GradientError(
                    explain(
                        f"hook: {getattr(hook, '__name__', 'a hook')} returned {shown} for a"
                        f" gradient of shape {shape}; return a Tensor of that shape, or None."
                    )
                )
            bar = changed if isinstance(bar, Value) else changed._value
    return bar


def _observe(node: Node, bar: Any, targets: set[Any] | None, results: dict[Any, Any]) -> Any:
    """Let hooks, `retain_grad` and the targets see the cotangent of a node."""
    if node.hooks:
        bar = _apply_hooks(node.hooks, bar)
    if node.retained is not None:
        tensor = node.retained()
        if tensor is not None:
            value = bar if isinstance(bar, Value) else new_value(np.array(bar), None, False)
            tensor._grad = value if tensor._grad is None else add(tensor._grad, value)
    if targets is not None and node in targets:
        results[node] = bar
    return bar
