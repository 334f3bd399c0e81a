"""A manifest whose recordings are read, and one of files of features."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.datasets.manifest_material import MOODS, STRETCHES, features, write

from mien.datasets import Places
from mien.datasets.manifest import ManifestDataSet, read_manifest
from mien.errors import FormatError, InputError, OptionError
from mien.features.files import FeatureFile


def heart(folder, extra=""):
    for name in "abc":
        features(folder, f"{name}.csv")
    return write(
        folder,
        "person,mood,heart_features\nanna,tense,a.csv\nben,calm,b.csv\ncleo,tense,c.csv\n"
        "anna,calm,d.csv\n" + extra,
    )


def test_files_of_features_need_no_recording(folder):
    features(folder, "d.csv")
    manifest = read_manifest(heart(folder), "mood")
    assert manifest.files == {"heart": FeatureFile(columns=("x", "y"), hop=0.5)}
    data = ManifestDataSet(path=manifest.path, label="mood").resolve()
    assert data.shape().modalities == {"heart": (2,)}
    progress = []
    examples = data.examples(
        Places(folder, folder / "cache"), lambda done, of: progress.append((done, of))
    )
    assert progress == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert examples.unreadable == ()
    assert [e.clip for e in examples] == [f"mine/{name}.csv" for name in "abcd"]
    assert examples[0].signals["heart"].values[0, :, 1].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert [int(e.target) for e in examples] == [1, 0, 1, 0]


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"columns": ("x", "z")}, "row 5, column heart_features: d.csv has other columns"),
        ({"hop": 0.25}, "row 5, column heart_features: d.csv has steps of 0.25 s, row 2 has 0.5 s"),
        (None, "row 5, column heart_features: there is no file 'd.csv'"),
    ],
)
def test_files_of_features_that_are_not_alike(folder, made, message):
    if made is not None:
        features(folder, "d.csv", **made)
    with pytest.raises((FormatError, InputError)) as caught:
        read_manifest(heart(folder), "mood")
    assert message in str(caught.value)


def test_features_without_times_need_a_hop(folder):
    for name in "ab":
        np.savez(folder / f"{name}.npz", features=np.ones((4, 2), dtype=np.float32))
    text = "person,mood,eeg_features\nanna,x,a.npz\nben,y,b.npz\nanna,y,a.npz\nben,x,b.npz\n"
    path = write(folder, text.replace("anna,y,a.npz\nben,x,b.npz\n", ""))
    rows = path.read_text() + "cleo,x,c.npz\ncleo,y,d.npz\n"
    for name in "cd":
        np.savez(folder / f"{name}.npz", features=np.ones((4, 2), dtype=np.float32))
    path = write(folder, rows)
    with pytest.raises(FormatError, match=r"row 2, column eeg_features: a\.npz has no times"):
        read_manifest(path, "mood")
    data = ManifestDataSet(path=path, label="mood", hops={"eeg": 0.1}).resolve()
    assert data.extractors()["eeg"].hop == 0.1


def test_a_model_that_reads_files_needs_them(folder):
    asked = {"heart": {"name": "file", "columns": ["x", "y"], "hop": 0.5}}
    data = ManifestDataSet(path=write(folder, MOODS), label="mood", features=asked)
    with pytest.raises(OptionError, match=r"no file of heart features; .* column heart_features"):
        data.resolve()
    features(folder, "d.csv")
    assert ManifestDataSet(path=heart(folder), label="mood", features=asked).resolve()
    other = {"heart": {"name": "file", "columns": ["x", "q"], "hop": 0.5}}
    with pytest.raises(FormatError, match=r"row 2, column heart_features: a\.csv has other"):
        ManifestDataSet(path=heart(folder), label="mood", features=other).resolve()
    with pytest.raises(FormatError, match="row 2, column path: is empty, but audio is read"):
        ManifestDataSet(path=heart(folder), label="mood", features={"audio": "mfcc"}).resolve()


def test_recordings_and_files_of_features_together(folder):
    features(folder, "h.csv")
    rows = MOODS.splitlines()
    text = "\n".join(
        [rows[0] + ",video_features,heart_features", *(r + ",,h.csv" for r in rows[1:])]
    )
    data = ManifestDataSet(path=write(folder, text), label="mood")
    assert {n: e.name for n, e in data.extractors().items()} == {
        "audio": "whisper_tiny_en",
        "video": "face_ferplus",
        "heart": "file",
    }
    again = ManifestDataSet.model_validate(
        {k: v for k, v in data.model_dump().items() if k != "name"}
    )
    assert again.resolve().extractors() == data.resolve().extractors()


def test_what_is_asked_is_computed_though_there_are_files_of_it(folder):
    features(folder, "h.csv")
    rows = MOODS.splitlines()
    table = write(
        folder, "\n".join([rows[0] + ",audio_features", *(r + ",h.csv" for r in rows[1:])])
    )
    data = ManifestDataSet(path=table, label="mood", features={"audio": "mfcc"}).resolve()
    examples = data.examples(Places(folder, folder / "cache"))
    assert len(examples) == 4
    assert examples[0].signals["audio"].values.shape[-1] == data.extractors()["audio"].shape[0]


def test_a_recording_in_which_nothing_was_observed_is_told(folder):
    table = heart(folder)
    write(folder, "time,x,y\n0,,\n0.5,,\n1,,\n", "d.csv")
    examples = (
        ManifestDataSet(path=table, label="mood")
        .resolve()
        .examples(Places(folder, folder / "cache"))
    )
    assert len(examples) == 3
    assert [path.name for path in examples.unobserved] == ["d.csv"]
    assert not examples.unreadable


def test_recordings_are_read_from_their_stretch_and_channel(folder):
    data = ManifestDataSet(
        path=write(folder, STRETCHES),
        label="mood",
        features={"audio": {"name": "mfcc", "hop": 0.1}},
    ).resolve()
    examples = data.examples(Places(folder, folder / "cache"))
    audio = [e.signals["audio"] for e in examples]
    assert [a.valid.shape[1] for a in audio] == [10, 10, 10, 15]
    assert not torch.equal(audio[0].values, audio[1].values)


def test_what_cannot_be_read_is_listed_and_skipped(folder):
    (folder / "clips" / "b.wav").write_bytes(b"nothing of the kind")
    data = ManifestDataSet(path=write(folder, MOODS), label="mood", features={"audio": "mfcc"})
    places = Places(folder, folder / "cache")
    examples = data.resolve(places).examples(places)
    assert [e.clip for e in examples] == [f"mine/clips/{name}.wav" for name in "acd"]
    (bad,) = examples.unreadable
    assert bad.path.name == "b.wav"
    assert isinstance(bad.error, FormatError)
    with pytest.raises(FormatError, match=r"b\.wav"):
        data.resolve(places).examples(places, strict=True)
    for name in "acd":
        (folder / "clips" / f"{name}.wav").write_bytes(b"neither")
    with pytest.raises(InputError, match=r"none of 4 recordings can be read; the first: .*a\.wav"):
        data.resolve(places).examples(places)
