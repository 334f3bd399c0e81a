from __future__ import annotations

import pandas as pd
import pytest

from mien.datasets import PRESENTATIONS, Rated
from mien.datasets.crema_d import crema_d_ratings
from mien.errors import FormatError, InputError
from mien.evaluation.humans import measure_recognition

ALL = "all"


@pytest.fixture(scope="module")
def rates(data_folder):
    folder = data_folder / "crema_d"
    if not folder.is_dir():
        pytest.skip("CREMA-D's tables are not there")
    return measure_by_emotion(folder)


def measure_by_emotion(folder):
    """Rates by presentation and acted emotion, and of all together."""
    rated = list(crema_d_ratings(folder).values())
    parts = {ALL: rated}
    for one in rated:
        parts.setdefault(one.acted, []).append(one)
    rows = {
        (shown, acted): measure_recognition(part, shown)
        for shown in PRESENTATIONS
        for acted, part in parts.items()
    }
    return pd.DataFrame(rows).T.rename_axis(["presentation", "acted"])


def test_published_votes(rates):
    found = rates.xs(ALL, level="acted").loc[["voice", "face", "audio-visual"]]
    assert found["clips"].tolist() == [7442] * 3
    assert [round(100 * rate, 1) for rate in found["plurality"]] == [41.6, 66.3, 72.2]
    assert [round(100 * rate, 1) for rate in found["votes"]] == [40.0, 57.4, 63.1]
    assert [round(100 * rate, 1) for rate in found["tied"]] == [8.7, 6.3, 5.6]
    assert [round(100 * rate, 1) for rate in found["plurality_tie_counts"]] == [47.9, 71.0, 76.7]


def test_rules_for_ties_are_in_order(rates):
    ordered = ["plurality", "plurality_tie_shared", "plurality_tie_counts"]
    assert (rates[ordered].diff(axis=1).iloc[:, 1:] >= 0).all(axis=None)


def test_emotions_add_up(rates):
    each = rates.drop(ALL, level="acted")
    weighted = each["plurality"] * each["clips"]
    total = weighted.groupby(level=0).sum() / each["clips"].groupby(level=0).sum()
    for presentation, rate in total.items():
        assert rate == pytest.approx(rates.loc[(presentation, ALL), "plurality"])
    # Sadness is the hardest to hear, neutral the easiest.
    voice = each.loc["voice", "plurality"]
    assert (voice.idxmin(), voice.idxmax()) == ("sadness", "neutral")


HEAD = '"","A","D","F","H","N","S","fileName"\n'


def test_rates_by_hand(tmp_path):
    rows = [
        '"{mode}00001",0,0,0,6,4,0,"1001_DFA_HAP_XX"',  # clearly right
        '"{mode}00002",3,3,0,0,2,2,"1001_DFA_ANG_XX"',  # a tie with the acted one in it
        '"{mode}00003",0,0,0,0,9,1,"1001_DFA_SAD_XX"',  # clearly wrong
        '"{mode}00004",0,0,4,0,4,2,"1002_DFA_SAD_XX"',  # a tie without it
    ]
    lines = [row.format(mode=mode) for mode in (1, 2, 3) for row in rows]
    (tmp_path / "tabulatedVotes.csv").write_text(HEAD + "\n".join(lines) + "\n")
    found = measure_by_emotion(tmp_path).loc[("voice", ALL)]
    assert found["tied"] == 0.5
    assert found["plurality"] == 0.25
    assert found["plurality_tie_shared"] == 0.375
    assert found["plurality_tie_counts"] == 0.5
    assert found["plurality_untied"] == 0.5
    assert found["votes"] == (6 + 3 + 1 + 2) / 40


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(InputError, match="tabulatedVotes"):
        crema_d_ratings(tmp_path)


def test_some_clips_are_rated_as_all_of_them(data_folder, rates):
    rated = crema_d_ratings(data_folder / "crema_d")
    happy = [one for one in rated.values() if one.acted == "happiness"]
    expected = rates.loc[("face", "happiness")]
    found = measure_recognition(happy, "face")
    assert found == pytest.approx(expected[list(found)].to_dict())
    assert rated["1001_DFA_ANG_XX"].acted == "anger"


def test_an_emotion_without_any_vote_counts_as_none():
    happy = Rated("happiness", {"voice": {"happiness": 10}})
    angry = Rated("anger", {"voice": {"happiness": 4}})
    found = measure_recognition([happy, angry], "voice")
    assert (found["plurality"], found["votes"]) == (0.5, 10 / 14)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ("1001_DFA_XXX_XX", "name a clip 1001_DFA_XXX_XX"),
        ("1001DFAHAPXX", "name a clip"),
    ],
)
def test_a_clip_whose_name_says_nothing_is_named(tmp_path, changed, words):
    rows = [f'"{mode}00001",0,0,0,6,4,0,"{changed}"' for mode in (1, 2, 3)]
    (tmp_path / "tabulatedVotes.csv").write_text(HEAD + "\n".join(rows) + "\n")
    with pytest.raises(FormatError, match=words):
        crema_d_ratings(tmp_path)


def test_voice_face_and_both_are_of_the_same_clips(tmp_path):
    rows = [f'"{mode}00001",0,0,0,6,4,0,"1001_DFA_HAP_{mode}X"' for mode in (1, 2, 3)]
    (tmp_path / "tabulatedVotes.csv").write_text(HEAD + "\n".join(rows) + "\n")
    with pytest.raises(FormatError, match="same clips"):
        crema_d_ratings(tmp_path)
