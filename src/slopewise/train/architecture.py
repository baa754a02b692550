"""A network's description, checked, with the shapes that follow from it.

Invariant: a plain record that goes to JSON and back; the names and shapes of all arrays follow from
it alone. It is separate so that options can be checked without the engine.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Any

from slopewise.train.faults import Fault

ACTIVATIONS = ("relu", "tanh", "sigmoid", "gelu", "silu", "elu", "leaky_relu", "softplus")
NORMS = ("none", "batch", "layer")
INITS = ("auto", "he", "glorot", "lecun", "normal")


@dataclass(frozen=True)
class Architecture:
    """A network's description.

    Parameters
    ----------
    inputs, outputs : int
        Features in; classes or 1 out.
    hidden : tuple of int
        Widths of the hidden layers; none gives a linear or logistic model.
    activation : str
        One of `ACTIVATIONS`.
    norm : {'none', 'batch', 'layer'}
        Normalisation between a hidden layer and its activation.
    init : {'auto', 'he', 'glorot', 'lecun', 'normal'}
        First weights; 'auto' is He's for the relu family and Glorot's for the rest.
    skip : bool
        Whether a linear path leads past the hidden layers. The output layer then starts at 0, so
        that training starts from the linear model.
    members : int
        How many networks share the work; their outputs are averaged.
    """

    inputs: int
    outputs: int
    hidden: tuple[int, ...] = ()
    activation: str = "relu"
    norm: str = "none"
    init: str = "auto"
    skip: bool = False
    members: int = 1

    def check(self) -> None:
        """Check the description.

        Raises
        ------
        DataError
            If a word is unknown or a width is not positive.
        """
        for option, value, allowed in (
            ("--activation", self.activation, ACTIVATIONS),
            ("--norm", self.norm, NORMS),
            ("--init", self.init, INITS),
        ):
            if value not in allowed:
                raise Fault("bad_option", option=option, allowed=", ".join(allowed), value=value)
        if any(width < 1 or width > 65536 for width in self.hidden):
            raise Fault(
                "bad_option", option="--hidden", allowed="widths of 1 to 65536", value=self.hidden
            )

    @property
    def layers(self) -> list[str]:
        """Names of the layers that have parameters, from the input to the output."""
        names: list[str] = []
        for index in range(len(self.hidden)):
            names.append(f"hidden{index + 1}")
            if self.norm != "none":
                names.append(f"norm{index + 1}")
        return [*names, "output", *(["linear_path"] if self.has_path else [])]

    @property
    def has_path(self) -> bool:
        """Whether there is a linear path beside hidden layers."""
        return self.skip and bool(self.hidden)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of one member's arrays: weights as (inputs, outputs), then the rest."""
        shapes: dict[str, tuple[int, ...]] = {}
        widths = [self.inputs, *self.hidden]
        for index, (fan_in, fan_out) in enumerate(itertools.pairwise(widths), 1):
            shapes[f"hidden{index}.weight"] = (fan_in, fan_out)
            shapes[f"hidden{index}.bias"] = (fan_out,)
            if self.norm != "none":
                shapes[f"norm{index}.weight"] = (fan_out,)
                shapes[f"norm{index}.bias"] = (fan_out,)
        shapes["output.weight"] = (widths[-1], self.outputs)
        shapes["output.bias"] = (self.outputs,)
        if self.has_path:
            shapes["linear_path.weight"] = (self.inputs, self.outputs)
        return shapes

    @property
    def parameters(self) -> int:
        """How many numbers all members together learn."""
        return self.members * sum(math.prod(shape) for shape in self.shapes.values())

    @property
    def largest(self) -> int:
        """Numbers in the largest array of one member."""
        return max(math.prod(shape) for shape in self.shapes.values())

    def to_json(self) -> dict[str, Any]:
        """A JSON form, read back by `Architecture.from_json`."""
        return {**vars(self), "hidden": list(self.hidden)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Architecture":
        """The description that `to_json` wrote."""
        return cls(**{**data, "hidden": tuple(data["hidden"])})
