"""The number of BLAS threads is set inside the block and put back after it."""

from __future__ import annotations

import pytest

from slopewise.train import threads
from slopewise.train.threads import LARGE, limit_threads


@pytest.fixture
def count(monkeypatch):
    """A BLAS that only remembers its number of threads."""
    state = [4]
    controls = (lambda: state[0], lambda number: state.__setitem__(0, number))
    monkeypatch.setattr(threads, "find_controls", lambda: controls)
    return state


def test_one_thread_inside_and_as_before_after(count):
    with limit_threads(100):
        assert count == [1]
    assert count == [4]
    with pytest.raises(KeyError), limit_threads(100):
        raise KeyError
    assert count == [4]


def test_large_networks_keep_their_threads(count):
    with limit_threads(LARGE + 1):
        assert count == [4]


def test_another_blas_is_left_alone(monkeypatch):
    monkeypatch.setattr(threads, "find_controls", lambda: None)
    with limit_threads(100):
        pass


def test_the_real_library_answers():
    controls = threads.find_controls()
    if controls is not None:
        before = controls[0]()
        with limit_threads(100):
            assert controls[0]() == 1
        assert controls[0]() == before
