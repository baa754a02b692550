"""Hand-made results of every kind of run, so that reports are tested without training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from slopewise.train.architecture import Architecture
from slopewise.train.encoding import ColumnEncoding, Encoding
from slopewise.train.faults import Notice
from slopewise.train.metrics import measure_classes, measure_numbers
from slopewise.train.predictor import Predictor
from slopewise.train.result import Evaluation, FiveSteps, Result, WorstRow
from slopewise.train.split import TEST, TRAIN, Split
from slopewise.train.task import Target

ROWS = 200
EVIL = "<script>alert('x')</script>\"&\x00\u202egpj.exe"


def make_history(epochs: int, layers: list[str], decay: float = 0.1) -> dict[str, np.ndarray]:
    """Losses that fall, and norms that fall with them."""
    time = np.arange(epochs, dtype=float)
    history = {
        "epoch": time + 1,
        "loss": 1.6 * np.exp(-decay * time) + 0.02,
        "val_loss": 1.3 * np.exp(-1.2 * decay * time) + 0.05 + 0.002 * time,
        "lr": np.where(time < epochs / 2, 0.003, 0.0015),
    }
    for number, layer in enumerate(layers):
        wave = 1 + 0.2 * np.sin(time + number)
        history[f"grad.{layer}"] = (0.4 + 0.3 * number) * np.exp(-0.5 * decay * time) * wave
    return history


def split_evenly(rows: int, folds: int, test: bool) -> Split:
    """A split that takes every seventh row for testing."""
    place = np.arange(rows)
    fold = np.where(place % 5 == 1, 0, TRAIN) if folds == 1 else place % folds
    return Split(np.where((place % 7 == 0) & test, TEST, fold).astype(np.int16), folds)


def make_result(
    classes: tuple[Any, ...] = (),
    *,
    rows: int = ROWS,
    epochs: int = 40,
    hidden: tuple[int, ...] = (32, 16),
    path: bool = False,
    folds: int = 1,
    test: bool = True,
    stopped: str = "patience",
    optimizer: str = "adam",
    columns: list[ColumnEncoding] | None = None,
    cells: Callable[[str, int], Any] | None = None,
    target: str = "species",
    source: str = "animals.csv",
    notices: list[Notice] | None = None,
    candidates: int = 1,
    scale: float = 25.0,
    first_step: bool = True,
) -> Result:
    """A result as training makes it, from random numbers."""
    generator = np.random.default_rng(7)
    columns = columns or [
        ColumnEncoding("length", "number", 4.0, 1.5, flagged=True),
        ColumnEncoding("island", "text", categories=("Biscoe", "Dream")),
        ColumnEncoding("seen", "date", cycles=(86400.0,)),
        ColumnEncoding("wild", "boolean"),
    ]
    encoding = Encoding(tuple(columns))
    task = "classification" if classes else "regression"
    described = Target(target, "text" if classes else "number", task, classes)
    outputs = len(classes) or 1
    architecture = Architecture(len(encoding.features), outputs, hidden, skip=path, members=folds)
    facts = {"slopewise": "0.1.0"}
    predictor = Predictor(described, encoding, architecture, {}, 100.0, scale, facts)
    split = split_evenly(rows, folds, test)
    sides = []
    for positions in (split.test, split.validation):
        count = len(positions)
        if classes:
            truth = generator.integers(0, outputs, count)
            logits = generator.normal(size=(count, outputs))
            logits[np.arange(count), truth] += 2.5
            probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
            loss = -np.log(probability[np.arange(count), truth])
            sides.append(Evaluation(positions, truth, probability.argmax(1), probability, loss))
        else:
            truth = 100 + scale * generator.normal(size=count)
            prediction = truth + 0.3 * scale * generator.normal(size=count)
            with np.errstate(over="ignore"):
                loss = (prediction - truth) ** 2
            sides.append(Evaluation(positions, truth, prediction, None, loss))
    with np.errstate(over="ignore", invalid="ignore"):
        measured = [
            measure_classes(side.truth, side.probability)
            if classes
            else measure_numbers(side.truth, side.prediction)
            for side in sides
        ]
    history = make_history(epochs, architecture.layers)
    best = int(np.argmin(history["val_loss"])) + 1 if epochs else 0
    label = "-".join(map(str, hidden)) or "linear"
    compared = [
        {
            "label": f"{label}{' + linear path' if path else ''}, l2 {10.0**number:g}",
            "val_loss": 0.2 + 0.1 * number if epochs else None,
            "best_epoch": best,
            "epochs": epochs,
            "stopped": stopped,
        }
        for number in range(candidates)
    ]
    side = sides[0] if len(sides[0].rows) else sides[1]
    worst = []
    for place in np.argsort(-side.loss)[:10]:
        row = int(side.rows[place])
        values = {
            column.name: cells(column.name, row) if cells else make_cell(column, row)
            for column in columns
        }
        truth, guess, given = side.truth[place], side.prediction[place], None
        if side.probability is not None:
            given = float(side.probability[place, truth])
            truth, guess = classes[truth], classes[guess]
        worst.append(WorstRow(row + 1, truth, guess, float(side.loss[place]), given, values))
    nan = float("nan")
    slope, before, rate = -0.28261250257492065, 0.1 + 0.2, 0.003
    after = before + rate if optimizer == "adam" else float(np.float32(before - rate * slope))
    steps = FiveSteps(
        batch_rows=32 if first_step else 0,
        row=18,
        truth=classes[0] if classes else 103.25,
        prediction=1 / len(classes) if classes else 99.5,
        loss=float(np.log(outputs)) if classes else 1.04,
        parameter=f"{architecture.layers[0]}.weight[0, 0]" if first_step else "",
        gradient=slope if first_step else nan,
        learning_rate=rate,
        before=before if first_step else nan,
        after=after if first_step else nan,
        optimizer=optimizer,
        steps=epochs * 4,
        epochs=epochs,
        first_val_loss=float(history["val_loss"][0]) if epochs else nan,
        best_val_loss=float(history["val_loss"].min()) if epochs else float("inf"),
        best_epoch=best,
    )
    return Result(
        target=described,
        source=source,
        table_rows=rows + 3,
        predictor=predictor,
        history=history,
        metrics={
            "task": task,
            "test": {**measured[0], "rows": len(sides[0].rows)},
            "validation": {**measured[1], "rows": len(sides[1].rows)},
        },
        split=split,
        positions=np.arange(rows),
        test=sides[0],
        validation=sides[1],
        worst=worst,
        five_steps=steps,
        candidates=compared,
        chosen=0,
        stopped=stopped,
        settings={
            "hidden": list(hidden),
            "chosen_from": candidates,
            "activation": "relu",
            "norm": "none",
            "init": "auto",
            "linear_path": architecture.has_path,
            "members": folds,
            "parameters": architecture.parameters,
            "optimizer": optimizer,
            "lr": rate,
            "l2": 1.0,
            "batch": 32,
            "epochs": 200,
            "patience": 20,
            "seed": 0,
            "asked_hidden": "auto",
        },
        notices=notices or [],
        seconds=12.345,
    )


def make_cell(column: ColumnEncoding, row: int) -> Any:
    """A value as tables hold it, now and then missing."""
    if row % 11 == 0:
        return None
    values = {"number": 0.1 + 0.2 * row, "text": "Dream", "date": "2024-03-01", "boolean": True}
    return values[column.kind]


def make_kinds() -> dict[str, Callable[[], Result]]:
    """A maker for each kind of run that a report must be able to tell of."""
    species = ("Adelie", "Chinstrap", "Gentoo")
    two = [
        Notice("looks_like_id", {"column": "row_id", "reason": "its values count the rows"}),
        Notice(
            "looks_like_leak",
            {"column": "paid", "reason": "it is right for 100.0 % of the rows"},
        ),
        Notice("few_test_rows", {"count": 29}),
    ]
    many = [ColumnEncoding(f"column {number}", "number") for number in range(10_000)]
    evil = [
        ColumnEncoding(EVIL, "text", categories=("<b>",)),
        ColumnEncoding("long " * 4000, "number"),
        ColumnEncoding(" spaced ", "number"),
        ColumnEncoding("\ud800 half", "number"),
        ColumnEncoding("", "number"),
    ]
    return {
        "binary": lambda: make_result((False, True), folds=5, path=True, notices=two),
        "three": lambda: make_result(species, candidates=3),
        "twenty": lambda: make_result(tuple(range(20)), rows=1500, hidden=(64,) * 9),
        "many": lambda: make_result(tuple(f"kind {n}" for n in range(25)), rows=2000),
        "regression": lambda: make_result(hidden=(), optimizer="sgd", target="weight"),
        "dense": lambda: make_result(rows=60_000, target="weight", epochs=3000),
        "interrupted": lambda: make_result(
            species,
            epochs=0,
            stopped="interrupted",
            notices=[Notice("interrupted", {"epochs": 0})],
        ),
        "unstarted": lambda: make_result(epochs=0, stopped="interrupted", first_step=False),
        "untested": lambda: make_result(species, test=False, epochs=1, stopped="epochs"),
        "wide": lambda: make_result(
            columns=many,
            cells=lambda name, row: row,
            notices=[Notice("constant", {"column": f"c{n}"}) for n in range(500)],
        ),
        "hostile": lambda: make_result(
            (EVIL, "plain", "very long " * 500),
            columns=evil,
            cells=lambda name, row: EVIL if row % 2 else "x" * 50_000,
            target=EVIL,
            source=EVIL,
            folds=3,
            candidates=2,
            notices=[Notice("constant", {"column": EVIL})],
        ),
    }


KINDS = make_kinds()


@pytest.fixture(params=list(KINDS))
def any_result(request: pytest.FixtureRequest) -> Result:
    """A result of each kind, one after the other."""
    return KINDS[request.param]()


@pytest.fixture
def build() -> Callable[..., Result]:
    """Makes a result to measure."""
    return make_result


@pytest.fixture
def kinds() -> dict[str, Callable[[], Result]]:
    """A maker for each kind of run."""
    return KINDS
