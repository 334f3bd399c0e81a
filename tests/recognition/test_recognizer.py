"""The whole way in Python: any model, several people, holes in time, files of features, batches."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest
import torch
from tiny_models import LEVELS, MOODS, quick_extractors, train_tiny

import mien
from mien.card import Card
from mien.datasets import PublishedFeatures
from mien.errors import FormatError, InputError, ModelFileError, OptionError
from mien.features.extractor import create_extractor
from mien.features.files import FeatureFile
from mien.models import Task
from mien.recognition.recognizer import Recognizer
from mien.standardisation import PersonOffset

pytestmark = pytest.mark.usefixtures("encoders")

BODY = FeatureFile(columns=("skin", "pulse"), hop=0.5)


@pytest.fixture(scope="module")
def tiny():
    return train_tiny()


@pytest.fixture(scope="module")
def recognizer(tiny):
    with Recognizer(tiny) as reader:
        yield reader


@pytest.fixture(scope="module")
def personal():
    return train_tiny(offset="person")


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


def write_body(path: Path, rows: int = 8, columns=BODY.columns) -> Path:
    table = pd.DataFrame({"time": np.arange(rows) * 0.5})
    for number, name in enumerate(columns):
        table[name] = np.arange(rows) * 0.3 + number
    table.to_csv(path, index=False)
    return path


# What a model says, in its own words.


def test_labels_are_the_model_s_own(recognizer, java_clip):
    frame = recognizer.analyze(java_clip).frame
    assert {"p_glad", "p_so-so", "p_très sad"} <= {*frame.columns}
    assert not {"arousal", "valence"} & {*frame.columns}
    assert set(frame["emotion"].dropna()) <= {*MOODS.names}


def test_arousal_and_valence_are_derived_where_all_labels_are_known_words(java_clip):
    model = train_tiny(task=Task.emotions(("anger", "sadness")))
    timeline = mien.analyze(java_clip, model=model, without=["audio"])
    assert timeline.metadata.dimensions["arousal"].derived
    assert timeline.frame["valence"].between(-0.63, -0.51).all()


def test_dimensions_have_their_names_ranges_and_source(java_clip):
    source = "learned from acted categories"
    model = train_tiny(task=LEVELS, card=Card(dimensions_source=source))
    timeline = mien.analyze(java_clip, model=model)
    assert "emotion" not in timeline.frame.columns
    mood = timeline.metadata.dimensions["mood"]
    assert (mood.low, mood.high, mood.source) == (1.0, 7.0, source)
    assert timeline.frame[["stress", "mood"]].notna().all(axis=None)


def test_a_model_per_frame_reads_the_whole_recording(java_clip):
    model = train_tiny(task=Task("categories", ("up", "down"), "frame"), window=None)
    timeline = mien.analyze(java_clip, model=model)
    assert (timeline.metadata.per, timeline.metadata.window) == ("frame", None)
    said = model.predict(mien.extract(java_clip, model.extractors)).probabilities()[0].double()
    for row in (0, 3, len(timeline.frame) - 1):
        start, end = timeline.frame.loc[row, ["start", "end"]]
        middles = (torch.arange(len(said)) + 0.5) * 0.1
        mean = said[(middles >= start) & (middles < end)].mean(dim=0)
        found = np.array(timeline.frame.loc[row, ["p_up", "p_down"]], dtype=float)
        torch.testing.assert_close(torch.from_numpy(found), mean, rtol=0, atol=1e-12)


def test_frames_longer_than_a_step_hold_for_all_their_steps(java_clip):
    extractors = {"audio": create_extractor("mfcc", hop=1.0)}
    model = train_tiny(task=Task("dimensions", ("stress",), "frame"), extractors=extractors)
    frame = mien.analyze(java_clip, model=model, hop=0.25).frame
    heard = frame[frame["audio"]]
    assert heard["stress"].notna().all()
    assert (heard.groupby(heard["start"].astype(int))["stress"].nunique() == 1).all()


def test_a_window_is_for_models_per_clip_alone(tiny, java_clip):
    frames = train_tiny(task=Task("dimensions", ("stress",), "frame"))
    with pytest.raises(OptionError, match="reads whole recordings, so it has no window"):
        Recognizer(frames, window=2.0)
    short = mien.analyze(java_clip, model=tiny, window=1.0)
    assert short.metadata.window == 1.0
    whole = mien.analyze(java_clip, model=tiny)
    assert not np.array_equal(short.frame["p_glad"], whole.frame["p_glad"], equal_nan=True)


def test_a_model_that_says_no_number_is_an_error_of_the_model(java_clip):
    model = train_tiny()
    with torch.no_grad():
        next(model.model.parameters()).fill_(float("nan"))
    with pytest.raises(ModelFileError, match="tiny_concat answered with numbers"):
        mien.analyze(java_clip, model=model, without=["video"])


# Who and when.


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
    assert hole.filter(regex="^(p_|face_)").isna().all(axis=None)


def test_rows_tile_the_recording(recognizer, java_clip):
    timeline = recognizer.analyze(java_clip)
    start, end = timeline.frame["start"].to_numpy(), timeline.frame["end"].to_numpy()
    assert start[0] == 0
    assert (start[1:] == end[:-1]).all()
    assert end[-1] == timeline.metadata.recordings[str(java_clip)].duration


def test_withholding_equals_not_having_it(recognizer, java_clip, tmp_path):
    silent = write_video(tmp_path / "silent.mp4", pictures(java_clip)[:60])
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


# A person's offset.


def test_without_a_baseline_a_person_s_offset_is_that_of_the_recording(personal, java_clip):
    frame = mien.analyze(java_clip, model=personal, without=["video"]).frame
    signals = mien.extract(java_clip, personal.extractors, without=["video"])
    offset = PersonOffset()
    offset.add(signals)
    audio = signals["audio"]
    window = replace(audio, values=audio.values[:, 0:28], valid=audio.valid[:, 0:28])
    said = personal.predict({"audio": window}, offset).probabilities()[0]  # from -0.25 to 2.75 s
    found = frame.loc[2, ["p_glad", "p_so-so", "p_très sad"]].to_numpy(float)
    np.testing.assert_allclose(found, said.double(), rtol=1e-4)
    assert not mien.analyze(java_clip, model=personal).metadata.baseline


def test_a_baseline_is_taken_over_all_recordings_of_a_call(personal, java_clip, data_folder):
    other = data_folder / "java_sed" / "01-01-04_01.mp4"
    with Recognizer(personal, baseline=True) as reader:
        alone = reader.analyze(java_clip, without=["video"])
        first, second = reader.analyze_all([java_clip, other], without=["video"])
    assert first.timeline.metadata.baseline
    assert second.timeline is not None
    assert not first.timeline.frame.equals(alone.frame)
    for timeline in (alone, first.timeline):
        (notes,) = timeline.metadata.recordings.values()
        assert any("personal baseline rests on" in text for text in notes.warnings)


def test_a_baseline_needs_a_model_that_takes_offsets_off(tiny):
    with pytest.raises(OptionError, match="tiny_concat knows no personal baseline"):
        Recognizer(tiny, baseline=True)


def test_a_bad_file_does_not_spoil_a_baseline(personal, java_clip, tmp_path):
    with Recognizer(personal, baseline=True) as reader:
        bad, good = reader.analyze_all([tmp_path / "no.mp4", java_clip], without=["video"])
    assert isinstance(bad.error, InputError)
    assert good.timeline is not None


# Files of features.


@pytest.fixture(scope="module")
def embodied():
    return train_tiny("linear_probe", extractors={**quick_extractors(), "body": BODY})


@pytest.fixture(scope="module")
def bodily():
    return train_tiny(extractors={"body": BODY})


def test_a_template_names_the_file_of_each_recording(embodied, java_clip, tmp_path):
    write_body(tmp_path / f"{java_clip.stem}.csv")
    template = str(tmp_path / "{stem}.csv")
    timeline = mien.analyze(java_clip, model=embodied, features={"body": template})
    assert timeline.frame["body"].all()
    assert "body" in timeline.metadata.recordings[str(java_clip)].modalities
    without = mien.analyze(java_clip, model=embodied)
    assert not without.frame["body"].any()
    (notes,) = without.metadata.recordings.values()
    assert "body" not in notes.modalities
    assert notes.warnings == ("no file of body features was given",)


def test_recordings_may_be_files_of_features_alone(bodily, tmp_path):
    path = write_body(tmp_path / "talk {0}.csv", rows=6)
    timeline = mien.analyze(path, model=bodily, features={"body": "{name}"})
    assert timeline.frame["end"].iloc[-1] == 3.0
    assert timeline.frame["body"].all()
    beside = mien.analyze(tmp_path / "talk {0}.mp4", model=bodily, features={"body": "{stem}.csv"})
    assert beside.frame["p_glad"].equals(timeline.frame["p_glad"])


def test_a_file_that_is_not_there_or_holds_something_else_is_named(bodily, tmp_path):
    write_body(tmp_path / "b.csv", columns=("skin", "sweat"))
    good = write_body(tmp_path / "c.csv")
    with Recognizer(bodily, features={"body": "{stem}.csv"}) as reader:
        lost, other, fine = reader.analyze_all([tmp_path / "a.mp4", tmp_path / "b.mp4", good])
    assert isinstance(lost.error, InputError)
    assert str(tmp_path / "a.csv") in str(lost.error)
    assert isinstance(other.error, FormatError)
    assert "sweat" in str(other.error)
    assert fine.timeline is not None


def test_a_file_for_a_modality_that_reads_none_is_refused(tiny, embodied):
    with pytest.raises(OptionError, match="takes no file of audio features; leave it out"):
        Recognizer(tiny, features={"audio": "a.csv"})
    with pytest.raises(OptionError, match="takes no file of boby features; did you mean body"):
        Recognizer(embodied, features={"boby": "a.csv"})


def test_a_model_of_files_alone_says_that_it_needs_them(bodily):
    with pytest.raises(OptionError, match=r"trained on files of features.*--features body="):
        Recognizer(bodily)


def test_a_model_of_published_features_says_whose_and_reads_files_of_as_many(tmp_path):
    model = train_tiny(extractors={"audio": PublishedFeatures("mosei", 2, 0.5)})
    with pytest.raises(OptionError, match="that mosei gives out, which cannot be computed"):
        Recognizer(model)
    path = write_body(tmp_path / "a.csv")
    timeline = mien.analyze(path, model=model, features={"audio": "{name}"})
    assert timeline.frame["audio"].all()
    wide = write_body(tmp_path / "b.csv", columns=("a", "b", "c"))
    with pytest.raises(FormatError, match="holds 3 features, mosei gives 2"):
        mien.analyze(wide, model=model, features={"audio": "{name}"})


# Calls.


def test_the_front_function_gives_one_timeline_for_several_files(tiny, data_folder):
    clips = [data_folder / "java_sed" / f"01-01-0{n}_01.mp4" for n in (1, 2)]
    timeline = mien.analyze(clips, model=tiny, without=["video"], hop=1.0)
    assert timeline.frame["file"].nunique() == 2
    assert not timeline.frame["video"].any()
    assert (timeline.metadata.hop, timeline.metadata.model) == (1.0, "tiny_concat")


def test_the_front_function_raises_for_a_bad_file(tiny, tmp_path):
    with pytest.raises(InputError, match="no such file"):
        mien.analyze(tmp_path / "nothing.mp4", model=tiny)


def test_a_batch_yields_an_analysis_for_each_file(recognizer, java_clip, tmp_path):
    (tmp_path / "words.mp4").write_text("no recording")
    paths = [tmp_path / "nothing.mp4", tmp_path / "words.mp4", java_clip]
    lost, bad, good = recognizer.analyze_all(paths, without=["video"])
    assert isinstance(lost.error, InputError)
    assert isinstance(bad.error, mien.MienError)
    assert lost.timeline is bad.timeline is good.error is None
    assert [analysis.path for analysis in (lost, bad, good)] == paths


@pytest.mark.parametrize(
    ("without", "text"),
    [(["vidoe"], "did you mean video"), ("audio,video", "audio"), (["audio", "video"], "nothing")],
)
def test_what_cannot_be_withheld_is_named(recognizer, java_clip, without, text):
    with pytest.raises(OptionError, match=text):
        recognizer.analyze(java_clip, without=without)


@pytest.mark.parametrize("options", [{"hop": 0.0}, {"window": -1.0}, {"window": 0.0}, {"hop": 1e9}])
def test_senseless_options_are_refused_at_once(tiny, options):
    with pytest.raises(OptionError, match="give a number"):
        Recognizer(tiny, **options)


def test_a_step_longer_than_the_model_s_window_widens_it(tiny):
    assert Recognizer(tiny, hop=5.0).grid.window == 5.0


def test_an_unknown_model_is_refused():
    with pytest.raises(OptionError, match="no trained model is called 'nonsense'"):
        Recognizer("nonsense")


def test_progress_is_told_in_seconds(recognizer, java_clip):
    told = []
    recognizer.analyze(java_clip, without=["video"], progress=told.append)
    assert told == sorted(told)
    assert told[-1] > 1.5
