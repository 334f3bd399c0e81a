from collections import Counter

import pytest

from mien import schema
from mien.corpora import java_sed_clips, java_sed_voices, people, ravdess_voices
from mien.errors import InputError


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


def test_an_empty_folder_is_a_typed_error(tmp_path):
    with pytest.raises(InputError, match="is the corpus in this folder"):
        java_sed_clips(tmp_path)


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
