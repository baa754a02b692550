"""From a matplotlib figure to inline SVG that takes its colours from the page.

Invariant: the user's matplotlib settings are neither read nor changed for good, pyplot is never
imported, and the SVG refers to nothing outside itself: text is paths, ids are the picture's own,
and the same figure gives the same bytes. It is separate because pictures should only be drawn.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from markupsafe import Markup
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from slopewise.drawing.settings import colour_settings, use_settings

INK = "#010101"
FAINT = "#010102"
SERIES = tuple(f"#0102{number:02x}" for number in range(7))
RAMP = tuple(f"#0103{number:02x}" for number in range(12))
"""Stand-ins for colours: the page's style sheet says what `--ink`, `--s0` or `--r0` are."""
_COLOURS = {
    INK: "var(--ink)",
    FAINT: "var(--faint)",
    **{colour: f"var(--s{number})" for number, colour in enumerate(SERIES)},
    **{colour: f"var(--r{number})" for number, colour in enumerate(RAMP)},
}
LARGEST = 1e100
SMALLEST = 1e-100
"""Sizes outside these cannot be drawn."""


@contextmanager
def own_settings() -> Iterator[None]:
    """The report's matplotlib settings for a while; then the user's again."""
    with use_settings(colour_settings(INK, FAINT)):
        yield


def select_drawable(values: np.ndarray, log: bool) -> np.ndarray:
    """The values with NaN in place of those that the axis cannot show.

    Parameters
    ----------
    values : ndarray of shape (n,), float64
        Any numbers.
    log : bool
        Whether the axis is logarithmic.

    Returns
    -------
    ndarray of shape (n,), float64
    """
    sizes = np.abs(values)
    good = np.isfinite(values) & (sizes < LARGEST)
    good &= (values > SMALLEST) if log else ((sizes > SMALLEST) | (values == 0))
    return np.where(good, values, np.nan)


def make_figure(width: float, height: float) -> Figure:
    """An empty figure without a background.

    Parameters
    ----------
    width, height : float
        Inches.

    Returns
    -------
    Figure
        To be made and drawn within `own_settings`.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.patch.set_visible(False)
    return figure


def render_figure(figure: Figure, name: str, description: str) -> Markup:
    """A figure as an inline SVG element.

    Parameters
    ----------
    figure : Figure
        Drawn within `own_settings`.
    name : str
        Of the picture; its ids begin with it, so that pictures on one page do not mix.
    description : str
        What is to be seen, for those who cannot see it.

    Returns
    -------
    Markup

    Examples
    --------
    >>> with own_settings():
    ...     svg = render_figure(make_figure(1, 1), "empty", "nothing")
    >>> svg.startswith("<svg "), "http" in svg
    (True, False)
    """
    for axes in figure.axes:
        axes.patch.set_visible(False)
    buffer = io.StringIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
    FigureCanvasSVG(figure).print_svg(buffer, metadata=nothing)
    return tidy_svg(buffer.getvalue(), name, description)


def tidy_svg(text: str, name: str, description: str) -> Markup:
    """matplotlib's SVG without file head, comments and fixed colours, with ids of its own.

    Parameters
    ----------
    text : str
        A whole SVG file.
    name, description : str
        As in `render_figure`.

    Returns
    -------
    Markup
    """
    match = re.search(r'viewBox="([\d. -]+)"', text)
    box = match.group(1) if match else "0 0 1 1"
    body = text[text.index(">", text.index("<svg")) + 1 : text.rindex("</svg>")]
    body = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>|<style.*?</style>", "", body, flags=re.S)
    # Inside HTML the prefix xlink needs no declaration, and plain href is what SVG 2 says.
    body = body.replace("xlink:href=", "href=")
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', body))
    numbers: dict[str, str] = {}

    def rename(found: re.Match[str]) -> str:
        before, old, after = found.groups()
        if old not in used:
            return ""
        return f"{before}{numbers.setdefault(old, f'{name}-{len(numbers)}')}{after}"

    body = re.sub(r'( id=")([^"]+)(")', rename, body)
    body = re.sub(r'((?:href="|url\()#)([^")]+)(["\)])', rename, body)
    for colour, variable in _COLOURS.items():
        body = body.replace(colour, variable)
    body = re.sub(r"\s*\n\s*", "\n", body).strip()
    head = Markup('<svg class="picture" viewBox="{}" role="img" aria-label="{}">')
    return head.format(box, description) + Markup(f"\n{body}\n</svg>")
