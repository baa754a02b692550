"""The probe for PyTorch's modules: runs one batch with hooks, and leaves everything as it was.

Invariant: after a probe mode, parameters, gradients, buffers and hooks are what they were before;
the caller keeps random generators. Values are copied when a layer runs and gradients are asked for
by places on the tape, so changes in place, shared modules and checkpoints are seen as they happen.
What cannot be split is one block. It is separate because our own modules have another tape.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]  (an optional peer)
from torch.autograd.graph import get_gradient_edge  # pyright: ignore[reportMissingImports]

from slopewise.errors import UsageError
from slopewise.health.heads import make_trials, name_last
from slopewise.health.record import Call, Record
from slopewise.health.slopes import find_known_slope
from slopewise.health.torch_arrays import copy_numbers, look_at, read_floats
from slopewise.health.torch_layers import (
    KINDS,
    find_type,
    is_parametrized,
    list_layers,
    list_parameters,
    read_settings,
)
from slopewise.health.torch_tape import (
    Key,
    find_chain_slope,
    find_key,
    find_leaves,
    find_slope,
    is_pointwise,
    lend_buffers,
    lend_gradients,
    name_node,
    walk_back,
)


def record_torch_batch(
    model: Any, loss_fn: Callable[[Any, Any], Any], x: Any, y: Any, trials: bool = True,
    full: bool = True,
) -> Record:  # fmt: skip
    """Run one batch through a model of PyTorch's and back, and return what happened.

    Parameters
    ----------
    model : torch.nn.Module
    loss_fn : callable
        From the model's output and the target to a tensor of one number.
    x, y : tensor, the batch first
    trials : bool
        Whether other outputs are tried on the loss.
    full : bool
        Without it the record is to be read at once: arrays have their own dtype, weights are views,
        and slopes of well-known activations come from a formula.

    Returns
    -------
    Record

    Raises
    ------
    UsageError
        If the loss is not one number, or depends on no parameter of the model.

    Examples
    --------
    >>> nn = torch.nn
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(inplace=True), nn.Linear(3, 1))
    >>> x, y = torch.ones(4, 2), torch.ones(4, 1)
    >>> record = record_torch_batch(model, nn.functional.mse_loss, x, y)
    >>> [call.kind for call in record.calls], model[0].weight.grad
    (['weights', 'activation', 'weights'], None)
    """
    watch = _Watch(model, full)
    try:
        watch.begin()
        with torch.enable_grad(), lend_buffers(model):
            given = x.clone()  # a model may change its input in place
            output = model(given)
            loss = loss_fn(output, y)
            if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
                raise UsageError("health: loss_fn must return a tensor of one number.")
            record = watch.finish(given, x, y, output, loss)
        if trials:
            record.trials = _try_outputs(record, output, loss_fn, y)
        return record
    finally:
        watch.remove()


def find_logits(output: Any) -> Any:
    """Return the tensor that a model's output is about."""
    logits = getattr(output, "logits", None)
    if isinstance(logits, torch.Tensor):
        return logits
    return _find_tensor(output)


def _find_tensor(value: Any) -> Any:
    """Return the first tensor of floats in nested tuples, lists and dicts, or None."""
    if isinstance(value, torch.Tensor):
        return value if value.is_floating_point() else None
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, (tuple, list)):
        return next((t for v in value if (t := _find_tensor(v)) is not None), None)
    return None


def _try_outputs(record: Record, output: Any, loss_fn: Any, y: Any) -> dict[str, float]:
    """Return the losses of other outputs than the model's."""
    if not isinstance(output, torch.Tensor):
        return {}
    losses: dict[str, float] = {}
    trials = make_trials(record.output, record.target, name_last(record))
    with torch.no_grad():
        for name, trial in trials.items():
            # A loss may refuse what no model gives, such as probabilities above 1.
            with suppress(RuntimeError, ValueError, ArithmeticError):
                given = torch.as_tensor(np.array(trial)).to(output)
                losses[name] = float(loss_fn(given, y))
    return losses


class _Input:
    """What a call was given: its numbers, where it is on the tape, and the edge of its own copy."""

    __slots__ = ("call", "edge", "key", "node", "value")

    def __init__(self, value: Any, key: Key, node: Any) -> None:
        self.value = value
        self.key = key
        self.node = node
        self.edge: Any = None
        self.call: Call | None = None


class _Watch:
    """The hooks of one batch."""

    def __init__(self, model: Any, full: bool = True) -> None:
        self.model = model
        self.full = full
        self.read = read_floats if full else copy_numbers
        # Gradients belong to nobody else.
        self.take = read_floats if full else look_at
        self.arrays: dict[tuple[int, int], tuple[Any, Any]] = {}
        self.calls: list[Call] = []
        self.modules: list[Any] = []
        self.given: list[_Input] = []
        self.results: list[tuple[Key, Any, Any]] = []  # of each output: key, node and tensor
        self.waiting: dict[int, list[int]] = {}  # calls without a tape, by module: checkpoints
        self.counts: dict[str, int] = {}
        self.pending: list[_Input] = []
        self.wanted: list[tuple[Any, Any, str]] = []  # edges, whose gradient each is, and its name
        self.ended = False
        self.handles: list[Any] = []

    def begin(self) -> None:
        """Put the hooks in their places."""
        for name, module in list_layers(self.model):
            # Scripted modules take no hooks: what they do is then found on the tape, as a block.
            with suppress(RuntimeError):
                before = module.register_forward_pre_hook(self._before, with_kwargs=True)
                self.handles.append(before)
                self.handles.append(module.register_forward_hook(self._make_after(name)))

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()

    def _before(self, module: Any, args: Any, kwargs: Any) -> Any:
        """Give the layer an input of its own, in which its gradient can be told from others'."""
        del module
        place = name = None
        for i, value in enumerate(args):
            if isinstance(value, torch.Tensor):
                place, first = i, value
                break
        else:
            for key, value in kwargs.items():
                if isinstance(value, torch.Tensor):
                    name, first = key, value
                    break
            else:
                self.pending.append(_Input(None, (0, -2), None))
                return None
        found = _Input(self._read_once(first), find_key(first), first.grad_fn)
        self.pending.append(found)
        if not first.is_floating_point():
            return None
        own = (first if first.requires_grad else first.detach().requires_grad_()).clone()
        if own.requires_grad:
            # Now, since a layer may change its input in place, which then is another node's.
            found.edge = get_gradient_edge(own)
        if place is not None:
            return (*args[:place], own, *args[place + 1 :]), kwargs
        return args, {**kwargs, name: own}

    def _make_after(self, name: str) -> Callable[..., None]:
        def after(module: Any, _args: Any, output: Any) -> None:
            given = self.pending.pop()
            result = _find_tensor(output)
            if result is None:
                return
            if self.ended:
                self._attach_again(module, given, result)
                return
            number = self.counts[name] = self.counts.get(name, 0) + 1
            kind, type_name = find_type(module)
            call = Call(name if number == 1 else f"{name}#{number}", kind, type_name,
                        x=given.value, y=self._read_once(result))  # fmt: skip
            given.call = call
            call.settings = read_settings(module)
            self.calls.append(call)
            self.modules.append(module)
            self.given.append(given)
            self.results.append((find_key(result), result.grad_fn, result))
            if given.edge is not None:
                self.wanted.append((given.edge, call, "grad_x"))
            if result.requires_grad:
                self.wanted.append((get_gradient_edge(result), call, "grad_y"))
            else:
                self.waiting.setdefault(id(module), []).append(len(self.calls) - 1)

        return after

    def _read_once(self, tensor: Any) -> np.ndarray:
        """Return a copy of a tensor's numbers: the same one until they are changed in place."""
        key = (id(tensor), 0 if tensor.is_inference() else tensor._version)
        if key not in self.arrays:
            self.arrays[key] = (tensor, self.read(tensor))  # which keeps the tensor's id its own
        return self.arrays[key][1]

    def _attach_again(self, module: Any, given: _Input, result: Any) -> None:
        """Find the call that a checkpoint runs again, and attach to what has a tape now."""
        if not result.requires_grad:
            return
        waiting = self.waiting.get(id(module), [])
        for place in waiting:
            call = self.calls[place]
            if np.array_equal(call.x, given.value, equal_nan=True):
                waiting.remove(place)
                if given.edge is not None:
                    self._catch(given.edge, call, "grad_x")
                self._catch(get_gradient_edge(result), call, "grad_y")
                return

    def _catch(self, edge: Any, call: Call, name: str) -> None:
        """Take the gradient of an edge when it comes by."""

        def keep(gradients: Any) -> None:
            gradient = gradients[edge.output_nr]
            if gradient is not None:
                setattr(call, name, self.read(gradient))

        self.handles.append(edge.node.register_prehook(keep))

    def finish(self, given: Any, x: Any, y: Any, output: Any, loss: Any) -> Record:
        """Go back once, and put the numbers together."""
        if not loss.requires_grad:
            raise UsageError(
                "health: the loss depends on no parameter of the model; compute it from the"
                " model's output, without detach() and outside of no_grad()."
            )
        logits = find_logits(output)
        if logits is None:
            raise UsageError("health: the model's output has no tensor of numbers in it.")
        self.ended = True
        end = Call("output", "block", "", x=read_floats(logits))
        if logits.requires_grad:
            self.wanted.append((get_gradient_edge(logits), end, "grad_x"))
        found = self._go_back(loss)
        for place in range(len(self.calls)):
            self._read_parameters(place, found)
        calls = self._link(given, logits, end)
        taken = read_floats(x) if self.full else look_at(x)
        return Record(calls, float(loss.detach()), end.x, end.grad_x, taken, read_floats(y))

    def _go_back(self, loss: Any) -> dict[int, Any]:
        """Fill in the gradients of values, and return those of parameters by the id of each."""
        if any(self.waiting.values()):
            return self._gather(loss)  # some checkpoints go back within, and gather in leaves
        leaves = {id(p): p for m in self.modules for _, p in list_parameters(m) if p.requires_grad}
        edges = [edge for edge, _, _ in self.wanted]
        wanted = [*leaves.values(), *edges]
        try:
            # What goes back within gathers in parameters, too.
            with lend_gradients(self.model.parameters()) as gradients:
                found = torch.autograd.grad(loss, wanted, retain_graph=True, allow_unused=True)
                gathered = gradients()
        except RuntimeError:
            return self._gather(loss)
        for (_, call, name), gradient in zip(self.wanted, found[len(leaves) :], strict=True):
            if gradient is not None:
                setattr(call, name, self.take(gradient))
        for i, gradient in zip(leaves, found, strict=False):
            if gradient is not None:
                gathered[i] = gathered[i] + gradient if i in gathered else gradient
        return gathered

    def _gather(self, loss: Any) -> dict[int, Any]:
        """Do the same by a backward pass that gathers in every leaf."""
        for edge, call, name in self.wanted:
            self._catch(edge, call, name)
        with lend_gradients(find_leaves(self.model, loss)) as gradients:
            loss.backward(retain_graph=True)
            return gradients()

    def _read_parameters(self, place: int, found: dict[int, Any]) -> None:
        """Fill in parameters, their gradients, and an activation's slope."""
        call, module = self.calls[place], self.modules[place]
        turned = call.type.startswith("ConvTranspose")
        weigh = read_floats if self.full else look_at
        if not is_parametrized(module):
            own = dict(list_parameters(module))
        else:
            call.kind = next((k for k, names in KINDS if call.type in names), "block")
            own = {name: getattr(module, name) for name in module.parametrizations}
            own |= dict(module.named_parameters(recurse=False))
        for name, p in own.items():
            turn = turned and name == "weight"
            call.parameters[name] = _turn(weigh(p), turn)
            grad = found.get(id(p))
            if grad is not None:
                call.grads[name] = _turn(weigh(grad), turn)
        if call.kind == "block" and not own:
            self._read_function(place)
        elif call.kind == "activation":
            call.slope = None if self.full else find_known_slope(call.type, call.x)
            if call.slope is None:
                call.slope = find_slope(module, call.x, self.results[place][2])

    def _read_function(self, place: int) -> None:
        """Tell an activation that someone wrote from other layers, by what it ran."""
        call, edge = self.calls[place], self.given[place].edge
        key, node, _ = self.results[place]
        if edge is None or node is None or call.x.shape != call.y.shape:
            return
        chain, sources = walk_back(node, key[1], {(id(edge.node), edge.output_nr): 0})
        if chain and sources == [0] and all(map(is_pointwise, chain)):
            slope = find_chain_slope(chain, self.results[place][2])
            if slope is not None:
                call.kind, call.slope = "activation", slope

    # --- what runs between two layers ---

    def _link(self, x: Any, output: Any, end: Call) -> list[Call]:
        """Return the calls with the functions between them, each with where it comes from."""
        known: dict[Key, int] = {(id(x), -1): -1}
        listed: list[Call] = []
        for i, call in enumerate(self.calls):
            key, node = self.given[i].key, self.given[i].node
            if key in known:
                call.sources = (known[key],)
            elif node is not None:
                call.sources = _insert(node, key, known, listed, call)
                if call.sources:
                    known[key] = call.sources[-1]
            listed.append(call)
            known[self.results[i][0]] = len(listed) - 1
        if find_key(output) not in known and output.grad_fn is not None:
            _insert(output.grad_fn, find_key(output), known, listed, end)
        return listed


def _insert(
    node: Any, key: Key, known: dict[Key, int], listed: list[Call], after: Call
) -> tuple[int, ...]:
    """Add what ran between known outputs and an input, and return its place."""
    chain, sources = walk_back(node, key[1], known)
    if not chain:
        return tuple(sources)
    names = [name_node(n) for n in chain]
    made = Call(f"before {after.name}", "block", "+".join(n.lower() for n in names))
    made.sources = tuple(sources)
    made.y, made.grad_y = after.x, after.grad_x
    if len(sources) == 1 and sources[0] >= 0:
        source = listed[sources[0]]
        made.x, made.grad_x = source.y, source.grad_y
        if all(map(is_pointwise, chain)):
            slope = find_chain_slope(chain, made.y)
            if slope is not None and slope.shape == np.shape(made.x):
                made.kind, made.type, made.slope = "activation", names[-1].lower(), slope
    elif len(sources) > 1 and set(names) == {"Add"}:
        made.kind = "add"
    listed.append(made)
    return (len(listed) - 1,)


def _turn(array: np.ndarray, turned: bool) -> np.ndarray:
    """Return weights of a transposed convolution with the outputs first, as others have them."""
    return np.swapaxes(array, 0, 1) if turned else array
