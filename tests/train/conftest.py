"""Small tables for the tests of training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest


@pytest.fixture
def numbers() -> dict[str, np.ndarray]:
    """120 rows: y is linear in two columns, with noise."""
    generator = np.random.default_rng(0)
    x, z = generator.normal(size=(2, 120))
    return {"x": x, "z": 5 + 3 * z, "y": 2 * x - z + 0.1 * generator.normal(size=120)}


@pytest.fixture
def mixed() -> dict[str, Any]:
    """150 rows with numbers, text, missing values, dates and a text target."""
    generator = np.random.default_rng(1)
    size = generator.normal(size=150)
    colour = generator.choice(["red", "green", "blue"], 150).astype(object)
    label = np.where((size > 0) ^ (colour == "red"), "yes", "no").astype(object)
    size[::10] = np.nan
    colour[5::20] = None
    day = np.datetime64("2024-01-01") + np.arange(150) * 5
    return {"size": size, "colour": colour, "day": day, "label": label}


def write_csv(path: Path, columns: dict[str, Any]) -> Path:
    """Write columns as CSV; None and NaN become empty."""
    lines = [",".join(columns)]
    for row in zip(*columns.values(), strict=True):
        lines.append(",".join("" if v is None or v != v else str(v) for v in row))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def csv_of() -> Any:
    """The function that writes a CSV file."""
    return write_csv
