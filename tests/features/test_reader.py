"""Whole recordings through all extractors: one road, whatever is asked for beside."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from stand_ins import FaceTimes, Loudness, same

import mien
from media.make import Picture, Sound, regular, tone, wave, write
from mien.errors import (
    FormatError,
    NothingPresent,
    OptionError,
)
from mien.features.extractor import (
    create_extractor,
)
from mien.features.reader import DEFAULT_EXTRACTORS, Reader
from mien.media import Frame, Samples
from mien.missing.raw import FrameRate, WhiteNoise
from mien.schema import AUDIO, VIDEO

pytestmark = pytest.mark.usefixtures("encoders")


@pytest.fixture(scope="module")
def reader():
    with Reader() as reader:
        yield reader


@pytest.fixture(scope="module")
def clean(reader, java_clip):
    with reader.observe(java_clip) as seen:
        yield seen


def test_a_real_clip_becomes_two_series(clean):
    series = clean.main_series()
    assert series[AUDIO].values.shape == (19, 768)
    assert series[VIDEO].values.shape == (19, 264)
    assert 8 <= series[AUDIO].valid.sum() <= 17
    assert series[VIDEO].valid.sum() >= 17
    assert clean.modalities == (AUDIO, VIDEO)
    assert clean.duration == pytest.approx(3.77, abs=0.02)
    assert 0.3 < clean.voiced.mean() < 1
    assert len(clean.main_track.times) == len(clean.main_track.boxes) >= 17
    for one in series.values():
        assert np.isfinite(one.values).all()
        assert not one.values[~one.valid].any()


def test_any_part_of_a_series_can_be_read(clean):
    for name, whole in clean.main_series().items():
        values, valid = clean.read(name, clean.main_track, -5, 30)
        assert not valid[:5].any()
        assert not valid[5 + len(whole) :].any()
        np.testing.assert_array_equal(values[5 : 5 + len(whole)], whole.values)
        np.testing.assert_array_equal(
            clean.read(name, clean.main_track, 7, 9)[0], whole.values[7:9]
        )
    assert not clean.read(VIDEO, None, 0, 19)[1].any()
    assert clean.read(AUDIO, None, 0, 19)[1].any()


def test_the_second_clip_is_read_as_if_it_were_the_first(clean, java_clip, data_folder):
    with Reader() as reader:
        reader.observe(data_folder / "java_sed" / "07-01-01_01.mp4").close()
        with reader.observe(java_clip) as again:
            same(again.main_series(), clean.main_series())


def test_extract_is_a_batch_of_one_and_cuts(clean, java_clip):
    signals = mien.extract(java_clip)
    for name, one in clean.main_series().items():
        np.testing.assert_array_equal(signals[name].values[0].numpy(), one.values)
        np.testing.assert_array_equal(signals[name].valid[0].numpy(), one.valid)
    part = mien.extract(java_clip, start=1.0, end=2.0)
    for name, one in clean.main_series().items():
        np.testing.assert_array_equal(part[name].values[0].numpy(), one.values[5:10])
    for stretch in ({"start": 2.0, "end": 1.0}, {"start": 4.0}, {"start": -1.0}):
        with pytest.raises(OptionError, match="stretch"):
            mien.extract(java_clip, **stretch)


def test_a_withheld_or_lacking_modality_is_left_out(reader, java_clip, data_folder):
    assert list(mien.extract(java_clip, without=[VIDEO])) == [AUDIO]
    voice = next((data_folder / "java_sed_voice").glob("*.ogg"))
    assert list(mien.extract(voice)) == [AUDIO]
    for path, without in ((voice, [AUDIO]), (java_clip, [AUDIO, VIDEO])):
        with pytest.raises(NothingPresent):
            reader.observe(path, without=without)
    with pytest.raises(OptionError, match="did you mean video"):
        reader.observe(java_clip, without=["vidoe"])


def test_without_sound_nothing_is_heard_and_without_face_extractors_nothing_is_looked_at(
    java_clip, monkeypatch
):
    monkeypatch.setattr("mien.features.reader.load_detector", None)
    with Reader({"loudness": Loudness()}) as reader, reader.observe(java_clip) as seen:
        assert seen.modalities == ("loudness",)
        assert seen.voiced.any()
        assert not seen.tracks
    monkeypatch.setattr("mien.features.reader.ActivityNetwork", None)
    monkeypatch.undo()
    with Reader({VIDEO: FaceTimes()}) as reader:
        with reader.observe(java_clip) as seen:
            assert seen.voiced.any()
        with reader.observe(java_clip, without=[AUDIO]) as seen:
            assert not len(seen.voiced)


def test_faces_are_looked_for_at_the_smallest_hop(java_clip):
    extractors = {"fast": FaceTimes(hop=0.1), "slow": FaceTimes(hop=0.4)}
    with Reader(extractors) as reader, reader.observe(java_clip) as seen:
        fast, slow = seen.main_series().values()
    assert fast.valid.sum() >= 35
    for step in slow.valid.nonzero()[0].tolist():
        faces = fast.values[4 * step : 4 * step + 4][fast.valid[4 * step : 4 * step + 4]]
        assert slow.values[step, 0] == faces[0, 0]


def test_crops_are_pictures_of_the_face(java_clip):
    extractors = {
        "grey": create_extractor("face_crops"),
        "colour": create_extractor("face_crops", colour=True, size_px=96),
        "encoder": DEFAULT_EXTRACTORS[VIDEO],
    }
    with Reader(extractors) as reader, reader.observe(java_clip) as seen:
        series = seen.main_series()
    assert series["grey"].values.shape == (19, 1, 48, 48)
    assert series["colour"].values.shape == (19, 3, 96, 96)
    grey, colour = (series[name].values[series[name].valid] for name in ("grey", "colour"))
    assert 0 <= grey.min() < grey.max() <= 1
    weights = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # of red, green and blue
    small = np.einsum("ncyx,c->nyx", colour, weights).reshape(-1, 48, 2, 48, 2).mean((2, 4))
    assert np.abs(small - grey[:, 0]).mean() < 0.02


def test_one_channel_instead_of_the_mean(tmp_path):
    left, right = tone(1.0, 16_000), np.zeros(16_000, np.float32)
    path = tmp_path / "a.wav"
    wave(path, np.stack([left, right], axis=1).ravel(), 16_000, channels=1)
    content = bytearray(path.read_bytes())
    content[22:24] = (2).to_bytes(2, "little")  # the same samples, taken for two channels
    content[28:34] = (64_000).to_bytes(4, "little") + (4).to_bytes(2, "little")
    path.write_bytes(bytes(content))
    extractors = {AUDIO: Loudness()}
    loud = {
        channel: float(mien.extract(path, extractors, channel=channel)[AUDIO].values.mean())
        for channel in (None, 1, 2)
    }
    assert loud[1] == pytest.approx(2 * loud[None], rel=1e-3)
    assert loud[2] == 0
    for channel in (0, 3):
        with pytest.raises(
            OptionError, match=f"no channel {channel}; choose from 1 to 2"
        ) as raised:
            mien.extract(path, extractors, channel=channel)
        assert raised.value.path == str(path)


def test_sound_and_pictures_end_together(tmp_path):
    path = write(tmp_path / "a.mkv", Picture(regular(75)), Sound(tone(1.0, 44_100), codec="flac"))
    extractors = {"loudness": Loudness(), VIDEO: FaceTimes()}
    with Reader(extractors) as reader:
        with reader.observe(path) as seen:
            both = seen.main_series()
            assert {name: seen.steps(name) for name in extractors} == {"loudness": 150, VIDEO: 15}
        assert {name: len(one) for name, one in both.items()} == {"loudness": 150, VIDEO: 15}
        assert both["loudness"].valid.nonzero()[0].tolist() == list(range(50))
        assert not both[VIDEO].valid.any()
        with reader.observe(path, without=[VIDEO]) as seen:
            assert len(seen.main_series()["loudness"]) == 50


def test_a_file_of_features_is_a_modality(tmp_path, java_clip):
    path = tmp_path / "eyes.npz"
    np.savez(path, values=np.arange(60.0)[:, None], hop=0.1)
    whole = tmp_path / "whole.csv"
    whole.write_text("age,height\n31,1.7\n")
    extractors = {
        "loudness": Loudness(),
        "eyes": create_extractor("file", columns=["0"], hop=0.1),
        "person": create_extractor("file", columns=["age", "height"], hop=1.0),
    }
    with Reader(extractors) as reader:
        with reader.observe(java_clip, files={"eyes": path, "person": whole}) as seen:
            series = seen.main_series()
            assert seen.warnings == [
                "the file of eyes features ends at 6.0 s, the recording at 3.8 s"
            ]
            assert seen.read("person", None, 1, 2)[0].tolist() == [[31, np.float32(1.7)]]
        assert series["eyes"].values[:, 0].tolist() == list(range(38))
        assert series["person"].valid.tolist() == [True] * 4
        with reader.observe(java_clip) as seen:
            assert seen.modalities == ("loudness",)
        with pytest.raises(OptionError, match="loudness is not read from a file"):
            reader.observe(java_clip, files={"loudness": path})
    only = {"eyes": extractors["eyes"]}
    signals = mien.extract(java_clip, only, files={"eyes": path})
    assert signals["eyes"].values.shape == (1, 60, 1)
    with pytest.raises(NothingPresent):
        mien.extract(java_clip, only)


def test_a_degradation_reaches_what_it_should_and_no_more(reader, clean, java_clip):
    noise = partial(WhiteNoise(0), seed=1)
    with reader.observe(java_clip, through=noise) as seen:
        noisy, before = seen.main_series(), clean.main_series()
    np.testing.assert_array_equal(noisy[VIDEO].values, before[VIDEO].values)
    both = noisy[AUDIO].valid & before[AUDIO].valid
    change = np.linalg.norm((noisy[AUDIO].values - before[AUDIO].values)[both])
    assert change > 0.1 * np.linalg.norm(before[AUDIO].values[both])
    with reader.observe(java_clip, through=partial(FrameRate(1), seed=0)) as seen:
        few = seen.main_series()
    assert few[VIDEO].valid.nonzero()[0].tolist() == [0, 5, 10, 15]
    assert few[VIDEO].values.shape == before[VIDEO].values.shape
    same({AUDIO: few[AUDIO]}, {AUDIO: before[AUDIO]})


def test_an_error_of_an_extractor_ends_the_reading_and_the_next_one_works(java_clip, tmp_path):
    class Failing(Loudness):
        def extract(self, samples):
            raise ZeroDivisionError

    with Reader({AUDIO: Failing()}) as reader, pytest.raises(ZeroDivisionError):
        reader.observe(java_clip)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no recording at all" * 100)
    with Reader({AUDIO: Loudness()}) as reader:
        with pytest.raises(FormatError):
            reader.observe(broken)
        with reader.observe(java_clip) as seen:
            assert seen.main_series()[AUDIO].valid.any()


def test_nothing_to_extract_is_refused():
    with pytest.raises(OptionError, match="nothing to extract"):
        Reader({})


def test_progress_rises_to_the_end(java_clip):
    seconds = []
    with Reader({AUDIO: Loudness()}) as reader:
        reader.observe(java_clip, progress=seconds.append).close()
    assert seconds == sorted(seconds)
    assert seconds[-1] == pytest.approx(3.77, abs=0.05)


def test_the_stage_sees_frames_and_samples(java_clip):
    kinds = set()

    def stage(items):
        for item in items:
            kinds.add(type(item))
            yield item

    with Reader({AUDIO: Loudness(), VIDEO: FaceTimes()}) as reader:
        reader.observe(java_clip, through=stage).close()
    assert kinds == {Frame, Samples}
