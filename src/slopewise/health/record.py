"""What one batch did to a network: every call of a layer, with values and gradients as arrays.

Invariant: a record holds NumPy arrays and no tensors, so that what is measured is the same for
every framework; gradients are those of the batch's loss. It is separate from the probes that fill
it, one for each framework.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

KINDS = ("weights", "activation", "norm", "dropout", "pool", "shape", "recurrent", "block", "add")
"""What a call may be; "block" is what could not be split."""
SETTINGS = (
    "eps", "normalized_shape", "num_groups", "stride", "padding", "padding_mode", "dilation",
    "kernel_size", "groups", "inplace", "p", "batch_first", "nonlinearity",
)  # fmt: skip
"""Attributes of a layer that formulas need, by the names that both frameworks give them."""


@dataclass
class Call:
    """One call of a layer.

    Attributes
    ----------
    name : str
        Dotted, as in the model; "#2" follows where a layer is called again.
    kind : str
        One of `KINDS`.
    type : str
        The layer's class, or the function's name.
    x, y : ndarray or None
        Input and output, the batch first.
    grad_x, grad_y : ndarray or None
        What this call hands back to its input, and the whole gradient in its output.
    parameters : dict of str to ndarray
    grads : dict of str to ndarray
        Of the parameters; absent where none came.
    slope : ndarray or None
        Of an activation: its derivative at x, element by element.
    sources : tuple of int
        The calls whose outputs come in, by position; -1 is the model's input.
    settings : dict
        What formulas need: eps, groups, axes, training.
    """

    name: str
    kind: str
    type: str
    x: Any = None
    y: Any = None
    grad_x: Any = None
    grad_y: Any = None
    parameters: dict[str, Any] = field(default_factory=dict[str, Any])
    grads: dict[str, Any] = field(default_factory=dict[str, Any])
    slope: Any = None
    sources: tuple[int, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass
class Record:
    """One batch through a network and back.

    Attributes
    ----------
    calls : list of Call
        In the order in which they ran.
    loss : float
    output, grad_output : ndarray
        What the model gave, and the gradient in it.
    input, target : ndarray
    trials : dict of str to float
        Losses of the outputs of `heads.make_trials`, where the loss takes them.
    """

    calls: list[Call]
    loss: float
    output: Any
    grad_output: Any
    input: Any
    target: Any
    trials: dict[str, float] = field(default_factory=dict[str, float])
