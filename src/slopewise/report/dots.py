"""The pictures of a regression: predicted against true values, and residuals.

Invariant: every row that can be drawn is drawn, as a dot or as part of a field of its own darkness;
a picture holds no text from tables. It is separate because curves have epochs where these have
rows.
"""

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.ticker import MaxNLocator

from slopewise.report.canvas import INK, SERIES, make_figure, own_settings, render_figure
from slopewise.report.digits import format_count
from slopewise.report.messages import say
from slopewise.report.pen import Pen

DOTS = 3000
"""Rows drawn as dots; more are drawn as fields."""


def draw_scatter(truth: np.ndarray, prediction: np.ndarray, pen: Pen) -> Markup:
    """Predicted against true values, with the line on which both are equal.

    Parameters
    ----------
    truth, prediction : ndarray of shape (rows,), float64
        Finite, of drawable size.
    pen : Pen
        Writes the labels.

    Returns
    -------
    Markup
        An SVG element.
    """
    with own_settings():
        figure = make_figure(4.4, 4.1)
        axes = figure.add_subplot()
        low = float(min(truth.min(), prediction.min()))
        high = float(max(truth.max(), prediction.max()))
        margin = 0.04 * (high - low) or 0.1 * abs(high) or 1.0
        limits = (low - margin, high + margin)
        axes.set_xlim(*limits)
        axes.set_ylim(*limits)
        _draw_dots(axes, truth, prediction, limits, limits)
        axes.plot(limits, limits, color=INK, linewidth=1.0, linestyle="--")
        axes.set_box_aspect(1)
        pen.label(axes, "axis.true", "axis.predicted")
        _finish_numbers(axes)
        told = say("scatter.alt", pen.lang, rows=format_count(len(truth)))
        return render_figure(figure, "scatter", told)


def draw_residuals(truth: np.ndarray, prediction: np.ndarray, pen: Pen) -> Markup:
    """Residuals against predicted values.

    Parameters
    ----------
    truth, prediction : ndarray of shape (rows,), float64
        Finite, of drawable size.
    pen : Pen
        Writes the labels.

    Returns
    -------
    Markup
        An SVG element.
    """
    residual = truth - prediction
    with own_settings():
        figure = make_figure(4.4, 4.1)
        axes = figure.add_subplot()
        low, high = float(prediction.min()), float(prediction.max())
        margin = 0.04 * (high - low) or 0.1 * abs(high) or 1.0
        reach = 1.08 * float(np.abs(residual).max()) or margin
        across, up = (low - margin, high + margin), (-reach, reach)
        axes.set_xlim(*across)
        axes.set_ylim(*up)
        _draw_dots(axes, prediction, residual, across, up)
        axes.axhline(0.0, color=INK, linewidth=1.0, linestyle="--")
        axes.set_box_aspect(1)
        pen.label(axes, "axis.predicted", "axis.residual")
        _finish_numbers(axes)
        told = say("scatter.residual.alt", pen.lang, rows=format_count(len(truth)))
        return render_figure(figure, "residuals", told)


def _finish_numbers(axes: Axes) -> None:
    """Few ticks, so that their numbers keep apart."""
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6))


def _draw_dots(
    axes: Axes,
    x: np.ndarray,
    y: np.ndarray,
    across: tuple[float, float],
    up: tuple[float, float],
) -> None:
    """A dot for each row, or fields that are the darker the more rows they hold."""
    if len(x) <= DOTS:
        alpha = float(np.clip(12 / np.sqrt(len(x)), 0.3, 0.8))
        axes.plot(
            x, y, linestyle="none", marker="o", markersize=4.2, color=SERIES[0], alpha=alpha,
            markeredgewidth=0,
        )  # fmt: skip
        return
    counts, edges_x, edges_y = np.histogram2d(x, y, bins=48, range=(across, up))
    strongest = np.log1p(counts.max())
    levels = np.ceil(8 * np.log1p(counts) / strongest) / 8
    for level in np.unique(levels[levels > 0]):
        corners = []
        for i, j in zip(*np.nonzero(levels == level), strict=True):
            left, right, low, high = edges_x[i], edges_x[i + 1], edges_y[j], edges_y[j + 1]
            corners.append([(left, low), (right, low), (right, high), (left, high)])
        # One path for each level: the file stays small.
        _fill_fields(axes, corners, float(level))


def _fill_fields(axes: Axes, corners: list[list[tuple[float, float]]], alpha: float) -> None:
    """Fields of one darkness."""
    codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY]
    points = [point for field in corners for point in [*field, field[0]]]
    path = Path(np.array(points), codes * len(corners))
    axes.add_patch(PathPatch(path, facecolor=SERIES[0], edgecolor="none", alpha=alpha))
