"""Lines: a derivation as it is read, in a language and a format.

Invariant: what is shown is what the steps hold; this module chooses words and layout alone. Names
and particles never touch a formula in Korean. It is separate so that a derivation can be read by
programs too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from slopewise._ops.registry import collect
from slopewise._transform.expression import Expression
from slopewise.errors import UsageError
from slopewise.explain.notation import spell_number, write
from slopewise.explain.rules import LANGUAGES, RULES
from slopewise.explain.steps import DERIVATIVE, Derivation, Step

FORMATS = ("text", "latex", "html", "md")
_WORDS: dict[str, tuple[str, str]] = {
    "function": ("function", "함수"),
    "derivative": ("derivative", "도함수"),
    "outside": ("outside", "바깥"),
    "where": ("where", "여기서"),
    "checked": (
        "every step checked at {count} points of the domain",
        "모든 단계를 정의역의 점 {count}개에서 확인함",
    ),
    "unchecked": (
        "no point of the domain was found, so nothing could be checked",
        "정의역의 점을 찾지 못하여 확인하지 못함",
    ),
    "at": ("at", "점"),
    "quarter": (
        "the slope of a sigmoid is never above 1/4",
        "시그모이드의 기울기는 어디서나 1/4 이하",
    ),
    "expanded": ("expanded first", "먼저 전개"),
}


@dataclass(frozen=True)
class Line:
    """One line: a heading (rule, letters) or sides of an equation.

    Attributes
    ----------
    depth : int
        How deep inside other steps.
    title : str
        The rule's name, or "".
    letters : tuple of (str, Expression)
        What the rule's letters stand for.
    sides : tuple of Expression
        What is equal to what.
    remark : str
    """

    depth: int
    title: str = ""
    letters: tuple[tuple[str, Expression], ...] = ()
    sides: tuple[Expression, ...] = ()
    remark: str = ""


def say(key: str, lang: str) -> str:
    """Return a word in a language."""
    return _WORDS[key][LANGUAGES.index(lang)]


def name_rule(step: Step, lang: str) -> str:
    """Return what the rule of a step is called."""
    if lang not in LANGUAGES:
        raise UsageError(f"derivation: no language {lang!r}; there is {', '.join(LANGUAGES)}.")
    rule, chained = step.rule.removesuffix("_chain"), step.rule.endswith("_chain")
    if rule == "function":
        text = collect()[step.primitive].text
        name = text.en if lang == "en" else text.ko
    else:
        name = RULES[rule].en if lang == "en" else RULES[rule].ko
    if not chained:
        return name
    chain = RULES["chain"].en if lang == "en" else RULES["chain"].ko
    return f"{chain}, {say('outside', lang)}: {name}"


def list_lines(found: Derivation, lang: str = "en") -> list[Line]:
    """Return a derivation as lines, the steps inside others further in."""
    lines: list[Line] = []
    mark = _Marker(found)
    if found.expanded is not None:
        title = RULES["expand"].en if lang == "en" else RULES["expand"].ko
        lines.append(Line(0, title, (), (found.function, found.expanded)))
    seen: set[int] = set()
    pending: list[Step | Line | tuple[Step, int]] = [(found.step, 0)]
    while pending:
        item = pending.pop()
        if isinstance(item, Line):
            lines.append(item)
            continue
        assert isinstance(item, tuple)
        step, depth = item
        if step.before.number in seen:
            continue
        seen.add(step.before.number)
        letters = tuple(step.bindings.items()) if _needs_letters(step) else ()
        remark = say("quarter", lang) if step.primitive == "sigmoid" else ""
        sides = (mark(step.before), step.after)
        if step.steps:
            lines.append(Line(depth, name_rule(step, lang), letters, sides, remark))
            if step.result is not step.after:
                pending.append(Line(depth, "", (), (mark(step.before), step.result)))
            pending.extend((s, depth + 1) for s in reversed(step.steps))
        else:
            both = sides if step.result is step.after else (*sides, step.result)
            lines.append(Line(depth, name_rule(step, lang), letters, both, remark))
    return lines


class _Marker:
    def __init__(self, found: Derivation) -> None:
        self.found = found

    def __call__(self, term: Expression) -> Expression:
        position = self.found.terms.names.index(self.found.wrt)
        return self.found.terms.apply(DERIVATIVE, [term], {"wrt": position})


def _needs_letters(step: Step) -> bool:
    return step.rule.endswith("_chain") or step.rule in ("product", "quotient", "general_power")


def show_text(found: Derivation, lang: str = "en", at: Mapping[str, float] | None = None) -> str:
    """Return a derivation as text for a terminal."""
    head = f"f({', '.join(found.terms.names)}) = {write(found.terms, found.function, 'text', lang)}"
    rows = [head, ""]
    for line in list_lines(found, lang):
        indent = "  " * line.depth
        if line.title:
            rows.append(f"{indent}{_heading(found, line, lang, 'text')}")
        rows.append(f"{indent}  {_equation(found, line, lang, 'text')}")
    rows += ["", f"{_slope(found)} = {write(found.terms, found.result, 'text', lang)}"]
    if at is not None:
        rows.append(_value_line(found, at))
    rows.append(_checked(found, lang))
    return "\n".join(rows)


def show_latex(found: Derivation, lang: str = "en", at: Mapping[str, float] | None = None) -> str:
    """Return a derivation as LaTeX: one aligned block, the rules beside their lines."""
    names = ", ".join(found.terms.names)
    rows = [rf"f({names}) &= {write(found.terms, found.function, 'latex', lang)}"]
    for line in list_lines(found, lang):
        sides = [write(found.terms, s, "latex", lang) for s in line.sides]
        equation = f"{sides[0]} &= " + " = ".join(sides[1:])
        note = _heading(found, line, lang, "latex") if line.title else ""
        rows.append(f"{equation} && {note}".rstrip(" &"))
    rows.append(rf"{_slope(found, 'latex')} &= {write(found.terms, found.result, 'latex', lang)}")
    if at is not None:
        rows.append(_value_line(found, at, " &= "))
    return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"


def show_markdown(
    found: Derivation, lang: str = "en", at: Mapping[str, float] | None = None
) -> str:
    """Return a derivation as Markdown with LaTeX between dollars."""
    head = (
        f"f({', '.join(found.terms.names)}) = {write(found.terms, found.function, 'latex', lang)}"
    )
    rows = [f"$${head}$$", ""]
    for line in list_lines(found, lang):
        indent = "  " * line.depth
        equation = f"${_equation(found, line, lang, 'latex')}$"
        if line.title:
            title = _heading(found, line, lang, "md")
            rows.append(f"{indent}- {title}: {equation}")
        else:
            rows.append(f"{indent}- {equation}")
    result = write(found.terms, found.result, "latex", lang)
    rows += ["", f"$${_slope(found, 'latex')} = {result}$$"]
    if at is not None:
        rows += ["", f"${_value_line(found, at)}$"]
    rows += ["", f"*{_checked(found, lang)}*"]
    return "\n".join(rows)


def show_html(found: Derivation, lang: str = "en", at: Mapping[str, float] | None = None) -> str:
    """Return a derivation as HTML with MathML, a fragment that needs nothing from elsewhere."""

    def math(inside: str) -> str:
        return f'<math xmlns="http://www.w3.org/1998/Math/MathML"><mrow>{inside}</mrow></math>'

    def sides(line: Line) -> str:
        written = [write(found.terms, s, "html", lang) for s in line.sides]
        return math("<mo>=</mo>".join(written))

    names = "<mo>,</mo>".join(f"<mi>{escape(n)}</mi>" for n in found.terms.names)
    head = math(
        f"<mi>f</mi><mo>(</mo>{names}<mo>)</mo><mo>=</mo>"
        + write(found.terms, found.function, "html", lang)
    )
    rows = [f'<div class="derivation" lang="{lang}">', f"<p>{head}</p>", "<ul>"]
    depth = 0
    for line in list_lines(found, lang):
        rows += ["<ul>"] * max(0, line.depth - depth) + ["</ul>"] * max(0, depth - line.depth)
        depth = line.depth
        title = _heading(found, line, lang, "html") if line.title else ""
        rows.append(f"<li>{title} {sides(line)}</li>")
    rows += ["</ul>"] * (depth + 1)
    result = write(found.terms, found.result, "html", lang)
    rows.append(f"<p>{math(f'<msup><mi>f</mi><mo>′</mo></msup><mo>=</mo>{result}')}</p>")
    if at is not None:
        rows.append(f"<p>{escape(_value_line(found, at))}</p>")
    rows += [f"<p>{escape(_checked(found, lang))}</p>", "</div>"]
    return "\n".join(rows)


def _heading(found: Derivation, line: Line, lang: str, form: str) -> str:
    pen = {"text": "text", "latex": "latex", "md": "latex", "html": "html"}[form]
    parts: list[str] = []
    for letter, term in line.letters:
        written = write(found.terms, term, pen, lang)
        if form == "html":
            parts.append(f"<math><mrow><mi>{letter}</mi><mo>=</mo>{written}</mrow></math>")
        else:
            parts.append({"md": "${} = {}$"}.get(form, "{} = {}").format(letter, written))
    if form == "latex":
        title = rf"\text{{{line.title}}}"
        return rf"{title}\quad " + r",\ ".join(parts) if parts else title
    title = {"md": f"**{line.title}**", "html": f"<b>{escape(line.title)}</b>"}.get(
        form, line.title
    )
    shown = f"{title}: {', '.join(parts)}" if parts and form == "text" else title
    if parts and form != "text":
        shown = f"{title} ({', '.join(parts)})"
    return f"{shown} ({line.remark})" if line.remark and form != "latex" else shown


def _equation(found: Derivation, line: Line, lang: str, form: str) -> str:
    return " = ".join(write(found.terms, side, form, lang) for side in line.sides)


def _slope(found: Derivation, form: str = "text") -> str:
    if len(found.terms.names) == 1:
        return f"f'({found.wrt})"
    return (
        rf"\frac{{\partial f}}{{\partial {found.wrt}}}" if form == "latex" else f"∂f/∂{found.wrt}"
    )


def _value_line(found: Derivation, at: Mapping[str, float], equals: str = " = ") -> str:
    given = ", ".join(f"{name} = {spell_number(float(at[name]))}" for name in found.terms.names)
    slope = spell_number(found.value(**{n: float(at[n]) for n in found.terms.names}))
    if len(found.terms.names) == 1:
        return f"f'({spell_number(float(at[found.wrt]))}){equals}{slope}"
    return f"{_slope(found, 'latex' if '&' in equals else 'text')}({given}){equals}{slope}"


def _checked(found: Derivation, lang: str) -> str:
    return say("checked" if found.points else "unchecked", lang).format(count=found.points)
