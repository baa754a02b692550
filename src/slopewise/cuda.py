"""PyTorch's `cuda` namespace, for teaching code that asks whether there is a GPU: there is none.

Invariant: nothing here touches a device. It is separate because users look for it by this name.
"""


def is_available() -> bool:
    """Return False: Slopewise computes on the CPU.

    Examples
    --------
    >>> import slopewise as torch
    >>> torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device(type='cpu')
    """
    return False


def device_count() -> int:
    """Return 0."""
    return 0
