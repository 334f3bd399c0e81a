"""Ratings per frame: several raters, any times, on the grid of a model's frames."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mien.datasets import Places
from mien.datasets.manifest import ManifestDataSet, read_manifest
from mien.datasets.ratings import read_ratings, weigh_raters
from mien.errors import FormatError, MienError


def rated(folder, text, name="r.csv"):
    path = folder / name
    path.write_text(text)
    return path


def test_a_step_is_the_mean_of_its_ratings(tmp_path):
    times = np.arange(0, 2, 0.1)
    lines = [f"{t:.1f},{t:.1f}" for t in times]
    ratings = read_ratings(rated(tmp_path, "time,arousal\n" + "\n".join(lines)))
    got = ratings.resample(0.5, 5)[:, 0]
    np.testing.assert_allclose(got[:4], [0.2, 0.7, 1.2, 1.7])
    assert np.isnan(got[4])
    np.testing.assert_allclose(ratings.resample(0.5, 2, start=1.0)[:, 0], [1.2, 1.7])


def test_between_ratings_it_is_a_line_and_nothing_is_invented(tmp_path):
    text = "time,arousal\n0,0\n1,1\n2,2\n3,\n4,4\n5,5\n9,9\n10,10\n"
    got = read_ratings(rated(tmp_path, text)).resample(0.5, 26)[:, 0]
    # Middles are at 0.25, 0.75, …; a step in which a rating falls is that rating.
    np.testing.assert_allclose(got[:5], [0, 0.75, 1, 1.75, 2])
    assert np.isnan(got[5:8]).all()  # beside the empty field
    np.testing.assert_allclose(got[8:11], [4, 4.75, 5])
    assert np.isnan(got[11:18]).all()  # four intervals without any
    np.testing.assert_allclose(got[18:22], [9, 9.75, 10, 10])  # the last holds for one interval
    assert np.isnan(got[22:]).all()


def test_raters_are_averaged_or_weighted_by_their_agreement(tmp_path):
    chance = np.random.default_rng(0)
    truth = np.sin(np.arange(40) / 4)
    said = {"r1": truth, "r2": truth + 0.2, "r3": chance.normal(size=40)}
    lines = [f"{i * 0.5},{r},{v}" for r, values in said.items() for i, v in enumerate(values)]
    ratings = read_ratings(rated(tmp_path, "time,rater,valence\n" + "\n".join(lines)))
    mean = ratings.resample(0.5, 40)[:, 0]
    np.testing.assert_allclose(mean, np.mean(list(said.values()), axis=0))
    weights = weigh_raters(np.stack(list(said.values())))
    assert weights[0] > 2 * weights[2]
    ewe = ratings.resample(0.5, 40, raters="ewe")[:, 0]
    np.testing.assert_allclose(ewe, np.average(list(said.values()), axis=0, weights=weights))
    assert np.corrcoef(ewe, truth)[0, 1] > np.corrcoef(mean, truth)[0, 1]


def test_a_rater_who_is_missing_leaves_the_others(tmp_path):
    text = "time,rater,a,b\n0,x,1,1\n1,x,1,1\n0,y,3,\n1,y,3,\n"
    got = read_ratings(rated(tmp_path, text)).resample(1.0, 2, dimensions=("b", "a"))
    assert got.tolist() == [[1, 2], [1, 2]]


def test_weights_are_one_where_there_is_no_agreement_to_weigh():
    trace = np.linspace(0, 1, 9)
    assert weigh_raters(np.stack([trace, -trace])).tolist() == [1, 1]
    assert weigh_raters(np.ones((3, 9))).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("times,a\n0,1\n", "has no column time, only times, a; did you mean times?"),
        ("time\n0\n", "has no column of a dimension"),
        ("time,a\n0,1\n1,1\n0.5,1\n", "row 4, column time: 0.5 s comes after 1 s"),
        ("time,a\n0,1\n,1\n", "row 3, column time: is empty"),
        ("time,a\n0,high\n", "row 2, column a: 'high' is no number"),
        ("time,rater,a\n0,,1\n", "row 2, column rater: nobody is named"),
        ("time,rater,a\n0,x,1\n0,X,1\n", "row 3, column rater: 'X' and 'x' of row 2"),
    ],
)
def test_ratings_that_cannot_be(tmp_path, text, message):
    path = rated(tmp_path, text)
    with pytest.raises(MienError) as caught:
        read_ratings(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def session(folder, name, first=0.0, last=9.5, hop=0.5):
    """Ten seconds of features and ratings of a person; pain rises with time."""
    steps = [f"{i * 0.5},{i},{i % 3}" for i in range(20)]
    (folder / f"{name}_face.csv").write_text("time,x,y\n" + "\n".join(steps))
    times = np.arange(first, last + 1e-9, hop)
    rows = [f"{t:g},{t / 10:g},{-t / 10:g}" for t in times]
    (folder / f"{name}.csv").write_text("time,pain,joy\n" + "\n".join(rows))


@pytest.fixture
def study(tmp_path):
    for name in ("a", "b", "c"):
        session(tmp_path, name)
    rows = [f"{p},{n}_face.csv,{n}.csv" for p, n in (("anna", "a"), ("ben", "b"), ("cleo", "c"))]
    (tmp_path / "study.csv").write_text("person,face_features,ratings\n" + "\n".join(rows))
    return tmp_path / "study.csv"


def test_ratings_are_targets_on_the_grid_of_the_features(study, tmp_path):
    data = ManifestDataSet(path=study, length=8, stride=4).resolve()
    assert data.task().per == "frame"
    assert data.task().names == ("pain", "joy")
    assert data.task().ranges == {"pain": (0.0, 0.95), "joy": (-0.95, 0.0)}
    examples = data.examples(Places(tmp_path, tmp_path / "cache"))
    assert len(examples) == 3
    one = examples[0]
    assert one.target.shape == (20, 2)
    torch.testing.assert_close(one.target[:, 0], torch.arange(20) * 0.05)
    assert [len(piece.target) for piece in data.pieces(one)] == [8, 8, 8, 8]
    chosen = ManifestDataSet(path=study, label=("joy",)).resolve()
    assert (chosen.task().names, chosen.task().per) == (("joy",), "frame")
    target = chosen.examples(Places(tmp_path, tmp_path / "cache"))[0].target
    torch.testing.assert_close(target[:, 0], -torch.arange(20) * 0.05)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"last": 5}, "row 3, column ratings: b.csv ends at 5.5 s, before the recording at 10.000"),
        (
            {"first": 20, "last": 30},
            "row 3, column ratings: b.csv starts at 20 s, the recording at",
        ),
    ],
)
def test_ratings_and_recording_are_of_the_same_time(study, tmp_path, made, message):
    session(tmp_path, "b", **made)
    with pytest.raises(FormatError) as caught:
        read_manifest(study)
    assert message in str(caught.value)


def test_ratings_of_a_stretch_need_cover_only_that(study, tmp_path):
    session(tmp_path, "b", last=5)
    lines = study.read_text().splitlines()
    stretched = [lines[0] + ",start,end", *(f"{line},1,5" for line in lines[1:])]
    study.write_text("\n".join(stretched))
    examples = ManifestDataSet(path=study).resolve().examples(Places(tmp_path, tmp_path / "cache"))
    torch.testing.assert_close(examples[1].target[:, 0], 0.1 + torch.arange(8) * 0.05)


def test_all_ratings_have_the_dimensions_that_are_asked(study, tmp_path):
    text = (tmp_path / "c.csv").read_text().replace("joy", "fun")
    (tmp_path / "c.csv").write_text(text)
    with pytest.raises(FormatError, match=r"row 4, column ratings: c\.csv has no column joy"):
        read_manifest(study)


def test_a_label_that_a_trained_model_has_not_is_named(study):
    asked = {"labels": ("joy", "pain"), "ranges": {"joy": (-1, 1), "pain": (0, 1)}}
    assert read_manifest(study, ("joy",), **asked).task.names == ("joy", "pain")
    with pytest.raises(
        FormatError, match="joi is none of the model's dimensions; did you mean joy"
    ):
        read_manifest(study, ("joi",), **asked)
