"""Arrays: the numbers of PyTorch's tensors, copied or looked at.

Invariant: a tensor is left as it is, whatever its device, layout or dtype. It is separate because
examination and the probe both read tensors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]  (an optional peer)


def read_tensor(tensor: Any) -> np.ndarray:
    """Return a copy of a tensor's numbers; half precision as float32.

    Examples
    --------
    >>> read_tensor(torch.ones(2, dtype=torch.bfloat16)).tolist()
    [1.0, 1.0]
    """
    plain = tensor.detach().cpu()
    if plain.dtype in (torch.bfloat16, torch.float16):
        plain = plain.float()
    return np.array(plain.resolve_conj().resolve_neg().to_dense().numpy())


def read_floats(tensor: Any) -> np.ndarray:
    """Return a copy of a tensor's numbers, floats in float64."""
    if not tensor.is_floating_point():
        return read_tensor(tensor)
    if _is_plain(tensor):
        return np.array(tensor.detach().numpy(), np.float64)
    return tensor.detach().to_dense().to("cpu", torch.float64, copy=True).numpy()


def copy_numbers(tensor: Any) -> np.ndarray:
    """Return a copy of a tensor's numbers in their own dtype, where NumPy has it."""
    return tensor.detach().numpy().copy() if _is_plain(tensor) else read_floats(tensor)


def look_at(tensor: Any) -> np.ndarray:
    """Return a tensor's own numbers, where NumPy can look at them."""
    return tensor.detach().numpy() if _is_plain(tensor) else read_floats(tensor)


def _is_plain(tensor: Any) -> bool:
    """Return whether NumPy can look at a tensor's memory."""
    plain = tensor.dtype in (torch.float32, torch.float64) and tensor.layout is torch.strided
    return plain and tensor.device.type == "cpu"
