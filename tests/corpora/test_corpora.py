from collections import Counter

import numpy as np
import pytest
import torch

from mien import schema
from mien.corpora import (
    RAVDESS_EMOTIONS,
    ferplus_faces,
    java_sed_clips,
    java_sed_voices,
    people,
    ravdess_clips,
    ravdess_examples,
    ravdess_faces,
    ravdess_voices,
    sfav_folds,
)
from mien.errors import FormatError, InputError
from mien.features.face_encoder import FERPLUS_EMOTIONS


def test_names_of_java_sed_say_who_and_what(tmp_path):
    for name in ("10-04-06_01.mp4", "01-02-03_01.mp4"):
        (tmp_path / name).touch()
    first, second = java_sed_clips(tmp_path)
    assert (first.person, first.emotion) == ("java_sed/01", "happiness")
    assert (second.person, second.emotion, second.corpus) == ("java_sed/10", "anger", "java_sed")


def test_names_of_ravdess_say_who_and_what(tmp_path):
    (tmp_path / "Actor_07").mkdir()
    (tmp_path / "Actor_07" / "03-01-08-02-01-02-07.ogg").touch()
    (clip,) = ravdess_voices(tmp_path)
    assert (clip.person, clip.emotion, clip.corpus) == ("ravdess/07", "surprise", "ravdess")


def test_modalities_of_ravdess_are_kept_apart(tmp_path):
    (tmp_path / "Actor_02").mkdir()
    for name in (
        "01-01-03-01-01-01-02.mp4",
        "02-01-04-01-01-01-02.mp4",
        "03-01-05-01-01-01-02.wav",
    ):
        (tmp_path / "Actor_02" / name).touch()
        (tmp_path / "Actor_02" / name.replace("-01-", "-02-", 1)).touch()  # sung, not spoken
    read = [ravdess_clips(tmp_path), ravdess_faces(tmp_path), ravdess_voices(tmp_path)]
    assert [[clip.emotion for clip in clips] for clips in read] == [
        ["happiness"],
        ["sadness"],
        ["anger"],
    ]


def test_an_empty_folder_is_a_typed_error(tmp_path):
    with pytest.raises(InputError, match="is the corpus in this folder"):
        java_sed_clips(tmp_path)


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
    assert set(Counter(clip.emotion for clip in clips).values()) == {32}
    for clip in (*clips, *voices, *speech):
        assert clip.emotion in schema.EMOTIONS


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
    with pytest.raises(InputError, match=r"train.png: is not there.*FERPlus"):
        ferplus_faces(tmp_path, "train")
    (tmp_path / "train.png").write_bytes(b"no picture")
    votes = np.ones((2, 10), np.uint8)
    np.savez(tmp_path / "train_votes.npz", votes=votes, vote_names=[*"abcdefghij"])
    with pytest.raises(FormatError, match="votes in another order"):
        ferplus_faces(tmp_path, "train")
    names = [*FERPLUS_EMOTIONS, "unknown", "not_face"]
    np.savez(tmp_path / "train_votes.npz", votes=votes, vote_names=names)
    with pytest.raises(FormatError, match="no mosaic of faces"):
        ferplus_faces(tmp_path, "train")


def test_the_faces_of_ferplus(data_folder):
    faces, shares = ferplus_faces(data_folder / "ferplus", "valid")
    assert len(faces) == len(shares) <= 3579
    assert faces.shape[1:] == (1, 48, 48)
    assert torch.allclose(shares.sum(1), torch.ones(len(shares)))
    assert (shares.max(1).values > 0).all()
