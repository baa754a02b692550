"""The document: sections of prose and cells, read from files and computed in one language.

Invariant: prose is filled in after the cells above it have run, so that a number in a sentence is
the one that was computed; both languages run the same cells. It is separate from the page, which
knows how things look.

A section is a file of Markdown with Jinja. Its first line is its title. A fence of Python is a
cell: its text is filled in, run and shown with what it printed. Fences with more to say:

    ```python fails          the cell is there for its error
    ```python plot="…"       what the cell's plot shows, in words
    ```text                  shown, and not run
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cells import Cell, CellError, Notebook
from formulas import write_formula
from jinja2 import Environment, StrictUndefined, UndefinedError
from markdown_it import MarkdownIt

LANGUAGES = ("en", "ko")
SECTIONS = Path(__file__).with_name("sections")
_FENCE = re.compile(r"^```(\w+)[ \t]*(.*?)\n(.*?)^```[ \t]*$\n?", re.M | re.S)
_FORMULA = re.compile(r"\$\$(.+?)\$\$|\$(.+?)\$", re.S)
_PLOT = re.compile(r'plot="([^"]*)"')
_HELD = "\ue000{}\ue001"
"""Where a formula goes that Markdown must not read."""
REMARK = {"en": "Remark", "ko": "바로잡기"}


@dataclass
class Section:
    """A section that was computed.

    Attributes
    ----------
    id : str
        For links to it.
    title : str
        HTML.
    parts : list of (str or Cell)
        Prose as HTML, and cells.
    """

    id: str
    title: str
    parts: list[str | Cell]


class Document:
    """The lecture in one language.

    Attributes
    ----------
    lang : {'en', 'ko'}
    names : dict of str to object
        What the cells made.

    Parameters
    ----------
    lang : {'en', 'ko'}
    folder : Path
        Where the sections are; they are read in the order of their names.
    """

    def __init__(self, lang: str, folder: Path = SECTIONS) -> None:
        self.lang = lang
        self.folder = folder
        self.notebook = Notebook()
        self.names = self.notebook.names
        self.environment = Environment(undefined=StrictUndefined, autoescape=False)
        self.environment.filters |= {"num": write_number, "tex": write_tex}
        self.environment.globals |= {
            "lang": lang, "en": lang == "en", "ko": lang == "ko", "t": self._choose,
            "remark": self._remark,
        }  # fmt: skip
        self.markdown = MarkdownIt("commonmark", {"html": True}).enable("table")

    def compute(self) -> list[Section]:
        """Run every cell and fill in the prose.

        Returns
        -------
        list of Section

        Raises
        ------
        CellError
            If a cell fails, or prose names what no cell made.
        """
        return [self._compute_section(path) for path in sorted(self.folder.glob("*.md"))]

    def _compute_section(self, path: Path) -> Section:
        head, _, text = path.read_text(encoding="utf-8").partition("\n")
        title = self._fill(head.removeprefix("#").strip(), path)
        id = re.sub(r"^\d+_", "", path.stem).replace("_", "-")
        parts: list[str | Cell] = []
        for prose, fence in _split(text):
            html = self._write_prose(self._fill(prose, path))
            if html.strip():
                parts.append(html)
            if fence is not None:
                parts.append(self._read_fence(fence, path))
        return Section(id, self._write_inline(title), parts)

    def _read_fence(self, fence: re.Match[str], path: Path) -> str | Cell:
        language, info, code = fence.groups()
        code = self._fill(code, path).strip("\n") + "\n"
        if language != "python":
            return self.markdown.render(f"```{language}\n{code}```\n")
        said = _PLOT.search(self._fill(info, path))
        fails = "fails" in info.split()
        return self.notebook.run(code, fails=fails, plot=said[1] if said else "")

    def _fill(self, text: str, path: Path) -> str:
        try:
            return self.environment.from_string(text).render(self.names)
        except UndefinedError as error:
            raise CellError(f"{path.name}: {error}") from error

    def _choose(self, english: str, korean: str) -> str:
        return korean if self.lang == "ko" else english

    def _remark(self, id: str, caller: Callable[[], str]) -> str:
        """Return a boxed remark; blank lines let Markdown in."""
        opening = f'<aside class="remark" id="remark-{id}">'
        return f"{opening}\n\n**{REMARK[self.lang]}.** {caller().strip()}\n\n</aside>\n"

    def _write_prose(self, text: str) -> str:
        return self._with_formulas(text, self.markdown.render)

    def _write_inline(self, text: str) -> str:
        return self._with_formulas(text, self.markdown.renderInline)

    def _with_formulas(self, text: str, render: Callable[[str], str]) -> str:
        """Return Markdown as HTML, its formulas as MathML."""
        held: list[str] = []

        def hold(match: re.Match[str]) -> str:
            display = match[1] is not None
            held.append(write_formula(match[1] or match[2], display))
            return _HELD.format(len(held) - 1)

        html = render(_FORMULA.sub(hold, text))
        for place, formula in enumerate(held):
            html = html.replace(_HELD.format(place), formula)
        return html


def _split(text: str) -> Iterator[tuple[str, re.Match[str] | None]]:
    """Yield prose with the fence after it; None after the last."""
    start = 0
    for fence in _FENCE.finditer(text):
        yield text[start : fence.start()], fence
        start = fence.end()
    yield text[start:], None


def write_tex(value: Any, digits: int = 6) -> str:
    """Return a number for a formula.

    Examples
    --------
    >>> write_tex(0.5), write_tex(9.5367e-07, 3)
    ('0.5', '9.54 \\\\times 10^{-7}')
    """
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"no finite number: {value!r}")
    text = f"{number:.{digits}g}" if number else "0"
    head, _, exponent = text.partition("e")
    return rf"{head} \times 10^{{{int(exponent)}}}" if exponent else text


def write_number(value: Any, digits: int = 6) -> str:
    """Return a number for a sentence, as a formula.

    Never as bare digits: a line of Markdown that begins with `1.` would be a list.

    Examples
    --------
    >>> write_number(-0.5)
    '$-0.5$'
    """
    return f"${write_tex(value, digits)}$"
