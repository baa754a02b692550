"""Networks from a description, as ordinary modules and as a committee in one.

Invariant: a description (`Architecture`) and a seed decide every first weight, through a
counter-based generator, whatever was drawn before. `StackedNetwork` holds all members of a
committee in arrays with a leading axis and trains them in one go; `build_model` turns its arrays
into ordinary modules that give the same output. It is separate because both must agree.
"""

import math
from typing import Any

import numpy as np

import slopewise as sw
from slopewise import nn
from slopewise.train.architecture import Architecture

HALF_LINEAR = ("relu", "leaky_relu", "gelu", "silu", "elu")
"""Activations that pass about half of a signal's energy, as He's scale has it."""
EPSILON = 1e-5
MOMENTUM = 0.1


def draw_weights(architecture: Architecture, seed: int) -> dict[str, np.ndarray]:
    """First weights of all members.

    Weights are normal with the chosen scale, biases 0, norms 1 and 0. An output layer beside a
    linear path and the path itself start at 0, as does a linear model, whose loss has one minimum.

    Parameters
    ----------
    architecture : Architecture
        The network.
    seed : int
        Seed of the counter-based generator.

    Returns
    -------
    dict of str to ndarray of shape (members, ...), float32

    Source
    ------
    Glorot and Bengio 2010, eq. (16), as a normal law; He et al. 2015, eq. (10); LeCun et al. 1998,
    section 4.6.

    Examples
    --------
    >>> w = draw_weights(Architecture(4, 1, hidden=(8,)), seed=0)
    >>> w["hidden1.weight"].shape, float(w["hidden1.bias"].sum())
    ((1, 4, 8), 0.0)
    """
    init = architecture.init
    if init == "auto":
        init = "he" if architecture.activation in HALF_LINEAR else "glorot"
    arrays: dict[str, np.ndarray] = {}
    for number, (name, shape) in enumerate(architecture.shapes.items()):
        full = (architecture.members, *shape)
        layer, _, part = name.partition(".")
        zero = layer == "linear_path" or (
            layer == "output" and (architecture.has_path or not architecture.hidden)
        )
        if len(shape) == 1 or zero:
            fill = 1.0 if layer.startswith("norm") and part == "weight" else 0.0
            arrays[name] = np.full(full, fill, dtype=np.float32)
            continue
        fan_in, fan_out = shape
        if init == "normal":
            deviation = 0.05
        elif init == "lecun" or (init == "he" and layer == "output"):
            deviation = math.sqrt(1.0 / fan_in)
        elif init == "he":
            deviation = math.sqrt(2.0 / fan_in)
        else:
            deviation = math.sqrt(2.0 / (fan_in + fan_out))
        generator = np.random.Generator(np.random.Philox(key=[seed & (2**64 - 1), 1000 + number]))
        arrays[name] = (generator.standard_normal(full) * deviation).astype(np.float32)
    return arrays


def activate(name: str, values: Any) -> Any:
    """Apply an activation function by name.

    Parameters
    ----------
    name : str
        One of `ACTIVATIONS`.
    values : Tensor of any shape
        What goes in.

    Returns
    -------
    Tensor of the same shape
    """
    if name == "tanh":
        return sw.tanh(values)
    if name == "sigmoid":
        return sw.sigmoid(values)
    return getattr(nn.functional, name)(values)


class StackedNetwork(nn.Module):
    """All members of a committee as one module, in arrays with a leading axis.

    Parameters
    ----------
    architecture : Architecture
        The network.
    weights : dict of str to ndarray of shape (members, ...)
        First weights, as `draw_weights` gives them.
    """

    def __init__(self, architecture: Architecture, weights: dict[str, np.ndarray]) -> None:
        super().__init__()
        self.architecture = architecture
        self.arrays: dict[str, Any] = {}
        for name, values in weights.items():
            parameter = nn.Parameter(sw.tensor(values.copy()))
            self.arrays[name] = parameter
            self.register_parameter(name.replace(".", "_"), parameter)
        # Running statistics are data of the run, not learnt.
        self.running: dict[str, Any] = {}
        if architecture.norm == "batch":
            for index, width in enumerate(architecture.hidden, 1):
                shape = (architecture.members, width)
                for part, start in (("running_mean", np.zeros), ("running_var", np.ones)):
                    self.running[f"norm{index}.{part}"] = sw.tensor(start(shape, np.float32))

    def forward(self, x: Any) -> Any:
        """Outputs of all members, each for its own rows, in the mode that the module is in.

        Parameters
        ----------
        x : Tensor of shape (members, rows, inputs), float32
            Rows of each member.

        Returns
        -------
        Tensor of shape (members, rows, outputs), float32
        """
        return self.compute(x, self.training)

    def compute(self, x: Any, training: bool, shares: Any = None) -> Any:
        """Outputs of all members, in training or in use.

        Parameters
        ----------
        x : Tensor of shape (members, rows, inputs), float32
            Rows of each member.
        training : bool
            Whether batch normalisation takes the rows' own statistics, and moves the running ones.
        shares : Tensor of shape (rows,), float32, optional
            What each row counts in these statistics, summing to 1: 0 for a row that only fills up
            the batch. All rows count the same if left out.

        Returns
        -------
        Tensor of shape (members, rows, outputs), float32
        """
        value = x
        for index in range(1, len(self.architecture.hidden) + 1):
            value = self._apply_layer(f"hidden{index}", value)
            if self.architecture.norm != "none":
                value = self._normalise(f"norm{index}", value, training, shares)
            value = activate(self.architecture.activation, value)
        result = self._apply_layer("output", value)
        if self.architecture.has_path:
            result = result + sw.matmul(x, self.arrays["linear_path.weight"])
        return result

    def _apply_layer(self, name: str, value: Any) -> Any:
        """A linear layer of every member."""
        bias = self.arrays[f"{name}.bias"]
        return sw.matmul(value, self.arrays[f"{name}.weight"]) + bias.unsqueeze(1)

    def _normalise(self, name: str, value: Any, training: bool, shares: Any) -> Any:
        """Batch or layer normalisation of every member."""
        if self.architecture.norm == "layer":
            mean = value.mean(dim=2, keepdim=True)
            centred = value - mean
            variance = (centred * centred).mean(dim=2, keepdim=True)
        elif not training:
            centred = value - self.running[f"{name}.running_mean"].unsqueeze(1)
            variance = self.running[f"{name}.running_var"].unsqueeze(1)
        elif shares is None:
            mean = value.mean(dim=1, keepdim=True)
            centred = value - mean
            variance = (centred * centred).mean(dim=1, keepdim=True)
            rows = value.shape[1]
            self._track(name, mean, variance, rows / max(rows - 1, 1))
        else:
            weights = shares.reshape(1, -1, 1)
            mean = (value * weights).sum(dim=1, keepdim=True)
            centred = value - mean
            variance = (centred * centred * weights).sum(dim=1, keepdim=True)
            # Of n rows each has a share of 1/n, and n / (n - 1) is 1 / (1 - 1/n); there are 2
            # at least where batches differ in size.
            self._track(name, mean, variance, 1.0 / (1.0 - shares.max()))
        scaled = centred / sw.sqrt(variance + EPSILON)
        weight, bias = self.arrays[f"{name}.weight"], self.arrays[f"{name}.bias"]
        return scaled * weight.unsqueeze(1) + bias.unsqueeze(1)

    def _track(self, name: str, mean: Any, variance: Any, unbiased: Any) -> None:
        """Move the running statistics towards those of the batch (with n - 1 for the variance)."""
        with sw.no_grad():
            for part, found in (("running_mean", mean), ("running_var", variance * unbiased)):
                old = self.running[f"{name}.{part}"]
                old.copy_((1 - MOMENTUM) * old + MOMENTUM * found.detach().squeeze(1))

    def read_arrays(self) -> dict[str, np.ndarray]:
        """Copies of all arrays: parameters and running statistics.

        Returns
        -------
        dict of str to ndarray of shape (members, ...), float32
        """
        both = {**self.arrays, **self.running}
        return {name: np.array(values.detach().numpy()) for name, values in both.items()}

    def write_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        """Set all arrays to the given values.

        Parameters
        ----------
        arrays : dict of str to ndarray of shape (members, ...), float32
            As `read_arrays` gives them.
        """
        with sw.no_grad():
            for name, parameter in self.arrays.items():
                parameter.copy_(sw.tensor(arrays[name]))
            for name, statistics in self.running.items():
                statistics.copy_(sw.tensor(arrays[name]))

    def read_gradient_squares(self) -> np.ndarray:
        """Squared gradient norm of each layer, the mean over members.

        Returns
        -------
        ndarray of shape (layers,), float64
        """
        squares = dict.fromkeys(self.architecture.layers, 0.0)
        for name, parameter in self.arrays.items():
            gradient = parameter.grad
            if gradient is not None:
                flat = gradient.numpy().ravel()
                squares[name.partition(".")[0]] += float(np.dot(flat, flat))
        return np.array(list(squares.values())) / self.architecture.members


class Network(nn.Module):
    """One member as an ordinary module: a `Sequential` body and, maybe, a linear path beside it.

    Parameters
    ----------
    architecture : Architecture
        The network; `members` is not looked at.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        layers: list[Any] = []
        width = architecture.inputs
        for hidden in architecture.hidden:
            layers.append(nn.Linear(width, hidden))
            if architecture.norm == "batch":
                layers.append(nn.BatchNorm1d(hidden, eps=EPSILON, momentum=MOMENTUM))
            elif architecture.norm == "layer":
                layers.append(nn.LayerNorm(hidden, eps=EPSILON))
            layers.append(_make_activation(architecture.activation))
            width = hidden
        layers.append(nn.Linear(width, architecture.outputs))
        self.body = nn.Sequential(*layers)
        self.has_path = architecture.has_path
        if self.has_path:
            self.linear_path = nn.Linear(architecture.inputs, architecture.outputs, bias=False)

    def forward(self, x: Any) -> Any:
        """Outputs for some rows.

        Parameters
        ----------
        x : Tensor of shape (rows, inputs), float32
            Encoded rows.

        Returns
        -------
        Tensor of shape (rows, outputs), float32
            Logits, or standardised values.
        """
        result = self.body(x)
        return result + self.linear_path(x) if self.has_path else result


class Committee(nn.Module):
    """Several networks whose outputs are averaged.

    Parameters
    ----------
    members : sequence of Module
        Networks with the same inputs and outputs.

    Source
    ------
    Krogh and Vedelsby 1995, "Neural network ensembles, cross validation, and active learning".
    """

    def __init__(self, members: list[Any]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, x: Any) -> Any:
        """The mean of the members' outputs.

        Parameters
        ----------
        x : Tensor of shape (rows, inputs), float32
            Encoded rows.

        Returns
        -------
        Tensor of shape (rows, outputs), float32
        """
        first, *others = self.members
        total = first(x)
        for member in others:
            total = total + member(x)
        return total / float(len(self.members))


def _make_activation(name: str) -> Any:
    """An activation as a module."""
    classes = {
        "relu": "ReLU", "tanh": "Tanh", "sigmoid": "Sigmoid", "gelu": "GELU", "silu": "SiLU",
        "elu": "ELU", "leaky_relu": "LeakyReLU", "softplus": "Softplus",
    }  # fmt: skip
    return getattr(nn, classes[name])()


def build_model(architecture: Architecture, arrays: dict[str, np.ndarray]) -> Any:
    """Ordinary modules from a committee's arrays, in evaluation mode.

    Parameters
    ----------
    architecture : Architecture
        The network.
    arrays : dict of str to ndarray of shape (members, ...), float32
        As `StackedNetwork.read_arrays` gives them.

    Returns
    -------
    Network or Committee
        A `Network` for one member.
    """
    members = []
    for member in range(architecture.members):
        network = Network(architecture)
        load_member(network, architecture, arrays, member)
        members.append(network)
    model = members[0] if len(members) == 1 else Committee(members)
    model.eval()
    return model


def load_member(
    network: Network, architecture: Architecture, arrays: dict[str, np.ndarray], member: int = 0
) -> None:
    """Give an ordinary network the numbers of one member of a committee.

    Parameters
    ----------
    network : Network
        Of the same architecture.
    architecture : Architecture
    arrays : dict of str to ndarray of shape (members, ...), float32
        As `StackedNetwork.read_arrays` gives them.
    member : int
    """
    state = network.state_dict()  # num_batches_tracked stays as it is
    for key, values, transposed in _name_arrays(architecture, arrays):
        found = values[member].T if transposed else values[member]
        state[key] = sw.tensor(np.ascontiguousarray(found))
    network.load_state_dict(state)


def _name_arrays(
    architecture: Architecture, arrays: dict[str, np.ndarray]
) -> list[tuple[str, np.ndarray, bool]]:
    """State-dict keys of an ordinary network, their arrays, and whether to transpose them."""
    step = 2 if architecture.norm == "none" else 3
    named: list[tuple[str, np.ndarray, bool]] = []
    for name, values in arrays.items():
        layer, _, part = name.partition(".")
        if layer == "linear_path":
            key = f"linear_path.{part}"
        elif layer == "output":
            key = f"body.{step * len(architecture.hidden)}.{part}"
        elif layer.startswith("norm"):
            key = f"body.{step * (int(layer[4:]) - 1) + 1}.{part}"
        else:
            key = f"body.{step * (int(layer[6:]) - 1)}.{part}"
        named.append((key, values, part == "weight" and not layer.startswith("norm")))
    return named
