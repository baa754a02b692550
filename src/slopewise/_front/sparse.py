"""sparse_jacobian: a Jacobian of known pattern as a SciPy matrix, by a few products.

Invariant: the numbers come from one traceable function, eager or compiled; SciPy holds them only in
the end. It is separate from the transform below it, which knows neither SciPy nor compilation.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Any

import numpy as np

from slopewise._core.source import explain
from slopewise._core.value import Value
from slopewise._front.compile import compile
from slopewise._transform.gradients import jvp
from slopewise._transform.sparse import Colouring, colour_pattern, entries_of
from slopewise.errors import GradientError, ShapeError, TraceError, UsageError


class SparseJacobian:
    """The function that gives a Jacobian as a sparse matrix.

    Made by `sparse_jacobian`. Calling it with the function's arguments gives the matrix.

    Attributes
    ----------
    pattern : scipy.sparse.csr_array of bool, shape (m, n)
        Where the entries are.
    values : callable
        `(*args) -> Tensor`, shape (entries,): the entries in the order of `pattern`, row by row. It
        can be differentiated, mapped and compiled.
    mode : {"forward", "reverse"}
        Whether columns are taken together (by jvp) or rows (by vjp).
    colours : int
        How many products one Jacobian takes.
    """

    pattern: Any
    values: Callable[..., Any]

    def __init__(
        self, function: Callable[..., Any], pattern: Any, argnums: int, colouring: Colouring,
        compiled: bool, check: bool,
    ) -> None:  # fmt: skip
        def values(*args: Any) -> Any:
            return entries_of(function, colouring, args, argnums)

        self.pattern = pattern
        self.values = compile(values) if compiled else values
        self.mode = colouring.mode
        self.colours = colouring.count
        self._function = function
        self._argnums = argnums
        self._check = check
        if hasattr(function, "__name__"):
            update_wrapper(self, function, updated=())

    def __repr__(self) -> str:
        m, n = self.pattern.shape
        return (
            f"<sparse Jacobian {m} x {n}: {self.pattern.nnz} entries, {self.colours} colours,"
            f" {self.mode} mode>"
        )

    def __call__(self, *args: Any) -> Any:
        from scipy.sparse import csr_array

        found = self.values(*args)
        if isinstance(found, Value):
            if found._value is None:
                raise TraceError(
                    explain(
                        "sparse_jacobian: a SciPy matrix cannot be traced, compiled or mapped. Use"
                        " its .values, the entries as one Tensor: sw.compile(jacobian.values), or"
                        " sparse_jacobian(..., compile=True)."
                    )
                )
            found = found._value
        data = np.array(found)
        kept = self.pattern
        matrix = csr_array((data, kept.indices.copy(), kept.indptr.copy()), shape=kept.shape)
        if self._check:
            self._compare(matrix, args)
        return matrix

    def _compare(self, matrix: Any, args: tuple[Any, ...]) -> None:
        """Refuse a pattern that misses entries: J v must be the derivative along v."""
        place = self._argnums % len(args)
        x = args[place]
        shape = x.shape if isinstance(x, Value) else np.shape(x)
        direction = np.random.default_rng(0).standard_normal(shape).astype(matrix.dtype)

        def along(moved: Any) -> Any:
            return self._function(*args[:place], moved, *args[place + 1 :])

        slope = jvp(along, (x,), (direction,))[1]._value.reshape(-1)
        flat = direction.reshape(-1)
        size = abs(matrix) @ abs(flat) + abs(slope)
        wrong = np.flatnonzero(
            abs(matrix @ flat - slope) > np.sqrt(np.finfo(matrix.dtype).eps) * size
        )
        if len(wrong):
            shown = ", ".join(map(str, wrong[:8].tolist())) + (", ..." if len(wrong) > 8 else "")
            raise GradientError(
                explain(
                    f"sparse_jacobian: the pattern misses entries in {len(wrong)} of"
                    f" {len(slope)} rows ({shown}); mark every place there where the Jacobian may"
                    " differ from 0."
                )
            )


def sparse_jacobian(
    function: Callable[..., Any],
    pattern: Any,
    argnums: int = 0,
    *,
    mode: str = "auto",
    compile: bool = False,
    check: bool = False,
) -> SparseJacobian:
    """Return the function that gives a Jacobian of known pattern as a sparse matrix.

    Columns that share no row of the pattern are differentiated together, by one derivative along
    their sum (or rows that share no column, in reverse mode). A tridiagonal Jacobian of any size
    takes three such products, where `jacobian` takes one for each row.

    The Hessian of a function is `sparse_jacobian(grad(function), pattern)`.

    Parameters
    ----------
    function : callable
        From an array to an array; both are read in C order as vectors of n and m elements.
    pattern : scipy.sparse array or matrix, or array of bool, shape (m, n)
        Where the Jacobian may differ from 0. All stored entries of a sparse one count, zeros
        among them too (SciPy itself drops those of its DIA format). An entry left out makes
        others wrong: see `check`.
    argnums : int
        Which argument to differentiate in.
    mode : {"auto", "forward", "reverse"}
        "auto" takes the mode with fewer colours, forward where they are equal.
    compile : bool
        Whether the entries are computed by compiled code. (The matrix itself cannot be compiled;
        its entries, `result.values`, can.)
    check : bool
        Whether each call compares J v with the derivative along a random v, which costs one more
        product. An entry below about 1e-8 of its row (float32: 3e-4) may still be missed.

    Returns
    -------
    SparseJacobian
        `(*args) -> scipy.sparse.csr_array` of shape (m, n), in the argument's dtype and with
        exactly the structure of the pattern; zeros are stored where the Jacobian is 0.

    Raises
    ------
    ShapeError
        If the pattern is not a matrix; in a call, if its shape is not that of the Jacobian.
    UsageError
        If the mode is another word.
    GradientError
        In a call with `check`, if the pattern misses an entry; the message names the rows.
    TraceError
        In a call inside `compile` or `vmap`: use `result.values` there.

    Source: Curtis, Powell and Reid (1974), "On the estimation of sparse Jacobian matrices";
    Gebremedhin, Manne and Pothen (2005), "What color is your Jacobian?", section 3.

    Examples
    --------
    >>> import numpy as np
    >>> import slopewise as sw
    >>> differences = lambda x: x[1:] ** 2 - x[:-1]
    >>> pattern = np.eye(2, 3, dtype=bool) | np.eye(2, 3, k=1, dtype=bool)
    >>> jacobian = sw.sparse_jacobian(differences, pattern)
    >>> jacobian
    <sparse Jacobian 2 x 3: 4 entries, 2 colours, forward mode>
    >>> jacobian(np.array([1.0, 2.0, 3.0])).toarray()
    array([[-1.,  4.,  0.],
           [ 0., -1.,  6.]])
    """
    if mode not in ("auto", "forward", "reverse"):
        raise UsageError(
            explain(f"sparse_jacobian: mode {mode!r} is not 'auto', 'forward' or 'reverse'.")
        )
    structure = _read_pattern(pattern)
    rows = np.repeat(np.arange(structure.shape[0]), np.diff(structure.indptr))
    colouring = colour_pattern(rows, structure.indices.astype(np.int64), structure.shape, mode)
    return SparseJacobian(function, structure, argnums, colouring, compile, check)


def _read_pattern(pattern: Any) -> Any:
    """Return a pattern as a boolean matrix of its own, its columns in order."""
    from scipy.sparse import csr_array, issparse

    if not issparse(pattern):
        table = pattern._value if isinstance(pattern, Value) else np.asarray(pattern)
        if table is None or table.dtype.kind not in "biuf":
            raise UsageError(
                explain("sparse_jacobian: the pattern must be a sparse matrix or an array of bool.")
            )
        pattern = table != 0
    if pattern.ndim != 2:
        raise ShapeError(
            explain(
                f"sparse_jacobian: the pattern has shape {tuple(pattern.shape)}; it needs one row"
                " for each output element and one column for each input element."
            )
        )
    found = csr_array(pattern, copy=True)
    found.sum_duplicates()
    kept = (np.ones(found.nnz, dtype=bool), found.indices, found.indptr)
    return csr_array(kept, shape=found.shape)
