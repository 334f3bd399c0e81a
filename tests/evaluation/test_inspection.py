from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.spatial.distance import cosine
from scipy.special import softmax

from mien.evaluation import (
    cosine_distance,
    prediction_entropy,
    representation_entropy,
    response_time,
)

NAN = float("nan")


def test_prediction_entropy_as_scipy():
    scores = np.random.default_rng(0).normal(size=(5, 7, 6))
    expected = stats.entropy(softmax(scores, axis=-1), axis=-1)
    np.testing.assert_allclose(prediction_entropy(scores), expected, atol=1e-12)
    np.testing.assert_allclose(
        prediction_entropy(torch.from_numpy(scores), base=2), expected / math.log(2), atol=1e-12
    )


def test_entropy_of_extremes():
    assert prediction_entropy(np.zeros((1, 8)), base=2) == pytest.approx(3)
    sure = np.array([[0.0, -math.inf], [1000.0, 0.0]])
    np.testing.assert_allclose(prediction_entropy(sure), 0, atol=1e-12)


def test_representation_entropy_means_over_observed_steps():
    hidden = np.random.default_rng(1).normal(size=(3, 4, 16))
    valid = np.array([[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]], dtype=bool)
    each = stats.entropy(softmax(hidden, axis=-1), axis=-1)
    hidden[~valid] = NAN
    found = representation_entropy(hidden, valid)
    np.testing.assert_allclose(found[:2], [each[0, :2].mean(), each[1].mean()], atol=1e-12)
    assert np.isnan(found[2])


def test_cosine_distance_as_scipy():
    a, b = np.random.default_rng(2).normal(size=(2, 6, 10))
    expected = [cosine(x, y) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(cosine_distance(a, b), expected, atol=1e-12)
    assert cosine_distance(a, -3 * a) == pytest.approx(2)
    b[0] = 0
    b[1] = NAN
    assert np.isnan(cosine_distance(a, b)[:2]).all()
    with pytest.raises(ValueError, match="differ"):
        cosine_distance(a, b[:3])


def test_response_time_is_the_end_of_the_first_right_window():
    # MATER's own example: right for the first time in the fourth window of a quarter second is 1 s.
    said = np.array([[0, 0, 0, 1, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0], [1, 0, 0, 0, 1]])
    scores = np.eye(2)[said]
    ends = 0.25 * np.arange(1, 6)
    np.testing.assert_array_equal(
        response_time(scores, np.array([1, 1, 1, -100]), ends), [1.0, 0.25, NAN, NAN]
    )
    valid = np.ones((4, 5), dtype=bool)
    valid[0, 3:] = False
    valid[1, 0] = False
    found = response_time(scores, np.array([1, 1, 1, 1]), ends, valid)
    np.testing.assert_array_equal(found, [NAN, 0.5, NAN, 0.25])


def test_a_window_without_prediction_is_not_right():
    scores = np.array([[[NAN, NAN], [1.0, 0.0]]])
    assert response_time(scores, np.array([0]), np.array([1.0, 2.0])) == 2.0


def test_response_time_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="windows"):
        response_time(np.zeros((2, 3, 4)), np.zeros(2, dtype=int), np.arange(5.0))
