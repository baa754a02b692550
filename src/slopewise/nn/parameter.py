"""Parameter: a leaf Tensor that a Module registers when it is assigned; Buffer: state beside it.

Invariant: a Parameter shares the memory of the tensor that it is made from, and differs from it
only in its class. Both classes carry a `__dict__`, so that users may mark them. They are separate
from `Module` because optimisers and initialisers use them without any module.
"""

from __future__ import annotations

from typing import Any

from slopewise._core.source import explain
from slopewise._front.creation import require_float
from slopewise._front.operands import as_value, read_array
from slopewise.errors import DTypeError
from slopewise.tensor import Tensor, _fill


class Parameter(Tensor):
    """A tensor that is learnt: assigned to a Module, it appears in `parameters()`.

    Parameters
    ----------
    data : Tensor or nested numbers
        Its first numbers; memory is shared with a Tensor.
    requires_grad : bool
        Whether gradients are recorded.

    Raises
    ------
    DTypeError
        If gradients are asked for and the dtype is no float.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.nn.Parameter(sw.tensor([1.0, 2.0]))
    Parameter containing:
    tensor([1., 2.], requires_grad=True)
    """

    def __init__(self, data: Any = (), requires_grad: bool = True) -> None:
        source = as_value(data)
        array = read_array(source)
        if requires_grad:
            require_float(array.dtype, "Parameter")
        _fill(self, array, bool(requires_grad))
        self._storage = source._storage

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class Buffer(Tensor):
    """A tensor that belongs to a Module's state and is not learnt.

    Assigned to a Module it is registered as by `register_buffer`.
    """

    def __init__(self, data: Any = (), *, persistent: bool = True) -> None:
        source = as_value(data)
        if source._requires_grad:
            raise DTypeError(
                explain("Buffer: a tensor that requires grad is learnt; make it a Parameter.")
            )
        _fill(self, read_array(source), False)
        self._storage = source._storage
        self.persistent = persistent
