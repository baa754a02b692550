"""Sums: folds and contractions, and the sums of products that are less work without the product.

Invariant: a product goes to the BLAS, to a kernel of its own or into a sum by its shapes alone. It
is separate from what is computed element by element.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

from slopewise._compile.factoring import WORTH, find_factors
from slopewise._compile.loops import Axis, Buffer, Index, Pool, Term, linearise
from slopewise._compile.pieces import Pieces
from slopewise._compile.products import LARGE, match_product, suits_blas
from slopewise._compile.reading import (
    COMBINE,
    ContractionPlan,
    Reader,
    apply_body,
    reduced_axes,
)
from slopewise._compile.steps import Fold, Kernel, Store
from slopewise._ops.arithmetic import neg
from slopewise._transform.expression import Expression

ABREAST = 8  # results side by side, and terms of each, for which a factor is turned
SHARED = 16  # rows that read it

_PASSED = ("neg", "transpose")  # between a product and a sum over its rows


@dataclass(frozen=True)
class SummedProduct:
    """A product that is needed for a sum over its rows or columns alone.

    `order` says which of the product's axes each axis of the summed operand is.
    """

    product: Expression
    plan: ContractionPlan
    negated: bool
    order: list[int]


class Sums(Pieces):
    """Schedules buffers whose elements are folds."""

    def __init__(self, pool: Pool, table: Any, reader: Reader | None = None) -> None:
        super().__init__(pool, table, reader)
        self.uses: dict[int, list[Expression]] = {}
        self.roots: set[int] = set()

    def _is_summed(self, product: Expression) -> bool:
        """Return whether a product is used by one sum alone, which is less work without it."""
        expression = product
        while True:
            uses = self.uses.get(expression.number, ())
            if len(uses) != 1 or expression.number in self.roots:
                return False
            (expression,) = uses
            if expression.name not in _PASSED:
                found = self._summed_product(expression)
                return found is not None and found.product is product

    def _summed_product(self, total: Expression) -> SummedProduct | None:
        """Return the product whose rows or columns a sum adds up; None if it needs that product."""
        if total.name != "sum" or total.dtype.kind != "f":
            return None
        product, negated = total.operands[0], False
        order = list(range(len(product.shape)))  # the product's axes, in the order of the sum's
        while product.name in _PASSED and product.number not in self.reader.placed:
            if product.name == "neg":
                negated = not negated
            else:
                order = [product.params["axes"][a] for a in order]
            if len(self.uses.get(product.number, ())) != 1 or product.number in self.roots:
                return None
            (product,) = product.operands
        if product.name != "contract" or product.data is not None:
            return None
        if product.number in self.reader.placed or product.number in self.roots:
            return None
        if len(self.uses.get(product.number, ())) != 1:
            return None
        plan = ContractionPlan(product)
        batch = len(plan.x_batch)
        rows = range(batch, batch + len(plan.x_free))
        folded = [order[a] for a in reduced_axes(total)[0]]
        of_x = all(a in rows for a in folded)
        if not of_x and any(a < rows.stop for a in folded):
            return None
        whole = prod(product.operands[0 if of_x else 1].shape)
        points = prod(product.shape) * prod(plan.inner)
        left = points // max(1, prod(product.shape[a] for a in folded))
        if WORTH * (whole + left) > points:
            return None
        return SummedProduct(product, plan, negated, order)

    def _sum_product(self, total: Expression, buffer: Buffer, found: SummedProduct) -> bool:
        """Schedule a sum over a product's rows or columns as one sum, if that can be factored."""
        product, plan = found.product, found.plan
        x, y = product.operands
        count = len(product.shape)

        def build(at: tuple[Index, ...]) -> Term:
            at_x, at_y = plan.operands(at[:count], at[count:])
            pair = (self.reader.read(x, at_x), self.reader.read(y, at_y))
            term = self.pool.op("mul", COMBINE["mul"], pair, {}, total.dtype, 1.0)
            return apply_body(self.pool, neg, (term,), total.dtype) if found.negated else term

        dims = (*product.shape, *plan.inner)
        axes, indices, term = self._read(product, [[n] for n in dims], build)
        folded, keepdims = reduced_axes(total)
        at = [indices[a] for a in found.order]
        summed = [at[k] for k in folded] + list(indices[count:])
        out = tuple(
            Index(0) if k in folded else i for k, i in enumerate(at) if keepdims or k not in folded
        )
        reduced = frozenset(a for i in summed for a in i.axes())
        if find_factors(axes, reduced, term) is None:
            self.place(product)
            return False
        self.join(axes, Fold(buffer, out, term, "add"), total, reduced)
        return True

    def _reduce(self, expression: Expression, buffer: Buffer, operation: str) -> None:
        operand = expression.operands[0]
        found = self._summed_product(expression) if operation == "add" else None
        if found is not None and self._sum_product(expression, buffer, found):
            return
        if operation.startswith("arg"):
            axis = expression.params["axis"]
            folded: tuple[int, ...] = (axis,)
            keepdims = bool(expression.params.get("keepdims", False))
        else:
            folded, keepdims = reduced_axes(expression)
        axes, indices, term = self._read(
            operand, [[n] for n in operand.shape], partial(self.reader.read, operand)
        )
        reduced = frozenset(a for k in folded for a in indices[k].axes())
        out = tuple(
            Index(0) if k in folded else i
            for k, i in enumerate(indices)
            if keepdims or k not in folded
        )
        if not prod(operand.shape) and operation in ("minimum", "maximum", "argmax", "argmin"):
            self.call(expression, [buffer])
            return
        self.join(axes, Fold(buffer, out, term, operation), expression, reduced)

    def _contract(self, expression: Expression, buffer: Buffer) -> None:
        x, y = expression.operands
        plan = ContractionPlan(expression)
        out = expression.shape
        inner = plan.inner

        def build(at: tuple[Index, ...]) -> Term:
            at_x, at_y = plan.operands(at[: len(out)], at[len(out) :])
            pair = (self.reader.read(x, at_x), self.reader.read(y, at_y))
            if expression.dtype.kind == "b":
                return self.pool.op("and", COMBINE["and"], pair, {}, expression.dtype, 1.0)
            return self.pool.op("mul", COMBINE["mul"], pair, {}, expression.dtype, 1.0)

        dims = (*out, *inner)
        axes, indices, term = self._read(expression, [[n] for n in dims], build)
        reduced = frozenset(a for i in indices[len(out) :] for a in i.axes())
        if prod(dims) >= LARGE and expression.dtype.kind == "f":
            for attempt in range(2):
                product = match_product(buffer, axes, indices[: len(out)], term)
                if product is not None and suits_blas(product, self._is_fixed(product.y)):
                    self.add(product)
                    return
                if product is not None:
                    break
                if attempt == 0 and min(prod(x.shape), prod(y.shape)) < prod(dims) // 16:
                    # Operands that are computed or lie across are copied to memory first.
                    self.place(x)
                    self.place(y)
                    axes, indices, term = self._read(expression, [[n] for n in dims], build)
            reduced = frozenset(a for i in indices[len(out) :] for a in i.axes())
        operation = "or" if expression.dtype.kind == "b" else "add"
        if reduced and out:
            term = self._turned(term, indices[len(out) - 1], reduced)
        fold = Fold(buffer, tuple(indices[: len(out)]), term, operation)
        if not reduced and prod((*out, *inner)):
            self.join(axes, Store(buffer, fold.indices, term), expression)
            return
        self.join(axes, fold, expression, reduced)

    def _is_fixed(self, buffer: Buffer) -> bool:
        """Return whether a buffer is the same in all rounds of the loop around these steps."""
        return self.nested and buffer.home.number not in self.made and buffer.home.kind != "carry"

    def _turned(self, term: Term, last: Index, reduced: frozenset[Axis]) -> Term:
        """Return a product that reads a turned copy of a factor whose columns are summed along.

        Then the lanes of a vector are results side by side, and are not added up at the end.
        """
        if len(last.terms) != 1 or last.terms[0][0].size < ABREAST:
            return term
        axis = last.terms[0][0]
        factors = list(term.operands)
        for k, factor in enumerate(factors):
            if factor.kind != "load" or factor.operands or axis in factors[1 - k].axes:
                continue
            buffer, places = factor.data
            if len(places) != len(buffer.shape):
                continue
            strides = dict(linearise(places, buffer.shape).terms)
            again = prod(a.size for a in factors[1 - k].axes if a not in strides)
            shared = again >= SHARED or self._is_fixed(buffer)
            if strides.get(axis, 1) == 1 or not shared:
                continue
            if not any(strides.get(a) == 1 and a.size >= ABREAST for a in reduced):
                continue
            order = [*(a for a in strides if a is not axis), axis]
            fresh = self.pool.domain(tuple(a.size for a in order))
            turned = self.pool.buffer(tuple(a.size for a in order), buffer.dtype, "scratch")
            home = dict(zip(order, fresh, strict=True))
            source = tuple(
                Index(i.constant, tuple(sorted(((home[a], c) for a, c in i.terms),
                                               key=lambda x: x[0].number)))
                for i in places
            )  # fmt: skip
            here = tuple(Index(0, ((a, 1),)) for a in fresh)
            copy = Store(turned, here, self.pool.load(buffer, source))
            self.add(Kernel(fresh, stores=[copy], names=["turn"]))
            factors[k] = self.pool.load(turned, tuple(Index(0, ((a, 1),)) for a in order))
        body, params, name = term.data
        return self.pool.op(name, body, tuple(factors), params, term.dtype, term.cost)
