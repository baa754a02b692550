"""`fit`: from a table and options to a result.

Invariant: every option has its default here and its check where it is used, and nothing is trained
before the data have passed all checks. It is separate because it is what users call from Python,
with the forms of arguments that users write.
"""

import os
import time as clock
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from slopewise.train.dataset import DataOptions, Dataset, prepare_dataset
from slopewise.train.faults import Fault
from slopewise.train.frames import open_table
from slopewise.train.recipe import Progress, Rows
from slopewise.train.result import Result
from slopewise.train.run import Run, read_run
from slopewise.train.search import NetworkOptions, list_recipes, read_widths
from slopewise.train.task import TaskName
from slopewise.train.threads import limit_threads
from slopewise.train.watching import Watcher, choose_watcher


def fit(
    table: Any,
    target: Any = None,
    *,
    sql: str | None = None,
    task: TaskName | None = None,
    drop: Sequence[str] = (),
    drop_missing_target: bool = False,
    group: str | None = None,
    time: str | None = None,
    seed: int = 0,
    test: float = 0.15,
    validation: float = 0.15,
    folds: int | str = "auto",
    hidden: Sequence[int] | int | str | None = "auto",
    activation: str = "relu",
    norm: str = "none",
    init: str = "auto",
    lr: float | None = None,
    l2: float | None = None,
    batch: int | None = None,
    epochs: int = 200,
    patience: int = 20,
    optimizer: str = "adam",
    compile: bool | str = "auto",
    memory: int = 2**30,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: str | os.PathLike[str] | None = None,
    stop: Callable[[], bool] | None = None,
    progress: Callable[[Progress], None] | None = None,
    prepared: Callable[[Dataset], None] | None = None,
    health: bool | Watcher = False,
) -> Result:
    """Learn to predict one column of a table from the others.

    The task follows from the target; columns are encoded; rows are split by content and seed into
    those that train, validate and test; networks are trained by mini-batches until the validation
    loss stays, and the best weights are kept. With `hidden='auto'` a linear model and networks
    with a linear path are compared, and with at most 5000 rows to learn from, five members of each
    share the work, each with another fifth of the rows to validate on; their outputs are averaged.

    Parameters
    ----------
    table : path, dataframe, mapping, ndarray of shape (rows, columns), or pair (X, y)
        CSV (also .gz), TSV or Parquet files; pandas, polars, pyarrow tables; arrays.
    target : str, int, or array_like of shape (rows,)
        A column's name (of a 2-D array: its number), or the values themselves.
    sql : str, optional
        For files: one SELECT over the table `data`.
    task : {'regression', 'classification'}, optional
        Instead of what the target suggests.
    drop : sequence of str
        Columns left out.
    drop_missing_target : bool
        Leave out rows without a target.
    group, time : str, optional
        Rows of one group stay on one side; with `time` the last rows test.
    seed : int
        Of the split, the weights and the order of rows.
    test, validation : float
        Shares of rows; `validation` is not used with several folds.
    folds : int or 'auto'
        Members of the committee; 1 for one network with a plain validation set.
    hidden : sequence of int, int, 'auto' or 'none'
        Widths of hidden layers; none for a linear or logistic model.
    activation, norm, init : str
        'relu', 'tanh', 'sigmoid', 'gelu', 'silu', 'elu', 'leaky_relu', 'softplus'; 'none',
        'batch', 'layer'; 'auto', 'he', 'glorot', 'lecun', 'normal'.
    lr, l2, batch : float, float, int, optional
        Learning rate; precision of the weights' prior; rows in a step.
    epochs, patience : int
        At most so many passes; so many without a lower validation loss end training.
    optimizer : {'adam', 'sgd'}
        Which rule steps.
    compile : bool or 'auto'
        Whether steps run as machine code, many in one call: the same steps, to rounding. 'auto'
        compiles networks that train long enough to gain by it. What cannot be compiled runs step
        by step, and a notice says why.
    memory : int
        Bytes of encoded rows held in memory; above, they lie in a temporary file.
    checkpoint : path, optional
        A file that is kept up to date, in one step each time.
    resume : path, optional
        Go on from such a file. Options are those of the run that wrote it, but for `epochs`.
    stop : callable, optional
        Asked after every step, or where steps are compiled at least at the end of each epoch and
        some ten times a second; when true, the best so far is returned.
    progress : callable, optional
        Told as often.
    prepared : callable, optional
        Told of the data once they have passed all checks, before training.
    health : bool or Watcher
        Whether to look at the gradients of each layer about every fiftieth of the run, where that
        takes no more than a fiftieth of the time. What is wrong is told at once, as a notice
        of `progress`; what was seen is the result's `health`.

    Returns
    -------
    Result

    Raises
    ------
    DataError
        If the table, a column or an option cannot be used; one line with the remedy.

    Examples
    --------
    >>> x = np.linspace(0, 1, 50)
    >>> result = fit({"x": x, "y": 3 * x}, target="y", hidden="none", epochs=5)
    >>> result.target.task, result.split.folds, len(result.test.rows)
    ('regression', 5, 8)
    """
    facts: dict[str, Any] = {}
    arrays: dict[str, np.ndarray] = {}
    data_options = DataOptions(
        task,
        _as_names(drop),
        drop_missing_target,
        group,
        time,
        seed,
        test,
        validation,
        folds,
        memory,
    )
    network = NetworkOptions(
        read_widths(hidden), activation, norm, init, lr, l2, batch, epochs, patience, optimizer,
        compile,
    )  # fmt: skip
    if resume is not None:
        arrays, facts = read_run(Path(resume))
        saved = facts["options"]
        data_options = DataOptions(**{**saved["data"], "drop": tuple(saved["data"]["drop"])})
        widths = saved["network"]["hidden"]
        network = NetworkOptions(
            **{
                **saved["network"],
                "hidden": widths if isinstance(widths, str) else tuple(widths),
                "epochs": epochs,
            }
        )
        target = target if target is not None else saved["target"]
    network.check()
    data_options.check()
    opened, target_name = open_table(table, target, sql)
    data = prepare_dataset(opened, target_name, data_options)
    if resume is not None and facts["fingerprint"] != data.fingerprint:
        raise Fault("resume_differs", path=resume, what="its content")
    if prepared is not None:
        prepared(data)
    options = {
        "target": data.target.name,
        "data": asdict(data_options),
        "network": asdict(network),
        "table": str(Path(table).resolve()) if isinstance(table, (str, os.PathLike)) else None,
        "sql": sql,
    }
    rows = Rows(data.matrix, data.learn_target(), data.split.members())
    recipes = list_recipes(
        network,
        data.matrix.shape[1],
        data.target.outputs,
        data.split.folds,
        rows.train_rows,
        data_options.seed,
    )
    run = Run(data, rows, recipes, options, Path(checkpoint) if checkpoint is not None else None,
              choose_watcher(health))  # fmt: skip
    if resume is not None:
        run.unpack(arrays, facts)
    started = clock.perf_counter()
    with limit_threads(max(recipe.architecture.largest for recipe in recipes)):
        finished = run.train(stop or (lambda: False), progress or (lambda _: None))
        return run.conclude(finished, clock.perf_counter() - started)


def _as_names(drop: Sequence[str]) -> tuple[str, ...]:
    """Column names from one name or several."""
    return (drop,) if isinstance(drop, str) else tuple(drop)
