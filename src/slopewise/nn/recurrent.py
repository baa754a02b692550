"""Recurrent layers: RNN, LSTM and GRU, in several layers and both directions.

Invariant: a layer is one `scan` over time. What does not depend on the hidden state (the input's
share of all gates) is one product before the scan. Parameter names, gate order and shapes are
PyTorch's, so that states can be exchanged.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

from slopewise._core.source import explain
from slopewise._front import elementwise
from slopewise._front.contraction import linear
from slopewise._front.control import scan
from slopewise._front.creation import zeros
from slopewise._front.joins import cat, chunk, stack
from slopewise._front.operands import as_value
from slopewise._front.shape import narrow, reshape, transpose
from slopewise.errors import ShapeError, UsageError
from slopewise.nn import init
from slopewise.nn.functional.sparse import dropout
from slopewise.nn.module import Module
from slopewise.nn.parameter import Parameter


def step_rnn(gates: Any, hidden: Any, weight: Any, bias: Any, activate: Any) -> Any:
    """Return the next hidden state: activate(gates + W h + b).

    Source: Elman (1990), Finding structure in time.
    """
    return activate(gates + linear(hidden, weight, bias))


def step_lstm(
    gates: Any, state: tuple[Any, Any], weight: Any, bias: Any, projection: Any
) -> tuple[Any, Any]:
    """Return the next hidden and cell state; the gates are input, forget, cell and output.

    Source: Hochreiter & Schmidhuber (1997), Long short-term memory; the forget gate is Gers,
    Schmidhuber & Cummins's (2000); the projection Sak, Senior & Beaufays's (2014).
    """
    hidden, cell = state
    enter, forget, new, leave = chunk(gates + linear(hidden, weight, bias), 4, -1)
    cell = elementwise.sigmoid(forget) * cell + elementwise.sigmoid(enter) * elementwise.tanh(new)
    hidden = elementwise.sigmoid(leave) * elementwise.tanh(cell)
    return (hidden if projection is None else linear(hidden, projection)), cell


def step_gru(gates: Any, hidden: Any, weight: Any, bias: Any) -> Any:
    """Return the next hidden state; the gates are reset, update and new.

    Source: Cho et al. (2014), Learning phrase representations using RNN encoder-decoder, section
    2.3, with the reset gate after the product.
    """
    reset_x, update_x, new_x = chunk(gates, 3, -1)
    reset_h, update_h, new_h = chunk(linear(hidden, weight, bias), 3, -1)
    reset = elementwise.sigmoid(reset_x + reset_h)
    update = elementwise.sigmoid(update_x + update_h)
    new = elementwise.tanh(new_x + reset * new_h)
    return new + update * (hidden - new)


class _Recurrent(Module):
    """What RNN, LSTM and GRU share: parameters, layers, directions."""

    _gates: int
    _cells: bool = False

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if not 0.0 <= dropout <= 1.0:
            raise UsageError(explain(f"{name}: dropout should be in [0, 1], got {dropout}."))
        if num_layers < 1 or hidden_size < 1:
            raise UsageError(explain(f"{name}: num_layers and hidden_size must be at least 1."))
        if not 0 <= proj_size < hidden_size:
            raise UsageError(explain(f"{name}: proj_size must be smaller than hidden_size."))
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.use_bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        make = {"dtype": dtype, "device": device}
        rows = self._gates * hidden_size
        for suffix in self._suffixes():
            first = suffix.startswith("_l0")
            width = input_size if first else self._output_size() * self._directions()
            shapes = {"weight_ih": (rows, width), "weight_hh": (rows, self._output_size())}
            if bias:
                shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
            if proj_size:
                shapes["weight_hr"] = (proj_size, hidden_size)
            for part, shape in shapes.items():
                setattr(self, part + suffix, Parameter(zeros(shape, **make)))
        self.reset_parameters()

    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    def _output_size(self) -> int:
        return self.proj_size or self.hidden_size

    def _suffixes(self) -> list[str]:
        """Return the ends of the parameters' names, in the order of the hidden states."""
        ends = ("", "_reverse") if self.bidirectional else ("",)
        return [f"_l{layer}{end}" for layer in range(self.num_layers) for end in ends]

    def reset_parameters(self) -> None:
        """Draw the first weights again: uniform up to 1 / sqrt(hidden_size)."""
        bound = 1.0 / sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def _part(self, name: str) -> Any:
        return self._parameters.get(name)

    # --- the input and the first states ---

    def _prepare(self, input: Any) -> tuple[Any, bool]:
        """Return the input as (L, N, features), and whether it had a batch axis."""
        x = as_value(input)
        name = type(self).__name__
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size:
            raise ShapeError(
                explain(
                    f"{name}: expected an input of 2 or 3 axes with {self.input_size} features on"
                    f" the last, got shape {tuple(x.shape)}.",
                    (x,),
                )
            )
        batched = x.ndim == 3
        if not batched:
            x = reshape(x, (x.shape[0], 1, x.shape[1]))
        elif self.batch_first:
            x = transpose(x, 0, 1)
        if x.shape[0] == 0:
            raise ShapeError(explain(f"{name}: expected a sequence longer than 0.", (x,)))
        return x, batched

    def _first_state(self, given: Any, size: int, x: Any, batched: bool, what: str) -> Any:
        count = self.num_layers * self._directions()
        wanted = (count, x.shape[1], size)
        if given is None:
            return zeros(wanted, dtype=x.dtype)
        state = as_value(given)
        if not batched and state.ndim == 2:
            state = reshape(state, (state.shape[0], 1, state.shape[1]))
        if tuple(state.shape) != wanted:
            raise ShapeError(
                explain(
                    f"{type(self).__name__}: expected {what} of shape"
                    f" {wanted if batched else (count, size)}, got {tuple(as_value(given).shape)}.",
                    (state,),
                )
            )
        return state

    # --- the layers ---

    def _scan(self, suffix: str, x: Any, state: Any) -> tuple[Any, Any]:
        """Run one direction of one layer over time; return its outputs and last state."""
        raise UsageError(f"{type(self).__name__} states no step; define _scan.")

    def _gates_of(self, suffix: str, x: Any) -> Any:
        """Return the input's share of all gates, for all times at once."""
        return linear(x, self._part("weight_ih" + suffix), self._part("bias_ih" + suffix))

    def _run(self, x: Any, states: list[Any]) -> tuple[Any, list[Any]]:
        """Run all layers; `states` has one entry for each layer and direction."""
        suffixes = self._suffixes()
        per_layer = self._directions()
        last: list[Any] = []
        for layer in range(self.num_layers):
            outputs: list[Any] = []
            for k in range(layer * per_layer, (layer + 1) * per_layer):
                output, state = self._scan(suffixes[k], x, states[k])
                outputs.append(output)
                last.append(state)
            x = outputs[0] if per_layer == 1 else cat(outputs, -1)
            if self.dropout and layer < self.num_layers - 1:
                x = dropout(x, self.dropout, self.training)
        return x, last

    def _finish(self, output: Any, states: list[Any], batched: bool) -> tuple[Any, list[Any]]:
        """Return output and states in the layout of the input."""
        if not batched:
            flat = [reshape(s, (s.shape[0], s.shape[2])) for s in states]
            return reshape(output, (output.shape[0], output.shape[2])), flat
        return (transpose(output, 0, 1) if self.batch_first else output), states

    def extra_repr(self) -> str:
        """Return the sizes, and the options that are not the defaults."""
        parts = [f"{self.input_size}, {self.hidden_size}"]
        if self.proj_size:
            parts.append(f"proj_size={self.proj_size}")
        if self.num_layers != 1:
            parts.append(f"num_layers={self.num_layers}")
        if not self.use_bias:
            parts.append("bias=False")
        if self.batch_first:
            parts.append("batch_first=True")
        if self.dropout:
            parts.append(f"dropout={self.dropout}")
        if self.bidirectional:
            parts.append("bidirectional=True")
        return ", ".join(parts)


class _HiddenOnly(_Recurrent):
    """What the layers whose state is one tensor share: RNN and GRU."""

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        """Return the outputs of all times and the last hidden states.

        Parameters
        ----------
        input : Tensor, shape (L, N, input_size), (N, L, input_size) if batch_first, (L, input_size)
        hx : Tensor, shape (layers * directions, N, hidden_size), optional
            First hidden states, 0 by default.

        Returns
        -------
        output : Tensor, shape (L, N, directions * hidden_size)
        h_n : Tensor, shape (layers * directions, N, hidden_size)
        """
        x, batched = self._prepare(input)
        first = self._first_state(hx, self.hidden_size, x, batched, "hidden states")
        output, last = self._run(x, _rows(first))
        output, states = self._finish(output, [stack(last, 0)], batched)
        return output, states[0]

    def _step(self, suffix: str, gates: Any, hidden: Any) -> Any:
        raise UsageError(f"{type(self).__name__} states no step; define _step.")

    def _scan(self, suffix: str, x: Any, state: Any) -> tuple[Any, Any]:
        def advance(hidden: Any, gates: Any) -> tuple[Any, Any]:
            hidden = self._step(suffix, gates, hidden)
            return hidden, hidden

        gates = self._gates_of(suffix, x)
        last, outputs = scan(advance, state, gates, reverse=suffix.endswith("_reverse"))
        return outputs, last


def _rows(states: Any) -> list[Any]:
    """Return the states of each layer and direction by themselves."""
    return [
        reshape(narrow(states, 0, k, 1), tuple(states.shape[1:])) for k in range(states.shape[0])
    ]


class RNN(_HiddenOnly):
    """h = tanh(W_ih x + b_ih + W_hh h + b_hh), or with relu.

    Parameters
    ----------
    input_size, hidden_size : int
    num_layers : int
        Layers on top of each other.
    nonlinearity : {"tanh", "relu"}
    bias : bool
    batch_first : bool
        Whether the batch axis comes before the time axis.
    dropout : float
        On the outputs of all layers but the last, in training.
    bidirectional : bool
    dtype : dtype, optional

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, ... : Parameter
        For each layer; "_reverse" is added for the backward direction.

    Raises
    ------
    UsageError
        If an option is out of range.

    Source: Elman (1990), Finding structure in time.

    Examples
    --------
    >>> import slopewise as sw
    >>> output, h = sw.nn.RNN(3, 4)(sw.zeros(5, 2, 3))
    >>> output.shape, h.shape
    ((5, 2, 4), (1, 2, 4))
    """

    _gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise UsageError(explain(f"RNN: unknown nonlinearity {nonlinearity!r}: tanh or relu."))
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            device=device, dtype=dtype,
        )  # fmt: skip
        self.nonlinearity = nonlinearity

    def _step(self, suffix: str, gates: Any, hidden: Any) -> Any:
        activate = elementwise.tanh if self.nonlinearity == "tanh" else elementwise.relu
        weight, bias = self._part("weight_hh" + suffix), self._part("bias_hh" + suffix)
        return step_rnn(gates, hidden, weight, bias, activate)


class GRU(_HiddenOnly):
    """Gated recurrent units: a reset and an update gate.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype
        As for RNN.

    Attributes
    ----------
    weight_ih_l0 : Parameter, shape (3 hidden_size, input_size)
        Rows in the order reset, update, new; the others likewise.

    Source: Cho et al. (2014), Learning phrase representations using RNN encoder-decoder.
    """

    _gates = 3

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            device=device, dtype=dtype,
        )  # fmt: skip

    def _step(self, suffix: str, gates: Any, hidden: Any) -> Any:
        weight, bias = self._part("weight_hh" + suffix), self._part("bias_hh" + suffix)
        return step_gru(gates, hidden, weight, bias)


class LSTM(_Recurrent):
    """Long short-term memory: a cell behind an input, a forget and an output gate.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype
        As for RNN.
    proj_size : int
        Size of a linear map of the hidden state; 0 leaves it out.

    Attributes
    ----------
    weight_ih_l0 : Parameter, shape (4 hidden_size, input_size)
        Rows in the order input, forget, cell, output; the others likewise.

    Source: Hochreiter & Schmidhuber (1997), Long short-term memory.

    Examples
    --------
    >>> import slopewise as sw
    >>> output, (h, c) = sw.nn.LSTM(3, 4)(sw.zeros(5, 2, 3))
    >>> output.shape, h.shape, c.shape
    ((5, 2, 4), (1, 2, 4), (1, 2, 4))
    """

    _gates = 4

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, tuple[Any, Any]]:
        """Return the outputs of all times, and the last hidden and cell states.

        Parameters
        ----------
        input : Tensor, shape (L, N, input_size), (N, L, input_size) if batch_first, (L, input_size)
        hx : tuple of two Tensors, optional
            First hidden states (layers * directions, N, output size) and cells
            (layers * directions, N, hidden_size), 0 by default.

        Returns
        -------
        output : Tensor, shape (L, N, directions * output size)
        (h_n, c_n) : tuple of two Tensors
        """
        x, batched = self._prepare(input)
        h, c = (None, None) if hx is None else hx
        hidden = self._first_state(h, self._output_size(), x, batched, "hidden states")
        cell = self._first_state(c, self.hidden_size, x, batched, "cell states")
        output, last = self._run(x, list(zip(_rows(hidden), _rows(cell), strict=True)))
        states = [stack([s[0] for s in last], 0), stack([s[1] for s in last], 0)]
        output, (h_n, c_n) = self._finish(output, states, batched)
        return output, (h_n, c_n)

    def _scan(self, suffix: str, x: Any, state: Any) -> tuple[Any, Any]:
        weight, bias = self._part("weight_hh" + suffix), self._part("bias_hh" + suffix)
        projection = self._part("weight_hr" + suffix)

        def advance(carry: Any, gates: Any) -> tuple[Any, Any]:
            hidden, cell = step_lstm(gates, carry, weight, bias, projection)
            return (hidden, cell), hidden

        gates = self._gates_of(suffix, x)
        last, outputs = scan(advance, state, gates, reverse=suffix.endswith("_reverse"))
        return outputs, last
