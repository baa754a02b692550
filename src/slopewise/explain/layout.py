"""Layout: a derivation as text, LaTeX, Markdown and HTML.

Invariant: every format tells the same lines in the same order. It is separate from `lines`, which
knows no format.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from slopewise._transform.expression import Expression
from slopewise.explain.derivations import Derivation
from slopewise.explain.lines import Line, Reading, read_derivation, read_step, say
from slopewise.explain.notation import PENS, spell_number, write
from slopewise.explain.reading import Terms
from slopewise.explain.steps import Step

Point = Mapping[str, float] | None


class _Page:
    """What all formats need of one derivation."""

    def __init__(self, found: Derivation, lang: str, at: Point, form: str, full: bool) -> None:
        self.found = found
        self.lang = lang
        self.at = at
        self.form = form
        self.reading: Reading = read_derivation(found, lang, at, full)

    def write(self, term: Expression, terms: Terms | None = None) -> str:
        """Return a term, parts of it by their names."""
        own = terms is None or terms is self.found.terms
        names = self.reading.names if own else None
        return write(terms or self.found.terms, term, self.form, self.lang, names)

    def sides(self, line: Line) -> list[str]:
        return [self.write(side, line.terms) for side in line.sides]

    def letters(self, line: Line) -> list[tuple[str, str]]:
        return [(letter, self.write(term, line.terms)) for letter, term in line.letters]

    def parts(self) -> list[tuple[str, str]]:
        """Return the names of parts and what they stand for."""
        pen = PENS[self.form]
        names = self.reading.names
        return [(pen.name(names[t.number]).text, self.write(t)) for t in self.reading.parts]

    @property
    def several(self) -> bool:
        return len(self.found.terms.names) > 1

    def head(self) -> str:
        """Return the sign of what is derived: the function, or an earlier derivative of it."""
        if self.found.earlier:
            return self.slope(self.found.earlier)
        names = ", ".join(PENS[self.form].name(name).text for name in self.found.terms.names)
        if self.form == "html":
            return f"<mi>f</mi><mo>(</mo>{names.replace(', ', '<mo>,</mo>')}<mo>)</mo>"
        return f"f({names})"

    def slope(self, wrts: tuple[str, ...] | None = None) -> str:
        """Return the sign of a derivative; of the one that is found here unless told otherwise."""
        wrts = wrts or (*self.found.earlier, self.found.wrt)
        names = [PENS[self.form].name(name).text for name in wrts]
        if not self.several:
            return self._primes(len(wrts)) + self._around(names[0])
        # The variable that was taken last stands first: d/dy of df/dx is d2f/dydx.
        return self._fraction(names[::-1])

    def _primes(self, order: int) -> str:
        if self.form == "html":
            sign = "′" * order if order < 4 else f"({order})"
            return f'<msup><mi>f</mi><mo lspace="0" rspace="0">{sign}</mo></msup>'
        return "f" + ("'" * order if order < 4 else f"^{{({order})}}" if self.form == "latex"
                      else f"^({order})")  # fmt: skip

    def _around(self, inside: str) -> str:
        return f"<mo>(</mo>{inside}<mo>)</mo>" if self.form == "html" else f"({inside})"

    def _fraction(self, names: list[str]) -> str:
        order = len(names)
        if self.form == "latex":
            power = f"^{{{order}}}" if order > 1 else ""
            below = " ".join(rf"\partial {name}" for name in names)
            return rf"\frac{{\partial{power} f}}{{{below}}}"
        if self.form == "html":
            d = "<mo>∂</mo>"
            above = f"<msup>{d}<mn>{order}</mn></msup>" if order > 1 else d
            below = "".join(f"{d}{name}" for name in names)
            return f"<mfrac><mrow>{above}<mi>f</mi></mrow><mrow>{below}</mrow></mfrac>"
        power = "" if order == 1 else f"^{order}"
        return f"∂{power}f/{''.join(f'∂{name}' for name in names)}"

    def value(self) -> str:
        """Return the slope at the point."""
        assert self.at is not None
        point = {name: float(self.at[name]) for name in self.found.terms.names}
        slope = spell_number(self.found.value(**point))
        equals = {"latex": " &= ", "html": "<mo>=</mo>"}.get(self.form, " = ")
        if self.form == "html":
            slope = f"<mn>{slope}</mn>"
        if self.several:
            return f"{self.slope()}{self._around(self.point())}{equals}{slope}"
        order = len(self.found.earlier) + 1
        inside = spell_number(point[self.found.wrt])
        inside = f"<mn>{inside}</mn>" if self.form == "html" else inside
        return f"{self._primes(order)}{self._around(inside)}{equals}{slope}"

    def point(self) -> str:
        assert self.at is not None
        given = [(PENS[self.form].name(name).text, spell_number(float(self.at[name])))
                 for name in self.found.terms.names]  # fmt: skip
        if self.form == "html":
            return "<mo>,</mo>".join(f"{name}<mo>=</mo><mn>{value}</mn>" for name, value in given)
        return ", ".join(f"{name} = {value}" for name, value in given)

    def checked(self) -> str:
        count = self.found.points
        return say("checked" if count else "unchecked", self.lang, count=count)

    def arrow(self) -> str:
        """Return what the arrows at the ends of lines say."""
        assert self.at is not None
        given = (f"{n} = {spell_number(float(self.at[n]))}" for n in self.found.terms.names)
        return say("arrow", self.lang, point=", ".join(given))


def show_text(found: Derivation, lang: str = "en", at: Point = None, full: bool = False) -> str:
    """Return a derivation as text for a terminal."""
    page = _Page(found, lang, at, "text", full)
    rows = [f"{page.head()} = {page.write(found.function)}"]
    if at is not None:
        rows.append(page.arrow())
    rows.append("")
    for line in page.reading.lines:
        rows += _text_rows(page, line)
    rows += ["", f"{page.slope()} = {page.write(found.result)}"]
    if page.reading.parts:
        rows += [say("parts", lang), *(f"  {name} = {term}" for name, term in page.parts())]
    if page.reading.more_parts:
        rows.append(f"  {page.reading.more_parts}")
    if at is not None:
        rows.append(page.value())
    rows.append(page.checked())
    return "\n".join(rows)


def show_line(found: Derivation, step: Step, lang: str = "en") -> str:
    """Return one step alone as text."""
    page = _Page(found, lang, None, "text", False)
    return "\n".join(row for line in read_step(found, step, lang) for row in _text_rows(page, line))


def _text_rows(page: _Page, line: Line) -> list[str]:
    indent = "  " * line.depth
    rows: list[str] = []
    if line.title:
        letters = ", ".join(f"{letter} = {term}" for letter, term in page.letters(line))
        title = f"{line.title}: {letters}" if letters else line.title
        remark = f" ({line.remark})" if line.remark else ""
        rows.append(f"{indent}{title}{remark}")
    if line.sides:
        value = "" if line.value is None else f"   → {spell_value(line.value)}"
        rows.append(f"{indent}  {' = '.join(page.sides(line))}{value}")
    return rows


def spell_value(value: float) -> str:
    """Return the value of a step in few digits."""
    return spell_number(float(f"{value:.10g}"))


def show_latex(found: Derivation, lang: str = "en", at: Point = None, full: bool = False) -> str:
    """Return a derivation as LaTeX: one aligned block, the rules beside their lines."""
    page = _Page(found, lang, at, "latex", full)
    rows = [f"{page.head()} &= {page.write(found.function)}"]
    for line in page.reading.lines:
        title = rf"\text{{{line.title}}}" if line.title else ""
        letters = r",\ ".join(f"{letter} = {term}" for letter, term in page.letters(line))
        note = rf"{title}\quad {letters}" if letters else title
        if line.remark:
            note += rf"\quad \text{{({line.remark})}}"
        if not line.sides:
            rows.append(f"& {note}")
            continue
        first, *others = page.sides(line)
        value = "" if line.value is None else rf" \quad \to {latex_number(line.value)}"
        rows.append(f"{first} &= {' = '.join(others)}{value} && {note}".rstrip(" &"))
    rows.append(rf"{page.slope()} &= {page.write(found.result)}")
    rows += [f"{name} &= {term}" for name, term in page.parts()]
    if page.reading.more_parts:
        rows.append(rf"& \text{{{page.reading.more_parts}}}")
    if at is not None:
        rows.append(page.value())
    return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"


def latex_number(value: float) -> str:
    """Return the value of a step for LaTeX."""
    digits, mark, exponent = spell_value(value).partition("e")
    return rf"{digits} \cdot 10^{{{int(exponent)}}}" if mark else digits


def show_markdown(found: Derivation, lang: str = "en", at: Point = None, full: bool = False) -> str:
    """Return a derivation as Markdown with LaTeX between dollars."""
    page = _Page(found, lang, at, "latex", full)
    rows = [f"$${page.head()} = {page.write(found.function)}$$", ""]
    if at is not None:
        rows += [page.arrow(), ""]
    for line in page.reading.lines:
        parts = [f"**{line.title}**"] if line.title else []
        letters = ", ".join(f"${letter} = {term}$" for letter, term in page.letters(line))
        if letters:
            parts.append(f"({letters})")
        if line.remark:
            parts.append(f"({line.remark})")
        head = " ".join(parts)
        value = "" if line.value is None else f" → {spell_value(line.value)}"
        equation = f"${' = '.join(page.sides(line))}${value}" if line.sides else ""
        rows.append(f"{'  ' * line.depth}- {': '.join(x for x in (head, equation) if x)}")
    rows += ["", f"$${page.slope()} = {page.write(found.result)}$$"]
    if page.reading.parts:
        rows += ["", say("parts", lang), ""]
        rows += [f"- ${name} = {term}$" for name, term in page.parts()]
    if page.reading.more_parts:
        rows.append(f"- {page.reading.more_parts}")
    if at is not None:
        rows += ["", f"${page.value().replace('&', '')}$"]
    rows += ["", f"*{page.checked()}*"]
    return "\n".join(rows)


def show_html(found: Derivation, lang: str = "en", at: Point = None, full: bool = False) -> str:
    """Return a derivation as HTML with MathML, a fragment that needs nothing from elsewhere."""
    page = _Page(found, lang, at, "html", full)

    def math(inside: str) -> str:
        return f'<math xmlns="http://www.w3.org/1998/Math/MathML"><mrow>{inside}</mrow></math>'

    head = f"{page.head()}<mo>=</mo>{page.write(found.function)}"
    rows = [f'<div class="derivation" lang="{lang}">', f"<p>{math(head)}</p>"]
    if at is not None:
        rows.append(f"<p>{escape(page.arrow())}</p>")
    depth = -1  # of the line that is open
    for line in page.reading.lines:
        if line.depth > depth:
            rows.append("<ul>" + "<li><ul>" * (line.depth - depth - 1))
        else:
            rows.append("</li>" + "</ul></li>" * (depth - line.depth))
        depth = line.depth
        parts = [f"<b>{escape(line.title)}</b>"] if line.title else []
        letters = [math(f"<mi>{escape(x)}</mi><mo>=</mo>{term}") for x, term in page.letters(line)]
        if letters:
            parts.append(f"({', '.join(letters)})")
        if line.remark:
            parts.append(f"({escape(line.remark)})")
        if line.sides:
            parts.append(math("<mo>=</mo>".join(page.sides(line))))
        if line.value is not None:
            parts.append(f"→ {escape(spell_value(line.value))}")
        rows.append(f"<li>{' '.join(parts)}")
    rows.append("</li></ul>" * (depth + 1))
    rows.append(f"<p>{math(f'{page.slope()}<mo>=</mo>{page.write(found.result)}')}</p>")
    if page.reading.parts:
        rows.append(f"<p>{escape(say('parts', lang))}</p>")
        rows.append("<ul>")
        rows += [f"<li>{math(f'{name}<mo>=</mo>{term}')}</li>" for name, term in page.parts()]
        if page.reading.more_parts:
            rows.append(f"<li>{escape(page.reading.more_parts)}</li>")
        rows.append("</ul>")
    if at is not None:
        rows.append(f"<p>{math(page.value())}</p>")
    rows += [f"<p>{escape(page.checked())}</p>", "</div>"]
    return "\n".join(rows)
