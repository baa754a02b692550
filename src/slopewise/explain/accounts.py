"""Accounts: paragraphs and tables that tell what was computed, in every format, with a picture.

Invariant: an account computes nothing when it is read; every format tells the same paragraphs and
rows. It is separate because limits, descents and explorers are all told this way.
"""

from __future__ import annotations

import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from slopewise.explain.complaints import LANGUAGES
from slopewise.explain.requests import check_lang

if TYPE_CHECKING:
    from slopewise.drawing import Picture

Words = Mapping[str, tuple[str, str]]
"""Message ids, each with its English and its Korean text."""
_POWER = re.compile(r"\^(?:\(([^()]*)\)|(-?\w+))")
FOLDED = 24
"""Rows of a table that are told; of longer ones the first and the last."""


def say_in(words: Words, key: str, lang: str, **values: object) -> str:
    """Return a text in a language.

    Examples
    --------
    >>> say_in({"at": ("at {x}", "점: {x}")}, "at", "ko", x=3)
    '점: 3'
    """
    return words[key][LANGUAGES.index(lang)].format(**values)


@dataclass(frozen=True)
class Table:
    """A table of cells that are written already.

    Attributes
    ----------
    header : sequence of str
    rows : sequence of sequences of str
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def fold(self, full: bool) -> Table:
        """Return the same with dots in the middle where it is long."""
        if full or len(self.rows) <= FOLDED:
            return self
        half = FOLDED // 2
        dots = ["…"] * len(self.header)
        return Table(self.header, [*self.rows[:half], dots, *self.rows[-half:]])


class Account(ABC):
    """Something that was computed and is told: paragraphs, tables, and a picture.

    Attributes
    ----------
    lang : {'en', 'ko'}
        The language it is told in unless another is asked for.
    """

    lang: str

    @abstractmethod
    def tell(self, lang: str) -> Sequence[str | Table]:
        """Return paragraphs and tables in a language."""

    @abstractmethod
    def picture(self, lang: str | None = None) -> Picture:
        """Return the picture, its labels in a language."""

    def sketch(self, width: int = 60, height: int = 14) -> str:
        """Return a small drawing for a terminal, or "" where there is none."""
        del width, height
        return ""

    def text(self, lang: str | None = None, *, full: bool = False) -> str:
        """Return it as text for a terminal; `full` tells every row of a long table."""
        rows: list[str] = []
        for part in self._tell(lang):
            rows += [part] if isinstance(part, str) else _align(part.fold(full))
            rows.append("")
        return "\n".join(rows).rstrip()

    def markdown(self, lang: str | None = None, *, full: bool = False) -> str:
        """Return it as Markdown."""
        parts: list[str] = []
        for part in self._tell(lang):
            if isinstance(part, str):
                parts.append(part)
                continue
            table = part.fold(full)
            rows = ["| " + " | ".join(_escape_bar(x) for x in table.header) + " |"]
            rows.append("|" + " ---: |" * len(table.header))
            rows += ["| " + " | ".join(_escape_bar(x) for x in row) + " |" for row in table.rows]
            parts.append("\n".join(rows))
        return "\n\n".join(parts)

    def html(self, lang: str | None = None, *, full: bool = False) -> str:
        """Return it as a fragment of HTML."""
        rows = [f'<div class="account" lang="{lang or self.lang}">']
        for part in self._tell(lang):
            if isinstance(part, str):
                rows.append(f"<p>{_raise_powers(part)}</p>")
                continue
            table = part.fold(full)
            head = "".join(f"<th>{_raise_powers(x)}</th>" for x in table.header)
            rows.append(f"<table><thead><tr>{head}</tr></thead><tbody>")
            for row in table.rows:
                cells = "".join(
                    f'<td style="text-align:right">{_raise_powers(x)}</td>' for x in row
                )
                rows.append(f"<tr>{cells}</tr>")
            rows.append("</tbody></table>")
        return "\n".join([*rows, "</div>"])

    def latex(self, lang: str | None = None, *, full: bool = False) -> str:
        """Return it as LaTeX: paragraphs, and tables as tabular."""
        parts: list[str] = []
        for part in self._tell(lang):
            if isinstance(part, str):
                parts.append(_escape_latex(part))
                continue
            table = part.fold(full)
            body = [" & ".join(_escape_latex(x) for x in row) + r" \\" for row in table.rows]
            head = " & ".join(_escape_latex(x) for x in table.header) + r" \\ \hline"
            columns = "r" * len(table.header)
            parts.append("\n".join([rf"\begin{{tabular}}{{{columns}}}", head, *body,
                                    r"\end{tabular}"]))  # fmt: skip
        return "\n\n".join(parts)

    def _tell(self, lang: str | None) -> Sequence[str | Table]:
        lang = lang or self.lang
        check_lang("explain", lang)
        return self.tell(lang)

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return self.html()


def spell(value: float, digits: int = 6) -> str:
    """Return a number in so many digits, without a tail of zeros.

    Examples
    --------
    >>> spell(2.0), spell(0.1234567891), spell(1e-9)
    ('2', '0.123457', '1e-09')
    """
    if value == 0:
        return "0"
    return f"{value:.{digits}g}"


def _align(table: Table) -> list[str]:
    """Return a table with its columns in line, numbers to the right."""
    lines = [table.header, *table.rows]
    count = len(table.header)
    widths = [max(count_columns(line[i]) for line in lines) for i in range(count)]
    return [
        "  "
        + "  ".join(" " * (w - count_columns(x)) + x for x, w in zip(line, widths, strict=True))
        for line in lines
    ]


def count_columns(text: str) -> int:
    """Return how many columns a text takes on a terminal.

    Examples
    --------
    >>> count_columns("기울기 2")
    8
    """
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def _raise_powers(text: str) -> str:
    """Return a text as HTML, the powers in its formulas raised.

    Examples
    --------
    >>> _raise_powers("(w - 3)^2, e^(-x) > 0")
    '(w - 3)<sup>2</sup>, e<sup>-x</sup> &gt; 0'
    """
    return _POWER.sub(lambda m: f"<sup>{m[1] or m[2]}</sup>", escape(text))


def _escape_bar(text: str) -> str:
    return text.replace("|", r"\|")


_LATEX_SIGNS = {
    "…": r"\dots{}", "∞": r"$\infty$", "σ": r"$\sigma$", "φ": r"$\varphi$", "∂": r"$\partial$",
    "×": r"$\times$", "·": r"$\cdot$", "≤": r"$\le$", "≥": r"$\ge$", "→": r"$\to$", "ᵀ": r"$^{T}$",
    "∇": r"$\nabla$",
}  # fmt: skip
"""Signs that text fonts of LaTeX lack."""


def _escape_latex(text: str) -> str:
    for sign in "&%$#_{}":
        text = text.replace(sign, "\\" + sign)
    text = text.replace("^", r"\^{}")
    for sign, written in _LATEX_SIGNS.items():
        text = text.replace(sign, written)
    return text
