"""Examining what `slopewise train` wrote: the network of a run's folder on rows of a table.

Invariant: rows go through the run's own encoding; nothing is unpickled and the folder is only read.
It is separate from watching, which reads a run's arrays while they change.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

import slopewise as sw
from slopewise import nn
from slopewise._core.quiet import hush, restore
from slopewise.health.examination import Examination
from slopewise.health.framework import Own
from slopewise.health.readings import read
from slopewise.health.telling import tell_layer
from slopewise.health.training import measure_numbers, name_layers
from slopewise.health.watch import Watch
from slopewise.train.encoding import Applied
from slopewise.train.faults import Fault
from slopewise.train.networks import build_model
from slopewise.train.predictor import Predictor
from slopewise.train.tables import Table, find_column

LOOKED_AT = 1024
"""Rows that are examined of a large table."""


def examine_run(predictor: Predictor, table: Table, lang: str = "en") -> Examination:
    """Return the gradient health of a trained network; of a committee, of its worst member.

    Parameters
    ----------
    predictor : Predictor
        As `slopewise.train.load` gives it.
    table : Table
        With the target's column.
    lang : {'en', 'ko'}
        Of the layers' names too.

    Returns
    -------
    Examination

    Raises
    ------
    DataError
        If columns or rows with a target are missing.
    """
    predictor.check_columns(table)
    x, y = read_rows(predictor, table)
    classes = predictor.target.task == "classification"
    loss: Any = nn.functional.cross_entropy if classes else measure_numbers
    batch = sw.tensor(x), sw.tensor(y)
    quiet = hush()
    try:
        found = [
            _examine_member(predictor, member, loss, batch, lang)
            for member in range(predictor.architecture.members)
        ]
        return max(found, key=_weigh)
    finally:
        restore(quiet)


def _examine_member(
    predictor: Predictor, member: int, loss: Any, batch: tuple[Any, Any], lang: str
) -> Examination:
    """Return the gradient health of one member of a committee."""
    frame = Own()
    with frame.keep(None, None):
        arrays = {n: values[member : member + 1] for n, values in predictor.arrays.items()}
        model = build_model(replace(predictor.architecture, members=1), arrays)
        model.train()
        record = frame.record(model, loss, *batch)
    names = name_layers(predictor.architecture)
    for call in record.calls:
        call.name = tell_layer(names.get(call.name, call.name), lang)
    # Training drew its first weights of the right size: what is far off now, steps have done.
    return Examination(Watch(lang, sound=True).recall(read(record)), lang=lang)


def _weigh(examination: Examination) -> float:
    """Return how strong the strongest finding is; of members without one the first is told."""
    return max((f.strength for f in examination.findings), default=0.0)


def read_rows(predictor: Predictor, table: Table) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs and targets as the network learned them, of rows spread over the table."""
    target = predictor.target
    find_column(table, target.name)
    values = table.read([target.name], 0, table.rows)[target.name]
    if target.kind == "text":
        good = np.array([v is not None for v in values], dtype=bool)
    else:
        good = np.isfinite(np.asarray(values, dtype=float))
    y = np.full(len(values), -1, dtype=np.int64)
    if target.task == "classification":
        y[good] = target.encode(values[good])
        good &= y >= 0
    places = np.flatnonzero(good)
    if not len(places):
        raise Fault("target_all_missing", column=target.name)
    places = places[np.linspace(0, len(places) - 1, min(LOOKED_AT, len(places))).astype(int)]
    matrix = predictor.encode(table, Applied(), 0, table.rows)[places]
    if target.task == "classification":
        return np.ascontiguousarray(matrix), y[places]
    numbers = (np.asarray(values[places], dtype=float) - predictor.mean) / predictor.scale
    return np.ascontiguousarray(matrix), numbers.astype(np.float32)
