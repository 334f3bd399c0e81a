from collections import Counter

import numpy as np
import pytest
import torch

from mien import schema
from mien.datasets import sfav_folds
from mien.datasets.ferplus import ferplus_faces
from mien.datasets.java_sed import java_sed_clips, java_sed_voices
from mien.datasets.ravdess import (
    RAVDESS_EMOTIONS,
    ravdess_clips,
    ravdess_examples,
    ravdess_voices,
)
from mien.errors import FormatError, InputError, OptionError
from mien.features.face_encoder import FERPLUS_EMOTIONS


def people(clips):
    return {clip.person for clip in clips}


def test_names_of_java_sed_say_who_and_what(tmp_path):
    for name in ("10-04-06_01.mp4", "01-02-03_01.mp4"):
        (tmp_path / name).touch()
    first, second = java_sed_clips(tmp_path)
    assert (first.person, first.label) == ("java_sed/01", "happiness")
    assert (second.person, second.label, second.corpus) == ("java_sed/10", "anger", "java_sed")


def test_names_of_ravdess_say_who_and_what(tmp_path):
    (tmp_path / "Actor_07").mkdir()
    (tmp_path / "Actor_07" / "03-01-08-02-01-02-07.ogg").touch()
    (clip,) = ravdess_voices(tmp_path)
    assert (clip.person, clip.label, clip.corpus) == ("ravdess/07", "surprise", "ravdess")


def test_modalities_of_ravdess_are_kept_apart(tmp_path):
    (tmp_path / "Actor_02").mkdir()
    for name in (
        "01-01-03-01-01-01-02.mp4",
        "02-01-04-01-01-01-02.mp4",
        "03-01-05-01-01-01-02.wav",
    ):
        (tmp_path / "Actor_02" / name).touch()
        (tmp_path / "Actor_02" / name.replace("-01-", "-02-", 1)).touch()  # sung, not spoken
    read = [ravdess_clips(tmp_path), ravdess_voices(tmp_path)]
    assert [[clip.label for clip in clips] for clips in read] == [
        ["happiness"],
        ["anger"],
    ]


def test_an_empty_folder_is_a_typed_error(tmp_path):
    with pytest.raises(InputError, match=r"in this folder\? Java-SED.*2black0/video-emotion"):
        java_sed_clips(tmp_path)
    with pytest.raises(InputError, match=r"in this folder\? Java-SED.*2black0/sound-emotion"):
        java_sed_voices(tmp_path)


def test_voices_of_java_sed_are_read_as_published_without_those_of_the_clips(tmp_path):
    for name in ("05-01-01_01.wav", "05-01-01_02.wav", "05-01-02_07.wav"):
        (tmp_path / name).touch()
    assert [c.path.name for c in java_sed_voices(tmp_path)] == [
        "05-01-01_02.wav",
        "05-01-02_07.wav",
    ]


def test_features_of_ravdess_that_are_not_there_are_not_looked_for_in_ravdess(tmp_path):
    with pytest.raises(InputError, match=r"no part of RAVDESS: make it .*OpenFace.*name: ravdess"):
        ravdess_examples(tmp_path / "au_mfcc.npz")


def test_an_empty_folder_says_where_the_corpus_is(tmp_path):
    with pytest.raises(InputError, match=r"Actor_\*/01-01-\*.*zenodo.org/records/1188976"):
        ravdess_clips(tmp_path)


def test_an_emotion_that_the_corpus_does_not_have_is_a_typed_error(tmp_path):
    (tmp_path / "01-01-09_02.ogg").touch()
    with pytest.raises(InputError, match="emotion code 09"):
        java_sed_voices(tmp_path)


def test_the_corpora_are_whole_and_balanced(data_folder):
    clips = java_sed_clips(data_folder / "java_sed")
    voices = java_sed_voices(data_folder / "java_sed_voice")
    speech = ravdess_voices(data_folder / "ravdess_audio")
    assert (len(clips), len(voices), len(speech)) == (192, 1152, 1440)
    assert (len(people(clips)), len(people(speech))) == (8, 24)
    assert people(clips) == people(voices)
    assert set(Counter(clip.label for clip in clips).values()) == {32}
    for clip in (*clips, *voices, *speech):
        assert clip.label in schema.EMOTIONS


def test_the_features_of_ravdess_are_one_step_of_each_modality(data_folder):
    examples = ravdess_examples(data_folder / "ravdess_features" / "au_mfcc.npz")
    assert len(examples) == 1440
    assert Counter(e.target.item() for e in examples) == {
        index: 96 if emotion == "neutral" else 192 for index, emotion in enumerate(RAVDESS_EMOTIONS)
    }
    by_clip = {e.clip: e for e in examples}
    angry = by_clip["ravdess/01-01-05-01-01-01-07"]
    assert (angry.person, RAVDESS_EMOTIONS[angry.target]) == ("ravdess/07", "anger")
    assert angry.signals["video"].values.shape == (1, 1, 35)
    assert angry.signals["audio"].values.shape == (1, 1, 259)
    assert all(e.signals[m].valid.all() for e in examples for m in ("audio", "video"))
    for fold in sfav_folds():
        assert [len(part) for part in fold.divide(examples)] == [960, 240, 240]


def test_faces_of_ferplus_that_are_not_there_are_named(tmp_path):
    missing = r"neither fer2013new.csv and fer2013.csv nor train.png.*microsoft/FERPlus.*kaggle.com"
    with pytest.raises(InputError, match=missing):
        ferplus_faces(tmp_path, "train")
    with pytest.raises(OptionError, match="no part dev; one of train, valid, test"):
        ferplus_faces(tmp_path, "dev")
    (tmp_path / "train.png").write_bytes(b"no picture")
    votes = np.ones((2, 10), np.uint8)
    np.savez(tmp_path / "train_votes.npz", votes=votes, vote_names=[*"abcdefghij"])
    with pytest.raises(FormatError, match="votes in another order"):
        ferplus_faces(tmp_path, "train")
    names = [*FERPLUS_EMOTIONS, "unknown", "not_face"]
    np.savez(tmp_path / "train_votes.npz", votes=votes, vote_names=names)
    with pytest.raises(FormatError, match="no mosaic of faces"):
        ferplus_faces(tmp_path, "train")


USAGES = ("Training", "Training", "PublicTest", "Training", "PrivateTest")
VOTED = """\
Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF
Training,fer0000000.png,4,0,0,1,3,2,0,0,0,0
Training,,0,0,0,0,0,0,0,0,0,10
PublicTest,fer0028638.png,0,8,0,0,0,0,0,0,2,0
Training,fer0000003.png,0,0,1,0,0,0,0,0,9,0
PrivateTest,fer0032220.png,0,0,0,0,0,0,0,10,0,0
"""


@pytest.fixture
def published(tmp_path):
    """Five images, each a slope of grey that begins at its row's number."""
    (tmp_path / "fer2013new.csv").write_text(VOTED)
    rows = [
        f"0,{' '.join(str((number + pixel) % 256) for pixel in range(48 * 48))},{usage}"
        for number, usage in enumerate(USAGES)
    ]
    (tmp_path / "fer2013.csv").write_text("\n".join(["emotion,pixels,Usage", *rows]) + "\n")
    return tmp_path


def test_ferplus_is_read_as_published(published):
    faces, shares = ferplus_faces(published, "train")
    assert (faces.shape, faces.dtype) == ((1, 1, 48, 48), torch.uint8)
    assert faces[0, 0, 0, :3].tolist() == [0, 1, 2]
    assert faces[0, 0, 1, 0] == 48
    assert shares.tolist() == [pytest.approx([0.4, 0, 0, 0.1, 0.3, 0.2, 0, 0])]
    faces, shares = ferplus_faces(published, "valid")
    assert (int(faces[0, 0, 0, 0]), shares.argmax(1).tolist(), float(shares.max())) == (2, [1], 1)
    faces, shares = ferplus_faces(published, "test")
    assert (int(faces[0, 0, 0, 0]), shares.argmax(1).tolist()) == (4, [7])


def test_the_other_table_of_kaggle_is_read_as_well(published):
    text = (published / "fer2013.csv").read_text()
    (published / "fer2013.csv").unlink()
    with pytest.raises(InputError, match=r"holds no fer2013.csv or icml_face_data.csv.*kaggle"):
        ferplus_faces(published, "train")
    head, rows = text.split("\n", 1)
    moved = [f"{e}, {usage}, {p}" for e, p, usage in (r.split(",") for r in rows.splitlines())]
    assert head == "emotion,pixels,Usage"
    text = "\n".join(["emotion, Usage, pixels", *moved])
    (published / "icml_face_data.csv").write_text(text)
    assert ferplus_faces(published, "test")[0][0, 0, 0, 0] == 4
    (published / "fer2013new.csv").unlink()
    with pytest.raises(InputError, match=r"fer2013new.csv: is not there.*microsoft/FERPlus"):
        ferplus_faces(published, "train")


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("fer2013new.csv", "contempt", "scorn", "has no column contempt"),
        ("fer2013new.csv", "png,4", "png,four", "votes that are no numbers"),
        ("fer2013new.csv", "PrivateTest", "Training", "not the rows of fer2013new.csv"),
        ("fer2013.csv", "0,0 1 2", "0,0 1", "row 2, column pixels: is not 48 x 48"),
        ("fer2013.csv", "0,0 1 2", "0,0 1 256", "row 2, column pixels: is not 48 x 48"),
        ("fer2013.csv", "0,0 1 2", "0,0 1 x", "row 2, column pixels: is not 48 x 48"),
    ],
)
def test_what_is_wrong_in_the_tables_of_ferplus_is_named(published, file, old, new, message):
    whole = (published / file).read_text()
    assert old in whole
    (published / file).write_text(whole.replace(old, new, 1))
    with pytest.raises(FormatError, match=message):
        ferplus_faces(published, "train")


def test_a_part_of_ferplus_without_images_is_named(published):
    for name in ("fer2013new.csv", "fer2013.csv"):
        path = published / name
        kept = [line for line in path.read_text().splitlines() if "PublicTest" not in line]
        path.write_text("\n".join(kept) + "\n")
    with pytest.raises(FormatError, match="names no image of PublicTest"):
        ferplus_faces(published, "valid")


def test_the_faces_of_ferplus(data_folder):
    faces, shares = ferplus_faces(data_folder / "ferplus", "valid")
    assert len(faces) == len(shares) <= 3579
    assert faces.shape[1:] == (1, 48, 48)
    assert torch.allclose(shares.sum(1), torch.ones(len(shares)))
    assert (shares.max(1).values > 0).all()
