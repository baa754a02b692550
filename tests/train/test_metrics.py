"""Figures agree with scikit-learn's, and are None where they are not defined."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as oracle

from slopewise.train import metrics


@given(st.integers(0, 1000), st.integers(2, 5), st.booleans())
def test_class_figures_agree(seed, classes, tied):
    generator = np.random.default_rng(seed)
    truth = np.concatenate([np.arange(classes), generator.integers(0, classes, 40)])
    raw = generator.random((len(truth), classes)) + 0.01
    raw = np.round(raw, 1) + 0.1 if tied else raw
    probability = raw / raw.sum(1, keepdims=True)
    ours = metrics.measure_classes(truth, probability)
    assert ours["accuracy"] == oracle.accuracy_score(truth, probability.argmax(1))
    assert ours["log_loss"] == pytest.approx(oracle.log_loss(truth, probability))
    score = probability[:, 1] if classes == 2 else probability
    theirs = oracle.roc_auc_score(truth, score, multi_class="ovr")
    assert ours["roc_auc"] == pytest.approx(theirs)
    table = metrics.count_confusion(truth, probability.argmax(1), classes)
    np.testing.assert_array_equal(table, oracle.confusion_matrix(truth, probability.argmax(1)))


@given(st.integers(0, 1000))
def test_number_figures_agree(seed):
    truth, prediction = np.random.default_rng(seed).normal(size=(2, 30)) * 10
    ours = metrics.measure_numbers(truth, prediction)
    assert ours["r2"] == pytest.approx(oracle.r2_score(truth, prediction))
    assert ours["rmse"] == pytest.approx(oracle.root_mean_squared_error(truth, prediction))
    assert ours["mae"] == pytest.approx(oracle.mean_absolute_error(truth, prediction))


def test_undefined_figures_are_none():
    one = metrics.measure_classes(np.array([1, 1]), np.array([[0.2, 0.8], [0.0, 1.0]]))
    assert one["roc_auc"] is None
    assert metrics.measure_numbers(np.ones(3), np.zeros(3))["r2"] is None
    assert metrics.measure_numbers(np.zeros(0), np.zeros(0))["rmse"] is None
    assert metrics.measure_classes(np.zeros(0, int), np.zeros((0, 2)))["accuracy"] is None


def test_certainty_that_is_wrong_stays_finite():
    figures = metrics.measure_classes(np.array([0]), np.array([[0.0, 1.0]]))
    assert np.isfinite(figures["log_loss"])
