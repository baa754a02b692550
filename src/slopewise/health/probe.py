"""The probe for our own modules: runs one batch with hooks, and leaves everything as it was.

Invariant: after a probe the model's mode, parameters, gradients, buffers and hooks, and the random
generator, are what they were before. Every layer that holds no other layer is watched; functions
between two of them are found by following the tape. It is separate because PyTorch's modules have
a probe of their own that fills the same record.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

import slopewise as sw
from slopewise import nn
from slopewise._core.graph import Node
from slopewise._transform.gradients import jvp
from slopewise.errors import SlopewiseError, UsageError
from slopewise.health.heads import make_trials, name_last
from slopewise.health.record import SETTINGS, Call, Record
from slopewise.health.slopes import find_known_slope
from slopewise.tensor import Tensor

_KINDS: list[tuple[str, tuple[str, ...]]] = [
    ("weights", ("Linear", "Conv1d", "Conv2d", "Bilinear", "Embedding")),
    ("norm", ("BatchNorm1d", "BatchNorm2d", "LayerNorm", "GroupNorm")),
    ("dropout", ("Dropout", "Dropout1d", "Dropout2d", "AlphaDropout")),
    ("pool", ("MaxPool1d", "MaxPool2d", "AvgPool1d", "AvgPool2d", "AdaptiveAvgPool2d")),
    ("shape", ("Flatten", "Unflatten", "Identity")),
    ("recurrent", ("RNN", "GRU", "LSTM")),
]
_WHOLE_AXIS = ("Softmax", "Softmin", "LogSoftmax", "GLU")


def find_kind(module: Any) -> str:
    """Return what kind of layer a module is.

    Examples
    --------
    >>> find_kind(nn.Linear(2, 3)), find_kind(nn.Tanh()), find_kind(nn.Softmax(-1))
    ('weights', 'activation', 'block')
    """
    name = type(module).__name__
    for kind, names in _KINDS:
        if name in names and isinstance(module, getattr(nn, name)):
            return kind
    own = type(module).__module__ == "slopewise.nn.activation"
    return "activation" if own and name not in _WHOLE_AXIS else "block"


def record_batch(
    model: Any, loss_fn: Callable[[Any, Any], Any], x: Any, y: Any, trials: bool = True,
    full: bool = True,
) -> Record:  # fmt: skip
    """Run one batch through a model and back, and return what happened.

    Parameters
    ----------
    model : Module
    loss_fn : callable
        From the model's output and the target to a Tensor of one number.
    x, y : Tensor or ndarray, the batch first
        Input and target.
    trials : bool
        Whether other outputs are tried on the loss.
    full : bool
        Without it the record is to be read at once: arrays are views in their own dtype, and slopes
        of well-known activations come from a formula.

    Returns
    -------
    Record

    Raises
    ------
    UsageError
        If the loss is not one number, or depends on no parameter of the model.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    >>> record = record_batch(model, nn.functional.mse_loss, np.ones((4, 2)), np.ones((4, 1)))
    >>> [call.kind for call in record.calls]
    ['weights', 'activation', 'weights']
    """
    dtype = next((p.dtype for p in model.parameters()), sw.get_default_dtype())
    x, y = (as_tensor(value, dtype) for value in (x, y))
    buffers = [(b, np.array(b._value)) for _, b in model.named_buffers()]
    random = sw.get_rng_state()
    watch = _Watch(model)
    try:
        with sw.enable_grad():
            output = model(x)
            loss = loss_fn(output, y)
            if not isinstance(loss, Tensor) or loss.numel() != 1:
                raise UsageError("health: loss_fn must return a Tensor of one number.")
            record = watch.finish(x, y, output, loss, full)
        if trials:
            record.trials = _try_outputs(record, output, loss_fn, y)
        return record
    finally:
        watch.remove()
        sw.set_rng_state(random)
        for buffer, kept in buffers:
            buffer._value[...] = kept


def as_tensor(value: Any, dtype: Any) -> Any:
    """Return a batch as a tensor, floats in the model's dtype."""
    tensor = value if isinstance(value, Tensor) else sw.tensor(np.asarray(value))
    floats = np.dtype(tensor.dtype).kind == "f"
    return tensor.detach().to(dtype) if floats else tensor.detach()


def _try_outputs(record: Record, output: Any, loss_fn: Any, y: Any) -> dict[str, float]:
    """Return the losses of other outputs than the model's."""
    if isinstance(output, tuple):
        return {}
    last = name_last(record)
    losses: dict[str, float] = {}
    with sw.no_grad():
        for name, trial in make_trials(record.output, record.target, last).items():
            # A loss may refuse what no model gives, such as probabilities above 1.
            with suppress(SlopewiseError, ValueError, ArithmeticError):
                given = sw.tensor(np.ascontiguousarray(trial)).to(output.dtype)
                losses[name] = float(loss_fn(given, y))
    return losses


class _Watch:
    """The hooks of one batch."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.calls: list[Call] = []
        self.inputs: list[Any] = []  # what each call was given, one tensor each
        self.outputs: list[Any] = []
        self.given: list[Any] = []  # the same before it was made a tensor of its own
        self.slopes: list[Callable[[], Any] | None] = []
        self.modules: list[Any] = []
        self.counts: dict[str, int] = {}
        self.pending: list[tuple[Any, Any]] = []
        self.handles: list[Any] = []
        for name, module in model.named_modules():
            if any(True for _ in module.children()):
                continue
            self.handles.append(module.register_forward_pre_hook(self._before))
            after = self._make_after(name or type(module).__name__)
            self.handles.append(module.register_forward_hook(after))

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()

    def _before(self, module: Any, args: tuple[Any, ...]) -> Any:
        """Give the layer an input of its own, in which its gradient can be told from others'."""
        del module
        if not args or not isinstance(args[0], Tensor) or np.dtype(args[0].dtype).kind != "f":
            self.pending.append((None, args[0] if args else None))
            return None
        first: Any = args[0]
        own = (first if first.requires_grad else first.detach().requires_grad_()).clone()
        self.pending.append((own, first))
        return (own, *args[1:])

    def _make_after(self, name: str) -> Callable[..., Any]:
        def after(module: Any, _args: tuple[Any, ...], output: Any) -> Any:
            own, given = self.pending.pop()
            result = output[0] if isinstance(output, tuple) else output
            if not isinstance(result, Tensor):
                return None
            self.counts[name] = self.counts.get(name, 0) + 1
            number = self.counts[name]
            call = Call(name if number == 1 else f"{name}#{number}", find_kind(module),
                        type(module).__name__)  # fmt: skip
            call.settings = _read_settings(module)
            self.calls.append(call)
            self.modules.append(module)
            self.inputs.append(own)
            self.given.append(given)
            self.outputs.append(result)
            return None

        return after

    def finish(self, x: Any, y: Any, output: Any, loss: Any, full: bool) -> Record:
        """Go back once, and turn tensors into arrays."""
        read = _array if full else _view
        # Layers that are watched hold no others.
        parameters = {id(m): list(m.named_parameters(recurse=False)) for m in self.modules}
        own = (p for listed in parameters.values() for _, p in listed)
        logits = output[0] if isinstance(output, tuple) else output
        wanted = [t for t in (*self.inputs, *self.outputs, logits, *own)
                  if isinstance(t, Tensor) and t.requires_grad]  # fmt: skip
        if not loss.requires_grad:
            raise UsageError(
                "health: the loss depends on no parameter of the model; compute it from the"
                " model's output, without detach() and outside of no_grad()."
            )
        # The tape is kept: what ran between layers is read off it afterwards.
        found = sw.autograd.grad(loss, wanted, retain_graph=True, allow_unused=True)
        grads = {id(t): g for t, g in zip(wanted, found, strict=True)}
        for i, call in enumerate(self.calls):
            call.x, call.y = read(self.given[i]), read(self.outputs[i])
            call.grad_x = read(grads.get(id(self.inputs[i])))
            call.grad_y = read(grads.get(id(self.outputs[i])))
            for name, p in parameters[id(self.modules[i])]:
                call.parameters[name] = read(p)
                grad = grads.get(id(p))
                if grad is not None:
                    call.grads[name] = read(grad)
            if call.kind == "block" and not call.parameters:
                self._read_function(i)
            elif call.kind == "activation":
                call.slope = None if full else find_known_slope(call.type, call.x)
                if call.slope is None:
                    call.slope = _find_slope(self.modules[i], call.x, self.given[i].dtype)
        end = read(grads.get(id(logits)))
        calls = self._link(x, logits, end)
        return Record(calls, float(loss), read(logits), end, read(x), read(y))

    def _read_function(self, i: int) -> None:
        """Tell an activation that someone wrote from other layers, by what it ran."""
        own, result, call = self.inputs[i], self.outputs[i], self.calls[i]
        if not isinstance(own, Tensor) or own.shape != result.shape:
            return
        chain, sources = _walk_back(result, {id(own._edge): 0})
        if chain and sources == [0] and all(_is_pointwise(node) for node in chain):
            call.kind = "activation"
            call.slope = _find_chain_slope(chain, call.x)

    # --- what runs between two layers ---

    def _link(self, x: Any, output: Any, grad_output: Any) -> list[Call]:
        """Return the calls with the functions between them, each with where it comes from."""
        known: dict[int, int] = {id(x): -1}
        edges: dict[int, int] = {}
        listed: list[Call] = []
        for i, call in enumerate(self.calls):
            given = self.given[i]
            if id(given) in known:
                call.sources = (known[id(given)],)
            elif isinstance(given, Tensor):
                call.sources = _insert(given, edges, listed, call)
                known[id(given)] = call.sources[-1] if call.sources else -1
                edges[id(given._edge)] = known[id(given)]
            listed.append(call)
            known[id(self.outputs[i])] = edges[id(self.outputs[i]._edge)] = len(listed) - 1
        if id(output) not in known and isinstance(output, Tensor):
            end = Call("output", "block", "", x=_array(output), grad_x=grad_output)
            _insert(output, edges, listed, end)
        return listed


def _insert(given: Any, edges: dict[int, int], listed: list[Call], after: Call) -> tuple[int, ...]:
    """Add what ran between known outputs and an input, and return its place."""
    chain, sources = _walk_back(given, edges)
    if not chain:
        return tuple(sources)
    made = Call(f"before {after.name}", "block", "+".join(n.primitive.name for n in chain))
    made.sources = tuple(sources)
    made.y, made.grad_y = after.x, after.grad_x
    if len(sources) == 1 and sources[0] >= 0:
        source = listed[sources[0]]
        made.x, made.grad_x = source.y, source.grad_y
        if all(_is_pointwise(node) for node in chain):
            made.kind = "activation"
            made.type = chain[-1].primitive.name
            made.slope = _find_chain_slope(chain, source.y)
    elif all(node.primitive.name == "add" for node in chain):
        made.kind = "add"
    listed.append(made)
    return (len(listed) - 1,)


def _is_pointwise(node: Node) -> bool:
    return node.primitive.pointwise and len(node.edges) == 1


def _walk_back(given: Any, edges: dict[int, int]) -> tuple[list[Node], list[int]]:
    """Return the nodes between a tensor and outputs that are known, and those outputs' places."""
    nodes: dict[int, Node] = {}
    sources: dict[int, None] = {}
    pending = [given._edge]
    while pending:
        edge = pending.pop()
        if id(edge) in edges:
            sources[edges[id(edge)]] = None
        elif isinstance(edge, Node) and id(edge) not in nodes:
            nodes[id(edge)] = edge
            pending.extend(edge.edges)
    return sorted(nodes.values(), key=lambda n: n.order), sorted(sources)


def _find_slope(module: Any, x: Any, dtype: Any) -> Any:
    """Return an activation's derivative at every element of its input."""
    at = sw.tensor(x).to(dtype)
    with sw.no_grad():
        _, slope = jvp(lambda u: module.forward(u.clone()), (at,), (sw.ones_like(at),))
    return _array(slope)


def _find_chain_slope(chain: list[Node], x: Any) -> Any:
    """Return the derivative of functions of one operand, one after another."""

    def run(u: Any) -> Any:
        for node in chain:
            u = node.primitive(u, **node.params)
        return u

    at = sw.tensor(x)
    with sw.no_grad():
        _, slope = jvp(run, (at,), (sw.ones_like(at),))
    return _array(slope)


def _read_settings(module: Any) -> dict[str, Any]:
    own = vars(module)
    settings = {name: own[name] for name in SETTINGS if name in own}
    settings["training"] = bool(module.training)
    for name in ("running_mean", "running_var"):
        buffer = getattr(module, name, None)
        if isinstance(buffer, Tensor):
            settings[name] = np.array(buffer._value)
    return settings


def _array(tensor: Any) -> Any:
    """Return a copy of a tensor's numbers, floats in float64, or None."""
    if not isinstance(tensor, Tensor) or tensor._value is None:
        return None
    floats = tensor._value.dtype.kind == "f"
    return np.array(tensor._value, np.float64) if floats else np.array(tensor._value)


def _view(tensor: Any) -> Any:
    """Return a tensor's own numbers, or None."""
    return tensor._value if isinstance(tensor, Tensor) else None
