"""Builds the lecture: one page in English and one in Korean, computed anew.

    python3 dev.py python docs/lecture/build.py FOLDER

writes lecture.en.html and lecture.ko.html there, each whole or not at all. The pages need nothing
from elsewhere. It is separate from the document because looks are no part of what is said.
"""

from __future__ import annotations

import base64
import sys
from html import escape
from pathlib import Path
from typing import Any

from cells import Cell, CellError
from document import LANGUAGES, SECTIONS, Document
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from slopewise._core.files import write_file
from slopewise.drawing import Picture

HERE = Path(__file__).parent
MISSING_FONT = "no font with Korean letters was found: labels of pictures are in English"
WIDE = 700
"""Pixels; wider pictures are scrolled on a phone, not shrunk until nothing can be read."""
WORDS = {
    "title": ("Derivatives and gradient descent", "미분과 경사하강법"),
    "lead": (
        "How machines learn, from the slope of a curve to the layers of a deep network. All "
        "cells of this page were run when it was built, and every number and every picture comes "
        "from them. Where the slides that it follows have a slip, a remark puts it right.",
        "곡선의 기울기에서 깊은 신경망의 층까지, 기계가 학습하는 원리를 차례로 살펴봅니다. 이 "
        "문서의 셀은 문서를 만들 때 모두 실행되었고, 모든 수와 그림은 그 결과입니다. 강의 자료에 "
        "잘못된 곳이 있으면 ‘바로잡기’ 상자에서 바로잡았습니다.",
    ),
    "contents": ("Contents", "차례"),
    "cell": ("Cell", "셀"),
    "printed": ("printed", "출력"),
    "error": ("error", "오류"),
}
"""What the page itself says, in English and Korean."""


class Builder:
    """Writes one page.

    Attributes
    ----------
    lang : {'en', 'ko'}
    missing_font : bool
        Whether labels of pictures had to be English.
    """

    def __init__(self, lang: str, folder: Path = SECTIONS) -> None:
        self.lang = lang
        self.folder = folder
        self.missing_font = False
        self.environment = Environment(
            loader=FileSystemLoader(HERE), undefined=StrictUndefined, autoescape=False,
            trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip

    def build(self) -> str:
        """Compute the document and return its page."""
        sections = Document(self.lang, self.folder).compute()
        shown = [(section, [self._show(part) for part in section.parts]) for section in sections]
        style = (HERE / "page.css").read_text(encoding="utf-8")
        page = self.environment.get_template("page.html.jinja")
        return page.render(lang=self.lang, sections=shown, style=style, say=self._say)

    def _say(self, key: str) -> str:
        return WORDS[key][LANGUAGES.index(self.lang)]

    def _show(self, part: str | Cell) -> str:
        if isinstance(part, str):
            return part
        label = f"{self._say('cell')} {part.number}"
        rows = [f'<div class="cell" id="cell-{part.number}"><p class="label">{label}</p>',
                f'<pre class="code"><code>{colour(part.code)}</code></pre>']  # fmt: skip
        if part.printed:
            rows.append(f'<pre class="printed" aria-label="{label}, {self._say("printed")}">'
                        f"<samp>{escape(part.printed.rstrip())}</samp></pre>")  # fmt: skip
        if part.error:
            rows.append(f'<pre class="error" aria-label="{label}, {self._say("error")}">'
                        f"<samp>{escape(part.error)}</samp></pre>")  # fmt: skip
        rows += [self._show_value(value) for value in part.shown]
        return "\n".join([*rows, "</div>"])

    def _show_value(self, value: Any) -> str:
        if isinstance(value, Picture):
            self.missing_font |= value.missing_font
            svg = value.svg()
            content = base64.b64encode(svg.encode()).decode()
            width = round(96 * value.figure.get_figwidth())
            # Colours that stand for numbers must not be turned round on a dark page.
            kinds = ["wide"] * (width > WIDE) + ["coloured"] * ("<image" in svg)
            return (
                f'<figure><img class="{" ".join(kinds)}" style="width:{width}px"'
                f' src="data:image/svg+xml;base64,{content}"'
                f' alt="{escape(value.description)}"></figure>'
            )
        if hasattr(value, "html"):
            return f'<div class="shown">{value.html(self.lang)}</div>'
        return f'<pre class="printed"><samp>{escape(repr(value))}</samp></pre>'


def colour(code: str) -> str:
    """Return Python code as HTML, its kinds of words told apart by classes.

    Examples
    --------
    >>> colour("# one")
    '<span class="c1"># one</span>'
    """
    return highlight(code.rstrip(), PythonLexer(), HtmlFormatter(nowrap=True)).rstrip()


def main(arguments: list[str]) -> int:
    """Build both pages into a folder, and return the exit status."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print(str(__doc__).strip(), file=sys.stderr)
        return 2
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    for lang in LANGUAGES:
        builder = Builder(lang)
        try:
            page = builder.build()
        except CellError as error:
            print(f"lecture ({lang}): {error}", file=sys.stderr)
            return 1
        target = folder / f"lecture.{lang}.html"
        write_file(target, page.encode())
        print(target)
        if builder.missing_font:
            print(MISSING_FONT)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
