from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.features.series import Medium, Series, align_ends, count_steps


def series(steps, hop=0.2, valid=True):
    values = np.arange(1, steps + 1, dtype=np.float32)[:, None]
    return Series(values, np.full(steps, valid), hop)


def numbers(one):
    return one.values[:, 0].tolist()


def test_a_cut_holds_the_steps_whose_middle_it_holds():
    whole = series(10)
    assert numbers(whole.cut(0.0, None)) == numbers(whole)
    assert numbers(whole.cut(0.4, 1.0)) == [3, 4, 5]
    assert numbers(whole.cut(0.45, 1.05)) == [3, 4, 5]
    assert numbers(whole.cut(0.55, 1.15)) == [4, 5, 6]
    assert numbers(whole.cut(1.8, 99.0)) == [10]
    assert numbers(whole.cut(5.0, 6.0)) == []


def test_a_cut_shorter_than_a_step_is_the_step_it_begins_in():
    assert numbers(series(10).cut(0.31, 0.32)) == [2]


@given(
    st.lists(st.integers(0, 400), min_size=3, max_size=8, unique=True),
    st.sampled_from([0.1, 0.2, 0.24]),
)
def test_stretches_that_meet_share_no_step(hundredths, hop):
    edges = [number / 10 for number in sorted(hundredths)]
    whole = series(count_steps(40.0, hop), hop)
    parts = [numbers(whole.cut(a, b)) for a, b in pairwise(edges) if b - a > hop]
    together = [number for part in parts for number in part]
    assert len(set(together)) == len(together)


def test_all_end_with_the_longer_of_sound_and_picture():
    media = {
        "audio": Medium(series(10, 0.2), 1.9),
        "video": Medium(series(4, 0.5), 2.0),
        "eyes": Medium(series(50, 0.1), 5.0, follows=True),
        "person": Medium(series(1, 1.0), 1.0, follows=True),
    }
    aligned = align_ends(media)
    assert {name: len(one) for name, one in aligned.items()} == {
        "audio": 10,
        "video": 4,
        "eyes": 20,
        "person": 2,
    }
    assert numbers(aligned["person"]) == [1, 1]
    assert aligned["person"].valid.all()
    longer = align_ends({**media, "audio": Medium(series(20, 0.2), 3.9)})["video"]
    assert longer.valid.tolist() == [True] * 4 + [False] * 4
    assert not longer.values[4:].any()


def test_files_alone_end_with_the_longest_of_them():
    media = {
        "a": Medium(series(10, 0.2), 2.0, follows=True),
        "b": Medium(series(10, 0.1), 1.0, follows=True),
    }
    assert {name: len(one) for name, one in align_ends(media).items()} == {"a": 10, "b": 20}


@pytest.mark.parametrize(
    ("values", "valid", "hop", "error"),
    [
        (np.zeros((2, 1)), np.ones(2, np.bool_), 0.1, TypeError),
        (np.zeros((2, 1), np.float32), np.ones(2), 0.1, TypeError),
        (np.zeros(2, np.float32), np.ones(2, np.bool_), 0.1, ValueError),
        (np.zeros((2, 1), np.float32), np.ones(3, np.bool_), 0.1, ValueError),
        (np.zeros((2, 1), np.float32), np.ones(2, np.bool_), 0.0, ValueError),
    ],
)
def test_what_is_no_series_is_refused(values, valid, hop, error):
    with pytest.raises(error):
        Series(values, valid, hop)
