import numpy as np
import pandas as pd
import pytest

from mien.datasets import cut_segments, muse
from mien.datasets.ulm_tsst import ulm_tsst_examples
from mien.errors import FormatError, InputError

STEPS = 20
FEATURES = {"egemaps": 4, "faus": 3, "biosignals": 2}


def write(path, times, values, names):
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(values, columns=names)
    table.insert(0, "timestamp", times)
    table.insert(1, "segment_id", path.stem)
    table.to_csv(path, index=False)


@pytest.fixture
def corpus(tmp_path):
    """Three people: of train, of devel, and of test without labels."""
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "partition.csv").write_text("Id,Proposal\n7,train\n8,devel\n9,test\n")
    draw = np.random.default_rng(0)
    times = np.arange(STEPS) * 500
    for person in (7, 8, 9):
        for name, width in FEATURES.items():
            write(
                tmp_path / "feature_segments" / name / f"{person}.csv",
                times,
                draw.normal(size=(STEPS, width)),
                [f"f{i}" for i in range(width)],
            )
    for person in (7, 8):
        for name in ("physio-arousal", "valence"):
            write(
                tmp_path / "label_segments" / name / f"{person}.csv",
                times,
                np.linspace(-1, 1, STEPS),
                ["value"],
            )
    return tmp_path


def test_people_with_public_labels_are_read(corpus):
    first, second = ulm_tsst_examples(corpus)
    assert [(e.person, e.part) for e in (first, second)] == [
        ("ulm_tsst/7", "train"),
        ("ulm_tsst/8", "valid"),
    ]
    assert first.target.shape == (STEPS, 2)
    assert {m: s.values.shape[2] for m, s in first.signals.items()} == {
        "audio": 4,
        "video": 3,
        "physiology": 2,
    }
    assert all(s.valid.all() and s.hop == 0.5 for s in first.signals.values())
    assert [len(piece.target) for piece in cut_segments(first, 8, 4)] == [8] * 4


def test_what_is_not_there_at_a_label_is_masked(corpus):
    path = corpus / "feature_segments" / "faus" / "7.csv"
    table = pd.read_csv(path)
    table.iloc[3, 2:] = 0.0
    table.iloc[4, 2] = np.nan
    table.drop(index=[0, 10]).to_csv(path, index=False)
    first, second = ulm_tsst_examples(corpus)
    unseen = (~first.signals["video"].valid[0]).nonzero().flatten().tolist()
    assert unseen == [0, 3, 4, 10]
    assert second.signals["video"].valid.all()


def test_a_missing_label_is_not_a_number(corpus):
    path = corpus / "label_segments" / "valence" / "8.csv"
    pd.read_csv(path).drop(index=[0, 5]).to_csv(path, index=False)
    target = ulm_tsst_examples(corpus)[1].target
    assert target.isnan().nonzero().tolist() == [[0, 1], [5, 1]]
    one = ulm_tsst_examples(corpus, ("valence",), {"audio": "egemaps"})[1]
    assert one.target.shape == (STEPS - 1, 1)
    assert one.signals["audio"].valid.shape == (1, STEPS - 1)


def test_what_is_missing_or_wrong_is_named(corpus):
    path = corpus / "feature_segments" / "egemaps" / "8.csv"
    table = pd.read_csv(path)
    for change, message in (
        ({"timestamp": table["timestamp"] + 250}, "not 500 ms apart"),
        ({"timestamp": table["timestamp"] * 0}, "do not increase"),
        ({"f1": "loud"}, "more than numbers"),
    ):
        table.assign(**change).to_csv(path, index=False)
        with pytest.raises(FormatError, match=message):
            ulm_tsst_examples(corpus)
    table.drop(columns="timestamp").to_csv(path, index=False)
    with pytest.raises(FormatError, match="no column timestamp"):
        ulm_tsst_examples(corpus)
    path.unlink()
    with pytest.raises(InputError, match=r"egemaps/8.csv: is not there.*zenodo"):
        ulm_tsst_examples(corpus)
    with pytest.raises(InputError, match="anno12_EDA: is not there"):
        ulm_tsst_examples(corpus, ("anno12_EDA",))
    (corpus / "metadata" / "partition.csv").write_text("Id,Proposal\n7,some\n")
    with pytest.raises(FormatError, match="no list of people"):
        ulm_tsst_examples(corpus)


def test_the_split_of_mmte_reads_these_parts(corpus):
    people = [*((f"{i}", "train") for i in range(41)), *((f"{i}", "devel") for i in range(41, 55))]
    rows = "".join(f"{person},{part}\n" for person, part in people)
    (corpus / "metadata" / "partition.csv").write_text("Id,Proposal\n" + rows)
    for folder in ("label_segments/valence", "feature_segments/egemaps"):
        content = (corpus / folder / "7.csv").read_text()
        for person, _ in people:
            (corpus / folder / f"{person}.csv").write_text(content)
    examples = ulm_tsst_examples(corpus, ("valence",), {"audio": "egemaps"})
    parts = muse(examples).divide(examples)
    assert [len(part) for part in parts] == [35, 10, 10]
