"""The whole way in Python: several people, holes in time, and what callers get."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest

import mien
from mien.errors import InputError, OptionError
from mien.recognition.recognizer import Recognizer

pytestmark = pytest.mark.usefixtures("encoders")


@pytest.fixture(scope="module")
def recognizer():
    with Recognizer() as reader:
        yield reader


def pictures(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]


def write_video(path: Path, frames: list[np.ndarray], rate_hz: int = 30) -> Path:
    height, width = (side // 2 * 2 for side in frames[0].shape[:2])
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate_hz)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number, image in enumerate(frames):
            picture = np.ascontiguousarray(image[:height, :width])
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, rate_hz)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_two_faces_are_two_people(recognizer, crema_clips, tmp_path):
    left, right = pictures(crema_clips["happiness"]), pictures(crema_clips["sadness"])
    side_by_side = [np.hstack(pair) for pair in zip(left, right, strict=False)]
    timeline = recognizer.analyze(write_video(tmp_path / "two.mp4", side_by_side))
    assert list(timeline.summary()["person"]) == ["1", "2"]
    middles = timeline.frame.groupby("person")["face_x"].mean().sort_values()
    assert middles.iloc[0] < 0.5 <= middles.iloc[1] + 0.1


def test_a_face_that_is_hidden_for_a_while_leaves_a_hole(recognizer, crema_clips, tmp_path):
    seen = pictures(crema_clips["neutral"])[:30]
    frames = seen + [np.zeros_like(seen[0])] * 45 + seen
    timeline = recognizer.analyze(write_video(tmp_path / "hidden.mp4", frames))
    assert timeline.frame["person"].unique().tolist() == ["1"]
    assert timeline.frame["video"].tolist() == [True, True, False, False, False, True, True]
    hole = timeline.frame[~timeline.frame["video"]]
    assert hole["emotion"].isna().all()
    assert hole.filter(regex="^(p_|face_|arousal|valence)").isna().all(axis=None)


def test_rows_tile_the_recording(recognizer, crema_clips):
    frame = recognizer.analyze(crema_clips["fear"]).frame
    assert frame["start"].iloc[0] == 0
    assert (frame["start"].to_numpy()[1:] == frame["end"].to_numpy()[:-1]).all()
    assert frame["end"].iloc[-1] == pytest.approx(2.4, abs=0.5)


def test_withholding_equals_not_having_it(recognizer, crema_clips, tmp_path):
    silent = write_video(tmp_path / "silent.mp4", pictures(crema_clips["anger"]))
    loud = tmp_path / "loud.mp4"
    with av.open(str(silent)) as source, av.open(str(loud), "w") as target:
        video = target.add_stream_from_template(source.streams.video[0])
        sound = target.add_stream("aac", rate=16_000, layout="mono")
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = video
                target.mux(packet)
        noise = np.random.default_rng(0).normal(0, 0.1, (1, 32_000)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(noise, format="fltp", layout="mono")
        frame.rate, frame.pts = 16_000, 0
        for part in (frame, None):
            target.mux(sound.encode(part))
    withheld = recognizer.analyze(loud, without=("audio",)).frame.drop(columns="file")
    never_there = recognizer.analyze(silent).frame.drop(columns="file")
    pd.testing.assert_frame_equal(withheld, never_there)


def test_the_front_function_gives_one_timeline_for_several_files(crema_clips):
    timeline = mien.analyze([crema_clips["anger"], crema_clips["fear"]], without=["video"], hop=1.0)
    assert timeline.frame["file"].nunique() == 2
    assert not timeline.frame["video"].any()
    assert timeline.metadata.hop == 1.0


def test_the_front_function_raises_for_a_bad_file(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        mien.analyze(tmp_path / "nothing.mp4")


def test_a_batch_yields_an_outcome_for_each_file(recognizer, crema_clips, tmp_path):
    paths = [tmp_path / "nothing.mp4", crema_clips["disgust"]]
    bad, good = recognizer.analyze_all(paths, without=["video"])
    assert isinstance(bad.error, InputError)
    assert bad.timeline is None
    assert good.error is None
    assert good.timeline.metadata.model == "linear_probe"


def test_a_short_baseline_is_noted(crema_clips):
    with Recognizer(baseline=True) as reader:
        timeline = reader.analyze(crema_clips["anger"], without=["video"])
    (notes,) = timeline.metadata.recordings.values()
    assert any("personal baseline rests on" in text for text in notes.warnings)


@pytest.mark.parametrize("options", [{"hop": 0.0}, {"window": -1.0}, {"face_hz": 1000.0}])
def test_senseless_options_are_refused_at_once(options):
    with pytest.raises(OptionError):
        Recognizer(**options)


def test_an_unknown_model_is_refused():
    with pytest.raises(OptionError, match="no weights are called nonsense"):
        Recognizer("nonsense")


def test_progress_is_told_in_seconds(recognizer, crema_clips):
    told = []
    recognizer.analyze(crema_clips["sadness"], without=["video"], progress=told.append)
    assert told == sorted(told)
    assert told[-1] > 1.5
