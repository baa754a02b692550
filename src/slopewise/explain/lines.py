"""Lines: what is read of a derivation, in order, before any format.

Invariant: what is told is what the steps hold; this module chooses order and words alone. Names and
particles never touch a formula in Korean. It is separate so that every format tells the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from slopewise._ops.registry import collect
from slopewise._transform.expression import Expression
from slopewise.explain.complaints import LANGUAGES
from slopewise.explain.derivations import Derivation
from slopewise.explain.folding import MOST_STEPS, choose_depth, find_depths, list_parts, name_parts
from slopewise.explain.reading import Terms
from slopewise.explain.recognition import is_logistic_slope
from slopewise.explain.requests import check_lang
from slopewise.explain.rules import RULES
from slopewise.explain.steps import DERIVATIVE, Step

MOST_PARTS = 24
"""Named parts of long terms that are told."""
_WORDS: dict[str, tuple[str, str]] = {
    "outside": ("outside", "바깥"),
    "checked": (
        "every step checked at {count} points of the domain",
        "모든 단계를 정의역의 점 {count}개에서 확인함",
    ),
    "unchecked": (
        "no point of the domain was found, so nothing could be checked",
        "정의역의 점을 찾지 못하여 확인하지 못함",
    ),
    "arrow": ("after the arrows: values at {point}", "화살표 뒤는 다음 점에서의 값: {point}"),
    "quarter": (
        "the slope of a sigmoid is never above 1/4",
        "시그모이드의 기울기는 어디서나 1/4 이하",
    ),
    "why": ("why this rule holds: {rule}", "공식의 근거: {rule}"),
    "more": ("{count} steps more: {rules}", "나머지 단계 {count}개: {rules}"),
    "parts": ("where", "여기서"),
    "more_parts": ("{count} parts more", "나머지 부분 {count}개"),
}


@dataclass(frozen=True)
class Line:
    """One line: a heading (rule, letters) with sides of an equation, either of which may be absent.

    Attributes
    ----------
    depth : int
        How deep inside other steps.
    title : str
        The rule's name, or another heading, or "".
    letters : tuple of (str, Expression)
        What the rule's letters stand for.
    sides : tuple of Expression
        What is equal to what.
    remark : str
    terms : Terms or None
        Where the sides were made.
    value : float or None
        Of the sides, at the point that was asked about.
    """

    depth: int
    title: str = ""
    letters: tuple[tuple[str, Expression], ...] = ()
    sides: tuple[Expression, ...] = ()
    remark: str = ""
    terms: Terms | None = None
    value: float | None = None


@dataclass(frozen=True)
class Reading:
    """A derivation as it is read.

    Attributes
    ----------
    lines : list of Line
    names : dict of int to str
        Names of parts of the derivation's terms, where those are long.
    parts : list of Expression
        What the names stand for.
    more_parts : str
        How many parts are not told, in words, or "".
    """

    lines: list[Line]
    names: dict[int, str] = field(default_factory=dict[int, str])
    parts: list[Expression] = field(default_factory=list[Expression])
    more_parts: str = ""


def say(key: str, lang: str, **values: object) -> str:
    """Return a text in a language."""
    return _WORDS[key][LANGUAGES.index(lang)].format(**values)


def name_rule(step: Step, lang: str) -> str:
    """Return what the rule of a step is called.

    Parameters
    ----------
    step : Step
    lang : {'en', 'ko'}

    Returns
    -------
    str
        In Korean with the lecture's name for the rule in parentheses, where it has another.

    Raises
    ------
    UsageError
        If there is no such language.
    """
    check_lang("derivation", lang)
    rule, chained = step.rule.removesuffix("_chain"), step.rule.endswith("_chain")
    if rule == "function":
        text = collect()[step.primitive].text
        name = text.en if lang == "en" else text.ko
    else:
        name = RULES[rule].name(lang)
    if not chained:
        return name
    return f"{RULES['chain'].name(lang)}, {say('outside', lang)}: {name}"


def say_rule(step: Step, lang: str) -> str:
    """Return what the rule of a step is called and what it says.

    Parameters
    ----------
    step : Step
    lang : {'en', 'ko'}

    Returns
    -------
    str
        The name alone for rules of single functions, which say no more than their formula.
    """
    name = name_rule(step, lang)
    rule = RULES.get(step.rule.removesuffix("_chain"))
    return name if rule is None else f"{name}. {rule.sentence(lang)}"


def read_derivation(
    found: Derivation, lang: str, at: Mapping[str, float] | None = None, full: bool = False
) -> Reading:
    """Return a derivation as it is read; long terms and many steps are folded.

    Parameters
    ----------
    found : Derivation
    lang : {'en', 'ko'}
    at : mapping of str to float, optional
        A point at which to tell the value of each step.
    full : bool
        Tell every step and every part.

    Returns
    -------
    Reading
    """
    if at is not None:
        found = found.fill_values(at)
    lines = [_rewrite(step, lang) for step in found.first]
    lines += _list_steps(found, lang, full)
    lines += [_rewrite(step, lang) for step in found.last]
    lines = [replace(line, terms=found.terms) for line in lines]
    shown = [found.function, found.result]
    shown += [x for line in lines for x in (*line.sides, *(t for _, t in line.letters))]
    names = name_parts(found.terms, shown)
    parts: list[Expression] = []
    more = ""
    if names:
        parts, names = list_parts(shown, names)
        if len(parts) > MOST_PARTS and not full:
            more = say("more_parts", lang, count=len(parts) - MOST_PARTS)
            parts = parts[:MOST_PARTS]
    for name, lemma in found.lemmas.items():
        text = collect()[name].text
        lines.append(Line(0, say("why", lang, rule=text.en if lang == "en" else text.ko)))
        inner = [*(_rewrite(step, lang) for step in lemma.first), *_list_steps(lemma, lang)]
        inner += [_rewrite(step, lang) for step in lemma.last]
        lines += [replace(line, depth=line.depth + 1, terms=lemma.terms) for line in inner]
    return Reading(_tell_once(lines), names, parts, more)


def _tell_once(lines: list[Line]) -> list[Line]:
    """Leave out remarks that were made before."""
    told: set[str] = set()
    found: list[Line] = []
    for line in lines:
        found.append(replace(line, remark="") if line.remark in told else line)
        told.add(line.remark)
    return found


def read_step(found: Derivation, step: Step, lang: str) -> list[Line]:
    """Return the lines of one step alone."""
    if step.is_rewrite:
        lines = [_rewrite(step, lang)]
    else:
        opening, closing = _derive_lines(step, lang, 0, _Marker(found))
        lines = [opening] if closing is None else [opening, closing]
    return [replace(line, terms=found.terms) for line in lines]


def _rewrite(step: Step, lang: str, depth: int = 0) -> Line:
    remark = say("quarter", lang) if is_logistic_slope(step.after) else ""
    return Line(depth, name_rule(step, lang), (), (step.before, step.after), remark,
                value=step.value)  # fmt: skip


def _list_steps(found: Derivation, lang: str, full: bool = False) -> list[Line]:
    """Return the lines of the derivation itself."""
    listed = find_depths(found)
    deepest = choose_depth(listed, len(listed) if full else MOST_STEPS)
    mark = _Marker(found)
    lines: list[Line] = []
    closing: list[tuple[int, Line]] = []

    def close(depth: int) -> None:
        while closing and closing[-1][0] >= depth:
            lines.append(closing.pop()[1])

    hidden: Counter[str] = Counter()

    def tell_hidden() -> None:
        if hidden:
            rules = ", ".join(f"{name} × {count}" for name, count in hidden.most_common())
            more = say("more", lang, count=sum(hidden.values()), rules=rules)
            lines.append(Line(deepest + 1, more))
            hidden.clear()

    for step, depth in listed:
        if depth > deepest:
            hidden[name_rule(step, lang)] += 1
            continue
        tell_hidden()
        close(depth)
        opening, end = _derive_lines(step, lang, depth, mark)
        if end is not None:
            closing.append((depth, end))
        lines.append(opening)
    tell_hidden()
    close(0)
    return lines


def _derive_lines(
    step: Step, lang: str, depth: int, mark: Callable[[Expression], Expression]
) -> tuple[Line, Line | None]:
    """Return the line of a rule, and the one that closes it when its inner steps are done."""
    letters = tuple(step.bindings.items()) if _needs_letters(step) else ()
    remark = say("quarter", lang) if step.primitive == "sigmoid" else ""
    before = mark(step.before)
    sides = (before, step.after)
    closing: Line | None = None
    if step.settled is not step.after:
        put = RULES["put_in"].name(lang)
        end: tuple[Expression, ...] = (before, step.settled)
        if step.result is not step.settled:
            put = f"{put}, {RULES['tidy'].name(lang)}"
            end = (*end, step.result)
        closing = Line(depth, put, (), end, value=step.value)
    elif step.result is not step.after:
        sides = (*sides, step.result)
    return Line(depth, name_rule(step, lang), letters, sides, remark, value=step.value), closing


class _Marker:
    """Writes the derivative that a step takes."""

    def __init__(self, found: Derivation) -> None:
        self.found = found

    def __call__(self, term: Expression) -> Expression:
        position = self.found.terms.names.index(self.found.wrt)
        return self.found.terms.apply(DERIVATIVE, [term], {"wrt": position})


def _needs_letters(step: Step) -> bool:
    return step.rule.endswith("_chain") or step.rule in ("product", "quotient", "general_power")
