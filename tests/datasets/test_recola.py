import numpy as np
import pandas as pd
import pytest
import torch

from mien.datasets import Places, avec2016
from mien.datasets.recola import Recola, recola_examples
from mien.errors import FormatError, InputError
from mien.experiments.loading import load_shipped
from mien.experiments.runner import attempt, plan_runs

FRAMES = 6


def arff(path, columns, rows, step=0.04):
    path.parent.mkdir(parents=True, exist_ok=True)
    head = "".join(f"@attribute {name} numeric\n" for name in ("frameTime", *columns))
    lines = [
        ",".join([f"'{path.stem}'", f"{i * step:.2f}", *(f"{x:g}" for x in row)])
        for i, row in enumerate(rows)
    ]
    text = f"@relation X\n\n@attribute Instance_name string\n{head}\n@data\n\n"
    path.write_text(text + "\n".join(lines).replace("nan", "?") + "\n")


@pytest.fixture
def corpus(tmp_path):
    tmp_path = tmp_path / "recola"
    draw = np.random.default_rng(0)
    for name in ("train_1", "dev_9"):
        for shift, dimension in enumerate(("arousal", "valence")):
            gold = np.linspace(-0.1, 0.1, FRAMES)[:, None] + shift
            arff(
                tmp_path / "ratings_gold_standard" / dimension / f"{name}.arff",
                ["GoldStandard"],
                gold,
            )
        voice = draw.normal(size=(FRAMES, 3))
        arff(tmp_path / "features_audio" / "arousal" / f"{name}.arff", ["a", "'b c'", "d"], voice)
        face = draw.normal(size=(FRAMES - 1, 2))
        face[1], face[2, 0] = 0, np.nan
        arff(tmp_path / "features_video_geometric" / "arousal" / f"{name}.arff", ["x", "y"], face)
    return tmp_path


def test_recordings_with_a_gold_standard_are_read(corpus):
    dev, train = recola_examples(corpus)
    assert (train.clip, train.person, train.part) == ("recola/train_1", "recola/train_1", "train")
    assert (dev.person, dev.part) == ("recola/dev_9", "valid")
    assert {train.person} < set(avec2016().train)
    assert {dev.person} < set(avec2016().dev)
    assert train.target.shape == (FRAMES, 2)
    assert torch.allclose(train.target[0], torch.tensor([-0.1, 0.9]))
    assert train.signals["audio"].values.shape == (1, FRAMES, 3)
    assert train.signals["audio"].hop == pytest.approx(0.04)


def test_a_face_that_was_not_found_is_masked(corpus):
    video = recola_examples(corpus)[0].signals["video"]
    assert video.values.shape == (1, FRAMES, 2)
    assert video.valid.tolist() == [[True, False, False, True, True, False]]


def test_one_modality_is_enough_and_tables_may_be_separated_by_semicolons(corpus):
    physiology = corpus / "features_ECG" / "arousal"
    physiology.mkdir(parents=True)
    rows = "".join(f"{0.04 * i:.2f};{i + 1};{-i - 1}\n" for i in range(FRAMES))
    for name in ("train_1", "dev_9"):
        (physiology / f"{name}.csv").write_text("time;p; q\n" + rows)
    signals = recola_examples(corpus, {"physiology": "features_ECG/arousal"})[0].signals
    assert list(signals) == ["physiology"]
    assert signals["physiology"].values[0, 2].tolist() == [3.0, -3.0]


def test_only_ratings_that_are_learned_from_are_moved_by_the_delay(corpus, tmp_path):
    places = Places(corpus.parent, tmp_path)
    published = recola_examples(corpus)
    source = Recola(delay=0.08, length=4, stride=2, dimension="valence")
    examples = source.examples(places)
    for given, example in zip(published, examples, strict=True):
        assert torch.equal(example.target, given.target[:, 1:])
        first, second = source.pieces(example)
        assert torch.equal(first.target, given.target[2:6, 1:])
        assert torch.equal(second.target[:2], given.target[4:6, 1:])
        assert second.target[2:].isnan().all()
        assert torch.equal(second.signals["audio"].values, given.signals["audio"].values[:, 2:6])
    assert "0.08 s later; the ratings that are scored are as published" in source.note
    longer = Recola(delay=10, length=4, stride=2).pieces(published[0])
    assert all(piece.target.isnan().all() for piece in longer)


def test_an_experiment_measures_on_the_ratings_as_published(corpus, tmp_path):
    places = Places(corpus.parent, tmp_path)
    draw = np.random.default_rng(1)
    for kind, width in (("audio", 88), ("video_geometric", 632)):  # those of AVEC 2016
        for name in ("train_1", "dev_9"):
            path = corpus / f"features_{kind}" / "arousal" / f"{name}.arff"
            arff(path, [f"f{i}" for i in range(width)], draw.normal(size=(FRAMES, width)))
    experiment = load_shipped("ca_table2").shrink()
    experiment = experiment.model_copy(
        update={
            "data": Recola(delay=0.08),
            "models": experiment.models[:1],
            "reported": (),
            "comparisons": (),
        }
    )
    run = plan_runs(experiment.resolve(places), places, tmp_path / "runs")[0]
    assert attempt(run) is None
    answers = pd.read_parquet(run.folder.predictions)
    dev = recola_examples(corpus)[0]
    for column, dimension in enumerate(("arousal", "valence")):
        gold = answers[f"target_{dimension}"].to_numpy()
        np.testing.assert_allclose(gold, dev.target[:, column].numpy())


@pytest.mark.parametrize("name", ["ca_table2", "ca_table3", "ca_figure2"])
def test_answers_that_come_early_are_put_back(name):
    experiment = load_shipped(name)
    assert experiment.data.delay > 0
    assert "shift" in experiment.post_processing.steps


def test_without_a_delay_pieces_have_the_ratings_as_published(corpus):
    example = recola_examples(corpus)[0]
    source = Recola(length=FRAMES)
    assert torch.equal(source.pieces(example)[0].target, example.target)
    assert "later" not in source.note


def test_what_is_missing_or_wrong_is_named(corpus):
    gold = corpus / "ratings_gold_standard" / "valence" / "dev_9.arff"
    whole = gold.read_text()
    arff(gold, ["GoldStandard"], np.zeros((FRAMES - 1, 1)))
    with pytest.raises(FormatError, match=r"dev_9 has ratings \(5, 1\)"):
        recola_examples(corpus)
    arff(gold, ["GoldStandard"], np.zeros((FRAMES, 1)), step=0.1)
    with pytest.raises(FormatError, match="not at 25 frames"):
        recola_examples(corpus)
    for old, new, message in (
        ("@data", "", "no @data section"),
        ("@attribute GoldStandard numeric\n", "", "2 attributes but 3 fields"),
        ("0.9\n", "high\n", "more than numbers"),
    ):
        gold.write_text(whole.replace(old, new, 1))
        with pytest.raises(FormatError, match=message):
            recola_examples(corpus)
    gold.unlink()
    with pytest.raises(InputError, match=r"holds no dev_9.arff or dev_9.csv.*diuf"):
        recola_examples(corpus)
    with pytest.raises(InputError, match=r"features_EDA: is not there.*diuf"):
        recola_examples(corpus, {"physiology": "features_EDA"})
