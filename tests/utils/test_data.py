"""Datasets and the DataLoader: batches, orders, seeds, collation, errors."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

import slopewise as sw
from slopewise.utils.data import (
    ConcatDataset,
    DataLoader,
    Dataset,
    Subset,
    TensorDataset,
    default_collate,
    random_split,
)


def numbers(count: int = 10) -> TensorDataset:
    return TensorDataset(sw.arange(count), sw.arange(count).float() * 2)


def order(loader: DataLoader) -> list[int]:
    return [i for batch in loader for i in batch[0].tolist()]


def test_batches_in_order() -> None:
    loader = DataLoader(numbers(), batch_size=4)
    batches = list(loader)
    assert [b[0].tolist() for b in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert batches[2][1].tolist() == [16.0, 18.0] and len(loader) == 3
    assert len(DataLoader(numbers(), batch_size=4, drop_last=True)) == 2
    assert [b[0].tolist() for b in DataLoader(numbers(), 4, drop_last=True)] == [
        [0, 1, 2, 3], [4, 5, 6, 7],
    ]  # fmt: skip
    x, y = next(iter(loader))
    assert x.dtype == sw.int64 and y.dtype == sw.float32


def test_shuffled_orders_are_permutations_that_change() -> None:
    loader = DataLoader(numbers(50), batch_size=7, shuffle=True, seed=3)
    first, second = order(loader), order(loader)
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second != list(range(50))
    again = DataLoader(numbers(50), batch_size=7, shuffle=True, seed=3)
    assert [order(again), order(again)] == [first, second]
    assert order(DataLoader(numbers(50), 7, shuffle=True, seed=4)) != first


def test_manual_seed_decides_without_a_seed() -> None:
    loader = DataLoader(numbers(50), batch_size=7, shuffle=True)
    sw.manual_seed(0)
    first = order(loader)
    sw.manual_seed(0)
    assert order(loader) == first
    generator = sw.Generator().manual_seed(9)
    by_generator = order(DataLoader(numbers(50), 7, shuffle=True, generator=generator))
    assert by_generator == order(DataLoader(numbers(50), 7, shuffle=True, seed=9))


def test_batches_do_not_share_memory_with_the_data() -> None:
    data = numbers()
    batch = next(iter(DataLoader(data, batch_size=10)))
    batch[0].zero_()
    assert data.tensors[0].tolist() == list(range(10))


def test_gradients_flow_to_data_that_wants_them() -> None:
    x = sw.zeros(4, 2, requires_grad=True)
    (batch,) = next(iter(DataLoader(TensorDataset(x), batch_size=2)))
    batch.sum().backward()
    assert x.grad.tolist() == [[1, 1], [1, 1], [0, 0], [0, 0]]


class Squares(Dataset):
    """Numbers and their squares, computed when asked for."""

    def __getitem__(self, index: int) -> Any:
        return {"x": float(index), "pair": (index, sw.tensor([index**2]))}

    def __len__(self) -> int:
        return 5


def test_a_dataset_of_ones_own_is_collated() -> None:
    batch = next(iter(DataLoader(Squares(), batch_size=3)))
    assert batch["x"].tolist() == [0.0, 1.0, 2.0] and batch["x"].dtype == sw.float32
    assert batch["pair"][0].tolist() == [0, 1, 2]
    assert batch["pair"][1].tolist() == [[0], [1], [4]]
    rows = list(DataLoader(Squares(), batch_size=None))
    assert rows[2]["x"] == 2.0 and len(rows) == 5
    sums = DataLoader(Squares(), 2, collate_fn=lambda rows: sum(r["x"] for r in rows))
    assert list(sums) == [1.0, 5.0, 4.0]


class Row(NamedTuple):
    name: str
    values: np.ndarray[Any, Any]


def test_collation_of_nests() -> None:
    batch = default_collate([Row("a", np.zeros(2)), Row("b", np.ones(2))])
    assert isinstance(batch, Row) and batch.name == ["a", "b"]
    assert batch.values.tolist() == [[0, 0], [1, 1]] and batch.values.dtype == sw.float64
    assert default_collate([True, False]).dtype == sw.bool
    with pytest.raises(TypeError, match="collate_fn"):
        default_collate([object()])
    with pytest.raises(ValueError, match="equal size"):
        default_collate([(1, 2), (1,)])


def test_parts_of_datasets() -> None:
    data = numbers()
    part = Subset(data, [7, 1])
    assert len(part) == 2 and part[0][0].item() == 7
    whole = numbers(3) + numbers(2)
    assert isinstance(whole, ConcatDataset) and len(whole) == 5
    assert [whole[i][0].item() for i in range(-5, 5)] == [0, 1, 2, 0, 1] * 2
    with pytest.raises(IndexError, match="5 rows"):
        whole[5]
    assert order(DataLoader(whole, batch_size=2)) == [0, 1, 2, 0, 1]
    assert order(DataLoader(data, 2, sampler=[3, 1, 1])) == [3, 1, 1]


def test_random_split() -> None:
    sw.manual_seed(0)
    parts = random_split(numbers(), [0.5, 0.25, 0.25])
    assert [len(p) for p in parts] == [6, 2, 2]  # the row left over goes to the first
    assert sorted(i for p in parts for i in p.indices) == list(range(10))
    fixed = random_split(numbers(), [7, 3], sw.Generator().manual_seed(1))
    again = random_split(numbers(), [7, 3], sw.Generator().manual_seed(1))
    assert fixed[0].indices == again[0].indices
    with pytest.raises(ValueError, match="sum to 9"):
        random_split(numbers(), [5, 4])


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"\(3,\).*\(4,\)"):
        TensorDataset(sw.zeros(3), sw.zeros(4))
    with pytest.raises(ValueError, match="first axis"):
        TensorDataset(sw.tensor(1.0))
    for options in (
        {"batch_size": 0}, {"batch_size": None, "drop_last": True},
        {"shuffle": True, "sampler": [1]}, {"seed": 1, "generator": sw.Generator()},
    ):  # fmt: skip
        with pytest.raises(ValueError, match="DataLoader"):
            DataLoader(numbers(), **options)
    with pytest.raises(ValueError, match="__len__"):
        len(Dataset())
    with pytest.raises(ValueError, match="__getitem__"):
        Dataset()[0]
    with pytest.raises(ValueError, match="at least one"):
        ConcatDataset([])
