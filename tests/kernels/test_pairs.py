"""The parts the kernels are made of: error-free transforms, pairs, and integer tables."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slopewise._kernels import (
    angles,
    double_double,
    exponent_pairs,
    fixed_point,
    gamma_tables,
    normal_tail,
)

from .oracle import mp, mpf

MODEST = st.floats(-1e100, 1e100, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 1e-100)


def exact(*parts: float) -> Fraction:
    return sum((Fraction(float(part)) for part in parts), Fraction(0))


@given(MODEST, MODEST)
def test_sums_and_products_are_error_free(a: float, b: float) -> None:
    assert exact(*double_double.two_sum(a, b)) == exact(a) + exact(b)
    assert exact(*double_double.two_product(a, b)) == exact(a) * exact(b)
    assert exact(*double_double.two_square(a)) == exact(a) ** 2
    assert exact(*double_double.split(a)) == exact(a)
    large, small = (a, b) if abs(a) >= abs(b) else (b, a)
    assert exact(*double_double.fast_two_sum(large, small)) == exact(a) + exact(b)


@given(MODEST, MODEST, st.floats(-1, 1), st.floats(-1, 1))
def test_pair_arithmetic(a: float, b: float, a_share: float, b_share: float) -> None:
    first = double_double.fast_two_sum(a, a_share * abs(a) * 2.0**-54)
    second = double_double.fast_two_sum(b, b_share * abs(b) * 2.0**-54)
    x, y = exact(*first), exact(*second)
    tolerance = Fraction(1, 2**98)
    assert abs(exact(*double_double.multiply_pairs(first, second)) - x * y) <= tolerance * abs(
        x * y
    )
    total = exact(*double_double.add_pairs(first, second)) - (x + y)
    assert abs(total) <= tolerance * max(abs(x), abs(y))
    if y:
        quotient = exact(*double_double.divide_pairs(first, second))
        assert abs(quotient - x / y) <= tolerance * abs(x / y)
    if x > 0:
        root = exact(*double_double.root_pair((np.float64(first[0]), first[1])))
        assert abs(root * root - x) <= tolerance * x


def draw(low: float, high: float, count: int = 500) -> tuple[np.ndarray, np.ndarray]:
    """Return pairs whose high parts are spread evenly."""
    rng = np.random.default_rng(5)
    values = rng.uniform(low, high, count)
    return values, values * rng.uniform(-1.0, 1.0, count) * 2.0**-54


def worst(pairs: tuple[np.ndarray, np.ndarray], operands: tuple[np.ndarray, ...], f) -> float:
    """Return the largest relative error of pairs, against f of the operands' exact sums."""
    found = 0.0
    for high, low, *parts in zip(*(column.tolist() for column in (*pairs, *operands)), strict=True):
        truth = f(sum(map(mpf, parts), mpf(0)))
        found = max(found, float(abs((mpf(high) + mpf(low)) / truth - 1)))
    return found


@pytest.mark.parametrize(("low", "high"), [(-745.0, 709.0), (-1.0, 1.0)])
def test_exp_pair(low: float, high: float) -> None:
    operands = draw(low, high)
    found, error, exponent = exponent_pairs.exp_pair(*operands)
    with mp.workprec(300):
        for a, b, e, x, y in zip(found, error, exponent, *operands, strict=True):
            value = mp.ldexp(mpf(float(a)) + mpf(float(b)), int(e))
            assert abs(value / mp.exp(mpf(float(x)) + mpf(float(y))) - 1) < mpf(2) ** -64
    assert np.all((found > 0.99) & (found < 2.02))


@pytest.mark.parametrize(("low", "high"), [(-40.0, 600.0), (-1.0, 1.0), (-1e-9, 1e-9)])
def test_expm1_pair(low: float, high: float) -> None:
    operands = draw(low, high)
    assert worst(exponent_pairs.expm1_pair(*operands), operands, mp.expm1) < 2.0**-59


@pytest.mark.parametrize(("low", "high"), [(0.0, 1e300), (0.5, 2.0), (1 - 1e-9, 1 + 1e-9)])
def test_log_pair(low: float, high: float) -> None:
    operands = draw(low, high)
    assert worst(exponent_pairs.log_pair(*operands), operands, mp.log) < 2.0**-66


@pytest.mark.parametrize(("low", "high"), [(0.0, 2.0), (0.0, 39.0)])
def test_tail_pair(low: float, high: float) -> None:
    operands = draw(low, high)

    def scaled_tail(z):
        return mp.exp(z * z / 2) * mp.erfc(z / mp.sqrt(2)) / 2

    with mp.workprec(1400):
        assert worst(normal_tail.tail_pair(*operands), operands, scaled_tail) < 2.0**-57


@pytest.mark.parametrize(("low", "high"), [(-0.79, 0.79), (-1e-3, 1e-3)])
def test_sine_and_cosine_pairs(low: float, high: float) -> None:
    operands = draw(low, high)
    assert worst(angles.sine_pair(operands), operands, mp.sin) < 2.0**-58
    assert worst(angles.cosine_pair(operands), operands, mp.cos) < 2.0**-58


def test_reduction_of_huge_angles_and_of_neighbours_of_multiples() -> None:
    rng = np.random.default_rng(3)
    multiples = np.arange(1, 300) * (np.pi / 2)
    # The double that comes nearest to a multiple of pi/2, to 2**-61 of a radian (Muller, 2016).
    nearest = np.array([6381956970095103.0 * 2.0**797])
    x = np.concatenate([np.exp(rng.uniform(0, 709, 300)), multiples, nearest])
    odd, (high, low) = angles.reduce_angle(x)
    with mp.workprec(2400):
        for value, is_odd, a, b in zip(x.tolist(), odd, high.tolist(), low.tolist(), strict=True):
            count = mp.nint(mpf(value) / (mp.pi / 2))
            rest = mpf(value) - count * (mp.pi / 2)
            assert bool(is_odd) == bool(int(count) % 2)
            assert abs((mpf(a) + mpf(b)) / rest - 1) < mpf(2) ** -60


def test_fixed_point_functions() -> None:
    with mp.workprec(400):
        one = mpf(fixed_point.ONE)
        for value in (0.25, 1.0, 1.75, 3.0, 40.0):
            fixed = fixed_point.fixed(value)
            assert abs(fixed_point.exponential(fixed) / one / mp.exp(value) - 1) < mpf(2) ** -200
            assert abs(fixed_point.logarithm(fixed) / one - mp.log(value)) < mpf(2) ** -240
            assert abs(fixed_point.root(fixed) / one - mp.sqrt(value)) < mpf(2) ** -240
        assert abs(fixed_point.pi() / one - mp.pi) < mpf(2) ** -240
    for index, number in enumerate(fixed_point.bernoulli(20), start=1):
        assert number == Fraction(*mp.bernfrac(2 * index))


@pytest.mark.parametrize("order", [-1, 0, 1, 3])
def test_gamma_tables(order: int) -> None:
    table = gamma_tables.taylor_table(order)
    for row in range(0, table.shape[1], 7):
        centre, _, _, *series = table[:, row].tolist()
        for k in (0, 1, 5):
            derivative = order + 1 + k
            truth = mp.loggamma(centre) if derivative == 0 else mp.psi(derivative - 1, centre)
            truth /= mp.factorial(k)
            assert abs(series[k] - truth) <= abs(truth) * 2.0**-53 + mpf(2) ** -150
    assert table[3, 32] == (0.0 if order == -1 else table[3, 32])


@pytest.mark.parametrize("order", range(5))
def test_cotangent_derivatives(order: int) -> None:
    angle = mpf("0.7")
    cotangent = mp.cot(angle)
    value = mpf(0)
    for coefficient in gamma_tables.cotangent_derivative(order):
        value = value * cotangent**2 + coefficient
    value *= cotangent if order % 2 == 0 else 1
    assert abs(value - mp.diff(mp.cot, angle, order)) < 1e-25
