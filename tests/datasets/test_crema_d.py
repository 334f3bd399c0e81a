from collections import Counter

import pandas as pd
import pytest

from mien.datasets.crema_d import (
    choose_perceived,
    crema_d_clips,
    crema_d_votes,
)
from mien.errors import FormatError, InputError

HEADER = '"","A","D","F","H","N","S","fileName"\n'
ROWS = (
    '"100001",0,0,0,0,9,0,"1001_IEO_ANG_HI"\n'
    '"200001",3,3,0,0,3,0,"1001_IEO_ANG_HI"\n'
    '"300001",5,1,0,0,4,0,"1001_IEO_ANG_HI"\n'
    '"300002",6,0,0,0,0,4,"1002_DFA_SAD_XX"\n'
    '"100002",0,0,0,0,0,8,"1002_DFA_SAD_XX"\n'
)


@pytest.fixture
def corpus(tmp_path):
    (tmp_path / "VideoFlash").mkdir()
    for name in ("1001_IEO_ANG_HI", "1002_DFA_SAD_XX"):
        (tmp_path / "VideoFlash" / f"{name}.flv").touch()
    (tmp_path / "processedResults").mkdir()
    (tmp_path / "processedResults" / "tabulatedVotes.csv").write_text(HEADER + ROWS)
    return tmp_path


def test_the_emotion_is_acted_or_perceived(corpus):
    by_rule = {
        rule: [clip.label for clip in crema_d_clips(corpus, rule)]
        for rule in ("acted", "plurality", "majority")
    }
    assert by_rule == {
        "acted": ["anger", "sadness"],
        "plurality": ["anger", "anger"],
        "majority": [None, "anger"],
    }
    assert [clip.person for clip in crema_d_clips(corpus)] == ["crema_d/1001", "crema_d/1002"]


def test_soft_labels_are_proportions_of_the_votes_on_what_was_shown(corpus):
    both = crema_d_clips(corpus)[0]
    assert both.path.suffix == ".flv"
    assert both.soft_label["anger"] == pytest.approx(0.5)
    assert sum(both.soft_label.values()) == pytest.approx(1)
    heard = crema_d_clips(corpus, "plurality", "voice")
    assert [clip.label for clip in heard] == ["neutral", "sadness"]


def test_what_is_missing_is_named(corpus, tmp_path):
    with pytest.raises(InputError, match="not in tabulatedVotes"):
        crema_d_clips(corpus, presentation="face")
    (corpus / "VideoFlash" / "1001_ANG.flv").touch()
    with pytest.raises(InputError, match="emotion code 1001_ANG"):
        crema_d_clips(corpus)
    table = corpus / "processedResults" / "tabulatedVotes.csv"
    table.write_text(table.read_text().replace('"H"', '"J"'))
    with pytest.raises(FormatError, match=r"no column H.*github"):
        crema_d_votes(corpus)
    with pytest.raises(InputError, match=r"holds no tabulatedVotes.csv.*github"):
        crema_d_votes(tmp_path / "VideoFlash")
    (corpus / "VideoFlash").rename(corpus / "video")
    table.write_text(HEADER + ROWS)
    with pytest.raises(InputError, match=r"VideoFlash/\*.flv.*CheyneyComputerScience"):
        crema_d_clips(corpus)


def test_the_published_votes(data_folder):
    folder = data_folder / "crema_d"
    agreed = {}
    for shown in ("voice", "face", "audio-visual"):
        votes = crema_d_votes(folder, shown)
        assert len(votes) == 7442
        agreed[shown] = sum(choose_perceived(v, "majority") is not None for v in votes.values())
    assert agreed == {"voice": 5012, "face": 5523, "audio-visual": 5913}


def test_the_plurality_is_that_of_the_published_summary(data_folder):
    folder = data_folder / "crema_d"
    summary = pd.read_csv(folder / "summaryTable.csv").set_index("FileName")["MultiModalVote"]
    said = {
        name: choose_perceived(votes, "plurality")
        for name, votes in crema_d_votes(folder, "audio-visual").items()
    }
    clear = summary[summary.str.len() == 1]
    assert sum(emotion is None for emotion in said.values()) == len(summary) - len(clear) == 420
    assert all(said[name][0].upper() == letter for name, letter in clear.items())
    assert Counter(said.values())["sadness"] == 589
