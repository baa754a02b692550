"""Golden readings: what the worked examples say, in four formats and two languages, as files.

Run as `python -m tests.explain.goldens` to write them anew; read what changed before keeping it.
The test compares them. The examples are the lecture's own and one for each family of rules.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import slopewise as sw

FOLDER = Path(__file__).parent / "golden"
FORMATS = {"text": "txt", "latex": "tex", "markdown": "md", "html": "html"}
EXAMPLES: dict[str, dict[str, Any]] = {
    "square": {"f": "(w-3)^2", "at": {"w": 4}},
    "expanded": {"f": "(w-3)^2", "at": {"w": 4}, "expand": True},
    "exponential": {"f": "e^x", "at": {"x": 1}},
    "base": {"f": "2^x", "at": {"x": 3}},
    "cosine": {"f": "sin(x)", "at": {"x": 0}},
    "sigmoid": {"f": "1/(1 + e^(-x))", "at": {"x": 2}},
    "neuron": {"f": "(sigmoid(w x + b) - y)^2", "wrt": "w",
               "at": {"w": 0.5, "x": 2, "b": -1, "y": 1}},
    "chain": {"f": "sigmoid(sigmoid(sigmoid(x)))", "at": {"x": 0}},
    "product": {"f": "x^2 e^(-x)", "at": {"x": 1}, "order": 2},
    "quotient": {"f": "sin(x)/x", "at": {"x": 2}},
    "powers": {"f": "x^x + sqrt(x) + x^-3", "at": {"x": 4}},
    "cases": {"f": "max(x, 0) + |x - 1| + where(x > 2, x^2, 4)", "at": {"x": 3}},
    "gradient": {"f": "x^2 y + sin(y)", "at": {"x": 1, "y": 2}},
    "hessian": {"f": "x^2 y + sin(y)", "at": {"x": 1, "y": 2}},
    "matrices": {"f": "mean((sigmoid(X @ w + b) - y)^2)", "wrt": ["w", "b"]},
    "softmax": {"f": "-mean(y log_softmax(X @ W + b))", "wrt": ["W", "b"]},
    "logits": {"f": "sum(softmax(z) c)", "wrt": "z", "shapes": {"z": "k", "c": "k"}},
    "softmax_vector": {"f": "softmax(z)"},
    "quadratic_form": {"f": "x @ (A @ x)", "wrt": "x"},
    "inverse": {"f": "atan(x) + asin(x/2) + tanh(x)", "at": {"x": 1}},
}  # fmt: skip


def tell_chain() -> Any:
    """The lecture's chain of sigmoids, each at 0, where its slope is a quarter."""
    x = sw.tensor(0.0, dtype=sw.float64, requires_grad=True)
    first = sw.sigmoid(x)
    second = sw.sigmoid(first - 0.5)
    L = sw.sigmoid(second - 0.5)
    return sw.explain.backprop(L)


def tell_loss() -> Any:
    """The lecture's first cell."""
    w = sw.tensor(4.0, requires_grad=True)
    L = (w - 3) ** 2
    return sw.explain.backprop(L)


ACCOUNTS: dict[str, Callable[[], Any]] = {
    "average_3_to_4": lambda: sw.explain.limit("(w-3)^2", {"w": 3}, h=[1]),
    "limit_at_4": lambda: sw.explain.limit("(w-3)^2", {"w": 4}),
    "limit_at_3": lambda: sw.explain.limit("(w-3)^2", {"w": 3}),
    "backprop_loss": tell_loss,
    "backprop_chain": tell_chain,
    "descend_oscillates": lambda: sw.explain.descend("(w-3)^2", {"w": 4}, 1.0, "sgd", 4),
    "descend_best": lambda: sw.explain.descend("(w-3)^2", {"w": 4}, 0.5, "sgd", 4),
    "descend_slowly": lambda: sw.explain.descend("(w-3)^2", {"w": 4}, 0.1, "sgd", 60),
    "descend_diverges": lambda: sw.explain.descend("(w-3)^2", {"w": 4}, 1.1, "sgd", 30),
    "descend_exp": lambda: sw.explain.descend("exp(w)", {"w": 4}, 1.0, "sgd", 5),
    "descend_line": lambda: sw.explain.descend("w", {"w": 4}, 1.0, "sgd", 30),
    "tangents": lambda: sw.explain.explore_tangents("(w-3)^2", [4, 3]),
    "explore_exp": sw.explain.explore_exp,
    "explore_sigmoid": sw.explain.explore_sigmoid,
    "explore_slopes": sw.explain.explore_slopes,
    "explore_depth": sw.explain.explore_depth,
    "explore_softmax": lambda: sw.explain.explore_softmax([1, 2, 3]),
    "activation_tanh": lambda: sw.explain.explore_activation("Tanh"),
}
"""What is told as paragraphs and tables; each also draws a picture."""


def read_examples() -> dict[str, str]:
    """Return every example's reading by the name of its file."""
    found: dict[str, str] = {}
    for name in (*EXAMPLES, *ACCOUNTS):
        if name in ACCOUNTS:
            explanation = ACCOUNTS[name]()
        else:
            make = getattr(sw.explain, name if name in ("gradient", "hessian") else "derivation")
            explanation = make(**EXAMPLES[name])
        for form, ending in FORMATS.items():
            for lang in ("en", "ko"):
                found[f"{name}.{lang}.{ending}"] = getattr(explanation, form)(lang) + "\n"
    return found


def main() -> None:
    """Write the files."""
    FOLDER.mkdir(exist_ok=True)
    made = read_examples()
    for path in FOLDER.iterdir():
        if path.name not in made:
            path.unlink()
    for name, text in made.items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
