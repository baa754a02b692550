"""Every loss against PyTorch's in float64, with all reductions and options."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import slopewise as sw
from slopewise import nn

from .pairs import compare_functions

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore:reduction. 'mean'")]

REDUCTIONS = ["mean", "sum", "none"]
rng = np.random.default_rng(7)
X, Y = rng.standard_normal((4, 3)) * 2, rng.standard_normal((4, 3))
P, T = rng.random((4, 3)), rng.random((4, 3))
T[0] = [0.0, 1.0, 0.5]
LOG_P = np.log(P)
LOGITS = rng.standard_normal((6, 5)) * 3
CLASSES = np.array([0, 4, 2, 2, 1, 3])
IGNORED = np.array([0, -100, 2, -100, 1, 3])
IMAGES = rng.standard_normal((2, 5, 3, 4))
IMAGE_CLASSES = rng.integers(0, 5, (2, 3, 4))
SHARES = rng.random((6, 5))
SHARES /= SHARES.sum(1, keepdims=True)
IMAGE_SHARES = rng.random((2, 5, 3, 4))
WEIGHTS = rng.random(5) + 0.1


def compare(name: str, operands: list[Any], **options: Any) -> None:
    """Compare one functional loss; arrays among the options are constants."""

    def run(library: Any) -> Any:
        made = {
            k: library.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()
        }
        function = getattr(library.nn.functional, name)
        return lambda *x: function(*x, **made)

    compare_functions(run(sw), run(torch), operands)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mse_loss", {}),
        ("l1_loss", {}),
        ("smooth_l1_loss", {}),
        ("smooth_l1_loss", {"beta": 0.5}),
        ("smooth_l1_loss", {"beta": 0.0}),
        ("huber_loss", {}),
        ("huber_loss", {"delta": 0.3}),
    ],
)
def test_regression(name: str, options: dict[str, Any], reduction: str) -> None:
    compare(name, [X, Y], reduction=reduction, **options)


@pytest.mark.parametrize("reduction", [*REDUCTIONS, "batchmean"])
@pytest.mark.parametrize("log_target", [False, True])
def test_kl_div(reduction: str, log_target: bool) -> None:
    compare("kl_div", [LOG_P, np.log(T + 0.1) if log_target else T + 0.1], reduction=reduction,
            log_target=log_target)  # fmt: skip


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weight", [None, T + 0.5])
def test_binary_cross_entropy(reduction: str, weight: Any) -> None:
    compare("binary_cross_entropy", [P, T], reduction=reduction, weight=weight)
    compare("binary_cross_entropy_with_logits", [X, T], reduction=reduction, weight=weight)
    certain = np.round(T).astype(np.float64)
    target = {"target": certain}
    compare("binary_cross_entropy", [P], reduction=reduction, **target)
    compare("binary_cross_entropy_with_logits", [X], reduction=reduction, **target)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_positive_weights(reduction: str) -> None:
    compare(
        "binary_cross_entropy_with_logits", [X, T], reduction=reduction,
        pos_weight=np.array([0.5, 1.0, 3.0]),
    )  # fmt: skip


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weight", [None, WEIGHTS])
@pytest.mark.parametrize(
    ("logits", "classes"),
    [(LOGITS, CLASSES), (LOGITS, IGNORED), (LOGITS[0], np.array(3)), (IMAGES, IMAGE_CLASSES)],
    ids=["plain", "ignored", "single", "images"],
)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_class_numbers(
    logits: Any, classes: Any, smoothing: float, weight: Any, reduction: str
) -> None:
    options = {"reduction": reduction, "weight": weight}
    compare("cross_entropy", [logits, classes], label_smoothing=smoothing, **options)
    if not smoothing:
        compare("nll_loss", [logits, classes], **options)


def test_another_ignored_class() -> None:
    compare("cross_entropy", [LOGITS, CLASSES], ignore_index=2)
    compare("cross_entropy", [LOGITS, CLASSES], ignore_index=2, weight=WEIGHTS, label_smoothing=0.1)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weight", [None, WEIGHTS])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize(
    ("logits", "shares"),
    [(LOGITS, SHARES), (LOGITS[0], SHARES[0]), (IMAGES, IMAGE_SHARES)],
    ids=["plain", "single", "images"],
)
def test_class_probabilities(
    logits: Any, shares: Any, smoothing: float, weight: Any, reduction: str
) -> None:
    compare("cross_entropy", [logits, shares], reduction=reduction, weight=weight,
            label_smoothing=smoothing)  # fmt: skip


def test_nothing_left_is_nan() -> None:
    ours = nn.functional.cross_entropy(sw.tensor(LOGITS), sw.tensor(np.full(6, -100)))
    theirs = torch.nn.functional.cross_entropy(torch.tensor(LOGITS), torch.tensor(np.full(6, -100)))
    assert np.isnan(ours.item()) and np.isnan(theirs.item())


MODULES: list[tuple[str, dict[str, Any], list[Any]]] = [
    ("MSELoss", {}, [X, Y]),
    ("L1Loss", {"reduction": "sum"}, [X, Y]),
    ("SmoothL1Loss", {"beta": 0.3}, [X, Y]),
    ("HuberLoss", {"delta": 0.3}, [X, Y]),
    ("KLDivLoss", {"reduction": "batchmean"}, [LOG_P, T + 0.1]),
    ("BCELoss", {}, [P, T]),
    ("BCEWithLogitsLoss", {"pos_weight": np.array([1.0, 2.0, 3.0])}, [X, T]),
    ("NLLLoss", {"weight": WEIGHTS}, [LOGITS, CLASSES]),
    ("CrossEntropyLoss", {"weight": WEIGHTS, "label_smoothing": 0.1}, [LOGITS, CLASSES]),
    ("CrossEntropyLoss", {"ignore_index": 2}, [LOGITS, CLASSES]),
]


@pytest.mark.parametrize(("name", "options", "operands"), MODULES)
def test_module(name: str, options: dict[str, Any], operands: list[Any]) -> None:
    def build(library: Any) -> Any:
        made = {
            k: library.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()
        }
        return getattr(library.nn, name)(**made)

    compare_functions(build(sw), build(torch), operands)
