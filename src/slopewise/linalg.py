"""PyTorch's `linalg` namespace: the front's linear algebra by its names there."""

from slopewise._front.contraction import matmul
from slopewise._front.linalg import (
    cdist,
    cholesky,
    det,
    eigh,
    eigvalsh,
    inv,
    matrix_norm,
    matrix_power,
    norm,
    pinv,
    qr,
    slogdet,
    solve,
    svd,
    svdvals,
    vector_norm,
)  # fmt: skip

__all__ = [
    "cdist", "cholesky", "det", "eigh", "eigvalsh", "inv", "matmul", "matrix_norm", "matrix_power",
    "norm", "pinv", "qr", "slogdet", "solve", "svd", "svdvals", "vector_norm",
]  # fmt: skip
