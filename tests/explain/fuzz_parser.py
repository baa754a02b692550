"""Fuzzes the parser of formulas: only `FormulaError` is raised, soon, and nothing is executed.

Run as `python -m tests.explain.fuzz_parser [--seconds N | --count N] [--seed S]`. Texts are mutated
formulas, pieces of formulas in random order, and random characters. An audit hook sees whether
reading a formula opens a file, imports a module or compiles code.
"""

from __future__ import annotations

import argparse
import random
import sys
import time

from slopewise.errors import FormulaError
from slopewise.explain.complaints import LANGUAGES
from slopewise.explain.formula import Formula
from slopewise.explain.parser import MAX_LENGTH, read_formula
from slopewise.explain.syntax import write_text

LIMIT = 1.0
"""Seconds that one text may take: far above what it takes, so that a busy machine is no failure."""
SEEDS = (
    "2w x + b", "(x+1)(x-1)/2", "-x^2 + 3^-x^2", "sin^2(x) + cos²(x)", "σ(w₁ x + b₁)",
    "where(x <= 0, -x, log(x, 2))", "max(a, b, |c|)", '"body mass" / `키`² × 2', "√(x+1) ÷ √x",
    "a @ b - e^(−πr)", "softmax([x]{y})", "1.5e-3 x⁻² + .5", "sin x cos x", "((x))", "ln x",
)  # fmt: skip
PIECES = (
    *(
        "+ - * / ^ ** @ ( ) [ ] { } | , < <= == != = % ! ' \" ` √ ² ⁻¹ ⁿ ᵀ · × ÷ − ≤ ≥ ≠ σ π e x w₁"
        " 키 나이 sin cos log max where sqrt softmax 1 2.5 .5 1e5 1e999 9999999999 1_0 . .. _ \\"
        " # $ \0 \ud800 \udc00 \u200f \u200b \u0301 ａ ２ ( (( ((( )) ^^ -- ||"
    ).split(" "),
    " ", "\n", "\t", "\u3000", "__import__('os')", "lambda: 0", "x.__class__", "[i for i in x]",
)  # fmt: skip

_watched = False
_seen: list[str] = []


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if _watched and (event in ("open", "exec", "compile", "import") or event.startswith("os.")):
        _seen.append(event)


def make_text(rng: random.Random) -> str:
    """Return a text that may or may not be a formula."""
    kind = rng.random()
    if kind < 0.5:
        text = list(rng.choice(SEEDS))
        for _ in range(rng.randint(1, 5)):
            at = rng.randint(0, len(text))
            change = rng.random()
            if change < 0.4:
                text.insert(at, rng.choice(PIECES))
            elif change < 0.7:
                del text[at : at + rng.randint(1, 3)]
            else:
                other = rng.choice(SEEDS)
                text[at:at] = other[rng.randrange(len(other)) :]
        return "".join(text)
    if kind < 0.8:
        gap = rng.choice(("", " "))
        return gap.join(rng.choice(PIECES) for _ in range(rng.randint(0, 30)))
    if kind < 0.9:
        return "".join(chr(rng.randrange(0x110000)) for _ in range(rng.randint(0, 20)))
    repeated = "".join(rng.choice(PIECES) for _ in range(rng.randint(1, 3)))
    return (repeated * MAX_LENGTH)[: rng.randint(1, MAX_LENGTH + 5)]


def check(text: str) -> bool:
    """Read a text; return whether it is a formula. Any breach of the contract is an error."""
    global _watched  # noqa: PLW0603
    start = time.process_time()
    _watched = True
    try:
        tree = read_formula(text)
        error = None
    except FormulaError as caught:
        tree, error = None, caught
    finally:
        _watched = False
    spent = time.process_time() - start
    assert not _seen, f"reading {text[:200]!r} did: {_seen}"
    assert spent < LIMIT, f"reading {text[:200]!r} took {spent:.2f} s"
    if tree is None:
        assert error is not None
        assert 0 <= error.place[0] <= error.place[1] <= len(text), repr(text)
        for lang in LANGUAGES:
            lines = error.describe(lang).split("\n")
            assert len(lines) in (3, 4), repr(text)
            assert lines[2].strip() == "^", repr(text)
            error.describe(lang).encode("utf-8")  # it can be printed
        return False
    written = write_text(tree)
    if len(written) <= MAX_LENGTH:
        assert read_formula(written) == tree, f"{text[:200]!r} was written as {written[:200]!r}"
    assert Formula(text).names is not None
    return True


def fuzz(seconds: float | None, count: int | None, seed: int) -> tuple[int, int]:
    """Check random texts; return how many there were, and how many were formulas."""
    rng = random.Random(seed)
    sys.addaudithook(_watch)
    check(SEEDS[0])
    end = time.monotonic() + (seconds if seconds is not None else float("inf"))
    done = formulas = 0
    while time.monotonic() < end and (count is None or done < count):
        formulas += check(make_text(rng))
        done += 1
    return done, formulas


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--seconds", type=float, help="how long to run (default 15)")
    length.add_argument("--count", type=int, help="how many texts to try")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    seconds = 15.0 if given.seconds is None and given.count is None else given.seconds
    done, formulas = fuzz(seconds, given.count, given.seed)
    print(f"{done} texts, {formulas} of them formulas, seed {given.seed}: all as they should be")


if __name__ == "__main__":
    main()
