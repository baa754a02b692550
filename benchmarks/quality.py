"""Compare Slopewise's default training with scikit-learn's, table by table, on the same splits.

For each table and seed, Slopewise trains with default settings; scikit-learn's logistic or linear
regression and its multi-layer perceptron (scaling, early stopping) are then fitted to all rows that
Slopewise did not test on, and all three are scored on the same test rows: accuracy or R squared, in
per cent. Encoding for scikit-learn is its own: mean imputation, scaling, one-hot.

    python benchmarks/quality.py [--seeds 20] [--unseen] [TABLE ...]
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import time
import warnings
from typing import Any

import numpy as np
import pandas as pd
from sklearn import datasets
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import slopewise as sw
from slopewise.examples import EXAMPLES

LIMIT = 0.5


def list_shipped() -> dict[str, tuple[pd.DataFrame, str]]:
    """The tables that come with the package, and a regression on the penguins."""
    tables = {
        name: (pd.read_csv(example.path), example.target) for name, example in EXAMPLES.items()
    }
    penguins = tables["penguins"][0]
    heavy: Any = penguins[penguins["body_mass_g"].notna()].reset_index(drop=True)
    return {**tables, "penguins (mass)": (heavy, "body_mass_g")}


def list_unseen() -> dict[str, tuple[pd.DataFrame, str]]:
    """Tables from scikit-learn: one real, the others drawn from its generators."""
    made: dict[str, Any] = {
        "iris": datasets.load_iris(return_X_y=True),
        "moons": datasets.make_moons(600, noise=0.25, random_state=0),
        "circles": datasets.make_circles(600, noise=0.15, factor=0.5, random_state=0),
        "clusters": datasets.make_classification(
            800, 20, n_informative=8, n_redundant=4, n_classes=3, random_state=1
        ),
        "clusters, small": datasets.make_classification(200, 30, n_informative=5, random_state=2),
        "gaussian shells": datasets.make_gaussian_quantiles(
            n_samples=1000, n_features=5, n_classes=3, random_state=0
        ),
        "hastie 10.2": datasets.make_hastie_10_2(2000, random_state=0),
        "friedman 1": datasets.make_friedman1(800, noise=1.0, random_state=0),
        "friedman 2": datasets.make_friedman2(500, noise=60.0, random_state=0),
        "friedman 3": datasets.make_friedman3(500, noise=0.1, random_state=0),
        "linear": datasets.make_regression(300, 20, n_informative=8, noise=20.0, random_state=0),
        "linear, wide": datasets.make_regression(
            150, 60, n_informative=15, noise=30.0, random_state=0
        ),
    }
    tables = {}
    for name, (x, y) in made.items():
        frame = pd.DataFrame(x, columns=[f"x{i + 1}" for i in range(x.shape[1])])
        frame["y"] = y
        tables[name] = (frame, "y")
    return tables


def prepare_peers(frame: pd.DataFrame, classes: bool, seed: int) -> tuple[Any, Any]:
    """scikit-learn's linear model and perceptron with their own encoding."""
    text = [c for c in frame if not pd.api.types.is_numeric_dtype(frame[c])]
    numbers = [c for c in frame if c not in text]

    def encode() -> Any:
        return make_column_transformer(
            (make_pipeline(SimpleImputer(), StandardScaler()), numbers),
            (OneHotEncoder(handle_unknown="ignore"), text),
            sparse_threshold=0,
        )

    if classes:
        linear = make_pipeline(encode(), LogisticRegression(max_iter=2000))
        perceptron = make_pipeline(
            encode(), MLPClassifier(early_stopping=True, max_iter=1000, random_state=seed)
        )
        return linear, perceptron
    net = MLPRegressor(early_stopping=True, max_iter=1000, random_state=seed)
    scaled = TransformedTargetRegressor(net, transformer=StandardScaler())
    return make_pipeline(encode(), LinearRegression()), make_pipeline(encode(), scaled)


def compare_seed(frame: pd.DataFrame, target: str, seed: int) -> tuple[float, float, float]:
    """Test figures in per cent of ours, the linear model and the perceptron for one split."""
    result = sw.train.fit(frame, target, seed=seed)
    classes = result.task == "classification"
    tested = result.test.rows
    others = np.setdiff1d(np.arange(len(frame)), tested)
    features = frame.drop(columns=[target])
    figures = [result.metrics["test"]["accuracy" if classes else "r2"]]
    for peer in prepare_peers(features, classes, seed):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                peer.fit(features.iloc[others], frame[target].iloc[others])
                figures.append(peer.score(features.iloc[tested], frame[target].iloc[tested]))
            except ValueError:  # its early stopping needs two rows of each class
                figures.append(float("nan"))
    ours, linear, perceptron = (100 * figure for figure in figures)
    return ours, linear, perceptron


def main() -> int:
    """Print the comparison; the exit code is the number of tables that fall short."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("tables", nargs="*", help="names of tables; all if left out")
    parser.add_argument("--seeds", type=int, default=20, help="splits per table")
    parser.add_argument("--unseen", action="store_true", help="also scikit-learn's tables")
    options = parser.parse_args()
    tables = list_shipped()
    if options.unseen or any(name not in tables for name in options.tables):
        tables |= list_unseen()
    if options.tables:
        tables = {name: tables[name] for name in options.tables}
    heads = ("ours", "linear", "MLP")
    print(f"{'table':18s}", *(f"{h:>7s}" for h in heads), f"{'ours - better':>14s} {'s/run':>6s}")
    short = 0
    for name, (frame, target) in tables.items():
        start = time.perf_counter()
        figures = np.array([compare_seed(frame, target, seed) for seed in range(options.seeds)])
        seconds = (time.perf_counter() - start) / options.seeds
        ours, linear, perceptron = np.nanmean(figures, axis=0)
        gap = ours - max(linear, perceptron)
        short += gap < -LIMIT
        mark = "" if gap >= -LIMIT else "  short"
        shown = " ".join(f"{figure:7.2f}" for figure in (ours, linear, perceptron))
        print(f"{name:18s} {shown} {gap:+14.2f} {seconds:6.1f}{mark}", flush=True)
    print(f"{len(tables) - short} of {len(tables)} tables within {LIMIT} points or above")
    return short


if __name__ == "__main__":
    raise SystemExit(main())
