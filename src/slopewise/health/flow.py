"""The flow picture: layers by time, coloured by the logarithm of the gradient, and factor bars.

Invariant: one colour is one size, told by the bar beside the picture, and what is 0 or no number
is left blank. It is separate because the report and the watch itself draw it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from slopewise.drawing.settings import PALETTE
from slopewise.explain.accounts import Words, say_in
from slopewise.health.telling import tell_layer

LABELS: Words = {
    "step": ("step", "단계"),
    "gradient": ("gradient norm", "기울기의 크기"),
    "factor": ("factor (last look)", "인자 (마지막)"),
    "A": ("activation A", "활성화 A"),
    "N": ("normalisation N", "정규화 N"),
    "M": ("weights M", "가중치 M"),
    "R": ("other", "그 밖"),
}
COLUMNS = 120
"""Looks that are drawn of many."""
LEAST = 1e-12
"""Sizes below this share of the largest look alike."""


class Watched(Protocol):
    """What is drawn of a watch."""

    names: list[str]
    letters: list[str]

    @property
    def looks(self) -> Sequence[Any]:
        """One after the other, each with gradients and ratios."""
        ...


def draw_flow(
    figure: Any, watch: Watched, lang: str, font: Any = None, colours: Any = PALETTE
) -> None:
    """Draw a watch on an empty figure.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    watch : Watch
    lang : {'en', 'ko'}
        A language that the figure's font has the letters of.
    font : FontProperties, optional
        Of the labels.
    colours : sequence of str
        Of the bars.
    """
    from matplotlib.colors import LogNorm

    given: dict[str, Any] = {} if font is None else {"fontproperties": font}
    looks = watch.looks
    if len(looks) > COLUMNS:
        places = np.unique(np.linspace(0, len(looks) - 1, COLUMNS).round().astype(int))
        looks = [looks[i] for i in places]
    rows = len(watch.names)
    sizes = np.array([look.gradients for look in looks], float).reshape(len(looks), rows).T
    good = np.isfinite(sizes) & (sizes > 0)
    heat, bars = figure.subplots(1, 2, sharey=True, gridspec_kw={"width_ratios": [2.2, 1]})
    names = [tell_layer(name, lang) for name in watch.names]
    if good.any():
        top = float(sizes[good].max())
        low = max(float(sizes[good].min()), top * LEAST)
        shown = np.where(good, np.maximum(sizes, low), np.nan)
        if top / low < 10:
            top, low = top * 3, low / 3
        steps = np.array([look.step for look in looks], float)
        image = heat.pcolormesh(
            _find_edges(steps), np.arange(rows + 1) - 0.5, np.ma.masked_invalid(shown),
            norm=LogNorm(low, top), cmap="viridis", edgecolor="face", linewidth=0.3,
        )  # fmt: skip
        bar = figure.colorbar(image, ax=heat, pad=0.02)
        if bar.solids is not None:
            bar.solids.set_rasterized(False)  # a page may show no images
            bar.solids.set_edgecolor("face")
        bar.set_label(say_in(LABELS, "gradient", lang), **given)
    heat.set_xlabel(say_in(LABELS, "step", lang), **given)
    heat.set_yticks(range(rows), names, **given)
    heat.set_ylim(max(rows, 1) - 0.5, -0.5)
    heat.grid(False)
    heat.spines[["left", "bottom"]].set_visible(False)
    _draw_bars(bars, watch, lang, given, colours)


def _find_edges(steps: Any) -> Any:
    """Return where each column begins and the last one ends."""
    if len(steps) == 1:
        return np.array([steps[0] - 0.5, steps[0] + 0.5])
    middles = (steps[1:] + steps[:-1]) / 2
    return np.concatenate([[steps[0]], middles, [steps[-1]]])


def _draw_bars(axes: Any, watch: Watched, lang: str, given: Any, colours: Any) -> None:
    """Draw the logarithm of each layer's last factor; the axis names the factor itself."""
    ratios = watch.looks[-1].ratios if watch.looks else ()
    for number, letter in enumerate("MANR"):
        own = [i for i, r in enumerate(ratios) if watch.letters[i] == letter and 0 < r < math.inf]
        if own:
            axes.barh(own, [math.log10(ratios[i]) for i in own], height=0.7,
                      color=colours[number], label=say_in(LABELS, letter, lang))  # fmt: skip
    axes.axvline(0, color=axes.spines["left"].get_edgecolor(), linewidth=0.8)
    low, high = axes.get_xlim()
    low, high = min(low, -0.5), max(high, 0.5)
    axes.set_xlim(low, high)
    step = max(1, math.ceil((high - low) / 5))
    exact = high - low < 2
    ticks = [-1, -0.5, 0, 0.5, 1] if exact else list(range(math.ceil(low), math.floor(high) + 1))
    ticks = [t for t in ticks if low <= t <= high and (exact or t % step == 0)]
    axes.set_xticks(ticks, [f"{10.0**t:.2g}" for t in ticks])
    axes.set_xlabel(say_in(LABELS, "factor", lang), **given)
    axes.tick_params(axis="y", left=False, labelleft=False)
    axes.grid(axis="y", visible=False)
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        prop = given.get("fontproperties")
        axes.figure.legend(handles, labels, loc="outside lower center", ncols=4, prop=prop)
