"""Figures of merit from predictions: accuracy, log loss, ROC AUC; R squared, RMSE, MAE.

Invariant: each function takes plain arrays, in the target's own units, and returns a float or None
where the figure is not defined (one class present, a constant target); no figure is NaN. It is
separate because each is a published definition with scikit-learn as its oracle.
"""

import numpy as np


def measure_classes(truth: np.ndarray, probability: np.ndarray) -> dict[str, float | None]:
    """Accuracy, log loss and ROC AUC.

    Parameters
    ----------
    truth : ndarray of shape (rows,), int
        Class numbers.
    probability : ndarray of shape (rows, classes)
        Predicted probabilities, each row summing to 1.

    Returns
    -------
    dict
        `accuracy` in [0, 1]; `log_loss` in nats, with probabilities kept above the smallest
        float64 step; `roc_auc`: for two classes of the second one, for more the mean over classes
        of one against the rest, over the classes that occur, or None if that is not defined.

    Examples
    --------
    >>> m = measure_classes(np.array([0, 1]), np.array([[0.8, 0.2], [0.4, 0.6]]))
    >>> m["accuracy"], round(m["log_loss"], 4), m["roc_auc"]
    (1.0, 0.367, 1.0)
    """
    if not len(truth):
        return {"accuracy": None, "log_loss": None, "roc_auc": None}
    tiny = np.finfo(np.float64).eps
    own = np.clip(probability[np.arange(len(truth)), truth].astype(np.float64), tiny, 1.0)
    return {
        "accuracy": float(np.mean(probability.argmax(1) == truth)),
        "log_loss": float(-np.mean(np.log(own))),
        "roc_auc": measure_auc(truth, probability),
    }


def measure_auc(truth: np.ndarray, probability: np.ndarray) -> float | None:
    """Area under the ROC curve: of the second of two classes, or the mean of one against the rest.

    Parameters
    ----------
    truth : ndarray of shape (rows,), int
        Class numbers.
    probability : ndarray of shape (rows, classes)
        Scores that rise with the class's chance.

    Returns
    -------
    float or None
        None if no class has both members and non-members among the rows.

    Source
    ------
    Hanley and McNeil 1982, eq. (1): the chance that a member scores above a non-member, a tie
    counting one half.

    Examples
    --------
    >>> measure_auc(np.array([0, 0, 1]), np.array([[0.9, 0.1], [0.5, 0.5], [0.5, 0.5]]))
    0.75
    """
    classes = probability.shape[1]
    areas = []
    for code in [1] if classes == 2 else range(classes):
        member = truth == code
        positive, negative = int(member.sum()), int((~member).sum())
        if not positive or not negative:
            continue
        ranks = rank_values(probability[:, code])
        area = (ranks[member].sum() - positive * (positive + 1) / 2) / (positive * negative)
        areas.append(area)
    return float(np.mean(areas)) if areas else None


def rank_values(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, ties sharing their mean rank.

    Parameters
    ----------
    values : ndarray of shape (rows,)
        Any numbers.

    Returns
    -------
    ndarray of shape (rows,), float64

    Examples
    --------
    >>> rank_values(np.array([3.0, 1.0, 3.0])).tolist()
    [2.5, 1.0, 2.5]
    """
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2.0)[inverse.reshape(-1)]


def measure_numbers(truth: np.ndarray, prediction: np.ndarray) -> dict[str, float | None]:
    """R squared, root mean squared error and mean absolute error.

    Parameters
    ----------
    truth, prediction : ndarray of shape (rows,)
        In the target's units.

    Returns
    -------
    dict
        `r2` is None if the truth is constant; `rmse` and `mae` are in the target's units.

    Examples
    --------
    >>> measure_numbers(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 4.0]))["r2"]
    0.5
    """
    if not len(truth):
        return {"r2": None, "rmse": None, "mae": None}
    error = prediction.astype(np.float64) - truth
    spread = float(np.sum((truth - truth.mean()) ** 2))
    return {
        "r2": 1.0 - float(np.sum(error**2)) / spread if spread > 0 else None,
        "rmse": float(np.sqrt(np.mean(error**2))),
        "mae": float(np.mean(np.abs(error))),
    }


def count_confusion(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """How often each class (row) was predicted as each class (column).

    Parameters
    ----------
    truth, predicted : ndarray of shape (rows,), int
        Class numbers.
    classes : int
        How many there are.

    Returns
    -------
    ndarray of shape (classes, classes), int64

    Examples
    --------
    >>> count_confusion(np.array([0, 1, 1]), np.array([0, 0, 1]), 2).tolist()
    [[1, 0], [1, 1]]
    """
    table = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(table, (truth, predicted), 1)
    return table


def apply_softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities from logits, in float64 and without overflow.

    Parameters
    ----------
    logits : ndarray of shape (rows, classes)
        Any finite numbers.

    Returns
    -------
    ndarray of shape (rows, classes), float64

    Examples
    --------
    >>> apply_softmax(np.array([[1000.0, 1000.0]])).tolist()
    [[0.5, 0.5]]
    """
    shifted = np.asarray(logits, dtype=np.float64)
    shifted = np.exp(shifted - shifted.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)
