"""Derivatives and batching of control flow: rules over subgraphs.

Invariant: each rule gives control flow again, of constant size: the tangent of a scan is a scan,
its cotangent a scan the other way over what the first one kept. A pullback makes the recorded scan
itself give out the residuals, so that the forward loop runs once. It is separate from the records,
which lie below the transforms.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from slopewise._core.aval import Aval
from slopewise._core.graph import Node, select_output
from slopewise._core.source import locate
from slopewise._core.state import enable_grad
from slopewise._core.trace import Graph, placeholder
from slopewise._core.value import Value
from slopewise._ops import control as records
from slopewise._ops.arithmetic import add
from slopewise._ops.comparison import logical_and, where
from slopewise._ops.reduction import any as any_of
from slopewise._ops.shape import reshape, transpose
from slopewise._transform.inputs import as_values, edge_of, mark
from slopewise._transform.linearise import (
    Mapped,
    Replay,
    close_graph,
    fill,
    present,
    reads,
    settle_batched,
    settle_moving,
    spread,
    stand_ins,
    value_at,
    zeros_for,
)
from slopewise._transform.vjp import read_operands, read_out, walk_back
from slopewise._transform.vmap import batch_graph
from slopewise.errors import GradientError

Bars = Sequence[Any]


def _moving(node: Node) -> list[bool]:
    """Return which operands a gradient can flow to."""
    return [
        e is not None and e.dtype.kind == "f" and (not isinstance(e, Node) or e.active)
        for e in node.edges
    ]


def _is_abstract(node: Node) -> bool:
    return any(isinstance(o, Aval) for o in node.out)


def _scatter(found: Sequence[Any], flags: Sequence[bool]) -> list[Any]:
    """Return the entries of `found` where `flags` hold, None elsewhere."""
    rest = iter(found)
    return [next(rest) if f else None for f in flags]


# --- scan ----------------------------------------------------------------------------------------

# What a scan node was replayed as, so that all its pullbacks add to one set of residuals.
_REPLAYS: WeakKeyDictionary[Node, Replay] = WeakKeyDictionary()


def _replay_scan(node: Node) -> Replay:
    """Return the body of a scan, replayed on what moves; the same one for each pullback."""
    replay = _REPLAYS.get(node)
    if replay is None:
        params = node.params
        replay = settle_moving(params["body"], _moving(node), params["consts"], params["carries"])
        _REPLAYS[node] = replay
    return replay


def pull_scan(node: Node, out_bar: Bars) -> Bars:
    """Reverse mode: a scan the other way; cotangents of consts add up in carries."""
    consts, carries = node.params["consts"], node.params["carries"]
    if not node.params["length"]:  # what comes out is what went in
        rest = len(read_operands(node, True)) - consts - carries
        return [*(None for _ in range(consts)), *out_bar[:carries], *(None for _ in range(rest))]
    replay = _replay_scan(node)
    wide = [*out_bar, *(None for _ in replay.outputs[len(out_bar) :])]
    live = [b is not None and d for b, d in zip(wide, replay.depends, strict=True)]
    while True:
        bars = stand_ins(replay.outputs, live)
        found = replay.pull(bars)
        grown = [k for k in range(carries) if found[consts + k] is not None and not live[k]]
        if not grown:
            break
        for k in grown:
            live[k] = True
    held = [found[i] is not None for i in range(consts)]
    sums = stand_ins(replay.inputs[:consts], held)
    with enable_grad():
        added = [add(s, found[i]) for i, s in enumerate(sums) if s is not None]
    flowing = [k for k in range(carries) if live[k]]
    results = [
        *(fill(found[consts + k], replay.inputs[consts + k]) for k in flowing),
        *added,
        *present(found[consts + carries :]),
    ]
    steady = replay.edges[:consts]
    edges = replay.read_by(results, set(steady))
    again = [e for e in replay.edges[consts + carries :] if e in edges]
    kept = [e for e in edges if e not in again]
    operands = read_operands(node, True)
    stacks = _keep(node, replay, kept, carries)
    inputs = [
        *steady,
        *present(bars[:carries]), *present(sums),
        *present(bars[carries:]), *kept, *again,
    ]  # fmt: skip
    used = reads(close_graph(inputs, results))
    fixed = [e for e in steady if e in used]
    place = {e: i for i, e in enumerate(replay.edges)}
    outs = records.scan(
        *(operands[place[e]] for e in fixed),
        *(zeros_for(wide[k], replay.outputs[k]) for k in flowing),
        *(np.zeros(s.shape, s.dtype) for s in present(sums)),
        *(wide[k] for k in range(carries, len(live)) if live[k]),
        *stacks,
        *(operands[place[e]] for e in again),
        body=close_graph([*fixed, *inputs[consts:]], results),
        consts=len(fixed),
        carries=len(flowing) + len(added),
        length=node.params["length"],
        reverse=not node.params["reverse"],
    ) if results else ()  # fmt: skip
    first, second = len(flowing), len(flowing) + len(added)
    return [
        *_scatter(outs[first:second], held),
        *_scatter(outs[:first], live[:carries]),
        *_scatter(outs[second:], [f is not None for f in found[consts + carries :]]),
    ]


def _keep(node: Node, replay: Replay, kept: Sequence[Any], carries: int) -> list[Any]:
    """Return the stacks of body values over all steps, given out by the scan itself."""
    place: dict[Any, int] = {
        o._edge: k
        for k, o in enumerate(replay.outputs)
        if k >= carries and isinstance(o, Value) and o._edge is not None
    }
    for edge in kept:
        if edge not in place:
            place[edge] = len(replay.outputs)
            replay.outputs.append(value_at(edge))
    length = node.params["length"]
    wanted = [place[e] for e in kept]
    if not _is_abstract(node):
        if all(k < len(node.out) for k in wanted):
            outs = read_out(node, True)
        else:
            body = close_graph(replay.edges, replay.outputs)
            outs = records.scan(*read_operands(node, True), **{**node.params, "body": body})
        return [outs[k] for k in wanted]
    if len(replay.outputs) > len(node.out):
        # Outputs are only added, so what was read of this node stays as it was.
        node.params = {**node.params, "body": close_graph(replay.edges, replay.outputs)}
        added = replay.outputs[len(node.out) :]
        node.out = (*node.out, *(Aval((length, *o.shape), o.dtype) for o in added))
    stacks: list[Any] = []
    for k in wanted:
        edge = select_output(node, k, node.out[k])
        edge.active = replay.depends[k]
        stacks.append(value_at(edge))
    return stacks


def push_scan(node: Node, tangents: Bars) -> Any:
    """Forward mode: values and tangents are carried together."""
    consts, carries = node.params["consts"], node.params["carries"]
    given = [t is not None for t in tangents]
    replay = settle_moving(node.params["body"], given, consts, carries)
    dots = stand_ins(replay.inputs, replay.moving)
    out_dots = replay.push(dots)
    flowing = replay.moving[consts : consts + carries]
    middle, after = consts, consts + carries
    carried = [fill(out_dots[k], replay.outputs[k]) if f else None for k, f in enumerate(flowing)]
    body = close_graph(
        [
            *replay.inputs[:middle], *present(dots[:middle]),
            *replay.inputs[middle:after], *present(dots[middle:after]),
            *replay.inputs[after:], *present(dots[after:]),
        ],
        [*replay.outputs[:carries], *present(carried), *present(out_dots[carries:])],
    )  # fmt: skip
    operands = read_operands(node, True)
    seeds = [
        zeros_for(t, x) if m else None
        for t, x, m in zip(tangents, replay.inputs, replay.moving, strict=True)
    ]
    count = carries + len(present(carried))
    outs = records.scan(
        *operands[:middle], *present(seeds[:middle]),
        *operands[middle:after], *present(seeds[middle:after]),
        *operands[after:], *present(seeds[after:]),
        body=body, consts=consts + len(present(seeds[:middle])), carries=count,
        length=node.params["length"], reverse=node.params["reverse"],
    )  # fmt: skip
    return (
        *_scatter(outs[carries:count], flowing),
        *_scatter(outs[count:], [d is not None for d in out_dots[carries:]]),
    )


def batch_scan(
    operands: Bars, batched: Sequence[bool], size: int, *, body: Graph, consts: int, carries: int,
    length: int, reverse: bool,
) -> Any:  # fmt: skip
    """Map the body; the time axis stays in front of the batch axis."""
    mapped, flags = settle_batched(body, batched, consts, carries, size)
    after = consts + carries
    wanted = [*flags[consts:after], *mapped.flags[carries:]]
    full = [
        spread(x, b, size) if f else x
        for x, b, f in zip(operands[:after], batched, flags, strict=False)
    ]
    xs = [_swap(x) if b else x for x, b in zip(operands[after:], batched[after:], strict=True)]
    outs = records.scan(
        *full, *xs, body=mapped.close(wanted), consts=consts, carries=carries, length=length,
        reverse=reverse,
    )  # fmt: skip
    return tuple(
        spread(x, b, size) if k < carries or not b else _swap(x)
        for k, (x, b) in enumerate(zip(outs, wanted, strict=True))
    )


def _swap(x: Any) -> Any:
    """Exchange the first two axes."""
    return transpose(x, axes=(1, 0, *range(2, len(x.shape))))


# --- while ---------------------------------------------------------------------------------------


def pull_while(node: Node, out_bar: Bars) -> Bars:
    """Reverse mode where the trip count is known by now: run again, and walk back."""
    operands = as_values(read_operands(node, True))
    if any(x._value is None for x in operands):
        raise GradientError(
            f"while_loop ({locate(node.place)}): reverse mode through a traced loop whose trip"
            " count is not known would have to store an unknown number of steps. Give while_loop"
            " max_steps=..., use fori_loop or scan with a bound (and where() to stop early), or"
            " forward mode (jvp)."
        )
    carries, count = node.params["carries"], node.params["test_consts"]
    moving = _moving(node)
    marked = [mark(x, "while_loop") if m else x for x, m in zip(operands, moving, strict=True)]
    carry = marked[:carries]
    of_test, of_body = marked[carries : carries + count], marked[carries + count :]
    with enable_grad():
        while bool(np.asarray(as_values(node.params["test"](*carry, *of_test))[0]._value)):
            carry = as_values(node.params["body"](*carry, *of_body))
    heads = [
        (edge_of(o), as_values([b])[0])
        for o, b in zip(carry, out_bar, strict=True)
        if b is not None and o._requires_grad
    ]
    targets = {edge_of(x) for x, m in zip(marked, moving, strict=True) if m}
    found = walk_back(heads, targets, attached=True, retain=True, boundary=True)
    return [found.get(edge_of(x)) if m else None for x, m in zip(marked, moving, strict=True)]


def push_while(node: Node, tangents: Bars) -> Any:
    """Forward mode: the loop carries values and tangents together."""
    carries, count = node.params["carries"], node.params["test_consts"]
    split = carries + count
    given = [t is not None for t in (*tangents[:carries], *tangents[split:])]
    replay = settle_moving(node.params["body"], given, 0, carries)
    dots = stand_ins(replay.inputs, replay.moving)
    out_dots = replay.push(dots)
    flowing = replay.moving[:carries]
    carried = [fill(out_dots[k], replay.outputs[k]) for k, f in enumerate(flowing) if f]
    body = close_graph(
        [
            *replay.inputs[:carries], *present(dots[:carries]),
            *replay.inputs[carries:], *present(dots[carries:]),
        ],
        [*replay.outputs, *carried],
    )  # fmt: skip
    asked = Replay(node.params["test"], [False] * split)
    test = close_graph(
        [*asked.inputs[:carries], *stand_ins(present(dots[:carries]), [True] * len(carried)),
         *asked.inputs[carries:]],
        asked.outputs,
    )  # fmt: skip
    operands = read_operands(node, True)
    starts = [
        zeros_for(t, x)
        for t, x, f in zip(tangents, replay.inputs[:carries], flowing, strict=False)
        if f
    ]
    outs = records.while_(
        *operands[:carries], *starts, *operands[carries:], *present(tangents[split:]),
        test=test, body=body, carries=carries + len(starts), test_consts=count,
    )  # fmt: skip
    return tuple(_scatter(outs[carries:], flowing))


def batch_while(
    operands: Bars, batched: Sequence[bool], size: int, *, test: Graph, body: Graph, carries: int,
    test_consts: int,
) -> Any:  # fmt: skip
    """Run until no example continues; examples that are done keep their carry."""
    split = carries + test_consts
    of_test, of_body = list(batched[carries:split]), list(batched[split:])
    mapped, flags = settle_batched(body, [*batched[:carries], *of_body], 0, carries, size)
    asked = Mapped(test, [*flags[:carries], *of_test], size)
    if not asked.flags[0]:
        wanted = flags[:carries]
        outs = records.while_(
            *(spread(x, b, size) if w else x
              for x, b, w in zip(operands, batched, wanted, strict=False)),
            *operands[carries:],
            test=asked.close([False]), body=mapped.close(wanted), carries=carries,
            test_consts=test_consts,
        )  # fmt: skip
        return tuple(spread(x, w, size) for x, w in zip(outs, wanted, strict=True))
    # The first carry says which examples still run.
    every = [True] * carries
    asked = Mapped(test, [*every, *of_test], size)
    going = asked.close([True])
    step = Mapped(body, [*every, *of_body], size).close(every)
    with enable_grad():
        mask = placeholder(Aval((size,), np.dtype(np.bool_)))
        old = [placeholder(Aval(x.shape, x.dtype)) for x in asked.inputs[:carries]]
        of_test_in = [placeholder(Aval(x.shape, x.dtype)) for x in asked.inputs[carries:]]
        of_body_in = [placeholder(Aval(e.shape, e.dtype)) for e in step.inputs[carries:]]
        new = [
            where(reshape(mask, shape=(size, *(1,) * (a.ndim - 1))), b, a)
            for a, b in zip(old, step(*old, *of_body_in), strict=True)
        ]
        after = logical_and(mask, going(*new, *of_test_in)[0])
        head = placeholder(Aval((size,), np.dtype(np.bool_)))
        some = any_of(head, axes=(0,), keepdims=False)
    carry = [spread(x, b, size) for x, b in zip(operands[:carries], batched, strict=False)]
    start = going(*carry, *operands[carries:split])[0]
    outs = records.while_(
        start, *carry, *operands[carries:split], *operands[split:],
        test=close_graph([head, *stand_ins(old, every)], [some]),
        body=close_graph([mask, *old, *of_test_in, *of_body_in], [after, *new]),
        carries=carries + 1, test_consts=0,
    )  # fmt: skip
    return tuple(outs[1:])


# --- cond ----------------------------------------------------------------------------------------


def pull_cond(node: Node, out_bar: Bars) -> Bars:
    """Reverse mode: the pullback of the branch that was taken, which is computed again."""
    moving = _moving(node)[1:]
    live = [b is not None for b in out_bar]
    sides: list[tuple[list[Any], list[Any]]] = []
    for name in ("taken", "other"):
        replay = Replay(node.params[name], moving)
        bars = stand_ins(replay.outputs, live)
        sides.append(([*replay.inputs, *present(bars)], replay.pull(bars)))
    return [None, *_choose(node, sides, node.edges[1:], present(out_bar))]


def push_cond(node: Node, tangents: Bars) -> Any:
    """Forward mode: the tangent of the branch that is taken."""
    moving = [t is not None for t in tangents[1:]]
    sides: list[tuple[list[Any], list[Any]]] = []
    for name in ("taken", "other"):
        replay = Replay(node.params[name], moving)
        dots = stand_ins(replay.inputs, moving)
        sides.append(([*replay.inputs, *present(dots)], replay.push(dots)))
    return tuple(_choose(node, sides, node.out, present(tangents[1:])))


def _choose(
    node: Node, sides: Sequence[tuple[list[Any], list[Any]]], like: Sequence[Any], more: Bars
) -> list[Any]:
    """Bind a cond over two pieces of graph; a result that neither has is None."""
    (_, left), (_, right) = sides
    needed = [a is not None or b is not None for a, b in zip(left, right, strict=True)]
    if not any(needed):
        return [None] * len(needed)
    taken, other = (
        close_graph(
            inputs,
            [fill(v, x) for v, x, n in zip(results, like, needed, strict=True) if n],
        )
        for inputs, results in sides
    )
    outs = records.cond(*read_operands(node, True), *more, taken=taken, other=other)
    return _scatter(outs, needed)


def batch_cond(
    operands: Bars, batched: Sequence[bool], size: int, *, taken: Graph, other: Graph
) -> Any:
    """Map both branches; where the predicate is mapped too, compute both and select."""
    pred, rest, flags = operands[0], operands[1:], batched[1:]
    if not batched[0]:
        sides = [Mapped(graph, flags, size) for graph in (taken, other)]
        every = [True] * len(sides[0].flags)
        graphs = [side.close(every) for side in sides]
        return records.cond(pred, *rest, taken=graphs[0], other=graphs[1])
    left = batch_graph(taken, rest, flags, size)
    right = batch_graph(other, rest, flags, size)
    outs: list[Any] = []
    for (a, a_flag), (b, b_flag) in zip(left, right, strict=True):
        x, y = spread(a, a_flag, size), spread(b, b_flag, size)
        outs.append(where(reshape(pred, shape=(size, *(1,) * (len(x.shape) - 1))), x, y))
    return tuple(outs)


# --- checkpoint ----------------------------------------------------------------------------------


def pull_checkpoint(node: Node, out_bar: Bars) -> Bars:
    """Reverse mode: the body once more from its operands, and its pullback, as one step."""
    replay = Replay(node.params["body"], _moving(node))
    bars = stand_ins(replay.outputs, [b is not None for b in out_bar])
    found = replay.pull(bars)
    if not present(found):
        return found
    body = close_graph([*replay.inputs, *present(bars)], present(found))
    outs = records.checkpoint(*read_operands(node, True), *present(out_bar), body=body, again=True)
    return _scatter(outs, [f is not None for f in found])


def push_checkpoint(node: Node, tangents: Bars) -> Any:
    """Forward mode: the tangents, computed from the operands alone."""
    moving = [t is not None for t in tangents]
    replay = Replay(node.params["body"], moving)
    dots = stand_ins(replay.inputs, moving)
    out_dots = replay.push(dots)
    if not present(out_dots):
        return tuple(out_dots)
    params: dict[str, Any] = {
        **node.params,
        "body": close_graph([*replay.inputs, *present(dots)], present(out_dots)),
    }
    outs = records.checkpoint(*read_operands(node, True), *present(tangents), **params)
    return tuple(_scatter(outs, [d is not None for d in out_dots]))


def batch_checkpoint(
    operands: Bars, batched: Sequence[bool], size: int, *, body: Graph, **params: Any
) -> Any:
    """Map the body."""
    mapped = Mapped(body, batched, size)
    graph = mapped.close([True] * len(mapped.flags))
    return records.checkpoint(*operands, body=graph, **params)


def settle_outputs(outs: Sequence[Any]) -> Sequence[Any]:
    """Let no gradient flow to outputs that do not depend on what is differentiated."""
    if not outs or not isinstance(outs[0], Value) or outs[0]._value is not None:
        return outs
    node: Node = as_node(outs[0]).edges[0]
    moving = _moving(node)
    if not node.active or not any(moving):
        return outs
    name, params = node.primitive.name, node.params
    if name == "scan":
        depends = _replay_scan(node).depends
    elif name == "while":
        carries, count = params["carries"], params["test_consts"]
        flags = [*moving[:carries], *moving[carries + count :]]
        depends = settle_moving(params["body"], flags, 0, carries).moving[:carries]
    elif name == "cond":
        sides = [Replay(params[key], moving[1:]).depends for key in ("taken", "other")]
        depends = [a or b for a, b in zip(*sides, strict=True)]
    else:
        depends = Replay(params["body"], moving).depends
    for out, flows in zip(outs, depends, strict=True):
        if not flows:
            out._requires_grad = as_node(out).active = False
    return outs


def as_node(value: Any) -> Node:
    """Return the node of a traced Value."""
    return value._edge


def install() -> None:
    """Give the records of control flow their rules."""
    records.install(
        pull={
            "scan": pull_scan, "while": pull_while, "cond": pull_cond,
            "checkpoint": pull_checkpoint,
        },
        push={
            "scan": push_scan, "while": push_while, "cond": push_cond,
            "checkpoint": push_checkpoint,
        },
        batch={
            "scan": batch_scan, "while": batch_while, "cond": batch_cond,
            "checkpoint": batch_checkpoint,
        },
        settle=settle_outputs,
    )  # fmt: skip
