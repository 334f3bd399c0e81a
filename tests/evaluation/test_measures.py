from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import metrics as reference

from mien.errors import OptionError
from mien.evaluation import (
    METRICS,
    binary_accuracy,
    ccc,
    ccc_by_sequence,
    measure,
    measure_dimensions,
)

NAN = float("nan")
OF_DIMENSIONS = [name for name, metric in METRICS.items() if metric.kind == "dimensions"]


@pytest.fixture
def frames():
    """Predictions and targets (6, 40, 2), the end of one sequence and one dimension unlabelled."""
    generator = np.random.default_rng(3)
    target = generator.normal(size=(6, 40, 2)) + np.arange(6)[:, None, None] / 3
    scores = target + generator.normal(size=target.shape)
    target[0, 30:] = NAN
    target[1, :, 1] = NAN
    return scores, target


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("pearson", lambda p, y: stats.pearsonr(p, y).statistic),
        ("rmse", lambda p, y: reference.root_mean_squared_error(y, p)),
        ("mae", lambda p, y: reference.mean_absolute_error(y, p)),
        (
            "ccc",
            lambda p, y: (
                2 * np.cov(p, y, ddof=0)[0, 1] / (p.var() + y.var() + (p.mean() - y.mean()) ** 2)
            ),
        ),
    ],
)
def test_dimensions_end_to_end(frames, name, theirs):
    scores, target = frames
    known = ~np.isnan(target)
    expected = [
        theirs(scores[..., i][known[..., i]], target[..., i][known[..., i]]) for i in (0, 1)
    ]
    np.testing.assert_allclose(measure_dimensions(name, scores, target), expected, atol=1e-12)
    found = measure(name, torch.from_numpy(scores), torch.from_numpy(target), kind="dimensions")
    assert found == pytest.approx(np.mean(expected))


def test_concordance_by_sequence_is_another_figure(frames):
    scores, target = (torch.from_numpy(each) for each in frames)
    each = [[float(ccc(scores[n, :, i], target[n, :, i])) for i in (0, 1)] for n in range(6)]
    found = measure_dimensions("ccc_by_sequence", scores, target)
    np.testing.assert_allclose(found, np.nanmean(each, axis=0), atol=1e-12)
    assert np.isnan(each[1][1])
    assert (measure_dimensions("ccc", scores, target) > found).all()


def test_concordance_by_sequence_needs_sequences_and_numbers(frames):
    scores, target = frames
    with pytest.raises(ValueError, match="time"):
        ccc_by_sequence(scores[0], target[0])
    scores[2, 3, 0] = NAN
    found = ccc_by_sequence(scores, target)
    assert found.isnan().tolist() == [True, False]
    assert ccc_by_sequence(scores, np.full_like(target, NAN)).isnan().all()


@pytest.mark.parametrize("name", OF_DIMENSIONS)
def test_a_prediction_that_is_nan_counts_only_where_somebody_knows(frames, name):
    scores, target = frames
    before = measure(name, scores, target, kind="dimensions")
    scores[np.isnan(target)] = NAN
    assert measure(name, scores, target, kind="dimensions") == before
    scores[2, 3, 0] = NAN
    assert np.isnan(measure(name, scores, target, kind="dimensions"))


@pytest.mark.parametrize("name", OF_DIMENSIONS)
def test_per_clip(frames, name):
    scores, target = (each[2:].reshape(-1, 2) for each in frames)
    if name == "ccc_by_sequence":
        with pytest.raises(ValueError, match="time"):
            measure(name, scores, target, kind="dimensions")
    else:
        framed = (each.reshape(4, 40, 2) for each in (scores, target))
        expected = measure(name, *framed, kind="dimensions")
        assert measure(name, scores, target, kind="dimensions") == pytest.approx(expected)


def test_binary_accuracy_by_hand():
    target = np.array([2.0, -1.0, 0.0, 0.0, 3.0, NAN])
    scores = np.array([1.0, 0.5, -0.5, 0.5, 0.0, 1.0])
    # With zeros: right, wrong, right, wrong, wrong; without: right, wrong, wrong.
    assert binary_accuracy(scores, target, zeros=True) == pytest.approx(2 / 5)
    assert binary_accuracy(scores, target, zeros=False) == pytest.approx(1 / 3)
    assert binary_accuracy(scores, np.zeros(6), zeros=False).isnan()


def test_binary_accuracy_as_published_code_counts():
    generator = np.random.default_rng(4)
    target = generator.integers(-3, 4, 300).astype(float)
    scores = target + generator.normal(size=300) * 2
    kept = target != 0
    expected = reference.accuracy_score(target[kept] > 0, scores[kept] > 0)
    found = measure(
        "binary_accuracy_without_zeros", scores[:, None], target[:, None], kind="dimensions"
    )
    assert found == pytest.approx(expected)


def test_directions():
    built_in = {name: METRICS[name] for name in METRICS if not METRICS.origin(name)}
    worse_when_high = {name for name, metric in built_in.items() if not metric.higher_is_better}
    assert worse_when_high == {"ece", "rmse", "mae"}
    for name, metric in built_in.items():
        if metric.kind == "categories":
            perfect = 50 * np.eye(3)[[0, 1, 2, 0]]
            best = measure(name, perfect, np.array([0, 1, 2, 0]), kind="categories")
        else:
            series = np.random.default_rng(5).normal(size=(2, 9, 1))
            best = measure(name, series, series, kind="dimensions")
        assert best == pytest.approx(1.0 if metric.higher_is_better else 0.0)


def test_unfit_names_say_what_fits():
    scores = np.zeros((3, 2))
    with pytest.raises(OptionError, match=r"no metric is called 'f1_makro'; did you mean f1_macro"):
        measure("f1_makro", scores, np.zeros(3, dtype=int), kind="categories")
    with pytest.raises(OptionError, match=r"accuracy does not score dimensions.*ccc"):
        measure("accuracy", scores, scores, kind="dimensions")
    with pytest.raises(OptionError, match="does not score dimensions"):
        measure_dimensions("uar", scores, scores)
    with pytest.raises(ValueError, match="differ"):
        measure("mae", scores, scores[:2], kind="dimensions")
