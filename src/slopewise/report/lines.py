"""The pictures over epochs: loss curves and gradient norms.

Invariant: a picture holds no text from tables, draws any numbers without a warning, and tells
lines apart by dash and marker as well as by colour (Okabe and Ito's, for all eyes). It is separate
because pictures can be judged without a page.
"""

import re
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from slopewise.drawing.settings import DASHES, MARKERS
from slopewise.report.canvas import (
    INK,
    LARGEST,
    RAMP,
    SERIES,
    SMALLEST,
    make_figure,
    own_settings,
    render_figure,
    select_drawable,
)
from slopewise.report.content import Curves
from slopewise.report.digits import format_count, format_number
from slopewise.report.messages import say
from slopewise.report.pen import Pen, name_layer

POINTS = 400
"""Epochs drawn of a long run, at most twice as many."""
LEGEND = 10
"""Lines that a legend names; of more, every so many."""


def thin_epochs(*lines: np.ndarray) -> np.ndarray:
    """Which epochs to draw: of a long run, the extremes of each line in each stretch.

    Parameters
    ----------
    *lines : ndarray of shape (epochs,)
        What is to be drawn.

    Returns
    -------
    ndarray of shape (chosen,), int64
        Positions, rising; the first and the last are among them.

    Examples
    --------
    >>> thin_epochs(np.arange(3.0)).tolist()
    [0, 1, 2]
    """
    count = len(lines[0])
    if count <= POINTS:
        return np.arange(count)
    chosen = {0, count - 1}
    for stretch in np.array_split(np.arange(count), max(POINTS // len(lines), 40)):
        for line in lines:
            part = line[stretch]
            if np.any(np.isfinite(part)):
                chosen |= {int(stretch[np.nanargmin(part)]), int(stretch[np.nanargmax(part)])}
    return np.array(sorted(chosen))


def spans_decades(*lines: np.ndarray) -> bool:
    """Whether lines are read better on a logarithmic axis.

    Parameters
    ----------
    *lines : ndarray of shape (epochs,)
        What is to be drawn together.

    Returns
    -------
    bool
        True if all finite values are positive and span a factor of 30.

    Examples
    --------
    >>> spans_decades(np.array([1.0, 0.5])), spans_decades(np.array([1.0, 0.01]))
    (False, True)
    """
    together = np.concatenate(lines)
    good = together[np.isfinite(together) & (np.abs(together) < LARGEST)]
    return bool(len(good) and good.min() > SMALLEST and good.max() > 30 * good.min())


def _style(number: int) -> dict[str, Any]:
    """Colour, dash and marker of a line; the last colour is the ink itself."""
    place = number % len(SERIES)
    return {"color": SERIES[place], "linestyle": DASHES[place], "marker": MARKERS[place]}


def _finish_epochs(axes: Axes, epochs: np.ndarray) -> None:
    """Whole epochs on the axis, and room for one alone."""
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
    margin = max((epochs[-1] - epochs[0]) * 0.03, 0.5)
    axes.set_xlim(epochs[0] - margin, epochs[-1] + margin)


def _fit_axis(axes: Axes, log: bool, *lines: np.ndarray) -> None:
    """Limits around the values, wide enough when they hardly differ."""
    together = np.concatenate(lines)
    good = together[np.isfinite(together)]
    if not len(good):
        return
    low, high = float(good.min()), float(good.max())
    if log:
        axes.set_yscale("log")
        factor = max((high / low) ** 0.06, 1.3)
        axes.set_ylim(low / factor, high * factor)
        # Few decades: 2 and 5 are labelled as well.
        decades = np.log10(high / low) + 2 * np.log10(factor)
        steps = (1.0, 2.0, 5.0) if decades < 2.5 else (1.0,)
        axes.yaxis.set_major_locator(LogLocator(10, subs=steps, numticks=9))
        axes.yaxis.set_major_formatter(FuncFormatter(_show_tick))
        axes.yaxis.set_minor_formatter(NullFormatter())
        return
    margin = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    axes.set_ylim(low - margin, high + margin)


def _show_tick(value: float, position: int | None = None) -> str:
    """A tick's number; a plain power of ten without its factor 1."""
    del position
    return re.sub(r"^1\s×\s", "", format_number(value, 2))


def draw_losses(curves: Curves, pen: Pen) -> Markup:
    """Training and validation loss over the epochs, the best one marked.

    Parameters
    ----------
    curves : Curves
        Of at least one epoch.
    pen : Pen
        Writes the labels.

    Returns
    -------
    Markup
        An SVG element.
    """
    places = thin_epochs(curves.loss, curves.val_loss)
    best = int(np.searchsorted(curves.epoch, curves.best))
    has_best = best < len(curves.epoch) and curves.epoch[best] == curves.best
    if has_best:
        places = np.union1d(places, [best])
    log = spans_decades(curves.loss, curves.val_loss)
    epochs = curves.epoch[places]
    loss = select_drawable(curves.loss[places], log)
    val_loss = select_drawable(curves.val_loss[places], log)
    with own_settings():
        figure = make_figure(5.6, 3.3)
        axes = figure.add_subplot()
        every = max(1, len(places) // 12)
        axes.plot(epochs, loss, label=pen.write("line.train"), markevery=every, **_style(1))
        axes.plot(
            epochs, val_loss, label=pen.write("line.validation"), markevery=every, **_style(0)
        )
        _fit_axis(axes, log, loss, val_loss)
        _finish_epochs(axes, curves.epoch)
        if has_best:
            axes.axvline(curves.best, color=INK, linewidth=0.9, linestyle=(0, (2, 2)))
            at = select_drawable(curves.val_loss[best : best + 1], log)[0]
            if np.isfinite(at):
                text = pen.write("line.best", epoch=curves.best)
                axes.plot(
                    [curves.best], [at], linestyle="none", marker="*", markersize=12, color=INK,
                    label=text, zorder=4,
                )  # fmt: skip
        pen.label(axes, "axis.epoch", "axis.loss")
        figure.legend(loc="outside upper right", ncols=3, prop=pen.scale(10.5))
        count = format_count(len(curves.epoch))
        told = say("loss.alt", pen.lang, epochs=count, best=curves.best)
        return render_figure(figure, "loss", told)


def draw_norms(curves: Curves, norm: str, pen: Pen) -> Markup:
    """The gradient's norm in each layer over the epochs; the first and the last layer are named.

    Parameters
    ----------
    curves : Curves
        Of at least one epoch and one layer.
    norm : str
        Which normalisation the network has.
    pen : Pen
        Writes the labels.

    Returns
    -------
    Markup
        An SVG element.
    """
    names = list(curves.norms)
    positive = {name: select_drawable(values, True) for name, values in curves.norms.items()}
    places = thin_epochs(*list(positive.values())[:8])
    epochs = curves.epoch[places]
    lines = {name: values[places] for name, values in positive.items()}
    chain = curves.chain
    with own_settings():
        figure = make_figure(5.6, 3.3 + 0.13 * min(len(names), LEGEND))
        axes = figure.add_subplot()
        # More layers than colours: a ramp by depth, whose steps all eyes see.
        ramp = np.linspace(0, len(RAMP) - 1, len(names)).round().astype(int)
        every = max(1, len(places) // 10)
        skip = -(-len(names) // LEGEND)
        handles = []
        for number, name in enumerate(names):
            style = _style(number)
            if len(names) > len(SERIES):
                style["color"] = RAMP[ramp[number]]
            start = (number * every) // max(len(names), 1)
            label = name_layer(name, norm, pen.write)
            (line,) = axes.plot(epochs, lines[name], label=label, markevery=(start, every), **style)
            if number % skip == 0 or name in (chain[0], chain[-1]):
                handles.append(line)
        _fit_axis(axes, True, *lines.values())
        _finish_epochs(axes, curves.epoch)
        if len(chain) > 1:
            _name_ends(axes, epochs, lines, (chain[0], chain[-1]), norm, pen)
        pen.label(axes, "axis.epoch", "axis.norm")
        if len(names) > 1:
            figure.legend(
                handles=handles, loc="outside lower center", ncols=min(len(handles), 4),
                prop=pen.scale(10), handlelength=3.4,
            )  # fmt: skip
        told = say(
            "gradients.alt", pen.lang, layers=len(names), epochs=format_count(len(curves.epoch))
        )
        return render_figure(figure, "norms", told)


def _name_ends(
    axes: Axes,
    epochs: np.ndarray,
    lines: dict[str, np.ndarray],
    ends: tuple[str, str],
    norm: str,
    pen: Pen,
) -> None:
    """Write the names of the first and the last layer at the ends of their lines."""
    shown = {}
    for name in dict.fromkeys(ends):
        good = np.flatnonzero(np.isfinite(lines[name]))
        if len(good):
            shown[name] = (epochs[good[-1]], lines[name][good[-1]])
    heights = {name: np.log10(at[1]) for name, at in shown.items()}
    low, high = (np.log10(limit) for limit in axes.get_ylim())
    close = len(heights) == 2 and abs(np.subtract(*heights.values())) < 0.09 * (high - low)
    for name, at in shown.items():
        up = 0.0
        if close:
            up = 7.0 if heights[name] == max(heights.values()) else -7.0
        axes.annotate(
            name_layer(name, norm, pen.write), at, xytext=(7, up), textcoords="offset points",
            va="center", fontproperties=pen.scale(10.5), annotation_clip=False,
        )  # fmt: skip
