from __future__ import annotations

import numpy as np
import pytest
import torch
from mien.experiments.sources import Places, Standard, generated, generated_ratings
from mien.experiments.sources.continuous import JavaSedSessions, Recola
from mien.experiments.sources.published import CmuMosei, MfnSequences, RavdessUnits
from mien.experiments.sources.recordings import CremaD, JavaSed, Manifest, MspImprov, Ravdess
from mien.experiments.sources.simulator import RELIABILITY, Simulator
from pydantic import ValidationError

from mien.datasets import rotating_folds
from mien.errors import FormatError

SOURCES = [
    RavdessUnits(),
    MfnSequences(corpus="mmmo"),
    MfnSequences(corpus="youtube"),
    CmuMosei(),
    Recola(delay=2.4),
    JavaSed(),
    Ravdess(hop=0.5),
    CremaD(labels="shares"),
    MspImprov(),
    Manifest(emotions=("anger", "neutral")),
    JavaSedSessions(dimension="arousal"),
    Simulator(),
]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_made_up_examples_have_the_shape_of_the_source(source):
    shape = source.shape()
    examples = generated(shape)
    for example in examples:
        for name, sequence in example.signals.items():
            assert tuple(sequence.values.shape[2:]) == tuple(shape.modalities[name])
            assert sequence.hop == shape.hops[name]
        size = () if shape.task.kind == "categories" else (len(shape.task.names),)
        frames = (max(shape.steps.values()),) if shape.task.per == "frame" else ()
        assert tuple(example.target.shape) == (*frames, *size)
        assert source.pieces(example)
    assert source.note.endswith(".")


@pytest.fixture
def mine(tmp_path):
    """A table of three recordings, two of anna with emotions and one of ben with arousal."""
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        (tmp_path / name).touch()
    rows = ("a.mp4,anna,anger,", "b.mp4,anna,calm,", "c.mp4,ben,,0.5")
    (tmp_path / "mine.csv").write_text("\n".join(("path,person,emotion,arousal", *rows)))
    return Places(tmp_path, tmp_path / "kept")


def manifest(**asked):
    return Manifest(path="mine.csv", **asked)


def test_a_manifest_leaves_out_what_has_no_answer_to_what_is_asked(mine):
    emotions = manifest(emotions=("anger", "sadness"))
    targets = [emotions.target(clip) for clip in emotions.clips(mine)]
    assert [None if t is None else t.tolist() for t in targets] == [
        emotions.task().names.index("anger"),
        None,
        None,
    ]
    arousal = manifest(dimensions=("arousal",))
    targets = [arousal.target(clip) for clip in arousal.clips(mine)]
    assert [None if t is None else t.tolist() for t in targets] == [None, None, [0.5]]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"dimensions": ("arousal", "fatigue")}, "has no column fatigue, only path, person, emo"),
        ({"emotions": ("sadness", "fear")}, "no row has the emotion sadness or fear, only calm"),
    ],
)
def test_a_manifest_without_what_is_asked_is_an_error(mine, asked, message):
    with pytest.raises(FormatError, match=message) as caught:
        manifest(**asked).examples(mine)
    assert "mine.csv" in str(caught.value)


def test_a_manifest_without_emotions_is_an_error(mine):
    table = mine.data / "mine.csv"
    table.write_text(table.read_text().replace("emotion", "mood").replace("anger", "1"))
    table.write_text(table.read_text().replace("calm", "2"))
    with pytest.raises(FormatError, match="has no column emotion, only path, person, mood, arou"):
        manifest(emotions=("anger",)).examples(mine)


def test_emotions_that_nobody_knows_are_named_with_those_that_are_known():
    with pytest.raises(ValidationError, match=r"not in the vocabulary: angry; known: .*anger"):
        manifest(emotions=("angry",))


def test_everybody_is_tested_once_and_never_taught():
    folds = rotating_folds([f"p{i}" for i in range(8)], test=2, dev=1)
    assert len(folds) == 4
    assert sorted(p for fold in folds for p in fold.test) == [f"p{i}" for i in range(8)]
    for fold in folds:
        assert (len(fold.train), len(fold.dev), len(fold.test)) == (5, 1, 2)
        assert not {*fold.train} & {*fold.dev, *fold.test}


def test_standardised_by_the_observed_steps_of_the_training_part():
    examples = generated(RavdessUnits().shape())
    standard = Standard.of(examples[:8])
    steps = torch.cat([e.signals["audio"].values[0] for e in standard.apply(examples[:8])])
    torch.testing.assert_close(steps.mean(dim=0), torch.zeros(259), atol=1e-4, rtol=0)
    torch.testing.assert_close(steps.std(dim=0, correction=0), torch.ones(259))


def test_components_are_those_of_most_variance():
    examples = generated(RavdessUnits().shape())
    told = Standard.of(examples, components=4)
    assert set(told.basis) == {"audio", "video"}
    steps = torch.cat([e.signals["audio"].values[0] for e in told.apply(examples)])
    assert steps.shape[1] == 4
    variance = steps.var(dim=0, correction=0)
    assert (variance.diff() <= 1e-5).all()
    torch.testing.assert_close(variance.mean(), torch.tensor(1.0), atol=1e-3, rtol=0)
    covariance = torch.cov(steps.T)
    torch.testing.assert_close(covariance, covariance.diag().diag(), atol=1e-2, rtol=0)
    again = Standard.unpacked(told.packed())
    assert torch.equal(again.basis["video"], told.basis["video"])


def test_what_was_not_observed_does_not_move_the_standard():
    examples = generated(Simulator().shape())
    before = Standard.of(examples)
    for example in examples:
        example.signals["audio"].valid[:, 5:] = False
    some = Standard.of(examples)
    for example in examples:
        example.signals["audio"].values[:, 5:] = 1e6
    after = Standard.of(examples)
    assert not torch.equal(before.mean["audio"], some.mean["audio"])
    assert torch.equal(some.mean["audio"], after.mean["audio"])


def test_the_simulator_is_as_reliable_as_it_says(tmp_path):
    examples = Simulator(people=30, steps=400).examples(Places(tmp_path, tmp_path))
    latent = np.arctanh(np.concatenate([e.target.numpy() for e in examples])) / 0.6
    explained = {}
    for name in RELIABILITY:
        seen = np.concatenate([e.signals[name].values[0].numpy() for e in examples])
        for column, dimension in enumerate(("arousal", "valence")):
            weights, *_ = np.linalg.lstsq(seen, latent[:, column], rcond=None)
            found = np.corrcoef(seen @ weights, latent[:, column])[0, 1]
            explained[name, dimension] = found**2
    assert explained["audio", "arousal"] > explained["physiology", "arousal"]
    assert explained["physiology", "arousal"] > explained["video", "arousal"]
    assert explained["video", "valence"] > explained["audio", "valence"]
    assert explained["audio", "valence"] > explained["physiology", "valence"]


def test_published_features(data_folder, tmp_path):
    places = Places(data_folder, tmp_path)
    units = RavdessUnits()
    examples = units.examples(places)
    assert len(examples) == 1440
    assert [len(part) for part in units.split(examples)[0].divide(examples)] == [960, 240, 240]
    mmmo = MfnSequences(corpus="mmmo")
    parts = mmmo.split(mmmo.examples(places))[0].divide(mmmo.examples(places))
    assert [len(part) for part in parts] == [220, 40, 80]
    targets = torch.cat([e.target for part in parts for e in part])
    assert (float(targets.min()), float(targets.max())) == (-2.0, 2.0)


def test_crema_d_says_how_people_judged_its_clips(data_folder, tmp_path):
    if not (data_folder / "crema_d").is_dir():
        pytest.skip("CREMA-D's tables are not there")
    rated = CremaD().rated(Places(data_folder, tmp_path))
    assert len(rated) == 7442
    one = rated["crema_d/1001_DFA_ANG_XX"]
    assert one.acted == "anger"
    assert set(one.votes) == {"voice", "face", "audio-visual"}
    assert JavaSed().rated(Places(data_folder, tmp_path)) == {}


def test_made_up_people_agree_with_made_up_labels():
    source = CremaD()
    examples = generated(source.shape())
    rated = generated_ratings(examples, source.task())
    assert [rated[e.clip].acted for e in examples] == [
        source.task().names[int(e.target)] for e in examples
    ]
