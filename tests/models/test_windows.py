from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.errors import NothingPresent, OptionError
from mien.models import Prediction, predict_in_windows
from mien.models._windows import window_starts
from mien.signals import Sequence, Signals


def sequence(rows, hop=1.0, valid=None):
    values = torch.tensor(rows, dtype=torch.float32).unsqueeze(-1)
    mask = torch.ones(values.shape[:2], dtype=torch.bool) if valid is None else torch.tensor(valid)
    return Sequence(values, mask, hop)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 300), st.integers(1, 50), st.data())
def test_windows_cover_everything(length, window, data):
    stride = data.draw(st.integers(1, window))
    starts = window_starts(length, window, stride)
    covered = {step for start in starts for step in range(start, start + window)}
    assert set(range(length)) <= covered
    assert starts == sorted(set(starts))
    assert starts[-1] + window == max(length, window)


def pointwise(signals):
    """Twice the values: what windows cannot change."""
    found = signals["a"]
    assert found.present.all()
    scores = torch.where(found.valid.unsqueeze(-1), found.values * 2, 0.0)
    return Prediction(
        scores, by_modality={"a": scores + 1}, embeddings={"b": scores.repeat(1, 1, 2)}
    )


def window_mean(signals):
    found = signals["a"]
    mean = (found.values * found.valid.unsqueeze(-1)).sum(1, keepdim=True)
    mean = mean / found.valid.sum(1)[:, None, None]
    return Prediction(mean.expand_as(found.values))


def test_windows_of_a_model_that_sees_one_step():
    signals = Signals({"a": sequence([list(range(23)), list(range(23, 46))])})
    for overlap in (0, 3, 6):
        found = predict_in_windows(pointwise, signals, 7, overlap, windows_at_once=3)
        assert torch.equal(found.scores, signals["a"].values * 2)
        assert torch.equal(found.by_modality["a"], signals["a"].values * 2 + 1)
        assert not found.embeddings
    found = predict_in_windows(pointwise, signals, 7, 3, embeddings=("b",))
    assert torch.equal(found.embeddings["b"], signals["a"].values.repeat(1, 1, 2) * 2)


def test_windows_are_averaged():
    signals = Signals({"a": sequence([[0, 1, 2, 3, 4, 5]])})
    found = predict_in_windows(window_mean, signals, 4, 2).scores.flatten().tolist()
    assert found == [1.5, 1.5, 2.5, 2.5, 3.5, 3.5]


def test_the_last_window_ends_with_what_was_observed():
    rows, valid = [[0, 1, 2, 3, 4, 9, 9, 9]], [[True] * 5 + [False] * 3]
    padded = predict_in_windows(
        window_mean, Signals({"a": sequence(rows, valid=valid)}), 4, 0
    ).scores[0, :, 0]
    alone = predict_in_windows(window_mean, Signals({"a": sequence([rows[0][:5]])}), 4, 0).scores[
        0, :, 0
    ]
    assert torch.equal(padded[:5], alone)
    assert padded[5:].isnan().all()


def test_windows_without_anything_are_left_out():
    valid = [[True] * 2 + [False] * 6 + [True] * 2]
    found = predict_in_windows(
        pointwise, Signals({"a": sequence([[1] * 10], valid=valid)}), 3, 0, fill=-1.0
    )
    assert found.scores.flatten().tolist() == [2, 2, 0, -1, -1, -1, 0, 0, 2, 2]


def test_fixed_windows_start_wherever_the_end_is():
    signals = Signals({"a": sequence([[0, 1, 2, 3, 4, 5, 6]])})
    found = predict_in_windows(window_mean, signals, 4, 2, fixed=True).scores.flatten().tolist()
    assert found == [1.5, 1.5, 2.5, 2.5, 4.25, 4.25, 5.5]
    assert window_starts(7, 4, 2, fixed=True) == [0, 2, 4, 6]
    assert window_starts(3, 4, 2, fixed=True) == [0, 2]


def test_fixed_windows_leave_none_out():
    def finds(signals):
        return Prediction(signals["a"].valid.sum(1)[:, None, None].expand(-1, 3, 1).float())

    valid = [[True] * 2 + [False] * 6]
    signals = Signals({"a": sequence([[1] * 8], valid=valid)})
    found = predict_in_windows(finds, signals, 3, 0, fill=-1.0, fixed=True)
    assert found.scores.flatten().tolist() == [2, 2, 2, 0, 0, 0, 0, 0]
    with pytest.raises(NothingPresent):
        predict_in_windows(finds, Signals({"a": signals["a"].hide()}), 3, 0, fixed=True)


def test_windows_of_different_hops_stay_together():
    signals = Signals({"a": sequence([list(range(12))], 0.5), "b": sequence([list(range(6))], 1.0)})

    def difference(windows):
        coarse = windows["b"].values.repeat_interleave(2, dim=1)
        return Prediction(windows["a"].values - 2 * coarse)

    found = predict_in_windows(difference, signals, 4, 1).scores.flatten().tolist()
    assert found == [0, 1] * 6


def test_what_windows_cannot_do():
    signals = Signals({"a": sequence([[1, 2, 3]])})
    with pytest.raises(OptionError, match="overlap"):
        predict_in_windows(pointwise, signals, 2, 2)
    with pytest.raises(OptionError, match="per frame"):
        predict_in_windows(lambda s: Prediction(s["a"].values[:, 0]), signals, 2, 1)
    with pytest.raises(NothingPresent):
        predict_in_windows(pointwise, Signals({"a": signals["a"].hide()}), 2, 1)
    with pytest.raises(NothingPresent):
        predict_in_windows(pointwise, Signals({}), 2, 1)
