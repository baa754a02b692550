"""Control flow over subgraphs: cond, while, scan, checkpoint.

Invariant: the graphs in `params` are closed, so that all they read is among the operands (or an
array inside). A record says what is computed; its derivative and its batching transform the
subgraphs, which is the work of a higher layer: that layer gives its rules to `rules` in one call.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from slopewise._core.aval import Aval
from slopewise._core.graph import Primitive, aval_of, bind
from slopewise._core.rules import Control, Higher, Rule, Sample, Text
from slopewise._core.state import state
from slopewise._core.trace import Graph
from slopewise._core.value import Array, Value


class _Rules:
    """The rules that transform subgraphs, by primitive name; `install` sets them once."""

    pull: dict[str, Rule]
    push: dict[str, Rule]
    batch: dict[str, Rule]
    settle: Rule


rules = _Rules()


def install(
    pull: dict[str, Rule], push: dict[str, Rule], batch: dict[str, Rule], settle: Rule
) -> None:
    """Give the records of this file their derivatives, batching rules and activity rule."""
    rules.pull, rules.push, rules.batch, rules.settle = pull, push, batch, settle


class _ControlPrimitive(Primitive):
    """A primitive of which some outputs may not depend on what is differentiated."""

    def __call__(self, *operands: Any, **params: Any) -> Any:
        if any(isinstance(x, Value) for x in operands) or state.recorder is not None:
            return rules.settle(bind(self, operands, params))
        return self.kernel(*operands, **params)


def avals_out(graph: Graph) -> list[Aval]:
    """Return the shapes and dtypes of a graph's outputs."""
    return [Aval(o.shape, o.dtype) if hasattr(o, "dtype") else aval_of(o) for o in graph.outputs]


def _own(results: Sequence[Any]) -> tuple[Array, ...]:
    """Return copies: an output may be an operand, or a constant of the graph."""
    return tuple(np.array(x) for x in results)


def _run_cond(pred: Any, *operands: Any, taken: Graph, other: Graph) -> Any:
    return _own((taken if bool(np.asarray(pred)) else other)(*operands))


def _run_while(*operands: Any, test: Graph, body: Graph, carries: int, test_consts: int) -> Any:
    carry: Sequence[Any] = operands[:carries]
    of_test, of_body = operands[carries : carries + test_consts], operands[carries + test_consts :]
    while bool(np.asarray(test(*carry, *of_test)[0])):
        carry = body(*carry, *of_body)
    return _own(carry)


def _run_scan(
    *operands: Any, body: Graph, consts: int, carries: int, length: int, reverse: bool
) -> Any:
    fixed, xs = operands[:consts], operands[consts + carries :]
    carry: Sequence[Any] = operands[consts : consts + carries]
    ys = [np.empty((length, *a.shape), a.dtype) for a in avals_out(body)[carries:]]
    for i in reversed(range(length)) if reverse else range(length):
        results = body(*fixed, *carry, *[x[i] for x in xs])
        carry = results[:carries]
        for y, part in zip(ys, results[carries:], strict=True):
            y[i] = part
    return (*_own(carry), *ys)


def _run_checkpoint(*operands: Any, body: Graph, again: bool = False) -> Any:
    del again
    return _own(body(*operands))


def _abstract_scan(
    *avals: Aval, body: Graph, consts: int, carries: int, length: int, reverse: bool
) -> Any:
    del reverse
    ys = avals_out(body)[carries:]
    return (
        *avals[consts : consts + carries],
        *(Aval((length, *a.shape), a.dtype) for a in ys),
    )


def _record(name: str, value: Rule, abstract: Rule, text: Text) -> Primitive:
    """Return a record whose transformations are looked up when they are asked for."""

    def pull(node: Any, out_bar: Any) -> Any:
        return rules.pull[name](node, out_bar)

    def push(node: Any, tangents: Any) -> Any:
        return rules.push[name](node, tangents)

    def batch(operands: Any, batched: Any, size: int, **params: Any) -> Any:
        return rules.batch[name](operands, batched, size, **params)

    def samples(rng: np.random.Generator) -> tuple[Sample, ...]:
        # Operands of a subgraph depend on the function that was traced.
        del rng
        return ()

    return _ControlPrimitive(
        name,
        value=value,
        derivative=Higher(pull, push),
        lowering=Control(),
        abstract=abstract,
        batch=batch,
        samples=samples,
        text=text,
    )


cond = _record(
    "cond",
    _run_cond,
    lambda pred, *avals, taken, other: tuple(avals_out(taken)),
    Text("by cases", "경우를 나눈 미분", r"(u \text{ if } c \text{ else } v)' = u'\text{ or }v'"),
)
while_ = _record(
    "while",
    _run_while,
    lambda *avals, carries, **_rest: tuple(avals[:carries]),
    Text("loop, step by step", "반복: 단계마다 합성함수의 미분법", r"(f_n\circ\dots\circ f_1)'"),
)
scan = _record(
    "scan",
    _run_scan,
    _abstract_scan,
    Text("loop, step by step", "반복: 단계마다 합성함수의 미분법", r"(f_n\circ\dots\circ f_1)'"),
)
checkpoint = _record(
    "checkpoint",
    _run_checkpoint,
    lambda *avals, body, again=False: tuple(avals_out(body)),
    Text("computed again", "다시 계산함", r"f'"),
)

PRIMITIVES = (cond, while_, scan, checkpoint)
