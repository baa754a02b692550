"""The grammar of formulas, rule by rule; every error; hostile texts; reading what was written."""

from __future__ import annotations

import importlib.util
import os
import pickle
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slopewise.errors import FormulaError, UsageError
from slopewise.explain import parser
from slopewise.explain.complaints import EXPECTED, MESSAGES, show_place
from slopewise.explain.functions import FUNCTIONS
from slopewise.explain.parser import read_formula
from slopewise.explain.syntax import (
    CONSTANTS,
    Apply,
    Binary,
    Name,
    Negate,
    Number,
    Syntax,
    fold,
    walk,
    write_text,
)

ROOT = Path(__file__).parents[2]


def show(tree: Syntax) -> str:
    """Return a tree with all its brackets, by hand: `write_text` is under test too."""

    def combine(node: Syntax, below: list[str]) -> str:
        if isinstance(node, Number):
            return node.text
        if isinstance(node, Name):
            return node.name
        if isinstance(node, Apply):
            return f"{node.function}[{' '.join(below)}]"
        if isinstance(node, Negate):
            return f"(- {below[0]})"
        assert isinstance(node, Binary)
        return f"({below[0]} {node.operator} {below[1]})"

    return fold(tree, combine)


GRAMMAR = [
    # numbers and names
    ("3", "3"), (".5", ".5"), ("3.", "3."), ("1e-3", "1e-3"), ("2E3", "2E3"), ("２．５", "2.5"),
    ("xy", "xy"), ("w_1", "w_1"), ("w₁", "w1"), ("w₁₂", "w12"), ("키", "키"), ("λ", "λ"),
    ("𝑥", "x"), ("π", "pi"), ("pi", "pi"), ("π₁", "π1"), ("π_1", "π_1"),
    ('"body mass"', "body mass"), ("`body mass`", "body mass"), ('"a""b"', 'a"b'),
    ('"max"', "max"), ("`a\"b`", 'a"b'), ("lambda", "lambda"),
    # signs and operators, from the left
    ("a-b-c", "((a - b) - c)"), ("a/b/c", "((a / b) / c)"), ("a+b*c", "(a + (b * c))"),
    ("a@b@c", "((a @ b) @ c)"), ("a@b*c", "((a @ b) * c)"), ("+x", "x"), ("a + +b", "(a + b)"),
    ("a − b", "(a - b)"), ("a·b×c÷d", "(((a * b) * c) / d)"), ("ａ＋ｂ", "(a + b)"),
    # minus and powers
    ("-x^2", "(- (x ^ 2))"), ("--x", "(- (- x))"), ("-a*b", "((- a) * b)"), ("a*-b", "(a * (- b))"),
    ("a*-b*c", "((a * (- b)) * c)"), ("a - -b", "(a - (- b))"), ("x^-2", "(x ^ (- 2))"),
    ("2^3^2", "(2 ^ (3 ^ 2))"), ("2**3", "(2 ^ 3)"), ("2^-x^2", "(2 ^ (- (x ^ 2)))"),
    ("x^-a*b", "((x ^ (- a)) * b)"), ("(-x)^2", "((- x) ^ 2)"), ("2^+3", "(2 ^ 3)"),
    # superscripts
    ("x²", "(x ^ 2)"), ("x¹⁰", "(x ^ 10)"), ("x⁻²", "(x ^ (- 2))"), ("x⁺²", "(x ^ 2)"),
    ("xⁿ", "(x ^ n)"), ("eˣ", "(e ^ x)"), ("-x²", "(- (x ^ 2))"), ("2^x²", "(2 ^ (x ^ 2))"),
    ("x²y", "((x ^ 2) * y)"), ("(x+1)³", "((x + 1) ^ 3)"), ("2x²", "(2 * (x ^ 2))"),
    # products without a sign
    ("2w", "(2 * w)"), ("2 x", "(2 * x)"), ("3(x+1)", "(3 * (x + 1))"), ("x y", "(x * y)"),
    ("(x+1)(x-1)", "((x + 1) * (x - 1))"), ("x sin(x)", "(x * sin[x])"),
    ("w(x+1)", "(w * (x + 1))"),
    ("1/2x", "((1 / 2) * x)"), ("x^2y", "((x ^ 2) * y)"), ("2e", "(2 * e)"), ("2ex", "(2 * ex)"),
    ("e^2x", "((e ^ 2) * x)"), ("2πr", "((2 * pi) * r)"), ("2|x|", "(2 * abs[x])"),
    ("2√x", "(2 * sqrt[x])"), ("x -1", "(x - 1)"), ('2 "a b"', "(2 * a b)"), ("σ x", "(σ * x)"),
    ("a b^c", "(a * (b ^ c))"),
    # brackets
    ("[a+{b}]*(c)", "((a + b) * c)"), ("((x))", "x"), ("|x|", "abs[x]"),
    ("||x|-1|", "abs[(abs[x] - 1)]"),
    ("|x|y|z|", "((abs[x] * y) * abs[z])"), ("|-x|", "abs[(- x)]"), ("|x|^2", "(abs[x] ^ 2)"),
    ("|sin x|", "abs[sin[x]]"),
    # functions
    ("sin(x)", "sin[x]"), ("sin[x]", "sin[x]"), ("ln(x)", "log[x]"), ("arcsin(x)", "asin[x]"),
    ("log(x, 2)", "log[x 2]"), ("log₂(x)", "log2[x]"), ("log10(x)", "log10[x]"),
    ("σ(x)", "sigmoid[x]"), ("max(a,b,c)", "max[a b c]"), ("sin(x)^2", "(sin[x] ^ 2)"),
    ("sin^2(x)", "(sin[x] ^ 2)"), ("sin²(x)", "(sin[x] ^ 2)"), ("sin² x", "(sin[x] ^ 2)"),
    ("sin x", "sin[x]"), ("sin 2", "sin[2]"), ("sin π", "sin[pi]"), ('sin "a b"', "sin[a b]"),
    ("sin x + 1", "(sin[x] + 1)"), ("sin x cos x", "(sin[x] * cos[x])"),
    ("sin x / x", "(sin[x] / x)"),
    ("sin x √x", "(sin[x] * sqrt[x])"),
    ("√x", "sqrt[x]"), ("√2", "sqrt[2]"), ("√(x+1)", "sqrt[(x + 1)]"), ("√(x)²", "(sqrt[x] ^ 2)"),
    ("(sin^2(x))^3", "((sin[x] ^ 2) ^ 3)"), ("2^sin x", "(2 ^ sin[x])"),
    ("cos(x)sin(x)", "(cos[x] * sin[x])"), ("tanh(w x)(1)", "(tanh[(w * x)] * 1)"),
    # conditions
    ("where(x<0, -x, x)", "where[(x < 0) (- x) x]"), ("where(x ≤ 0, 1, 2)", "where[(x <= 0) 1 2]"),
    ("where((x≠a+1), 1, 2)", "where[(x != (a + 1)) 1 2]"),
    ("where([(x==1)],1,2)", "where[(x == 1) 1 2]"),
    ("where(x≥1, where(x>2, 1, 2), 3)", "where[(x >= 1) where[(x > 2) 1 2] 3]"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "tree"), GRAMMAR)
def test_grammar(text: str, tree: str) -> None:
    read = read_formula(text)
    assert show(read) == tree
    assert read_formula(write_text(read)) == read
    for node in walk(read):
        assert 0 <= node.place[0] < node.place[1] <= len(text)


def test_places() -> None:
    tree = read_formula("2 + sin²(x y)")
    assert isinstance(tree, Binary) and isinstance(tree.right, Binary)
    assert tree.place == (0, 13)
    assert tree.right.place == (4, 13)
    assert tree.right.right.place == (7, 8)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_functions(name: str) -> None:
    least, most = FUNCTIONS[name]
    for count in {least, min(most, 5)}:
        arguments = ["x < 1" if name == "where" and not i else f"x{i}" for i in range(count)]
        read = read_formula(f"{name}({', '.join(arguments)})")
        assert isinstance(read, Apply)
        assert (read.function, len(read.arguments)) == (name, count)
    for count in {0, least - 1, most + 1} - {least, most, 10_001}:
        arguments = ["x < 1" if name == "where" and not i else f"x{i}" for i in range(count)]
        with pytest.raises(FormulaError, match=f"{name} takes") as caught:
            read_formula(f"{name}({', '.join(arguments)})")
        assert f"{count}개" in caught.value.describe("ko")


ERRORS = [
    ("", "empty", 0), ("  ", "empty", 2), ("x" * 10_001, "length", 10_000),
    ("(" * 101 + "x" + ")" * 101, "depth", 100), ("-" * 101 + "x", "depth", 100),
    ("x" + "^x" * 101, "depth", 201), ("(" * 100 + "sin x", "depth", 104),
    ("(" * 100 + "x²", "depth", 101), ("x $ 2", "character", 2), ("a;b", "character", 1),
    ("x\0", "invisible", 1), ("\ud800", "invisible", 0), ("x\u200fy", "invisible", 1),
    ('"a\0"', "invisible", 2), ("1" * 41, "digits", 0), ("x" + "²" * 41, "digits", 1),
    ("1e309", "exponent", 0), ("1e-309", "exponent", 0), ("9e308", "exponent", 0),
    ("1e999999999999", "exponent", 0), ("1_000", "underscore", 1), ("1.2.3", "points", 3),
    ("3,5", "decimal_comma", 1), ("x, y", "comma", 1), ('"abc', "quote", 0), ("`a", "quote", 0),
    ("f'(x)", "quote_kind", 1), ("“a”", "quote_kind", 0), ('""', "quote_empty", 0),
    ("* 2", "operand", 0), ("2 + * 3", "operand", 4), ("()", "operand", 1),
    ("max(a,,b)", "operand", 6), ("x +", "end", 3), ("sin(", "end", 4), ("x)", "unopened", 1),
    (")", "unopened", 0), ("(x]", "mismatch", 2), ("|(x|)", "operand", 4), ("2(x", "unclosed", 1),
    ("sin(x", "unclosed", 3), ("|x", "unclosed", 0), ("2 3", "number_product", 2),
    ("x 3", "number_product", 2), ("(x)3", "number_product", 3), ("x = 2", "equals", 2),
    ("50%", "percent", 2), ("n!", "factorial", 1), ("x < 1", "comparison", 2),
    ("max(x < 1, 2)", "comparison", 6), ("where(x<1, x<2, 3)", "comparison", 12),
    ("where(-(x<1), 2, 3)", "comparison", 9), ("where(0<x<1, 1, 2)", "chain", 9),
    ("where((x<1)+1, 1, 2)", "truth", 7), ("where((x<1)(x), 1, 2)", "truth", 7),
    ("where(x, 1, 2)", "condition", 6), ("sin", "bare", 3), ("max + 1", "bare", 4),
    ("sin^2", "bare", 5), ("sin -x", "bare_argument", 4), ("sin 2x", "bare_argument", 5),
    ("sin x^2", "bare_argument", 5), ("sin x²", "bare_argument", 5),
    ("sin x y", "bare_argument", 6),
    ("sin x(y)", "bare_argument", 5), ("sin sin x", "bare_argument", 4),
    ("√√x", "bare_argument", 1),
    ("√2x", "bare_argument", 2), ("sin |x|", "bare_argument", 4), ("atan2 x", "bare_argument", 6),
    ("sigmod(x)", "misspelt", 0), ("log_3(x)", "misspelt", 0), ("f(x, y)", "unknown", 0),
    ("sec(x)", "refused", 0), ("pow(x, 2)", "refused", 0), ("sin(x, y)", "arguments", 8),
    ("sin()", "arguments", 4), ("sin^-1(x)", "inverse", 4), ("sin⁻¹(x)", "inverse", 3),
    ("sin^x(x)", "function_power", 4), ("sin^0(x)", "function_power", 4),
    ("sin⁻²(x)", "function_power", 3), ("sqrt^-1(x)", "function_power", 5),
    ("sin^2(x)^2", "two_powers", 8), ("sin²(x)²", "two_powers", 7), ("x²^2", "two_powers", 2),
    ("xᵀ", "superscript", 1), ("x²⁻", "superscript", 1), ("x^10000000", "large_power", 2),
    ("9^9^9^9", "large_power", 4), ("sin^1000001(x)", "large_power", 4),
    ("x^(1/0)", "large_power", 3),
]  # fmt: skip


@pytest.mark.parametrize(("text", "id", "at"), ERRORS)
def test_errors(text: str, id: str, at: int) -> None:
    with pytest.raises(FormulaError) as caught:
        read_formula(text)
    error = caught.value
    assert isinstance(error, UsageError)
    assert error.text == text
    assert error.place[0] == at
    assert str(error) == error.describe("en")
    for lang, said in zip(("en", "ko"), MESSAGES[id], strict=True):
        pattern = ".*".join(re.escape(part) for part in re.split(r"\{\w+\}", said))
        assert re.search(pattern, error.describe(lang)), error.describe(lang)
    assert re.search("[가-힣]", error.describe("ko"))
    assert error.message in str(error)
    assert set(error.expected) <= set(EXPECTED)
    assert bool(error.expected) == ("\nexpected: " in str(error))


def test_every_message_is_tested() -> None:
    assert {id for _, id, _ in ERRORS} == set(MESSAGES)


def test_messages_have_the_same_placeholders() -> None:
    for english, korean in MESSAGES.values():
        assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", korean))
        # No particle after what is put in.
        assert not re.search(r"\}(을|를|이|가|은|는|와|과|로|으로|의)(\s|$)", korean)


def test_description() -> None:
    with pytest.raises(FormulaError) as caught:
        read_formula("2 + sigmod(x)")
    assert str(caught.value) == (
        "cannot read the formula: sigmod is no function. Did you mean 'sigmoid'? For a product"
        " write sigmod*(...).\n"
        "  2 + sigmod(x)\n"
        "      ^\n"
        "expected: a function, an operator"
    )
    assert caught.value.describe("ko").endswith("쓸 수 있는 것: 함수, 연산자")
    with pytest.raises(UsageError, match="lang"):
        caught.value.describe("fr")
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.place) == (str(caught.value), caught.value.place)


def test_caret_under_wide_characters() -> None:
    assert show_place("키 + $", (4, 5)).split("\n") == ["  키 + $", "       ^"]
    assert show_place("a +\n나이 $", (7, 8)).split("\n") == ["  나이 $", "       ^"]
    assert show_place("e\u0301 $", (3, 4)).split("\n")[1] == "    ^"
    line, caret = show_place("x+" * 2000 + "$", (4000, 4001)).split("\n")
    assert line[caret.index("^")] == "$"
    assert len(line) < 90


def test_text_is_a_string() -> None:
    with pytest.raises(UsageError, match="give the formula as a str"):
        read_formula(3)  # type: ignore[arg-type]


HOSTILE = [
    "(" * 10_000, "(" * 5_000 + ")" * 5_000, "[{(" * 3_333, "|" * 10_000, "-" * 10_000,
    "√" * 10_000, "x^" * 5_000, "2^-" * 3_333, "sin " * 2_500, "sin(" * 2_500, "x²" * 5_000,
    "9^9^9^9", "9^" * 4_999 + "9", "1e" + "9" * 9_998, "9" * 10_000, "." * 10_000, '"' * 10_000,
    "`" * 9_999, "x" * 10_000, "x\u0301" * 5_000, "²" * 10_000, "where(" * 1_600, "," * 10_000,
    "__import__('os')", '__import__("os")', "().__class__.__bases__[0]", "exec(x)", "eval(x)",
    "lambda: 0", "x\0y", "\0", "\ud800", "\udfff\ud800", "\u202ex+1", "\u200fx", "\ufeffx",
    "x\u2028+", "{x!r}", "%s" * 100, "{0}" * 100, "\U0010ffff", "ﷺ" * 3_000,
    "max(" + "x," * 4_990 + "x)",
    "log_" * 2_000 + "(x)", "sigmo" * 1_900 + "(x)",
]  # fmt: skip
LONG = ["+".join("x" * 5_000), "x" + "-1" * 4_999, "*".join("x" * 5_000), " ".join("x" * 5_000)]
WRITTEN = ["+".join("x" * 2_500), "x" + "-1" * 2_499, *LONG[2:]]


@pytest.mark.parametrize("text", [*HOSTILE, *LONG])
def test_hostile(text: str) -> None:
    start = time.process_time()
    try:
        tree = read_formula(text)
    except FormulaError as error:
        assert len(str(error)) < 1_500
        error.describe("ko").encode()
        assert text not in LONG
    else:
        assert tree.place[1] <= len(text)
    assert time.process_time() - start < 1.0  # far above what it takes: it must not hang


@pytest.mark.parametrize("text", WRITTEN)
def test_long_sums(text: str) -> None:
    tree = read_formula(text)
    again = read_formula(write_text(tree))
    assert again == tree
    assert hash(again) == hash(tree)
    assert repr(again).startswith("Binary(")


def test_bounds() -> None:
    depth = parser.MAX_DEPTH
    assert show(read_formula("(" * depth + "x" + ")" * depth)) == "x"
    read_formula("-" * depth + "x")
    read_formula("x" + "^x" * depth)
    read_formula("1" * 40)
    read_formula("1e308 + 1e-308")
    read_formula(f"x^{parser.MAX_EXPONENT}")
    read_formula("x" * parser.MAX_LENGTH)


# ------------------------------------------------------------------ writing and reading again

P = (0, 0)
numbers = st.one_of(
    st.integers(0, 999).map(lambda n: Number(str(n), float(n), P)),
    st.floats(1e-300, 1e300).map(lambda v: Number(repr(v), v, P)),
)
characters = st.characters(exclude_categories=("Cc", "Cs"))
names = st.one_of(
    st.sampled_from(["x", "w1", "b_2", "키", "e", "pi", "σ", "max", "ln", "body mass", "πx", "π",
                     'a"b', "a²", "`", "１", "sec", "ﬁ", "_"]),
    st.text(characters, min_size=1, max_size=6),
)  # fmt: skip
leaves = numbers | names.map(lambda name: Name(name, P))


def grow(below: st.SearchStrategy[Syntax]) -> st.SearchStrategy[Syntax]:
    small = [st.integers(-9, 9).map(lambda n: Negate(Number(str(-n), -n + 0.0, P), P) if n < 0
                                    else Number(str(n), n + 0.0, P))]  # fmt: skip
    conditions = st.builds(
        Binary, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), below, below, st.just(P)
    )
    powers = st.one_of(*small, names.map(lambda name: Name(name, P)))
    return st.one_of(
        st.builds(Negate, below, st.just(P)),
        st.builds(Binary, st.sampled_from(["+", "-", "*", "/", "@"]), below, below, st.just(P)),
        st.builds(Binary, st.just("^"), below, powers, st.just(P)),
        st.builds(Binary, st.just("^"), below, below.filter(has_name), st.just(P)),
        st.builds(
            lambda f, x: Apply(f, (x,), P), st.sampled_from(["sin", "abs", "sqrt", "log"]), below
        ),
        st.builds(lambda xs: Apply("max", tuple(xs), P), st.lists(below, min_size=1, max_size=3)),
        st.builds(lambda c, a, b: Apply("where", (c, a, b), P), conditions, below, below),
    )


def has_name(tree: Syntax) -> bool:
    """Whether no part that is raised to is a large constant: only names make powers unbounded."""
    return not any(isinstance(node, Number) for node in walk(tree))


trees = st.recursive(leaves, grow, max_leaves=15)


@given(trees)
def test_round_trip(tree: Syntax) -> None:
    text = write_text(tree)
    assert read_formula(text) == tree
    assert write_text(read_formula(text)) == text


@given(trees)
def test_no_parenthesis_is_superfluous(tree: Syntax) -> None:
    text = re.sub(r'"(?:[^"]|"")*"', "q", write_text(tree))  # quoted brackets are no brackets
    tree = read_formula(text)
    opened: list[int] = []
    for at, c in enumerate(text):
        if c == "(":
            opened.append(at)
        elif c == ")":
            start = opened.pop()
            if start and (text[start - 1].isalnum() or text[start - 1] == "_"):
                continue  # a function's own
            fewer = text[:start] + " " + text[start + 1 : at] + " " + text[at + 1 :]
            try:
                assert read_formula(fewer) != tree, f"{text!r} also reads as {fewer!r}"
            except FormulaError:
                continue


@given(st.text(max_size=60))
def test_any_text(text: str) -> None:
    try:
        tree = read_formula(text)
    except FormulaError as error:
        assert error.text == text
    else:
        assert read_formula(write_text(tree)) == tree


@given(st.text('xe2.^*-+/()|, σsin√²⁻"<=', max_size=30))
def test_any_text_of_formulas(text: str) -> None:
    try:
        tree = read_formula(text)
    except FormulaError:
        return
    assert read_formula(write_text(tree)) == tree


def test_names_are_what_is_computed() -> None:
    assert CONSTANTS == ("e", "pi")


def test_fuzz() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    outcome = subprocess.run(
        [
            sys.executable, "-m", "tests.explain.fuzz_parser",
            "--seconds", os.environ.get("SLOPEWISE_FUZZ_SECONDS", "10"), "--seed", "1",
        ],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "all as they should be" in outcome.stdout


def test_nothing_is_compiled() -> None:
    for module in ("parser", "stacks", "tokens", "syntax", "formula", "functions"):
        found = importlib.util.find_spec(f"slopewise.explain.{module}")
        assert found is not None and found.origin is not None
        source = Path(found.origin).read_text("utf-8")
        assert not re.search(r"(?<![.\w])(eval|exec|compile|__import__)\s*\(", source)


@pytest.mark.parametrize("dot", ["·", "\u0387"])
def test_a_middle_dot_is_a_product_and_never_part_of_a_name(dot: str) -> None:
    assert read_formula(f"a{dot}b") == read_formula("a*b")
    quoted = read_formula(f"`a{dot}`^2")
    assert read_formula(write_text(quoted)) == quoted
