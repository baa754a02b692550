"""The rules by name: what each is called in English and Korean, its formula, and what it says.

Invariant: every rule id that a step can carry is here; rules of single functions take their names
and formulas from the functions' own records. It is separate because it is prose.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """A rule of derivation.

    Attributes
    ----------
    en, ko : str
        Its names.
    formula : str
        LaTeX.
    plain : str
        The same in plain signs.
    does_en, does_ko : str
        What it says, in a sentence.
    lecture : str
        What the lecture calls it, in Korean; "" where it has no name of its own there.
    """

    en: str
    ko: str
    formula: str
    plain: str
    does_en: str
    does_ko: str
    lecture: str = ""

    def name(self, lang: str) -> str:
        """Return its name; in Korean with the lecture's own in parentheses."""
        if lang == "en":
            return self.en
        return f"{self.ko} ({self.lecture})" if self.lecture else self.ko

    def sentence(self, lang: str) -> str:
        """Return what it says."""
        return self.does_en if lang == "en" else self.does_ko


RULES: dict[str, Rule] = {
    "constant": Rule(
        "constant rule", "상수함수의 미분", r"(c)' = 0", "(c)' = 0",
        "A constant does not change, so its slope is 0.",
        "상수는 변하지 않으므로 기울기가 0입니다.", "상수 법칙",
    ),
    "variable": Rule(
        "variable", "변수 자신의 미분", r"(x)' = 1", "(x)' = 1",
        "The variable grows as fast as itself.", "변수는 자기 자신과 같은 빠르기로 변합니다.",
    ),
    "multiple": Rule(
        "constant multiple rule", "실수배의 미분법", r"(c\,u)' = c\,u'", "(c·u)' = c·u'",
        "A constant factor stays in front.", "곱해진 상수는 그대로 앞에 둡니다.", "상수배 법칙",
    ),
    "sum": Rule(
        "sum rule", "합의 미분법", r"(u+v)' = u'+v'", "(u + v)' = u' + v'",
        "Take the derivative term by term.", "항마다 따로 미분합니다.", "덧셈/뺄셈 미분 규칙",
    ),
    "difference": Rule(
        "sum and difference rule", "합과 차의 미분법", r"(u-v)' = u'-v'", "(u - v)' = u' - v'",
        "Take the derivative term by term.", "항마다 따로 미분합니다.", "덧셈/뺄셈 미분 규칙",
    ),
    "product": Rule(
        "product rule", "곱의 미분법", r"(uv)' = u'v + uv'", "(u·v)' = u'·v + u·v'",
        "Each factor in turn is derived while the other one stays.",
        "한쪽을 미분하고 다른 쪽은 그대로 두어 더합니다.",
    ),
    "quotient": Rule(
        "quotient rule", "몫의 미분법", r"(u/v)' = \frac{u'v - uv'}{v^2}",
        "(u/v)' = (u'·v - u·v')/v^2",
        "Derive above times below, less above times derived below, over below squared.",
        "분자의 미분과 분모의 곱에서 분자와 분모의 미분의 곱을 빼고, 분모의 제곱으로 나눕니다.",
    ),
    "reciprocal": Rule(
        "quotient rule with a constant above", "몫의 미분법 (분자가 상수)",
        r"(c/u)' = -\frac{c\,u'}{u^2}", "(c/u)' = -c·u'/u^2",
        "The sign turns, and what is below is squared.",
        "부호가 바뀌고 분모가 제곱이 됩니다.",
    ),
    "power": Rule(
        "power rule", "거듭제곱의 미분법", r"(u^n)' = n\,u^{n-1}\,u'", "(u^n)' = n·u^(n - 1)·u'",
        "The exponent comes down in front and falls by one.",
        "지수를 앞으로 내리고 지수를 1만큼 줄입니다.", "멱의 법칙",
    ),
    "exponential": Rule(
        "exponential rule", "지수함수의 미분", r"(a^u)' = a^u \ln a \; u'",
        "(a^u)' = a^u·ln(a)·u'",
        "An exponential grows in proportion to itself; the factor is ln a, and 1 for base e.",
        "지수함수는 자기 자신에 비례하여 변하고, 비례상수는 밑의 자연로그입니다.",
    ),
    "zero_power": Rule(
        "power of zero", "0의 거듭제곱의 미분", r"(0^u)' = 0", "(0^u)' = 0",
        "Zero to any exponent above 0 is 0.", "지수가 0보다 크면 0의 거듭제곱은 늘 0입니다.",
    ),
    "general_power": Rule(
        "general power rule", "밑과 지수가 모두 변하는 거듭제곱의 미분",
        r"(u^v)' = u^v\left(v'\ln u + \frac{v\,u'}{u}\right)",
        "(u^v)' = u^v·(v'·ln(u) + v·u'/u)",
        "Write the power as e to v ln u, then derive that.",
        "거듭제곱을 로그를 써서 e의 거듭제곱으로 바꾼 뒤 미분합니다.",
    ),
    "cases": Rule(
        "by cases", "경우를 나누어 미분", r"\text{case by case}", "case by case",
        "Each case is derived by itself; where cases meet, the one that holds is taken.",
        "경우마다 따로 미분하고, 경계에서는 조건이 성립하는 쪽의 값을 씁니다.",
    ),
    "extremum": Rule(
        "larger or smaller, by cases", "큰 값과 작은 값, 경우를 나누어 미분",
        r"\max(u,v)' = u' \text{ or } v'", "max(u, v)' = u' or v'",
        "Where one operand is taken, its derivative is; where both are equal, the mean of the two.",
        "택한 쪽을 미분하고, 두 값이 같은 곳에서는 두 미분의 평균을 씁니다.",
    ),
    "piecewise": Rule(
        "piecewise constant", "계단 함수의 미분", r"(u)' = 0", "(u)' = 0",
        "It jumps and is level in between, so its slope is 0.",
        "값이 뛰는 곳을 빼면 평평하므로 기울기가 0입니다.",
    ),
    "partials": Rule(
        "chain rule for several operands", "여러 변수의 합성함수의 미분법",
        r"f(u,v)' = f_u u' + f_v v'", "f(u, v)' = f_u·u' + f_v·v'",
        "Each operand adds its own slope times its own change.",
        "피연산자마다 그 기울기와 변화의 곱을 더합니다.",
    ),
    "chain": Rule(
        "chain rule", "합성함수의 미분법", r"f(u)' = f'(u)\,u'", "f(u)' = f'(u)·u'",
        "The slope outside times the slope inside.",
        "바깥 함수의 기울기와 안쪽 함수의 기울기를 곱합니다.", "연쇄 법칙",
    ),
    "expand": Rule(
        "expand", "전개", "", "", "Multiply out and collect like terms.",
        "곱을 풀어 쓰고 동류항을 모읍니다.",
    ),
    "put_in": Rule(
        "put in", "대입", "", "", "Put in what the inner steps found.",
        "안쪽 단계에서 구한 도함수를 넣습니다.",
    ),
    "definition": Rule(
        "definition", "정의", "", "", "What the function is in other words.",
        "함수의 뜻을 다른 식으로 씁니다.",
    ),
    "recognise_sigmoid": Rule(
        "recognise σ", "σ 알아보기", r"\sigma(u) = \frac{1}{1 + e^{-u}}",
        "σ(u) = 1/(1 + e^(-u))", "What came out is made of the sigmoid itself.",
        "구한 식을 시그모이드로 다시 씁니다.",
    ),
    "recognise_softmax": Rule(
        "recognise p", "p 알아보기", r"p_i = \frac{e^{z_i}}{\sum_j e^{z_j}}",
        "p_i = e^(z_i)/sum(e^z)", "What came out is made of the probabilities themselves.",
        "구한 식을 확률 p로 다시 씁니다.",
    ),
    "recognise": Rule(
        "recognise the function", "함수 알아보기", "", "",
        "What came out is the function's own rule.", "구한 식을 함수의 공식으로 다시 씁니다.",
    ),
    "tidy": Rule(
        "tidy", "정리", "", "", "Fold numbers and collect like terms.",
        "수를 계산하고 동류항을 모읍니다.",
    ),
}  # fmt: skip
