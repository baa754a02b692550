"""Datasets and the DataLoader, under PyTorch's names.

Invariant: the order of a shuffled loader follows from its seed and the epoch alone, so that a run
repeats bit for bit; without a seed, `manual_seed` decides. Batches of a TensorDataset are taken by
one indexing of each tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from math import floor
from typing import Any

import numpy as np

from slopewise._core.source import explain
from slopewise._core.value import Value, new_value
from slopewise._front.joins import stack
from slopewise._front.operands import as_value
from slopewise._front.random import Generator, default_generator, permutation_array
from slopewise.errors import DTypeError, IndexRangeError, ShapeError, UsageError


class Dataset:
    """Rows by number: a subclass states `__getitem__` and `__len__`."""

    def __getitem__(self, index: int) -> Any:
        """Return one row."""
        raise UsageError(f"{type(self).__name__} does not define __getitem__(self, index).")

    def __len__(self) -> int:
        """Return the number of rows."""
        raise UsageError(f"{type(self).__name__} does not define __len__(self).")

    def __add__(self, other: Any) -> ConcatDataset:
        return ConcatDataset([self, other])


class TensorDataset(Dataset):
    """Rows of tensors that share their first axis.

    Parameters
    ----------
    *tensors : Tensor, shape (N, ...)

    Raises
    ------
    ShapeError
        If the first axes differ.

    Examples
    --------
    >>> import slopewise as sw
    >>> data = sw.utils.data.TensorDataset(sw.tensor([[1.0], [2.0]]), sw.tensor([0, 1]))
    >>> data[1]
    (tensor([2.]), tensor(1))
    """

    def __init__(self, *tensors: Any) -> None:
        self.tensors = tuple(as_value(t) for t in tensors)
        sizes = [t.shape[0] if t.ndim else None for t in self.tensors]
        if not sizes or None in sizes or len(set(sizes)) != 1:
            raise ShapeError(
                explain(
                    "TensorDataset: Size mismatch between tensors: all need the same first axis,"
                    f" got shapes {[tuple(t.shape) for t in self.tensors]}."
                )
            )

    def __getitem__(self, index: Any) -> tuple[Any, ...]:
        return tuple(t[index] for t in self.tensors)

    def __len__(self) -> int:
        return self.tensors[0].shape[0]


class Subset(Dataset):
    """Some rows of a dataset, by number."""

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = list(indices)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[self.indices[index]]

    def __len__(self) -> int:
        return len(self.indices)


class ConcatDataset(Dataset):
    """Datasets one after the other.

    Raises
    ------
    UsageError
        If there is none.
    """

    def __init__(self, datasets: Sequence[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise UsageError(explain("ConcatDataset: needs at least one dataset."))
        self.starts = np.cumsum([0, *(len(d) for d in self.datasets)]).tolist()

    def __getitem__(self, index: int) -> Any:
        size = len(self)
        if not -size <= index < size:
            raise IndexRangeError(explain(f"row {index} is out of range for {size} rows."))
        row = index % size
        place = int(np.searchsorted(self.starts, row, side="right")) - 1
        return self.datasets[place][row - self.starts[place]]

    def __len__(self) -> int:
        return self.starts[-1]


def random_split(
    dataset: Any, lengths: Sequence[float], generator: Generator | None = None
) -> list[Subset]:
    """Return the rows in random order, cut into parts.

    Parameters
    ----------
    dataset : Dataset
    lengths : sequence of int, or of float
        Numbers of rows, or shares that sum to 1 (rows left over go round from the first).
    generator : Generator, optional

    Raises
    ------
    UsageError
        If the lengths do not sum to the number of rows.

    Examples
    --------
    >>> import slopewise as sw
    >>> parts = sw.utils.data.random_split(list(range(10)), [0.8, 0.2])
    >>> [len(p) for p in parts]
    [8, 2]
    """
    rows = len(dataset)
    sizes = list(lengths)
    if sizes and all(0 <= s <= 1 for s in sizes) and abs(sum(sizes) - 1.0) < 1e-9:
        counts = [floor(rows * s) for s in sizes]
        for i in range(rows - sum(counts)):
            counts[i % len(counts)] += 1
        sizes = counts
    if sum(sizes) != rows:
        raise UsageError(
            explain(
                f"random_split: lengths {list(lengths)} sum to {sum(sizes)}, and the dataset has"
                f" {rows} rows."
            )
        )
    order = permutation_array(rows, generator).tolist()
    starts = np.cumsum([0, *sizes]).astype(int).tolist()
    return [Subset(dataset, order[a:b]) for a, b in pairwise(starts)]


def default_collate(batch: Sequence[Any]) -> Any:
    """Return rows as one batch: tensors are stacked, numbers become a tensor, nests are kept.

    Raises
    ------
    DTypeError
        If the rows hold something that has no batch.
    """
    first = batch[0]
    if isinstance(first, Value):
        return stack(list(batch))
    if isinstance(first, np.ndarray):
        return as_value(np.stack(batch))
    if isinstance(first, (bool, int, float, np.generic)):
        return as_value(np.asarray(batch) if not isinstance(first, float) else list(batch))
    if isinstance(first, str):
        return list(batch)
    if isinstance(first, Mapping):
        return {key: default_collate([row[key] for row in batch]) for key in first}
    if isinstance(first, (tuple, list)):
        if any(len(row) != len(first) for row in batch):
            raise ShapeError(explain("each element in list of batch should be of equal size"))
        parts = [default_collate(column) for column in zip(*batch, strict=True)]
        if isinstance(first, tuple) and hasattr(first, "_fields"):
            return type(first)(*parts)
        return parts
    raise DTypeError(
        explain(
            f"default_collate: rows hold {type(first).__name__}; a batch can be made of tensors,"
            " arrays, numbers, strings, dicts and tuples. Give collate_fn for anything else."
        )
    )


class DataLoader:
    """Batches of a dataset, in order or shuffled anew in each epoch.

    Parameters
    ----------
    dataset : Dataset
        Anything with `__len__` and `__getitem__`.
    batch_size : int, optional
        Rows in a batch; None gives single rows without a batch axis.
    shuffle : bool
    drop_last : bool
        Leave out a last batch that is smaller.
    seed : int, optional
        Decides the orders: epoch after epoch the same again for a new loader of this seed.
    generator : Generator, optional
        A generator to draw the orders from instead.
    collate_fn : callable, optional
        From a list of rows to a batch.
    sampler : iterable of int, optional
        An order of its own, instead of shuffle.
    num_workers, pin_memory : optional
        Taken for PyTorch's sake; rows are read in this process.

    Raises
    ------
    UsageError
        If options exclude each other or batch_size is not positive.

    Examples
    --------
    >>> import slopewise as sw
    >>> from slopewise.utils.data import DataLoader, TensorDataset
    >>> loader = DataLoader(TensorDataset(sw.arange(5)), batch_size=2)
    >>> [batch[0].tolist() for batch in loader]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool = False,
        sampler: Any = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        *,
        generator: Generator | None = None,
        seed: int | None = None,
    ) -> None:
        if batch_size is not None and batch_size < 1:
            raise UsageError(explain(f"DataLoader: batch_size {batch_size} must be at least 1."))
        if batch_size is None and drop_last:
            raise UsageError(explain("DataLoader: drop_last needs a batch_size."))
        if sampler is not None and shuffle:
            raise UsageError(
                explain("DataLoader: sampler option is exclusive with shuffle; give one.")
            )
        if seed is not None and generator is not None:
            raise UsageError(explain("DataLoader: give a seed or a generator, not both."))
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.sampler = sampler
        self.num_workers = num_workers
        self.pin_memory = pin_memory
        self.drop_last = drop_last
        self.collate_fn = collate_fn
        self.generator = Generator().manual_seed(seed) if seed is not None else generator

    def __len__(self) -> int:
        rows = len(self.dataset) if self.sampler is None else len(self.sampler)
        if self.batch_size is None:
            return rows
        return rows // self.batch_size if self.drop_last else -(-rows // self.batch_size)

    def _order(self) -> np.ndarray[Any, Any]:
        if self.sampler is not None:
            return np.asarray(list(self.sampler), np.int64)
        rows = len(self.dataset)
        if not self.shuffle:
            return np.arange(rows)
        return permutation_array(rows, self.generator or default_generator)

    def __iter__(self) -> Iterator[Any]:
        order = self._order()
        if self.batch_size is None:
            for row in order.tolist():
                yield self.dataset[row]
            return
        whole = self.collate_fn is None and type(self.dataset) is TensorDataset
        for i in range(len(self)):
            rows = order[i * self.batch_size : (i + 1) * self.batch_size]
            if whole:
                yield [_take_rows(t, rows) for t in self.dataset.tensors]
            else:
                batch = [self.dataset[row] for row in rows.tolist()]
                yield (self.collate_fn or default_collate)(batch)


def _take_rows(tensor: Any, rows: np.ndarray[Any, Any]) -> Any:
    """Return rows of a tensor as a new one; through the graph where gradients are wanted."""
    if tensor._requires_grad or tensor._value is None:
        return tensor[rows]
    return new_value(tensor._value[rows], None, False)
