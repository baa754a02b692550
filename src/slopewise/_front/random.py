"""Random tensors with PyTorch's names, from one seeded generator.

Invariant: `manual_seed` makes everything after it repeat bit for bit; each draw takes the next
number of its generator, so the results do not depend on what was computed between draws.
"""

from __future__ import annotations

from threading import Lock
from typing import Any, NoReturn

import numpy as np

from slopewise._core.graph import bind
from slopewise._core.source import explain
from slopewise._core.state import state
from slopewise._core.value import Value, new_value
from slopewise._front.creation import require_float, settle_integer, settle_shape
from slopewise._front.devices import refuse_device
from slopewise._front.elementwise import minimum, where
from slopewise._front.gathering import argsort
from slopewise._front.operands import as_dtype, as_value, cast, read_array
from slopewise._ops.comparison import less
from slopewise._ops.random import random_integers, random_normal, random_uniform
from slopewise.errors import DomainError, DTypeError, ShapeError, TraceError, UsageError


def _read_seed(seed: Any) -> int:
    try:
        return int(seed)
    except (TypeError, ValueError, OverflowError):
        raise DTypeError(
            explain(f"manual_seed: a seed must be an integer, not {seed!r}.")
        ) from None


def _refuse_reseeding(what: str) -> NoReturn:
    raise TraceError(
        explain(
            f"{what}: the state of a random generator is not known while a function is compiled;"
            " seed it before the call."
        )
    )


class Generator:
    """A seeded source of draws: a seed and the number of draws taken so far.

    Examples
    --------
    >>> import slopewise as sw
    >>> a = sw.rand(2, generator=sw.Generator().manual_seed(1))
    >>> b = sw.rand(2, generator=sw.Generator().manual_seed(1))
    >>> (a == b).all().item()
    True
    """

    def __init__(self, device: Any = None) -> None:
        refuse_device(device)
        self._lock = Lock()
        self._seed = 0
        self._draws = 0

    def manual_seed(self, seed: int) -> Generator:
        """Start again from a seed; return the generator.

        Parameters
        ----------
        seed : int

        Returns
        -------
        Generator

        Raises
        ------
        DTypeError
            If the seed is no integer.

        Examples
        --------
        >>> import slopewise as sw
        >>> sw.Generator().manual_seed(3).initial_seed()
        3
        """
        if state.recorder is not None:
            _refuse_reseeding("manual_seed")
        with self._lock:
            self._seed, self._draws = _read_seed(seed), 0
        return self

    def initial_seed(self) -> int:
        """Return the seed.

        Returns
        -------
        int

        Examples
        --------
        >>> import slopewise as sw
        >>> sw.Generator().initial_seed()
        0
        """
        return self._seed

    def get_state(self) -> tuple[int, int]:
        """Return the seed and the number of draws taken.

        Returns
        -------
        tuple of int
            The seed, and the number of draws.

        Examples
        --------
        >>> import slopewise as sw
        >>> generator = sw.Generator().manual_seed(3)
        >>> _ = sw.rand(2, generator=generator)
        >>> generator.get_state()
        (3, 1)
        """
        if state.recorder is not None:
            _refuse_reseeding("get_rng_state")
        return self._seed, self._draws

    def set_state(self, new_state: tuple[int, int]) -> None:
        """Go back (or ahead) to a state.

        Parameters
        ----------
        new_state : tuple of int
            The seed, and the number of draws, as `get_state` returns them.

        Raises
        ------
        UsageError
            If it is not a pair.
        DTypeError
            If one of the two is no integer.

        Examples
        --------
        >>> import slopewise as sw
        >>> generator = sw.Generator()
        >>> generator.set_state((3, 5))
        >>> generator.get_state()
        (3, 5)
        """
        if not isinstance(new_state, (tuple, list)) or len(new_state) != 2:
            raise UsageError(
                explain(
                    "set_rng_state: needs the seed and the number of draws, as get_rng_state"
                    f" returns them, not {new_state!r}."
                )
            )
        if state.recorder is not None:
            _refuse_reseeding("set_rng_state")
        seed, draws = (settle_integer(n, "set_rng_state", "a state") for n in new_state)
        with self._lock:
            self._seed, self._draws = seed, draws

    def next_counter(self) -> Any:
        """Return the counter of the next draw.

        Returns
        -------
        numpy.ndarray of int64, shape (2,)
            The bits of the seed and of the number of the draw; a traced Tensor of them while a
            compiled function is traced.

        Examples
        --------
        >>> import slopewise as sw
        >>> sw.Generator().manual_seed(3).next_counter()
        array([3, 0])
        """
        if state.recorder is not None:
            return state.recorder.next_counter(self)
        with self._lock:
            counter = self._read_counter()
            self._draws += 1
        return counter

    def _read_counter(self) -> np.ndarray[Any, Any]:
        return np.array([self._seed & (2**64 - 1), self._draws], np.uint64).view(np.int64)


default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Seed the global generator; everything random after it repeats bit for bit.

    Parameters
    ----------
    seed : int

    Returns
    -------
    Generator
        The global one.

    Raises
    ------
    DTypeError
        If the seed is no integer.

    Examples
    --------
    >>> import slopewise as sw
    >>> _ = sw.manual_seed(0)
    >>> a = sw.rand(2)
    >>> _ = sw.manual_seed(0)
    >>> (sw.rand(2) == a).all().item()
    True
    """
    return default_generator.manual_seed(seed)


def initial_seed() -> int:
    """Return the seed of the global generator.

    Returns
    -------
    int

    Examples
    --------
    >>> import slopewise as sw
    >>> _ = sw.manual_seed(7)
    >>> sw.initial_seed()
    7
    """
    return default_generator.initial_seed()


def get_rng_state() -> tuple[int, int]:
    """Return the state of the global generator.

    Returns
    -------
    tuple of int
        The seed, and the number of draws taken.

    Examples
    --------
    >>> import slopewise as sw
    >>> _ = sw.manual_seed(7)
    >>> sw.get_rng_state()
    (7, 0)
    """
    return default_generator.get_state()


def set_rng_state(new_state: tuple[int, int]) -> None:
    """Set the state of the global generator.

    Parameters
    ----------
    new_state : tuple of int
        The seed, and the number of draws, as `get_rng_state` returns them.

    Raises
    ------
    UsageError
        If it is not a pair.
    DTypeError
        If one of the two is no integer.

    Examples
    --------
    >>> import slopewise as sw
    >>> before = sw.get_rng_state()
    >>> a = sw.rand(2)
    >>> sw.set_rng_state(before)
    >>> (sw.rand(2) == a).all().item()
    True
    """
    default_generator.set_state(new_state)


def uniform_array(
    shape: tuple[int, ...], dtype: Any = None, generator: Generator | None = None
) -> Any:
    """Return an array (traced: a Tensor) of uniform numbers in [0, 1)."""
    source = default_generator if generator is None else generator
    chosen = state.default_dtype if dtype is None else as_dtype(dtype)
    return random_uniform(source.next_counter(), shape=tuple(shape), dtype=chosen)


def normal_array(
    shape: tuple[int, ...], dtype: Any = None, generator: Generator | None = None
) -> Any:
    """Return an array (traced: a Tensor) of standard normal numbers."""
    source = default_generator if generator is None else generator
    chosen = state.default_dtype if dtype is None else as_dtype(dtype)
    return random_normal(source.next_counter(), shape=tuple(shape), dtype=chosen)


def _finish(array: Any, requires_grad: bool, operation: str) -> Any:
    if isinstance(array, Value):
        if requires_grad:
            require_float(array.dtype, operation)
            state.recorder.require_grad(array, True)
        return array
    array = np.asarray(array)
    if requires_grad:
        require_float(array.dtype, operation)
    return new_value(array, None, requires_grad)


def rand(
    *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False,
    generator: Generator | None = None,
) -> Any:  # fmt: skip
    """Return uniform numbers in [0, 1).

    Parameters
    ----------
    *size : int, or one sequence of int
    dtype : dtype, optional
        By default the default dtype, float32.
    device : optional
        Only the CPU.
    requires_grad : bool
        Whether gradients are recorded for it.
    generator : Generator, optional
        By default the global one.

    Returns
    -------
    Tensor, shape (*size)

    Raises
    ------
    DTypeError
        If a size is no integer.
    ShapeError
        If a size is negative.
    UsageError
        If the device is not the CPU.

    Examples
    --------
    >>> import slopewise as sw
    >>> _ = sw.manual_seed(0)
    >>> x = sw.rand(100)
    >>> bool((x >= 0).all() and (x < 1).all())
    True
    """
    refuse_device(device)
    return _finish(
        uniform_array(settle_shape(size, "rand"), dtype, generator), requires_grad, "rand"
    )


def randn(
    *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False,
    generator: Generator | None = None,
) -> Any:  # fmt: skip
    """Return standard normal numbers.

    Source: Box & Muller (1958), A note on the generation of random normal deviates.

    Parameters
    ----------
    *size : int, or one sequence of int
    dtype : dtype, optional
        By default the default dtype, float32.
    device : optional
        Only the CPU.
    requires_grad : bool
        Whether gradients are recorded for it.
    generator : Generator, optional
        By default the global one.

    Returns
    -------
    Tensor, shape (*size)

    Raises
    ------
    DTypeError
        If a size is no integer.
    ShapeError
        If a size is negative.
    UsageError
        If the device is not the CPU.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.randn(2, 3).shape
    (2, 3)
    """
    refuse_device(device)
    return _finish(
        normal_array(settle_shape(size, "randn"), dtype, generator), requires_grad, "randn"
    )


def rand_like(input: Any, *, dtype: Any = None) -> Any:
    """Return uniform numbers in the shape of the operand.

    Parameters
    ----------
    input : Tensor, shape (...)
    dtype : dtype, optional
        By default that of input.

    Returns
    -------
    Tensor, shape of input

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.rand_like(sw.zeros(2, 3)).shape
    (2, 3)
    """
    x = as_value(input)
    return rand(x.shape, dtype=x.dtype if dtype is None else dtype)


def randn_like(input: Any, *, dtype: Any = None) -> Any:
    """Return standard normal numbers in the shape of the operand.

    Parameters
    ----------
    input : Tensor, shape (...)
    dtype : dtype, optional
        By default that of input.

    Returns
    -------
    Tensor, shape of input

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.randn_like(sw.zeros(2, 3)).shape
    (2, 3)
    """
    x = as_value(input)
    return randn(x.shape, dtype=x.dtype if dtype is None else dtype)


def randint(*bounds_and_size: Any, dtype: Any = None, generator: Generator | None = None) -> Any:
    """Return integers in [low, high): randint(high, size) or randint(low, high, size).

    Parameters
    ----------
    *bounds_and_size : int, int and sequence of int
        high, size; or low, high, size.
    dtype : dtype, optional
        By default int64.
    generator : Generator, optional
        By default the global one.

    Returns
    -------
    Tensor, shape (*size)

    Raises
    ------
    UsageError
        If the range is empty, or the arguments are not two or three.
    DTypeError
        If a bound or a size is no integer.
    ShapeError
        If a size is negative.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.randint(3, 4, (2,))
    tensor([3, 3])
    """
    if len(bounds_and_size) not in (2, 3):
        raise UsageError(explain("randint: give high, size; or low, high, size."))
    low, high, size = (0, *bounds_and_size) if len(bounds_and_size) == 2 else bounds_and_size
    low, high = (
        settle_integer(low, "randint", "a bound"),
        settle_integer(high, "randint", "a bound"),
    )
    if high <= low:
        raise UsageError(explain(f"randint: the range {low} to {high} is empty."))
    source = default_generator if generator is None else generator
    chosen = np.dtype(np.int64) if dtype is None else as_dtype(dtype)
    array = random_integers(
        source.next_counter(),
        shape=settle_shape((size,), "randint"),
        low=low,
        high=high,
        dtype=chosen,
    )
    return _finish(array, False, "randint")


def randperm(n: int, *, generator: Generator | None = None) -> Any:
    """Return 0 .. n-1 in random order.

    Parameters
    ----------
    n : int
    generator : Generator, optional
        By default the global one.

    Returns
    -------
    Tensor of int64, shape (n,)

    Raises
    ------
    DTypeError
        If n is no integer.
    ShapeError
        If n is negative.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.sort(sw.randperm(4)).values
    tensor([0, 1, 2, 3])
    """
    (count,) = settle_shape((n,), "randperm")
    return _finish(permutation_array(count, generator), False, "randperm")


def permutation_array(n: int, generator: Generator | None = None) -> Any:
    """Return an array (traced: a Tensor) of 0 .. n-1 in random order."""
    keys = uniform_array((n,), np.float64, generator)
    if isinstance(keys, Value):
        return argsort(keys, stable=True)
    return np.argsort(keys, kind="stable")


def normal(
    mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Generator | None = None
) -> Any:
    """Return normal numbers; mean and std may be tensors, whose gradients flow.

    Parameters
    ----------
    mean, std : float or Tensor, of shapes that broadcast
        Mean and standard deviation.
    size : int or sequence of int, optional
        By default the common shape of mean and std.
    generator : Generator, optional
        By default the global one.

    Returns
    -------
    Tensor, shape (*size)

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.normal(sw.tensor([1.0, 2.0]), 0.0)
    tensor([1., 2.])
    """
    if size is None:
        size = np.broadcast_shapes(tuple(as_value(mean).shape), tuple(as_value(std).shape))
    return as_value(mean) + as_value(std) * randn(size, generator=generator)


def bernoulli(input: Any, p: float | None = None, *, generator: Generator | None = None) -> Any:
    """Return 1 with the given probabilities, else 0; no gradient flows.

    Parameters
    ----------
    input : Tensor of float, shape (...)
        The probabilities, where `p` is left out.
    p : float, optional
        One probability for all.
    generator : Generator, optional
        By default the global one.

    Returns
    -------
    Tensor, shape of input

    Raises
    ------
    DomainError
        If a probability is outside [0, 1].

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.bernoulli(sw.tensor([0.0, 1.0]))
    tensor([0., 1.])
    """
    x = as_value(input)
    if state.recorder is not None:
        # Traced, the probabilities are not known, so they are not checked.
        drawn = uniform_array(x.shape, np.float64, generator)
        kind = x.dtype if x.dtype.kind == "f" else state.default_dtype
        return cast(
            bind(less, (drawn, cast(x, np.dtype(np.float64)) if p is None else p), {}), kind
        )
    chances = read_array(x) if p is None else np.full(x.shape, p)
    if chances.size and not (chances.min() >= 0 and chances.max() <= 1):
        raise DomainError(explain("bernoulli: a probability lies outside [0, 1].", (x,)))
    dtype = x.dtype if x.dtype.kind == "f" else state.default_dtype
    hits = uniform_array(x.shape, np.float64, generator) < chances
    return _finish(hits.astype(dtype), False, "bernoulli")


def multinomial(
    input: Any, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Any:
    """Return positions drawn with the given weights, along the last axis.

    Source: Efraimidis & Spirakis (2006), Weighted random sampling with a reservoir (without
    replacement, by exponential keys).

    Parameters
    ----------
    input : Tensor, shape (..., n)
        Weights, not negative; they need not sum to 1.
    num_samples : int
    replacement : bool
        Whether a position may be drawn again.
    generator : Generator, optional
        By default the global one.

    Returns
    -------
    Tensor of int64, shape (..., num_samples)

    Raises
    ------
    DomainError
        If a weight is negative or not finite, all are 0, or fewer are above 0 than positions are
        drawn without replacement.
    ShapeError
        If the weights are one number, or num_samples is negative.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.multinomial(sw.tensor([0.0, 1.0, 0.0]), 2, replacement=True)
    tensor([1, 1])
    """
    x = as_value(input)
    if state.recorder is not None:
        return _draw_traced(x, num_samples, replacement, generator)
    weights = read_array(x).astype(np.float64)
    (count,) = settle_shape((num_samples,), "multinomial")
    _check_weights(x, weights, count, replacement)
    if replacement:
        steps = np.cumsum(weights, -1)
        u = uniform_array((*weights.shape[:-1], count), np.float64, generator)
        found = (u[..., None] * steps[..., None, -1:] >= steps[..., None, :]).sum(-1)
        return _finish(found.astype(np.int64), False, "multinomial")
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        keys = np.log(uniform_array(weights.shape, np.float64, generator)) / weights
    # Weight 0 comes last whatever its key, so it is never drawn.
    order = np.lexsort((-keys, weights == 0), axis=-1)
    return _finish(order[..., :count], False, "multinomial")


def _draw_traced(x: Any, num_samples: int, replacement: bool, generator: Generator | None) -> Any:
    """Draw positions by weights that are not known yet, so that they cannot be checked."""
    (count,) = settle_shape((num_samples,), "multinomial")
    if not x.shape:
        raise ShapeError(explain("multinomial: needs a vector of weights, not one number.", (x,)))
    if not replacement and count > x.shape[-1]:
        raise DomainError(
            explain(
                f"multinomial: {count} samples of {x.shape[-1]} weights cannot be drawn; draw"
                " fewer, or pass replacement=True.",
                (x,),
            )
        )
    double = np.dtype(np.float64)
    weights = cast(x, double)
    if replacement:
        steps = weights.cumsum(-1)
        u = uniform_array((*x.shape[:-1], count), np.float64, generator)
        reached = u.unsqueeze(-1) * steps[..., -1:].unsqueeze(-2) >= steps.unsqueeze(-2)
        return cast(reached, np.dtype(np.int64)).sum(-1)
    keys = -uniform_array(x.shape, np.float64, generator).log() / weights
    # The lowest keys are drawn. Weight 0 comes last whatever its key, so it is never drawn.
    keys = where(weights == 0, float("inf"), minimum(keys, np.finfo(np.float64).max))
    return argsort(keys, -1, stable=True)[..., :count]


def _check_weights(x: Any, weights: np.ndarray[Any, Any], count: int, replacement: bool) -> None:
    if weights.ndim == 0:
        raise ShapeError(explain("multinomial: needs a vector of weights, not one number.", (x,)))
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise DomainError(
            explain(
                "multinomial: a weight is negative or not finite; pass probabilities (softmax of"
                " scores, say).",
                (x,),
            )
        )
    possible = int((weights > 0).sum(-1).min(initial=weights.shape[-1]))
    if count and possible < (1 if replacement else count):
        raise DomainError(
            explain(
                f"multinomial: {count} samples of {possible} weights above 0 cannot be drawn;"
                + (
                    " give a weight above 0."
                    if replacement or not possible
                    else " draw fewer, or pass replacement=True."
                ),
                (x,),
            )
        )
