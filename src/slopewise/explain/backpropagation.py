"""Backpropagation told: what every operation of a computed tensor passes back, and why.

Invariant: the numbers are those of the tape as it was read; telling computes nothing new but
products of what is shown. It is separate from the tape, which knows no language.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from slopewise._core.source import user_frame
from slopewise._core.value import Value
from slopewise.explain.accounts import Account, Table, Words, say_in, spell
from slopewise.explain.complaints import LANGUAGES
from slopewise.explain.folds import fold, measure
from slopewise.explain.requests import check_lang, check_range, refuse
from slopewise.explain.tapes import Link, Part, Tape, read_tape

if TYPE_CHECKING:
    from slopewise.drawing import Picture

READABLE = 200
"""Parts, or groups of them, that are told one by one."""
_CHAINS = 6
_PATHS = 4
_FACTORS = 10
_WORDS: Words = {
    "title": (
        "backpropagation from {name} = {value}; operations: {count}, leaves: {leaves}",
        "역전파. 출발: {name} = {value}, 연산: {count}개, 끝의 변수: {leaves}개",
    ),
    "folded": (
        "{count} operations are told as {groups} groups, by module or by line of code.",
        "연산 {count}개를 모듈이나 코드의 줄에 따라 {groups}개로 묶었습니다.",
    ),
    "name": ("result", "결과"),
    "formula": ("operation", "연산"),
    "value": ("value", "값"),
    "gradient": ("∂{name}/∂result", "∂{name}/∂결과"),
    "to": ("to", "받는 쪽"),
    "local": ("local derivative", "국소 미분계수"),
    "passed": ("passes on", "전하는 값"),
    "rule": ("rule", "공식"),
    "leaf": ("leaf", "변수"),
    "group": ("group", "묶음"),
    "operations": ("operations", "연산"),
    "shape": ("shape", "모양"),
    "rms": ("gradient, rms", "기울기 (제곱평균제곱근)"),
    "ratio": ("of the one above", "바로 위와의 비"),
    "rms_of": ("{shape} rms {rms}", "{shape} 제곱평균제곱근 {rms}"),
    "how": (
        "Each operation takes the gradient that arrives at its result, multiplies it by its local "
        "derivative, and passes the product on; what arrives at a variable by several ways is "
        "added up.",
        "각 연산은 결과에 도착한 기울기에 자신의 국소 미분계수를 곱해 앞으로 전합니다. 한 변수에 "
        "여러 길로 도착한 값은 더합니다.",
    ),
    "chain": ("∂{root}/∂{leaf} = {product} = {value}", "∂{root}/∂{leaf} = {product} = {value}"),
    "many": ("… ({count} factors)", "… (곱 {count}개)"),
    "matrix": ("matrix", "행렬"),
    "unknown": ("not kept", "남지 않음"),
    "hooks": (
        "{count} hooks on these tensors were not called; the gradients are those before them.",
        "이 텐서들에 걸린 훅 {count}개는 부르지 않았습니다. 훅이 바꾸기 전의 기울기입니다.",
    ),
    "picture": (
        "The computational graph: each box a result with its value and gradient, each arrow a "
        "local derivative.",
        "계산 그래프. 상자는 결과와 그 값, 기울기이고 화살표는 국소 미분계수입니다.",
    ),
    "picture_value": ("value {value}", "값 {value}"),
    "picture_gradient": ("gradient {value}", "기울기 {value}"),
}  # fmt: skip


class Backprop(Account):
    """The graph of a computed tensor, with what each operation passes back.

    Attributes
    ----------
    tape : Tape
    gradients : dict of str to numpy.ndarray
        Of every variable and result, by name.

    Examples
    --------
    >>> import slopewise as sw
    >>> w = sw.tensor(4.0, requires_grad=True)
    >>> L = (w - 3) ** 2
    >>> found = sw.explain.backprop(L)
    >>> float(found.gradients["w"]), w.grad is None
    (2.0, True)
    """

    def __init__(self, tape: Tape, lang: str) -> None:
        self.tape = tape
        self.lang = lang
        self._groups, self._arrows = (
            fold(tape, READABLE) if len(tape.parts) > READABLE else ([], [])
        )

    @property
    def gradients(self) -> dict[str, Any]:
        """The gradient of the root in every variable and result, by name."""
        return {part.name: part.gradient for part in self.tape.parts}

    @property
    def root(self) -> Part:
        """The tensor that it starts from."""
        return self.tape.parts[-1]

    def tell(self, lang: str) -> list[str | Table]:
        """Return the table from the root to the leaves, and each gradient as a product."""
        parts = self.tape.parts
        count = sum(bool(part.operation) for part in parts)
        told: list[str | Table] = [
            say_in(_WORDS, "title", lang, name=self.root.name, value=_spell(self.root.value, lang),
                   count=count, leaves=len(parts) - count),
            say_in(_WORDS, "how", lang),
        ]  # fmt: skip
        if self._groups:
            groups = len(self._groups)
            told += [say_in(_WORDS, "folded", lang, count=count, groups=groups),
                     self._tell_groups(lang), self._tell_leaves(lang)]  # fmt: skip
        else:
            told.append(self._tell_parts(lang))
            told += self._tell_chains(lang)
        if self.tape.hooked:
            told.append(say_in(_WORDS, "hooks", lang, count=self.tape.hooked))
        return told

    def _tell_parts(self, lang: str) -> Table:
        keys = ("name", "formula", "value", "gradient", "to", "local", "passed", "rule")
        header = [say_in(_WORDS, key, lang, name=self.root.name) for key in keys]
        rows: list[list[str]] = []
        for part in reversed(self.tape.parts):
            formula = part.formula or say_in(_WORDS, "leaf", lang)
            first = [part.name, formula, _spell(part.value, lang), _spell(part.gradient, lang)]
            rule = part.rule[LANGUAGES.index(lang)]
            for link in part.links or [None]:
                if link is None:
                    rows.append([*first, "", "", "", ""])
                    continue
                local = say_in(_WORDS, "matrix", lang) if link.local is None else _spell(
                    link.local, lang)  # fmt: skip
                rows.append([*first, self.tape.parts[link.target].name, local,
                             _spell(link.passed, lang), rule])  # fmt: skip
                first, rule = [""] * 4, ""
        return Table(header, rows)

    def _tell_groups(self, lang: str) -> Table:
        keys = ("group", "operations", "shape", "rms", "ratio")
        rows: list[list[str]] = []
        above = math.nan
        for group in reversed(self._groups):
            shape = str(self.tape.parts[group.parts[-1]].shape)
            ratio = group.gradient / above if above else math.nan
            rows.append([_shorten(group.name, 30), _shorten(", ".join(group.operations), 40), shape,
                         spell(group.gradient, 4),
                         "" if math.isnan(ratio) else spell(ratio, 3)])  # fmt: skip
            above = group.gradient
        return Table([say_in(_WORDS, key, lang) for key in keys], rows)

    def _tell_leaves(self, lang: str) -> Table:
        header = [say_in(_WORDS, key, lang) for key in ("leaf", "shape", "rms")]
        return Table(header, [
            [part.name, str(part.shape), spell(measure(part.gradient), 4)]
            for part in reversed(self.tape.parts) if not part.operation
        ])  # fmt: skip

    def _tell_chains(self, lang: str) -> list[str]:
        """Return each leaf's gradient as the product of local derivatives along the ways to it."""
        told: list[str] = []
        leaves = [i for i, part in enumerate(self.tape.parts) if not part.operation]
        for leaf in leaves[:_CHAINS]:
            part = self.tape.parts[leaf]
            paths = find_paths(self.tape, leaf, _PATHS)
            if not paths or part.gradient is None or part.gradient.size != 1:
                continue
            products = [self._multiply(path, lang) for path in paths]
            told.append(say_in(_WORDS, "chain", lang, root=self.root.name, leaf=part.name,
                               product=" + ".join(products),
                               value=_spell(part.gradient, lang)))  # fmt: skip
        return told

    def _multiply(self, path: Sequence[Link], lang: str) -> str:
        factors = [spell(float(link.local.reshape(())), 4) for link in path]
        if len(factors) > _FACTORS:
            head, tail = factors[:4], factors[-2:]
            count = say_in(_WORDS, "many", lang, count=len(factors))
            return " × ".join([*head, count, *tail])
        return " × ".join(f"({f})" if f.startswith("-") else f for f in factors)

    def picture(self, lang: str | None = None) -> Picture:
        """Return the graph: boxes with values and gradients, arrows with local derivatives."""
        from slopewise.drawing import Arrow, Box, choose_language, draw_diagram

        wanted = lang or self.lang
        said = choose_language(wanted)
        boxes: list[Box] = []
        arrows: list[Arrow] = []
        if self._groups:
            last = len(self._groups) - 1
            for i, group in enumerate(self._groups):
                lines = (
                    group.name,
                    ", ".join(group.operations),
                    say_in(_WORDS, "picture_gradient", said, value=spell(group.gradient, 4)),
                )
                boxes.append(Box(lines, "root" if i == last else "plain"))
            arrows = [Arrow(start, stop) for start, stop in self._arrows]
        else:
            for part in self.tape.parts:
                lines = [f"{part.name} = {part.formula}" if part.formula else part.name]
                for key, array in (("picture_value", part.value),
                                   ("picture_gradient", part.gradient)):  # fmt: skip
                    value = _spell(array, said)
                    lines.append(say_in(_WORDS, key, said, value=value))
                kind = "root" if part is self.root else "plain" if part.operation else "leaf"
                boxes.append(Box(tuple(lines), kind))
            arrows = [Arrow(i, target, label) for i, part in enumerate(self.tape.parts)
                      for target, label in _label_links(part.links)]  # fmt: skip
        return draw_diagram(boxes, arrows, wanted, lambda spoken: say_in(_WORDS, "picture", spoken))


def _label_links(links: Sequence[Link]) -> list[tuple[int, str]]:
    """Return one arrow for each operand, with the sum of what its ways say."""
    labels: dict[int, list[str]] = {}
    for link in links:
        small = link.local is not None and link.local.size <= 2
        said = labels.setdefault(link.target, [])
        if small:
            said.append("×" + _spell(link.local, "en"))
    return [(target, " + ".join(said)) for target, said in labels.items()]


def find_paths(tape: Tape, leaf: int, most: int) -> list[list[Link]]:
    """Return the ways from the root to a part if they are few and all of single numbers.

    Parameters
    ----------
    tape : Tape
    leaf : int
        Number of the part.
    most : int

    Returns
    -------
    list of list of Link
        Empty where there are more ways, or a number on them is not single.
    """
    ways: list[list[list[Link]]] = []
    for number, part in enumerate(tape.parts):
        found: list[list[Link]] = [[]] if number == leaf else []
        for link in part.links:
            for rest in ways[link.target]:
                found.append([link, *rest])
        if len(found) > most:
            return []
        ways.append(found)
    paths = ways[-1]
    whole = all(link.local is not None and link.local.size == 1 for p in paths for link in p)
    return paths if whole else []


def _spell(array: Any, lang: str) -> str:
    """Return a number, a few numbers, or the shape and size of many."""
    if array is None:
        return say_in(_WORDS, "unknown", lang)
    array = np.asarray(array)
    if array.size == 1:
        return spell(float(array.reshape(())), 4)
    if array.ndim == 1 and array.size <= 4:
        return "[" + ", ".join(spell(float(x), 3) for x in array) + "]"
    shape = "×".join(map(str, array.shape))
    return say_in(_WORDS, "rms_of", lang, shape=shape, rms=spell(measure(array), 3))


def _shorten(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def backprop(tensor: Any, *, lang: str = "en") -> Backprop:
    """Return how the gradient of a computed tensor comes about, operation by operation.

    Parameters
    ----------
    tensor : Tensor, one element
        Computed with gradients recorded, and `backward` not yet run through it, or run with
        `retain_graph=True`. Nothing is changed: no `.grad` is written, nothing is freed.
    lang : str
        "en" or "ko".

    Returns
    -------
    Backprop

    Raises
    ------
    GradientError
        If nothing was recorded, the graph was freed, or the tensor has several elements.
    SpokenError
        If it is no Tensor, or there is no such language.

    Source: Baydin, Pearlmutter, Radul & Siskind (2018), Automatic differentiation in machine
    learning, section 3.2.

    Examples
    --------
    >>> import slopewise as sw
    >>> x = sw.tensor(0.0, requires_grad=True)
    >>> s = sw.sigmoid(x)
    >>> float(backprop(s).gradients["x"])
    0.25
    """
    check_lang("backprop", lang)
    if not isinstance(tensor, Value):
        raise refuse("backprop", "tensor", found=type(tensor).__name__)
    tape = read_tape(tensor, user_frame())
    check_range("backprop", "operations", len(tape.parts), 1, 1_000_000)
    return Backprop(tape, lang)
