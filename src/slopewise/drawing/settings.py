"""matplotlib's settings for our pictures, and the dashes, markers and colours of their series.

Invariant: a series differs from the next in colour, dash and marker, so that it can be told without
colours; the user's own settings come back when a picture is done. It is separate because reports
take their colours from a style sheet and other pictures have their own.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import matplotlib

DASHES = ("-", "--", "-.", ":", (0, (6, 1.5)), (0, (3, 1, 1, 1, 1, 1)), (0, (1, 1.2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#555555")
"""Told apart with any kind of colour vision, after Okabe and Ito (2008); yellow is made darker."""
INK, FAINT = "#222222", "#d9d9d9"
_COMMON: dict[Any, Any] = {
    "svg.fonttype": "path",
    "svg.hashsalt": "slopewise",
    "font.family": ["DejaVu Sans"],
    "font.size": 11.0,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "axes.axisbelow": True,
}
_LOCK = threading.RLock()
"""matplotlib's settings are one dictionary for all threads."""


def colour_settings(ink: str, faint: str) -> dict[Any, Any]:
    """Return the settings that colour text, axes and grid.

    Parameters
    ----------
    ink, faint : str
        Colours of text and axes, and of the grid.

    Returns
    -------
    dict

    Examples
    --------
    >>> colour_settings("#000000", "#cccccc")["grid.color"]
    '#cccccc'
    """
    inked = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    return {**dict.fromkeys(inked, ink), "grid.color": faint}


@contextmanager
def use_settings(changes: Mapping[Any, Any]) -> Iterator[None]:
    """Our matplotlib settings with changes, for a while; then the user's again.

    Parameters
    ----------
    changes : mapping
        Settings beside the common ones.

    Examples
    --------
    >>> before = matplotlib.rcParams["font.size"]
    >>> with use_settings({"font.size": 7.0}):
    ...     matplotlib.rcParams["font.size"]
    7.0
    >>> matplotlib.rcParams["font.size"] == before
    True
    """
    with _LOCK, matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({**_COMMON, **changes})
        yield
