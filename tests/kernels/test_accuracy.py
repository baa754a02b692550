"""Every kernel against mpmath, in both dtypes, within its row's bound.

Set SLOPEWISE_LONG=1 for thirty times as many points.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

from slopewise import _kernels as kernels

from .oracle import errors
from .table import ROWS, Row

COUNT = 200_000 if os.environ.get("SLOPEWISE_LONG") else 6000


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_error_stays_within_the_bound(row: Row, dtype: type) -> None:
    operands = row.operands(dtype, max(int(COUNT / row.cost), 60))
    with np.errstate(all="ignore"):
        results = row.kernel(*operands)
    assert results.dtype == dtype
    assert results.shape == operands[0].shape
    found = errors(results, operands, row.reference, row.slope)
    worst = int(np.argmax(found))
    bound = row.bound if dtype is np.float64 else row.single_bound
    assert found[worst] <= bound, (
        f"{row.name}: {found[worst]:.4g} ULP at {[operand[worst] for operand in operands]}, "
        f"where it gives {results[worst]!r}"
    )


def test_every_kernel_has_a_row() -> None:
    covered = {row.name.rsplit("_negative")[0] for row in ROWS} | {"polygamma"}
    assert set(kernels.__all__) <= covered
