"""Tidying and expanding: terms rewritten as people leave them, by named rewrites.

Invariant: a rewrite keeps the value wherever the term before it is defined and finite; it may be
defined at more points, as x is where the square of a root of x is not. Factored forms stay, unless
`expand` is asked for. It is separate from the compiler's identities, which must hold for every bit
of every float.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import comb

from slopewise._ops import exponential, powers, trigonometric
from slopewise._transform.expression import Expression, order
from slopewise.explain.reading import NUMBER, Terms, fraction_of

MOST_TERMS = 200  # that expanding may make
_MULTIPLIED_OUT = 20  # nodes of a numerator that is multiplied out to see whether it gets shorter
_ZERO_AT_ZERO = {"sin", "tan", "asin", "atan", "sinh", "tanh", "asinh", "atanh", "sqrt", "abs"}
_ONE_AT_ZERO = {"exp", "cos", "cosh"}
Factors = dict[int, tuple[Expression, Fraction]]
Key = tuple[tuple[int, Fraction], ...]


class Product:
    """A coefficient times powers of bases, in order of appearance."""

    def __init__(self, coefficient: Fraction = Fraction(1)) -> None:
        self.coefficient = coefficient
        self.factors: Factors = {}

    @property
    def key(self) -> Key:
        """The factors whatever their order: like terms have the same."""
        return tuple(sorted((base.number, power) for base, power in self.factors.values()))

    def take(self, base: Expression, exponent: Fraction) -> None:
        """Multiply by a power of a base."""
        known = self.factors.get(base.number)
        if known is None:
            self.factors[base.number] = (base, exponent)
            return
        total = known[1] + exponent
        if total:
            self.factors[base.number] = (base, total)
        else:
            del self.factors[base.number]


def split_product(term: Expression) -> Product:
    """Return a term as a product; a term that is none is a product of one factor."""
    found = Product()
    pending: list[tuple[Expression, int]] = [(term, 1)]
    while pending:
        part, sign = pending.pop()
        number = fraction_of(part)
        if number is not None and (number or sign > 0):
            found.coefficient *= number**sign
        elif part.name == "mul":
            pending += [(part.operands[1], sign), (part.operands[0], sign)]
        elif part.name == "div":
            pending += [(part.operands[1], -sign), (part.operands[0], sign)]
        elif part.name == "neg":
            found.coefficient = -found.coefficient
            pending.append((part.operands[0], sign))
        else:
            base, exponent = _split_power(part)
            found.take(base, exponent * sign)
    return found


def _split_power(term: Expression) -> tuple[Expression, Fraction]:
    if term.name == "sqrt":
        return term.operands[0], Fraction(1, 2)
    if term.name == "pow":
        exponent = _ratio_of(term.operands[1])
        if exponent is not None:
            base = term.operands[0]
            if base.name == "sqrt" and exponent.denominator == 1:
                return base.operands[0], exponent / 2
            return base, exponent
    return term, Fraction(1)


def _ratio_of(term: Expression) -> Fraction | None:
    """Return the number that a term of numbers alone stands for, if it is a plain one."""
    if term.name == "neg":
        inner = _ratio_of(term.operands[0])
        return None if inner is None else -inner
    if term.name == "div":
        above, below = (fraction_of(o) for o in term.operands)
        return above / below if above is not None and below else None
    return fraction_of(term)


def join_product(terms: Terms, product: Product) -> Expression:
    """Return a product as a term: sign, number, factors, all over what divides."""
    coefficient = product.coefficient
    if not coefficient:
        return terms.exact(0)
    above: list[Expression] = []
    below: list[Expression] = []
    places = {x.number: i for i, x in enumerate(terms.inputs)}
    # Letters stand before functions and parentheses.
    listed = sorted(product.factors.values(), key=lambda f: places.get(f[0].number, len(places)))
    for base, exponent in listed:
        size = abs(exponent)
        if size == 1:
            power = base
        elif size == Fraction(1, 2):
            power = terms.call(powers.sqrt, base)
        else:
            power = terms.power(base, terms.exact(size))
        (above if exponent > 0 else below).append(power)
    size = abs(coefficient)
    whole = size.denominator == 1 or (terms.decimals and _is_decimal(size))
    number = terms.number(float(size), NUMBER) if whole else terms.exact(size.numerator)
    if not (above and size.numerator == 1 and (not whole or size == 1)):
        above.insert(0, number)
    if not whole:
        below.insert(0, terms.exact(Fraction(size.denominator)))
    result = _chain(terms.times, above)
    if below:
        result = terms.over(result, _chain(terms.times, below))
    return terms.negative(result) if coefficient < 0 else result


def _is_decimal(number: Fraction) -> bool:
    """Return whether a number can be written with a point: 0.5 can, a third cannot."""
    below = number.denominator
    for prime in (2, 5):
        while below % prime == 0:
            below //= prime
    return below == 1


def _chain(
    join: Callable[[Expression, Expression], Expression], parts: Sequence[Expression]
) -> Expression:
    result = parts[0]
    for part in parts[1:]:
        result = join(result, part)
    return result


def split_sum(terms: Terms, term: Expression) -> list[tuple[Fraction, Expression | None]]:
    """Return a term as coefficients and what they multiply; None stands for 1."""
    found: dict[Key, list[object]] = {}
    pending: list[tuple[Expression, int]] = [(term, 1)]
    while pending:
        part, sign = pending.pop()
        if part.name in ("add", "sub"):
            second = sign if part.name == "add" else -sign
            pending += [(part.operands[1], second), (part.operands[0], sign)]
            continue
        if part.name == "neg":
            pending.append((part.operands[0], -sign))
            continue
        coefficient, key, rest = _split_part(terms, part)
        known = found.setdefault(key, [Fraction(0), rest])
        known[0] = known[0] + coefficient * sign  # type: ignore[operator]
    return [(c, r) for c, r in found.values() if c]  # type: ignore[misc]


def _split_part(terms: Terms, part: Expression) -> tuple[Fraction, Key, Expression | None]:
    """Return a part of a sum as its coefficient, the key of like parts, and the rest.

    Sums grow part by part, so each part is split as often as there are sums that hold it.
    """
    known = terms.parts.get(part.number)
    if known is None:
        product = split_product(part)
        coefficient, product.coefficient = product.coefficient, Fraction(1)
        rest = join_product(terms, product) if product.factors else None
        known = terms.parts[part.number] = (coefficient, product.key, rest)
    return known


def join_sum(terms: Terms, parts: Sequence[tuple[Fraction, Expression | None]]) -> Expression:
    """Return a sum as a term; it starts with something positive if anything is."""
    if not parts:
        return terms.exact(0)
    listed = list(parts)
    first = next((i for i, (c, _) in enumerate(listed) if c > 0), 0)
    listed.insert(0, listed.pop(first))
    result: Expression | None = None
    for coefficient, rest in listed:
        size = abs(coefficient) if result is not None else coefficient
        part = _scale(terms, size, rest)
        if result is None:
            result = part
        else:
            result = (terms.plus if coefficient > 0 else terms.minus)(result, part)
    assert result is not None
    return result


def tidy(terms: Terms, term: Expression) -> Expression:
    """Return a term tidied: numbers folded, zeros and ones gone, like terms collected.

    Parameters
    ----------
    terms : Terms
        Where the term was made.
    term : Expression

    Returns
    -------
    Expression
    """
    return terms.rewrite("tidy", term, lambda x: _tidy_one(terms, x))


def expand(terms: Terms, term: Expression) -> Expression:
    """Return a term with products of sums multiplied out, and like terms collected."""
    return terms.rewrite("expand", term, lambda x: _tidy_one(terms, _expand_one(terms, x)))


def is_polynomial(root: Expression) -> bool:
    """Return whether a term is made of variables and numbers by sums, products and whole powers."""
    for term in order([root]):
        name = term.name
        if name in ("input", "constant", "add", "sub", "mul", "neg"):
            continue
        exponent = _ratio_of(term.operands[-1]) if name in ("pow", "div") else None
        whole = exponent is not None and (name == "div" or exponent.denominator == 1)
        if not whole or (name == "pow" and exponent is not None and exponent < 0):
            return False
    return True


def _tidy_one(terms: Terms, term: Expression) -> Expression:
    """Return a term whose operands are tidy, tidied."""
    name = term.name
    if name in ("add", "sub"):
        return join_sum(terms, split_sum(terms, term))
    if name in ("mul", "div", "neg"):
        product = _merge_exponentials(terms, _spread_powers(split_product(term)))
        return join_product(terms, _cancel(terms, product))
    if name == "pow":
        return _tidy_power(terms, term)
    if name in ("sum", "reshape", "transpose"):
        product = split_product(term.operands[0])
        if product.coefficient != 1 and product.factors and product.coefficient:
            size, product.coefficient = product.coefficient, Fraction(1)
            inner = join_product(terms, product)
            assert term.primitive is not None
            total = terms.apply(term.primitive, [inner], term.params)
            return _scale(terms, size, total)
        return term
    if name == "where":
        condition, one, other = term.operands
        del condition
        return one if one is other else term
    if len(term.operands) == 1:
        return _tidy_call(terms, term)
    return term


def _scale(terms: Terms, size: Fraction, term: Expression | None) -> Expression:
    """Return a term times a number; None stands for 1."""
    if term is None:
        return terms.exact(size)
    known = terms.scaled.get((size, term.number))
    if known is None:
        product = split_product(term)
        product.coefficient *= size
        known = terms.scaled[size, term.number] = join_product(terms, product)
    return known


def _spread_powers(product: Product) -> Product:
    """Take whole powers of products apart: (2x)^2 is 4 x^2."""
    found = Product(product.coefficient)
    for base, exponent in product.factors.values():
        inner = split_product(base) if exponent.denominator == 1 else None
        if inner is None or base.name not in ("mul", "div", "neg", "pow") or not inner.coefficient:
            found.take(base, exponent)
            continue
        whole = all(e.denominator == 1 for _, e in inner.factors.values())
        if not whole or abs(exponent) > 64:
            found.take(base, exponent)
            continue
        found.coefficient *= inner.coefficient ** int(exponent)
        for factor, power in inner.factors.values():
            found.take(factor, power * exponent)
    return found


def _merge_exponentials(terms: Terms, product: Product) -> Product:
    """Write e^u e^v as e to the sum of both, where there is more than one."""
    exponentials = [(b, k) for b, k in product.factors.values() if b.name == "exp"]
    if len(exponentials) < 2:
        return product
    exponent = _chain(
        terms.plus, [terms.times(terms.exact(k), base.operands[0]) for base, k in exponentials]
    )
    merged = _tidy_call(terms, terms.call(exponential.exp, tidy(terms, exponent)))
    taken = {base.number for base, _ in exponentials}
    found = Product(product.coefficient)
    for base, power in product.factors.values():
        if base.number not in taken:
            found.take(base, power)
        elif base is exponentials[0][0] and fraction_of(merged) != 1:
            found.take(merged, Fraction(1))
    return found


def _cancel(terms: Terms, product: Product) -> Product:
    """Multiply a sum above a quotient out where that leaves less to write."""
    if not any(exponent < 0 for _, exponent in product.factors.values()):
        return product
    for base, exponent in list(product.factors.values()):
        size = len(order([base])) if base.name in ("add", "sub") and exponent == 1 else 0
        if not 0 < size <= _MULTIPLIED_OUT:
            continue
        spread = expand(terms, base)
        if len(order([spread])) < size:
            found = split_product(spread)
            found.coefficient *= product.coefficient
            for other, power in product.factors.values():
                if other is not base:
                    found.take(other, power)
            return found
    return product


def _tidy_power(terms: Terms, term: Expression) -> Expression:
    base = term.operands[0]
    power = _ratio_of(term.operands[1])
    if power is None:
        return term
    if power == 1:
        return base
    if power == 0:
        return terms.exact(1)
    number = fraction_of(base)
    if number is not None and power.denominator == 1 and abs(power) <= 64 and number:
        return join_product(terms, Product(number ** int(power)))
    if power == Fraction(1, 2):
        return _tidy_call(terms, terms.call(powers.sqrt, base))
    if power < 0 or base.name in ("mul", "div", "neg", "pow", "sqrt"):
        product = Product()
        product.take(base, power)
        return join_product(terms, _spread_powers(product))
    return term


def _tidy_call(terms: Terms, term: Expression) -> Expression:
    inner = term.operands[0]
    number = fraction_of(inner)
    name = term.name
    if number == 0 and name in _ZERO_AT_ZERO:
        return terms.exact(0)
    if number == 0 and name in _ONE_AT_ZERO:
        return terms.exact(1)
    if number == 1 and name == "log":
        return terms.exact(0)
    if number is not None and name == "sqrt" and number > 0:
        roots = [round(part**0.5) for part in (number.numerator, number.denominator)]
        if [r * r for r in roots] == [number.numerator, number.denominator]:
            return terms.exact(Fraction(roots[0], roots[1]))
    if name == "log" and inner.name == "exp":
        return inner.operands[0]
    if inner.name == "neg":
        mirrored = {"cos": trigonometric.cos, "cosh": trigonometric.cosh, "abs": powers.abs}
        odd = {"sin": trigonometric.sin, "tan": trigonometric.tan, "tanh": exponential.tanh}
        if name in mirrored:
            return terms.call(mirrored[name], inner.operands[0])
        if name in odd:
            return terms.negative(terms.call(odd[name], inner.operands[0]))
    return term


def _expand_one(terms: Terms, term: Expression) -> Expression:
    """Return a product or a whole power of sums, multiplied out."""
    if term.name not in ("mul", "div", "neg", "pow"):
        return term
    product = split_product(term)
    sums: list[tuple[list[tuple[Fraction, Expression | None]], int]] = []
    rest = Product(product.coefficient)
    for base, exponent in product.factors.values():
        if base.name in ("add", "sub") and exponent > 0 and exponent.denominator == 1:
            sums.append((split_sum(terms, base), int(exponent)))
        else:
            rest.take(base, exponent)
    count = 1
    for parts, exponent in sums:
        count *= comb(len(parts) + exponent - 1, exponent) if exponent < MOST_TERMS else MOST_TERMS
    if not sums or count >= MOST_TERMS:
        return term
    result = [(Fraction(1), join_product(terms, rest))]
    for parts, exponent in sums:
        for _ in range(exponent):
            spread: dict[Key, tuple[Fraction, Expression]] = {}
            for coefficient, left in result:
                for other, right in parts:
                    joined = left if right is None else terms.times(left, right)
                    whole = _spread_powers(split_product(joined))
                    size, whole.coefficient = whole.coefficient, Fraction(1)
                    made = join_product(terms, whole)
                    known, made = spread.get(whole.key, (Fraction(0), made))
                    spread[whole.key] = (known + coefficient * other * size, made)
            result = [(c, r) for c, r in spread.values() if c]
    listed = [(c, None if fraction_of(r) == 1 else r) for c, r in result]
    return join_sum(terms, sorted(listed, key=lambda part: _degree(terms, part[1])))


def _degree(terms: Terms, rest: Expression | None) -> tuple[Fraction, list[Fraction]]:
    """Return the place of a term among those of a polynomial: high powers first."""
    powers_of = {} if rest is None else split_product(rest).factors
    powers_in = [-powers_of[x.number][1] if x.number in powers_of else Fraction(0)
                 for x in terms.inputs]  # fmt: skip
    return sum(powers_in, Fraction(0)), powers_in
