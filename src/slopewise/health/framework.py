"""What examination needs of a framework: our own, or PyTorch.

Invariant: a framework only reads, writes and runs; what is measured and judged is the same for all
of them. PyTorch is imported only where a model is one of its modules. It is separate so that
probing steps and examination are written once.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import numpy as np

import slopewise as sw
from slopewise._front.compile import Compiled
from slopewise.health.probe import as_tensor, record_batch
from slopewise.health.record import Record
from slopewise.nn.module import require_module
from slopewise.tensor import Tensor


class Framework(Protocol):
    """Reads, writes and runs models of one framework."""

    def unwrap(self, model: Any) -> Any:
        """Return the module that a compiled one stands for, or the model itself."""
        ...

    def keep(self, model: Any, data: Any) -> AbstractContextManager[None]:
        """Put random generators back where they were, and run nothing compiled meanwhile."""
        ...

    def take(self, value: Any, model: Any) -> Any:
        """Return a batch as a tensor, floats in the model's dtype."""
        ...

    def join(self, parts: Sequence[Any]) -> Any:
        """Return tensors as one, one after the other along the batch."""
        ...

    def read(self, tensor: Any) -> np.ndarray:
        """Return a copy of a tensor's numbers."""
        ...

    def write(self, tensor: Any, values: np.ndarray) -> None:
        """Put numbers into a tensor."""
        ...

    def no_grad(self) -> AbstractContextManager[Any]:
        """Run without a tape."""
        ...

    def record(
        self, model: Any, loss_fn: Callable[[Any, Any], Any], x: Any, y: Any, trials: bool = True,
        full: bool = True,
    ) -> Record:  # fmt: skip
        """Run one batch and return what happened.

        Without `full` the record is to be read at once: weights are views in their own dtype.
        """
        ...


class Own:
    """Our own modules."""

    def unwrap(self, model: Any) -> Any:
        """Return the module that a compiled one stands for, or the model itself."""
        return find_module(model)

    @contextmanager
    def keep(self, model: Any, data: Any) -> Iterator[None]:
        """Put the random generator back where it was."""
        del model, data
        random = sw.get_rng_state()
        try:
            yield
        finally:
            sw.set_rng_state(random)

    def take(self, value: Any, model: Any) -> Any:
        """Return a batch as a tensor, floats in the model's dtype."""
        return as_tensor(value, next((p.dtype for p in model.parameters()), sw.float32))

    def join(self, parts: Sequence[Any]) -> Any:
        """Return tensors as one."""
        return sw.cat(list(parts))

    def read(self, tensor: Any) -> np.ndarray:
        """Return a copy of a tensor's numbers."""
        return np.array(tensor._value if isinstance(tensor, Tensor) else tensor)

    def write(self, tensor: Any, values: np.ndarray) -> None:
        """Put numbers into a tensor."""
        tensor._value[...] = values

    def no_grad(self) -> AbstractContextManager[Any]:
        """Run without a tape."""
        return sw.no_grad()

    def record(
        self, model: Any, loss_fn: Callable[[Any, Any], Any], x: Any, y: Any, trials: bool = True,
        full: bool = True,
    ) -> Record:  # fmt: skip
        """Run one batch and return what happened."""
        return record_batch(model, loss_fn, x, y, trials, full)


def find_framework(model: Any, where: str = "examine") -> Framework:
    """Return the framework of a model.

    Parameters
    ----------
    model : Module or torch.nn.Module
    where : str
        What asks, for the message.

    Returns
    -------
    Framework

    Raises
    ------
    ModuleTypeError
        If it is neither.

    Examples
    --------
    >>> type(find_framework(sw.nn.Linear(2, 1))).__name__
    'Own'
    """
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(model, torch.nn.Module):
        from slopewise.health.torch_framework import Torch

        return Torch()
    require_module(find_module(model), where)
    return Own()


def find_module(model: Any) -> Any:
    """Return the module of a compiled one, or the model itself.

    Examples
    --------
    >>> model = sw.nn.Linear(2, 1)
    >>> find_module(sw.compile(model)) is model
    True
    """
    return model.function if isinstance(model, Compiled) else model
