"""Taylor tables and asymptotic series of log-gamma and its derivatives.

Order -1 is log-gamma, 0 digamma, n polygamma. Invariant: the entries come from the Hurwitz zeta
function by Euler-Maclaurin summation and the recurrence f(c + 1) - f(c), in integer arithmetic, and
are rounded once. It is separate because it runs once per order and never touches data.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from math import comb, factorial

import numpy as np

from slopewise._kernels import fixed_point
from slopewise._kernels.fixed_point import ONE, fixed, multiply

_BINADE_STEPS = 32
# Euler-Maclaurin summation starts here: its least error there is about exp(-2 pi 32) = 2**-290.
_START = 32
_CORRECTIONS = 26


def asymptotic_from(order: int) -> float:
    """Return where the asymptotic series takes over from the table: a power of 2.

    Parameters
    ----------
    order : int
        -1 for log-gamma, 0 for digamma, n for polygamma.

    Returns
    -------
    float
        At least 16, and at least 4 (order + 1), where the second term is an eighth of the first.

    Examples
    --------
    >>> asymptotic_from(1), asymptotic_from(10)
    (16.0, 64.0)
    """
    bound = 16.0
    while bound < 4 * (order + 1):
        bound *= 2.0
    return bound


@cache
def taylor_table(order: int) -> np.ndarray:
    """Return Taylor coefficients of a function of the gamma family on 32 steps per binade.

    Parameters
    ----------
    order : int
        -1 for log-gamma, 0 for digamma, n for polygamma.

    Returns
    -------
    float64 array (3 + terms, rows)
        Row 0: the centres, from 0.5 to `asymptotic_from(order)`. Rows 1 and 2: the low parts of the
        constant and the linear coefficient. Then the coefficients of (x - centre)**k.

    Source
    ------
    M. Abramowitz and I. Stegun, 1964, equations 6.4.2 and 6.4.10.

    Examples
    --------
    >>> table = taylor_table(-1)
    >>> float(table[0, 32]), float(table[3, 32]), float(table[4, 32])  # log-gamma at 1
    (1.0, 0.0, -0.5772156649015329)
    """
    terms = 10
    while comb(max(order, 0) + terms, terms) > 2.0 ** (6 * terms - 60):
        terms += 1
    binade, columns, last = 0.5, [], asymptotic_from(order)
    while binade <= last:
        for step in range(_BINADE_STEPS if binade < last else 1):
            centre = Fraction(binade) * (_BINADE_STEPS + step) / _BINADE_STEPS
            series = [
                _taylor_coefficient(order, k, _values(centre, order + terms + 1))
                for k in range(terms)
            ]
            # The error of the summation, not its value: log-gamma is 0 at 1 and at 2.
            lead = 0 if abs(series[0]) < ONE >> 150 else series[0]
            pairs = [fixed_point.pair(value) for value in (lead, series[1])]
            rest = [value / ONE for value in series[2:]]
            (value, value_low), (slope, slope_low) = pairs
            columns.append([float(centre), value_low, slope_low, value, slope, *rest])
        binade *= 2.0
    return np.array(columns).T.copy()


def _taylor_coefficient(order: int, k: int, values: tuple[int, ...]) -> int:
    """Return the k-th Taylor coefficient, from log-gamma, digamma and zeta(s, c)."""
    derivative = order + 1 + k  # of log-gamma
    if derivative <= 1:
        return values[derivative]
    # psi_m = (-1)**(m+1) m! zeta(m + 1, c), here with m = derivative - 1, over k!.
    sign = 1 if derivative % 2 == 0 else -1
    if order < 0:
        return sign * values[derivative] // derivative
    return sign * values[derivative] * (factorial(derivative - 1) // factorial(k))


@cache
def _values(centre: Fraction, count: int) -> tuple[int, ...]:
    """Return log-gamma, digamma, zeta(2), ..., zeta(count) at a point, in fixed point."""
    if centre < 1 or centre > 2:
        from_above = centre < 1
        at = centre if from_above else centre - 1
        near = _values(centre + 1 if from_above else at, count)
        inverse = fixed(1 / at)
        steps = [fixed_point.logarithm(fixed(at)), inverse]
        power = inverse
        for _ in range(2, count + 1):
            power = multiply(power, inverse)
            steps.append(-power)
        sign = -1 if from_above else 1
        return tuple(value + sign * step for value, step in zip(near, steps, strict=True))
    start = centre + _START
    inverse = fixed(1 / start)
    square = multiply(inverse, inverse)

    # Stirling's series and its derivative, then the recurrence down to the centre.
    log_start = fixed_point.logarithm(fixed(start))
    two_pi = 2 * fixed_point.pi()
    log_gamma = multiply(fixed(start - Fraction(1, 2)), log_start) - fixed(start)
    log_gamma += fixed_point.logarithm(two_pi) // 2
    digamma = log_start - inverse // 2
    power = inverse
    for of_log_gamma, of_digamma in zip(_corrections(0), _corrections(1), strict=True):
        log_gamma += multiply(of_log_gamma, power)
        power = multiply(power, inverse)
        digamma -= multiply(of_digamma, power)
        power = multiply(power, inverse)
    zetas = []
    for s in range(2, count + 1):
        lead = inverse
        for _ in range(s - 2):
            lead = multiply(lead, inverse)
        total = lead // (s - 1) + multiply(lead, inverse) // 2
        power = multiply(lead, square)
        for correction in _corrections(s):
            total += multiply(correction, power)
            power = multiply(power, square)
        zetas.append(total)
    product = Fraction(1)
    for step in range(_START):
        point = centre + step
        product *= point
        inverse = fixed(1 / point)
        digamma -= inverse
        power = inverse
        for index in range(count - 1):
            power = multiply(power, inverse)
            zetas[index] += power
    log_gamma -= fixed_point.logarithm(fixed(product))
    return (log_gamma, digamma, *zetas)


@cache
def _corrections(s: int) -> tuple[int, ...]:
    """Return the Euler-Maclaurin coefficients of zeta(s), of digamma (1) or of log-gamma (0)."""
    series = []
    for k, number in enumerate(fixed_point.bernoulli(_CORRECTIONS), start=1):
        # B_2k / (2k)! s (s + 1) ... (s + 2k - 2), which for s = 1 is B_2k / 2k
        rising = Fraction(1, 2 * k - 1) if s == 0 else comb(s + 2 * k - 2, 2 * k - 1)
        series.append(fixed(number * rising / (2 * k)))
    return tuple(series)


@cache
def asymptotic_series(order: int) -> tuple[float, ...]:
    """Return the coefficients of 1/x**2, 1/x**4, ... in the asymptotic series over its lead.

    Parameters
    ----------
    order : int
        -1 for log-gamma (relative to x), 0 for digamma (to -1), n for polygamma (to (n-1)!/x**n).

    Returns
    -------
    tuple of float
        As many as reach 2**-62 at `asymptotic_from(order)`.

    Source
    ------
    M. Abramowitz and I. Stegun, 1964, equations 6.1.41, 6.3.18 and 6.4.11.

    Examples
    --------
    >>> asymptotic_series(0)[:2]
    (0.08333333333333333, -0.008333333333333333)
    """
    series, square = [], asymptotic_from(order) ** 2
    for k, number in enumerate(fixed_point.bernoulli(40), start=1):
        if order < 0:
            coefficient = number / (2 * k * (2 * k - 1))
        elif order == 0:
            coefficient = number / (2 * k)
        else:
            coefficient = number * comb(2 * k + order - 1, 2 * k)
        series.append(float(coefficient))
        if abs(series[-1]) / square**k < 2.0**-62:
            break
    return tuple(series)


@cache
def cotangent_derivative(order: int) -> tuple[float, ...]:
    """Return the polynomial P with (d/dx)**n cot x = c**parity P(c**2), c = cot x.

    Parameters
    ----------
    order : int
        n >= 0; the parity is 1 for even n, else 0.

    Returns
    -------
    tuple of float
        Coefficients, highest power first.

    Examples
    --------
    >>> cotangent_derivative(2)  # cot'' = 2 cot**3 + 2 cot
    (2.0, 2.0)
    """
    polynomial = [0, 1]  # by ascending powers of the cotangent
    for _ in range(order):
        slope = [k * value for k, value in enumerate(polynomial)][1:]
        polynomial = [0] * (len(slope) + 2)
        for k, value in enumerate(slope):
            polynomial[k] -= value
            polynomial[k + 2] -= value
    return tuple(float(value) for value in reversed(polynomial[(order + 1) % 2 :: 2]))
