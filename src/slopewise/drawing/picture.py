"""Pictures: a sheet to draw on with matplotlib, and what comes of it as PNG, SVG or HTML.

Invariant: a finished picture says in words what is to be seen; its labels are in a language whose
letters a font of this computer has, and it says so where that is not the one asked for. It is
separate because every picture is finished, shown and saved in the same way.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any

from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from slopewise._core.files import write_file
from slopewise.drawing.fonts import find_korean_font
from slopewise.drawing.settings import FAINT, INK, colour_settings, use_settings
from slopewise.errors import DataError

FORMATS = ("png", "svg", "html")
LETTERS = "".join(
    letter for letter in map(chr, range(0xAC00, 0xD7A4)) if letter.encode("euc_kr", "ignore")
)
"""The Korean letters of KS X 1001, which every Korean font has."""


class Picture:
    """A finished picture.

    Attributes
    ----------
    figure : matplotlib.figure.Figure
    description : str
        What is to be seen, for those who cannot see it.
    missing_font : bool
        Whether labels are English because no font with Korean letters was found.
    """

    def __init__(
        self, figure: Figure, description: str, settings: dict[Any, Any], missing_font: bool
    ) -> None:
        self.figure = figure
        self.description = description
        self.missing_font = missing_font
        self._settings = settings

    def png(self, dpi: int = 144) -> bytes:
        """Return it as a PNG file; `dpi` are dots per inch."""
        buffer = io.BytesIO()
        with use_settings(self._settings):
            FigureCanvasAgg(self.figure)
            self.figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
        return buffer.getvalue()

    def svg(self) -> str:
        """Return it as an SVG file whose letters are outlines, so that it needs no font."""
        buffer = io.StringIO()
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        with use_settings(self._settings):
            FigureCanvasSVG(self.figure).print_svg(buffer, metadata=nothing)
        text = buffer.getvalue()
        label = f'role="img" aria-label="{escape(self.description)}"'
        return re.sub(r"<svg ", f"<svg {label} ", text, count=1)

    def html(self) -> str:
        """Return it as a page that needs nothing from elsewhere."""
        svg = self.svg()
        inline = svg[svg.index("<svg") :]
        return (
            '<!doctype html>\n<html><head><meta charset="utf-8">'
            f"<title>{escape(self.description)}</title></head>\n<body>\n{inline}\n"
            f"<p>{escape(self.description)}</p>\n</body></html>\n"
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file, in one piece; the ending of the name chooses the format.

        Parameters
        ----------
        path : str or PathLike
            Ending in .png, .svg or .html.

        Raises
        ------
        DataError
            If the ending is another one, or the file cannot be written.
        """
        target = Path(path)
        form = target.suffix.lower().removeprefix(".")
        if form not in FORMATS:
            raise DataError(
                f"picture: cannot write {target.name!r}; end its name in .png, .svg or .html."
            )
        content = self.png() if form == "png" else getattr(self, form)().encode()
        try:
            write_file(target, content)
        except OSError as error:
            raise DataError(
                f"picture: cannot write {target}: {error.strerror or error}; choose another place."
            ) from error

    def _repr_png_(self) -> bytes:
        return self.png()


class Sheet:
    """An empty figure to draw on, inside `open_sheet`.

    Attributes
    ----------
    figure : matplotlib.figure.Figure
    lang : {'en', 'ko'}
        The language to write labels in: English where no font has Korean letters.
    """

    def __init__(self, figure: Figure, lang: str, settings: dict[Any, Any], missing: bool) -> None:
        self.figure = figure
        self.lang = lang
        self._settings = settings
        self._missing = missing

    def finish(self, description: str) -> Picture:
        """Return the picture, with what is to be seen on it in words."""
        # Laid out once: another layout for each format would move things by a hair.
        FigureCanvasAgg(self.figure)
        self.figure.draw_without_rendering()
        self.figure.set_layout_engine("none")
        return Picture(self.figure, description, self._settings, self._missing)


def choose_language(lang: str) -> str:
    """Return the language that labels can be drawn in: English where no font has Korean letters.

    Parameters
    ----------
    lang : {'en', 'ko'}
        The language wanted.

    Examples
    --------
    >>> choose_language("en")
    'en'
    """
    return "en" if lang == "ko" and find_korean_font(LETTERS) is None else lang


@contextmanager
def open_sheet(width: float, height: float, lang: str = "en") -> Iterator[Sheet]:
    """Give an empty figure to draw on, with our settings of matplotlib.

    Parameters
    ----------
    width, height : float
        Inches.
    lang : {'en', 'ko'}
        The language wanted for labels.

    Examples
    --------
    >>> with open_sheet(3, 2) as sheet:
    ...     _ = sheet.figure.add_subplot().plot([0, 1], [0, 1])
    ...     picture = sheet.finish("a line that rises")
    >>> picture.png()[:4], 'aria-label="a line that rises"' in picture.svg()
    (b'\\x89PNG', True)
    """
    settings = colour_settings(INK, FAINT)
    drawn = choose_language(lang)
    if drawn == "ko":
        font = find_korean_font(LETTERS)
        if font is not None:
            font_manager.fontManager.addfont(str(font.get_file()))
            settings["font.family"] = ["DejaVu Sans", font.get_name()]
    with use_settings(settings):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield Sheet(figure, drawn, settings, drawn != lang)
