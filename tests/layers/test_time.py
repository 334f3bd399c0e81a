from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.errors import NothingPresent
from mien.layers.time import align, grid_of, step_under
from mien.signals import Sequence, Signals


def sequence(rows, hop=1.0, valid=None):
    values = torch.tensor(rows, dtype=torch.float32).unsqueeze(-1)
    mask = torch.ones(values.shape[:2], dtype=torch.bool) if valid is None else torch.tensor(valid)
    return Sequence(values, mask, hop)


def test_a_coarse_step_is_held():
    signals = Signals({"a": sequence([[1, 2, 3, 4]], 0.5), "b": sequence([[10, 20]], 1.0)})
    aligned = align(signals, ("a", "b"))
    assert aligned.values["b"].flatten().tolist() == [10, 10, 20, 20]
    assert aligned.values["a"].flatten().tolist() == [1, 2, 3, 4]
    assert aligned.steps == 4


def test_a_ratio_that_is_no_whole_number():
    signals = Signals({"a": sequence([[0] * 5], 0.1), "b": sequence([[1, 2]], 0.25)})
    assert align(signals, ("a", "b")).values["b"].flatten().tolist() == [1, 1, 2, 2, 2]


def test_linear_between_middles_of_valid_steps():
    valid = [[True, True, False, True]]
    signals = Signals(
        {"a": sequence([[0] * 8], 0.5), "b": sequence([[0, 4, float("nan"), 8]], 1.0, valid)}
    )
    aligned = align(signals, ("a", "b"), between="linear")
    assert aligned.values["b"].flatten().tolist() == [0, 1, 3, 4, 0, 0, 8, 8]
    assert aligned.valid["b"].tolist() == [[True] * 4 + [False] * 2 + [True] * 2]


def test_each_item_has_the_grid_of_what_it_has():
    valid = [[True] * 4, [False] * 4]
    signals = Signals(
        {"a": sequence([[1, 2, 3, 4]] * 2, 0.5, valid), "b": sequence([[10, 20]] * 2, 1.0)}
    )
    aligned = align(signals, ("a", "b"))
    assert aligned.hop.tolist() == [0.5, 1.0]
    assert aligned.values["b"][1].flatten().tolist()[:2] == [10, 20]
    assert aligned.valid["b"].tolist() == [[True] * 4, [True, True, False, False]]
    spread = aligned.spread(aligned.values["b"]).squeeze(-1)
    assert spread.tolist() == [[10, 10, 20, 20]] * 2


def test_the_finest_hop_goes_on_to_the_end_of_the_longest_modality():
    for coarse, fine in ((4, 10), (100, 3), (2, 200)):
        signals = Signals({"a": sequence([[0] * fine], 0.07), "b": sequence([[0] * coarse], 0.3)})
        seconds = max(fine * 0.07, coarse * 0.3)
        assert grid_of(signals.values()) == (0.07, round(seconds / 0.07))
        assert align(signals, ("a", "b")).steps == round(seconds / 0.07)


def test_an_item_ends_where_its_own_longest_modality_does():
    rows = [[1, 2, 3, 4, 5, 6, 7, 8]] * 2
    fine = sequence(rows, 0.5, [[True] * 8, [False] * 8])
    signals = Signals({"a": fine, "b": sequence([[10, 20]] * 2, 1.0)})
    frames = torch.arange(8.0).expand(2, 8).unsqueeze(-1)  # a model says something at any step
    for batch, kept in ((signals, slice(None)), (signals.select(torch.tensor([1])), slice(1, 2))):
        aligned = align(batch, ("a", "b"))
        needed = aligned.values["a"].shape[1]
        spread = aligned.spread(frames[kept, :needed]).squeeze(-1)
        assert spread[-1].tolist() == [0, 0, 1, 1, 1, 1, 1, 1]


def test_frames_of_items_on_one_grid_are_not_copied():
    aligned = align(Signals({"a": sequence([[1, 2]]), "b": sequence([[1, 2]])}), ("a", "b"))
    assert aligned.spread(aligned.values["a"]) is aligned.values["a"]


def test_a_modality_without_a_step_is_not_there():
    nothing = Sequence(torch.zeros(1, 0, 1), torch.zeros(1, 0, dtype=torch.bool), 0.1)
    aligned = align(Signals({"a": nothing, "b": sequence([[1, 2]])}), ("a", "b"))
    assert set(aligned.values) == {"b"}
    assert (aligned.grid, aligned.steps) == (1.0, 2)
    with pytest.raises(NothingPresent):
        align(Signals({"a": nothing}), ("a",))


def test_values_that_are_not_valid_are_gone():
    signals = Signals({"a": sequence([[float("nan"), 2]], valid=[[False, True]])})
    aligned = align(signals, ("a",))
    assert aligned.values["a"].flatten().tolist() == [0, 2]
    with pytest.raises(NothingPresent):
        align(signals, ("b",))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 60),
    st.sampled_from([0.02, 0.04, 0.1, 0.5]),
    st.sampled_from([1, 1.5, 2, 2.5, 5]),
)
def test_alignment_keeps_to_time(coarse_steps, hop, ratio):
    steps = math.ceil(coarse_steps * ratio)
    rows = [list(range(coarse_steps))]
    signals = Signals({"a": sequence([[0] * steps], hop), "b": sequence(rows, hop * ratio)})
    aligned = align(signals, ("a", "b"))
    assert aligned.steps == steps
    for step, value in enumerate(aligned.values["b"].flatten().tolist()):
        if aligned.valid["b"][0, step]:
            middle = (step + 0.5) / ratio
            assert value - 1e-5 <= middle <= value + 1 + 1e-5


def test_the_step_under_the_middle_of_another():
    assert step_under(6, 0.1, 0.2).tolist() == [0, 0, 1, 1, 2, 2]
    # Ten steps of 0.3 s under thirty of 0.1 s: no rounding moves one.
    assert step_under(30, 0.1, 0.3).tolist() == [index // 3 for index in range(30)]
    each = step_under(3, torch.tensor([0.1, 0.4], dtype=torch.float64), 0.2)
    assert each.tolist() == [[0, 0, 1], [1, 3, 5]]
