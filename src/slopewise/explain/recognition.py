"""Recognition: terms that are a known function in other words, written as that function.

Invariant: a rewrite has the value of what it replaces wherever that is finite; the derivation that
uses it checks that at points too. It is separate from tidying, which brings no new function in.
"""

from __future__ import annotations

from fractions import Fraction

from slopewise._ops import exponential
from slopewise._transform.expression import Expression, order
from slopewise.explain.reading import Terms
from slopewise.explain.tidy import Product, join_product, split_product, split_sum


def recognise_sigmoid(terms: Terms, root: Expression) -> Expression:
    """Return a term with products of e^v and powers of 1 + e^v below written by sigmoids.

    Parameters
    ----------
    terms : Terms
        Where the term was made.
    root : Expression

    Returns
    -------
    Expression
        The same object where nothing was recognised.

    Examples
    --------
    >>> from slopewise.explain.notation import write
    >>> from slopewise.explain.formula import Formula
    >>> from slopewise.explain.reading import read_function
    >>> terms, term = read_function(Formula("e^(-x)/(1 + e^(-x))^2"), ["x"])
    >>> write(terms, recognise_sigmoid(terms, term))
    'sigmoid(x)·(1 - sigmoid(x))'
    """
    found = terms.rewrite("recognise sigmoid", root, lambda x: _recognise_one(terms, x))
    return found if len(order([found])) <= len(order([root])) else root


def is_logistic_slope(term: Expression) -> bool:
    """Return whether a product has a sigmoid and what is left to 1 as factors: the slope of one."""
    factors = split_product(term).factors.values()
    sigmoids = {base.number for base, power in factors if base.name == "sigmoid" and power == 1}
    return any(base.name == "sub" and base.operands[1].number in sigmoids for base, _ in factors)


def _recognise_one(terms: Terms, term: Expression) -> Expression:
    if term.name not in ("mul", "div"):
        return term
    product = split_product(term)
    found = product
    for base, exponent in list(product.factors.values()):
        inner = _inside(terms, base) if exponent < 0 and exponent.denominator == 1 else None
        if inner is not None:
            found = _take(terms, found, base, inner)
    return term if found is product else join_product(terms, found)


def _inside(terms: Terms, base: Expression) -> Expression | None:
    """Return v where a term is 1 + e^v."""
    if base.name != "add":
        return None
    parts = split_sum(terms, base)
    if len(parts) != 2 or [c for c, _ in parts] != [1, 1]:
        return None
    rests = [rest for _, rest in parts]
    if None not in rests:
        return None
    power = rests[0] if rests[1] is None else rests[1]
    return power.operands[0] if power is not None and power.name == "exp" else None


def _take(terms: Terms, product: Product, base: Expression, inner: Expression) -> Product:
    """Write (1 + e^v)^-k and the powers of e^v beside it by sigmoids, if they fit."""
    below = -product.factors[base.number][1]
    above = Fraction(0)
    used = {base.number}
    for factor, exponent in product.factors.values():
        if factor.name != "exp":
            continue
        if factor.operands[0] is inner:
            above += exponent
        elif _negated(terms, factor.operands[0]) is _negated(terms, _negated(terms, inner)):
            above -= exponent
        else:
            continue
        used.add(factor.number)
    if above.denominator != 1 or not 0 <= above <= below:
        return product
    # e^v/(1 + e^v) is the sigmoid of v, and 1/(1 + e^v) what is left to 1.
    left = below - above
    if inner.name == "neg" or split_product(inner).coefficient < 0:
        inner, above, left = _negated(terms, inner), left, above
    sigmoid = terms.call(exponential.sigmoid, inner)
    found = Product(product.coefficient)
    for factor, exponent in product.factors.values():
        if factor.number not in used:
            found.take(factor, exponent)
    if above:
        found.take(sigmoid, above)
    if left:
        found.take(terms.minus(terms.exact(1), sigmoid), left)
    return found


def _negated(terms: Terms, term: Expression) -> Expression:
    product = split_product(term)
    product.coefficient = -product.coefficient
    return join_product(terms, product)
