"""Numbers as people read them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slopewise.report.digits import (
    format_count,
    format_duration,
    format_near,
    format_number,
    format_percent,
)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.1 + 0.2, "0.3"), (2.3025853633880615, "2.303"), (153.0, "153"), (-0.0, "0"),
        (1e-4, "0.0001"), (1e-5, "1\xa0×\xa010⁻⁵"), (-1.25e-17, "−1.25\xa0×\xa010⁻¹⁷"),
        (123456.7, "123,457"), (1e6, "1\xa0×\xa010⁶"), (9.99996, "10"), (float("nan"), "NaN"),
        (float("inf"), "∞"), (-float("inf"), "−∞"), (None, "–"), (5e-324, "4.941\xa0×\xa010⁻³²⁴"),
        (1.7e308, "1.7\xa0×\xa010³⁰⁸"),
    ],
)  # fmt: skip
def test_number(value: float | None, shown: str) -> None:
    assert format_number(value) == shown


def test_noise_below_the_floor_is_zero() -> None:
    assert format_number(2.2e-16, floor=1e-12) == "0"
    assert format_number(-3e-13, floor=1e-12) == "0"
    assert format_number(1e-11, floor=1e-12) != "0"


@given(st.floats(-1e307, 1e307), st.integers(1, 8))
def test_number_reads_back_within_its_digits(value: float, digits: int) -> None:
    text = format_number(value, digits).replace(",", "").replace("−", "-")
    mantissa, _, power = text.partition("\xa0×\xa010")
    plain = power.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
    found = float(f"{mantissa}e{plain or 0}")
    assert math.isclose(found, value, rel_tol=0.5000001 * 10.0 ** (1 - digits), abs_tol=5e-324)


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (0.98141, "98.1%"), (1.0, "100%"), (0.0, "0%"), (0.99996, ">99.9%"), (1e-9, "<0.1%"),
        (None, "–"), (float("nan"), "NaN"), (-0.5, "−50%"),
    ],
)  # fmt: skip
def test_percent(share: float | None, shown: str) -> None:
    assert format_percent(share, "ko") == shown
    assert format_percent(share, "en").replace("\xa0", "") == shown


def test_whole_per_cent_do_not_round_to_all() -> None:
    assert format_percent(0.999, "ko", places=0) == ">99%"
    assert format_percent(0.001, "ko", places=0) == "<1%"


@given(st.floats(-1e5, 1e5), st.floats(1e-6, 1e3))
def test_a_step_can_be_seen(value: float, step: float) -> None:
    if abs(value) >= 1e-4 and abs(value + step) >= 1e-4 and abs(step) > 1e-9 * abs(value):
        assert format_near(value, step) != format_near(value + step, step)


def test_counts_and_durations() -> None:
    assert format_count(1234567) == "1,234,567"
    assert format_duration(0.0123) == "0.012 s"
    assert format_duration(59.7) == "1 min 0 s"
    assert format_duration(3725, "ko") == "1시간 2분"
    assert format_duration(float("nan")) == "–"
