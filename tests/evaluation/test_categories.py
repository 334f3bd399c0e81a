from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn import metrics as reference

from mien.evaluation import (
    accuracy,
    confusion_matrix,
    expected_calibration_error,
    f1_macro,
    f1_micro,
    unweighted_average_recall,
)

NAN = float("nan")
ALL = (accuracy, f1_micro, f1_macro, unweighted_average_recall, expected_calibration_error)


@pytest.fixture
def told():
    """Logits and labels of 200 items; category 4 is never labelled, category 5 never appears."""
    generator = np.random.default_rng(0)
    scores = generator.normal(size=(200, 6))
    scores[:, 5] = -99
    target = generator.integers(0, 4, 200)
    scores[np.arange(200), target] += 1
    return scores, target


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (accuracy, reference.accuracy_score),
        (f1_micro, lambda y, p: reference.f1_score(y, p, average="micro")),
        (f1_macro, lambda y, p: reference.f1_score(y, p, average="macro")),
        # The reference's own balanced accuracy, too, means over labelled categories only.
        (
            unweighted_average_recall,
            lambda y, p: reference.recall_score(y, p, average="macro", labels=np.unique(y)),
        ),
    ],
)
def test_as_scikit_learn(told, ours, theirs):
    scores, target = told
    assert ours(scores, target) == pytest.approx(theirs(target, scores.argmax(1)), abs=1e-12)


def test_confusion_as_scikit_learn(told):
    scores, target = told
    expected = reference.confusion_matrix(target, scores.argmax(1), labels=range(6))
    np.testing.assert_array_equal(confusion_matrix(scores, target), expected)


@pytest.mark.parametrize("metric", ALL)
def test_holes_do_not_count(told, metric):
    scores, target = told
    holed = target.copy()
    holed[120:] = -100
    noisy = scores.copy()
    noisy[120:] = NAN
    assert metric(noisy, holed) == metric(scores[:120], target[:120])


@pytest.mark.parametrize("metric", ALL)
def test_tensors_frames_and_read_only_arrays(told, metric):
    scores, target = told
    expected = metric(scores, target)
    framed = torch.from_numpy(scores).reshape(20, 10, 6).requires_grad_()
    assert metric(framed, torch.from_numpy(target).reshape(20, 10)) == pytest.approx(expected)
    scores.flags.writeable = False
    assert metric(scores, target) == expected


@pytest.mark.parametrize("metric", ALL)
def test_nothing_to_score_is_nan(told, metric):
    scores, target = told
    assert np.isnan(metric(scores, np.full(200, -100)))
    scores[7, 2] = NAN
    assert np.isnan(metric(scores, target))


def test_the_largest_share_is_the_label():
    scores = np.eye(3)[[0, 1, 2, 0, 0]]
    proportions = np.array(
        [[0.6, 0.2, 0.2], [0.5, 0.4, 0.1], [0.5, 0.5, 0], [NAN, 0.5, 0.5], [0.4, 0.4, 0.2]]
    )
    assert accuracy(scores, proportions) == 0.5


def test_calibration_by_hand():
    # Probabilities 0.9 (right), 0.8 (wrong), 0.6 (right); in ten bins each falls alone.
    p = np.array([0.9, 0.8, 0.6])
    scores = np.log(np.stack([p - 1e-9, 1 - p + 1e-9], axis=1))
    expected = (0.1 + 0.8 + 0.4) / 3
    found = expected_calibration_error(scores, np.array([0, 1, 0]), bins=10)
    assert found == pytest.approx(expected, abs=1e-6)
    # In one bin over- and underconfidence balance: |0.7667 - 0.6667|.
    found = expected_calibration_error(scores, np.array([0, 1, 0]), bins=1)
    assert found == pytest.approx(0.1, abs=1e-6)


def test_calibration_against_a_plain_loop(told):
    scores, target = told
    proportions = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    confidence, right = proportions.max(1), proportions.argmax(1) == target
    total = 0.0
    for bin_ in range(15):
        inside = (confidence > bin_ / 15) & (confidence <= (bin_ + 1) / 15)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert expected_calibration_error(scores, target) == pytest.approx(total, abs=1e-12)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (np.zeros(3, dtype=int), "do not fit"),
        (np.array([0, 2]), "outside"),
        (np.array([-1, 0]), "outside"),
        (np.zeros((2, 3)), "differ in shape"),
        (np.array([[0.5, -0.5], [0, 0]]), "negative"),
    ],
)
def test_what_does_not_fit_is_refused(target, message):
    with pytest.raises(ValueError, match=message):
        accuracy(np.zeros((2, 2)), target)
