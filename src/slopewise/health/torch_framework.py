"""PyTorch as examination sees it: tensors in and out, and what must be put back afterwards.

Invariant: after `keep`, the random generators of PyTorch, Python and NumPy and those of a loader
are where they were, and compiled modules ran as they were written. It is separate from the probe,
which is the same for one batch as for many.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]  (an optional peer)

from slopewise.errors import UsageError
from slopewise.health.record import Record
from slopewise.health.torch_arrays import read_tensor
from slopewise.health.torch_probe import record_torch_batch


class Torch:
    """PyTorch's modules."""

    def __init__(self) -> None:
        self._kept = False  # whether anything ran under `keep` before

    def unwrap(self, model: Any) -> Any:
        """Return the module that a compiled one stands for.

        Raises
        ------
        UsageError
            If parameters get their shapes only when the model first runs.
        """
        model = getattr(model, "_orig_mod", model)
        for name, parameter in [*model.named_parameters(), *model.named_buffers()]:
            if torch.nn.parameter.is_lazy(parameter):
                raise UsageError(
                    f"examine: {name} has no shape yet; run one batch through the model first."
                )
        return model

    @contextmanager
    def keep(self, model: Any, data: Any) -> Iterator[None]:
        """Put random generators back where they were, and run nothing compiled meanwhile."""
        del model
        cpu, python, state = torch.get_rng_state(), random.getstate(), np.random.get_state()
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
        loaders = [(g, g.get_state()) for g in _find_generators(data)]
        try:
            with self._run_eagerly(), torch.enable_grad():
                yield
        finally:
            self._kept = True
            torch.set_rng_state(cpu)
            random.setstate(python)
            np.random.set_state(state)
            if cuda is not None:
                torch.cuda.set_rng_state_all(cuda)
            for generator, kept in loaders:
                generator.set_state(kept)

    def _run_eagerly(self) -> AbstractContextManager[Any]:
        """Run compiled modules as they were written, so that their layers can be told apart.

        PyTorch then looks at every call of Python's, which doubles the time of a look. So later
        ones do without it where nothing was compiled meanwhile.
        """
        stance = getattr(torch.compiler, "set_stance", None)  # since PyTorch 2.6
        if stance is None or (self._kept and not _has_compiled()):
            return nullcontext()
        return stance("force_eager")

    def take(self, value: Any, model: Any) -> Any:
        """Return a batch as a tensor where the model is, floats in its dtype."""
        first = next((p for p in model.parameters() if p.is_floating_point()), None)
        tensor = value.detach() if isinstance(value, torch.Tensor) else _convert(value)
        if first is None:
            return tensor
        return tensor.to(first.device, first.dtype if tensor.is_floating_point() else None)

    def join(self, parts: Sequence[Any]) -> Any:
        """Return tensors as one."""
        return torch.cat(list(parts))

    def read(self, tensor: Any) -> np.ndarray:
        """Return a copy of a tensor's numbers."""
        return read_tensor(tensor)

    def write(self, tensor: Any, values: np.ndarray) -> None:
        """Put numbers into a tensor."""
        with torch.no_grad():
            tensor.copy_(torch.as_tensor(values))

    def no_grad(self) -> AbstractContextManager[Any]:
        """Run without a tape."""
        return torch.no_grad()

    def record(
        self, model: Any, loss_fn: Callable[[Any, Any], Any], x: Any, y: Any, trials: bool = True,
        full: bool = True,
    ) -> Record:  # fmt: skip
        """Run one batch and return what happened."""
        return record_torch_batch(model, loss_fn, x, y, trials, full)


def _convert(value: Any) -> Any:
    """Return numbers that are no tensor of PyTorch's as one."""
    return torch.as_tensor(np.array(value.numpy() if hasattr(value, "numpy") else value))


def _has_compiled() -> bool:
    """Return whether anything was compiled in this process; true where that cannot be told."""
    utils = sys.modules.get("torch._dynamo.utils")
    frames = sys.modules.get("torch._dynamo.eval_frame")
    if utils is None or frames is None:
        return False  # which compiling imports
    counters, backends = getattr(utils, "counters", None), getattr(frames, "cached_backends", None)
    if counters is None or backends is None:
        return True
    return bool(counters.get("frames")) or any(b is not None for b in backends.values())


def _find_generators(data: Any) -> list[torch.Generator]:
    """Return the generators that a loader draws its order from."""
    sampler = getattr(data, "sampler", None)
    inner = getattr(getattr(data, "batch_sampler", None), "sampler", None)
    found = [getattr(each, "generator", None) for each in (data, sampler, inner)]
    return list({id(g): g for g in found if isinstance(g, torch.Generator)}.values())
