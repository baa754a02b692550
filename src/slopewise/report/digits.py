"""Numbers as people read them: significant digits, powers of ten, per cent, NaN and infinity.

Invariant: a formatted number holds no rounding noise and no machine notation (`1e-17`, `-0.0`,
`nan`), and rounding never turns a share below 1 into 100 %. It is separate because the template
and the sentences format the same numbers and must agree.
"""

import math
from typing import Any

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
NONE = "–"
"""What stands for a number that is not defined."""


def format_number(value: Any, digits: int = 4, floor: float = 0.0, grouped: bool = True) -> str:
    """A number with some significant digits.

    Parameters
    ----------
    value : float or None
        Any number, NaN and infinities too.
    digits : int
        Significant digits, at least 1.
    floor : float
        Sizes below it count as rounding noise and are shown as 0.
    grouped : bool
        Whether a comma stands between thousands.

    Returns
    -------
    str
        With the minus sign U+2212, and powers of ten where zeros would be counted.

    Examples
    --------
    >>> format_number(0.1 + 0.2), format_number(153.0), format_number(1e-7)
    ('0.3', '153', '1\\xa0×\\xa010⁻⁷')
    >>> format_number(float("nan")), format_number(None), format_number(-0.0)
    ('NaN', '–', '0')
    """
    if value is None:
        return NONE
    number = float(value)
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "∞" if number > 0 else "−∞"
    if number == 0 or abs(number) < floor:
        return "0"
    exponent = math.floor(math.log10(abs(number)))
    if -4 <= exponent < 6:
        places = max(digits - 1 - exponent, 0)
        text = _strip_zeros(f"{number:{',' if grouped else ''}.{places}f}")
    else:
        mantissa, _, power = f"{number:.{digits - 1}e}".partition("e")
        raised = str(int(power)).translate(_RAISED)
        text = f"{_strip_zeros(mantissa)}\N{NO-BREAK SPACE}×\N{NO-BREAK SPACE}10{raised}"
    return text.replace("-", "−")


def _strip_zeros(text: str) -> str:
    """Decimals without zeros at their end."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def format_count(value: int) -> str:
    """A count, with a comma between thousands.

    Parameters
    ----------
    value : int
        A whole number.

    Returns
    -------
    str

    Examples
    --------
    >>> format_count(26140)
    '26,140'
    """
    return f"{int(value):,}"


def format_percent(share: Any, lang: str = "en", places: int = 1) -> str:
    """A share as per cent.

    Parameters
    ----------
    share : float or None
        Between 0 and 1.
    lang : {'en', 'ko'}
        Korean puts no space before the sign.
    places : int
        Decimals.

    Returns
    -------
    str
        A share just below 1 is `>99.9 %`, one just above 0 is `<0.1 %`.

    Examples
    --------
    >>> format_percent(0.98141, "ko"), format_percent(0.99996, "ko"), format_percent(1, "ko")
    ('98.1%', '>99.9%', '100%')
    """
    sign = "%" if lang == "ko" else "\N{NO-BREAK SPACE}%"
    if share is None:
        return NONE
    number = float(share)
    if not math.isfinite(number):
        return format_number(number)
    step = 10.0**-places
    if 0 < number < 1:
        shown = round(100 * number, places)
        if shown >= 100:
            return f">{100 - step:.{places}f}{sign}"
        if shown <= 0:
            return f"<{step:.{places}f}{sign}"
        return f"{shown:.{places}f}{sign}"
    return f"{_strip_zeros(f'{100 * number:.{places}f}')}{sign}".replace("-", "−")


def format_near(value: float, step: float, digits: int = 4) -> str:
    """A number with enough decimals to see a small step from it.

    Parameters
    ----------
    value : float
        The number.
    step : float
        How far it moves.
    digits : int
        Significant digits that are shown anyway.

    Returns
    -------
    str

    Examples
    --------
    >>> format_near(1.23456789, 0.00012)
    '1.234568'
    >>> format_near(0.0, 0.0)
    '0'
    """
    usual = all(math.isfinite(x) and x != 0 for x in (value, step)) and 1e-4 <= abs(value) < 1e6
    if not usual:
        return format_number(value, digits)
    places = min(2 - math.floor(math.log10(abs(step))), 10)
    wanted = digits - 1 - math.floor(math.log10(abs(value)))
    return _strip_zeros(f"{value:,.{max(places, wanted, 0)}f}").replace("-", "−")


def format_duration(seconds: float, lang: str = "en") -> str:
    """A duration in seconds, minutes or hours.

    Parameters
    ----------
    seconds : float
        Not negative.
    lang : {'en', 'ko'}
        Which language.

    Returns
    -------
    str

    Examples
    --------
    >>> format_duration(0.4), format_duration(75), format_duration(7300, "ko")
    ('0.4 s', '1 min 15 s', '2시간 1분')
    """
    if not math.isfinite(seconds):
        return NONE
    hour, minute, second = ("시간", "분", "초") if lang == "ko" else (" h", " min", " s")
    if seconds < 59.5:
        return f"{format_number(seconds, 2)}{second}"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}{minute} {whole % 60}{second}"
    return f"{whole // 3600}{hour} {whole % 3600 // 60}{minute}"
