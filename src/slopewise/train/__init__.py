"""Training on tables: data in, network trained, result out.

`fit` learns a column of a table, `load` and `predict` use what was learnt. Importing this package
imports NumPy only; DuckDB, narwhals and safetensors come in when a table or a file is touched.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slopewise.train.fitting import fit as fit
    from slopewise.train.predictor import Predictions as Predictions
    from slopewise.train.predictor import Predictor as Predictor
    from slopewise.train.predictor import load as load
    from slopewise.train.predictor import predict as predict
    from slopewise.train.result import Result as Result

_PLACES = {
    "fit": "fitting",
    "Result": "result",
    "load": "predictor",
    "predict": "predictor",
    "Predictor": "predictor",
    "Predictions": "predictor",
}
__all__ = ["Predictions", "Predictor", "Result", "fit", "load", "predict"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name in _PLACES:
        return getattr(importlib.import_module(f"slopewise.train.{_PLACES[name]}"), name)
    raise AttributeError(f"module 'slopewise.train' has no attribute {name!r}")
