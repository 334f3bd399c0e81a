from __future__ import annotations

from dataclasses import FrozenInstanceError, astuple

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter1d

from mien.errors import OptionError
from mien.evaluation import ccc
from mien.evaluation.postprocess import PostProcessor, fit

HOP = 0.1
NAN = float("nan")


def concordance(predictions, gold):
    said, known = np.concatenate(predictions), np.concatenate(gold)
    return float(ccc(torch.from_numpy(said), torch.from_numpy(known)))


def recordings(seed, delay=0, noise=0.0, count=4, length=900):
    """Smooth annotations, and predictions that are small, off centre, early and noisy."""
    generator = np.random.default_rng(seed)
    gold, predictions = [], []
    for _ in range(count):
        walk = gaussian_filter1d(generator.normal(size=length + delay), 12)
        walk *= 0.3 / walk.std()
        gold.append(walk[:length])
        predictions.append(0.25 * walk[delay:] + 0.4 + noise * generator.normal(size=length))
    return predictions, gold


def test_it_finds_what_was_done():
    predictions, gold = recordings(0, delay=17)
    chain = fit(predictions, gold, HOP)
    assert chain.shift == pytest.approx(1.7)
    assert chain.scale == pytest.approx(4, rel=0.05)
    assert concordance(chain.apply(predictions), gold) > 0.97
    assert concordance(predictions, gold) < 0.2


def test_what_was_chosen_in_training_helps_elsewhere():
    chain = fit(*recordings(0, delay=17, noise=0.1), HOP)
    predictions, gold = recordings(1, delay=17, noise=0.1)
    assert chain.median > 0
    assert concordance(chain.apply(predictions), gold) > 0.8
    with pytest.raises(FrozenInstanceError):
        chain.shift = 0.0


def test_a_perfect_prediction_is_left_alone():
    _, gold = recordings(2)
    assert fit(gold, gold, HOP) == PostProcessor(HOP)
    for given, kept in zip(gold, PostProcessor(HOP).apply(gold), strict=True):
        np.testing.assert_array_equal(given, kept)


def test_no_step_makes_the_training_part_worse():
    generator = np.random.default_rng(3)
    predictions, gold = (list(generator.normal(size=(3, 200))) for _ in range(2))
    so_far = concordance(predictions, gold)
    for steps in (["median"], ["median", "centre"], ["median", "centre", "scale", "shift"]):
        now = concordance(fit(predictions, gold, HOP, steps=steps).apply(predictions), gold)
        assert now >= so_far - 1e-12
        so_far = now


@pytest.mark.parametrize(
    ("step", "touched"),
    [("median", "median"), ("centre", "bias"), ("scale", "scale"), ("shift", "shift")],
)
def test_each_step_can_stand_alone(step, touched):
    chain = fit(*recordings(4, delay=17, noise=0.1), HOP, steps=[step])
    fresh = PostProcessor(HOP)
    changed = {
        name
        for name in ("median", "bias", "scale", "shift")
        if getattr(chain, name) != getattr(fresh, name)
    }
    assert changed == {touched}


def test_a_step_that_does_not_help_is_not_taken():
    predictions, gold = recordings(5)
    assert fit([-each for each in predictions], gold, HOP, steps=["scale"]) == PostProcessor(HOP)


def test_steps_by_hand():
    series = np.array([0.0, 1.0, 9.0, 2.0, 3.0, 4.0])
    shifted = PostProcessor(HOP, shift=0.2).apply([series])[0]
    np.testing.assert_array_equal(shifted, [0, 0, 0, 1, 9, 2])
    filtered = PostProcessor(HOP, median=0.3).apply([series])[0]
    np.testing.assert_array_equal(filtered, [0, 1, 2, 3, 3, 4])
    scaled = PostProcessor(HOP, middle=1.0, bias=-1.0, scale=2.0).apply([series])[0]
    np.testing.assert_array_equal(scaled, [-2, 0, 16, 2, 4, 6])
    longer_than_all = PostProcessor(HOP, shift=5.0).apply([series])[0]
    np.testing.assert_array_equal(longer_than_all, np.zeros(6))


def test_unlabelled_steps_choose_nothing():
    predictions, gold = recordings(6, delay=5)
    for known in gold:
        known[300:400] = NAN
    assert fit(predictions, gold, HOP).shift == pytest.approx(0.5)
    before = fit(predictions, gold, HOP, steps=["centre", "scale"])
    for said in predictions:
        said[300:400] = 50.0
    after = fit(predictions, gold, HOP, steps=["centre", "scale"])
    assert astuple(after) == pytest.approx(astuple(before))
    nothing = [np.full_like(known, NAN) for known in gold]
    assert fit(predictions, nothing, HOP) == PostProcessor(HOP)


def test_what_cannot_be_processed():
    series = np.arange(9.0)
    with pytest.raises(OptionError, match="no step is called smooth"):
        fit([series], [series], HOP, steps=["smooth"])
    with pytest.raises(OptionError, match="no recordings"):
        fit([], [], HOP)
    with pytest.raises(ValueError, match="length"):
        fit([series], [series[:5]], HOP)
    with pytest.raises(ValueError, match="finite"):
        PostProcessor(HOP).apply([np.array([1.0, NAN])])
    with pytest.raises(OptionError, match="hop"):
        PostProcessor(0.0)
