"""What comes out of a healthy file: the right frames and sounds, at the right times."""

from __future__ import annotations

import numpy as np
import pytest

from media import make
from media.make import Picture, Sound, number_of, regular, tone, write
from mien.errors import DamagedError, FormatError, OptionError
from mien.media import Decoder, Frame, Samples


@pytest.fixture(scope="module")
def decoder():
    with Decoder() as decoder:
        yield decoder


def split(stream):
    items = list(stream)
    frames = [item for item in items if isinstance(item, Frame)]
    return frames, [item for item in items if isinstance(item, Samples)]


def onset(samples):
    """When the sound begins, on the file's time line."""
    for chunk in samples:
        loud = np.flatnonzero(np.abs(chunk.values) > 0.05)
        if len(loud):
            return chunk.time + loud[0] / 16_000
    return None


def sounding(samples):
    return sum(len(chunk.values) for chunk in samples) / 16_000


VIDEO_FILES = [
    # name, video codec, audio codec, rate, delay of all sound that the container cannot express
    ("a.mp4", "libx264", "aac", 44_100, 0.0),
    ("a.mov", "libx264", "pcm_s16le", 44_100, 0.0),
    ("a.mkv", "libx264", "libopus", 48_000, 0.0),
    ("a.webm", "libvpx-vp9", "libopus", 48_000, 0.0),
    ("a.avi", "libx264", "libmp3lame", 44_100, 0.0251),
    ("a.flv", "flv", "libmp3lame", 44_100, 0.0),
    ("a.ts", "libx264", "aac", 44_100, 0.0),
    ("a.mpg", "mpeg2video", "mp2", 44_100, 0.0),
    ("a.asf", "mpeg4", "libmp3lame", 44_100, 0.0),
]


@pytest.mark.parametrize(("name", "video", "audio", "rate_hz", "delay"), VIDEO_FILES)
def test_every_container_keeps_picture_and_sound_together(
    tmp_path, decoder, name, video, audio, rate_hz, delay
):
    sound = Sound(tone(2.0, rate_hz, onset=1.0), rate_hz, audio)
    path = write(tmp_path / name, Picture(regular(50), video), sound)
    with decoder.stream(path) as stream:
        frames, samples = split(stream)
    assert stream.warnings == []
    probe = stream.probe
    assert probe.path == str(path)
    assert (probe.video.width_px, probe.video.height_px) == (64, 48)
    if name != "a.asf":  # it does not say
        assert probe.video.rate_hz == pytest.approx(25, rel=0.01)
    assert (probe.audio.rate_hz, probe.audio.channels) == (rate_hz, 1)
    assert probe.duration == pytest.approx(2.0, abs=0.12)
    assert [number_of(frame.image) for frame in frames] == list(range(0, 50, 5))
    shift = frames[0].time
    assert [f.time - shift for f in frames] == pytest.approx([i / 5 for i in range(10)], abs=2e-3)
    assert onset(samples) - shift == pytest.approx(1.0 + delay, abs=0.004)
    assert samples[0].time == pytest.approx(0.0, abs=0.001)
    assert all(chunk.values.dtype == np.float32 for chunk in samples)
    assert all(frame.image.dtype == np.uint8 for frame in frames)


AUDIO_FILES = [
    ("a.wav", "pcm_s16le", 44_100),
    ("u8.wav", "pcm_u8", 8_000),
    ("a.mp3", "libmp3lame", 44_100),
    ("a.flac", "flac", 44_100),
    ("a.ogg", "libopus", 48_000),
    ("a.m4a", "aac", 22_050),
    ("a.aiff", "pcm_s16be", 44_100),
    ("a.caf", "pcm_s16be", 44_100),
    ("a.w64", "pcm_s16le", 44_100),
]


@pytest.mark.parametrize(("name", "codec", "rate_hz"), AUDIO_FILES)
def test_sound_alone(tmp_path, decoder, name, codec, rate_hz):
    path = write(tmp_path / name, None, Sound(tone(2.0, rate_hz, onset=1.0), rate_hz, codec))
    with decoder.stream(path) as stream:
        frames, samples = split(stream)
    assert stream.probe.video is None
    assert frames == []
    assert stream.warnings == []
    assert samples[0].time == 0
    assert onset(samples) == pytest.approx(1.0, abs=0.002)
    assert sounding(samples) == pytest.approx(2.0, abs=0.05)
    assert all(len(chunk.values) <= 16_000 for chunk in samples)
    gathered = np.concatenate([chunk.values for chunk in samples])
    assert np.abs(gathered).max() == pytest.approx(0.5, abs=0.03)


def test_samples_equal_a_direct_resampling(tmp_path, decoder):
    values = tone(3.0, 44_100, pitch_hz=700.0)
    path = make.wave(tmp_path / "tone.wav", values, 44_100)
    _, samples = split(decoder.stream(path))
    gathered = np.concatenate([chunk.values for chunk in samples])
    assert len(gathered) == 48_000
    ideal = 0.5 * np.sin(2 * np.pi * 700 * np.arange(48_000) / 16_000)
    assert np.abs(gathered - ideal)[200:-200].max() < 1e-3


@pytest.mark.parametrize("channels", [1, 2, 8])
def test_channels_are_averaged(tmp_path, decoder, channels):
    path = make.wave(tmp_path / "tone.wav", tone(1.0, 16_000), 16_000, channels)
    stream = decoder.stream(path)
    _, samples = split(stream)
    gathered = np.concatenate([chunk.values for chunk in samples])
    assert stream.probe.audio.channels == channels
    assert gathered == pytest.approx(tone(1.0, 16_000), abs=1e-3)


def test_variable_frame_rate_keeps_true_times(tmp_path, decoder):
    times = [0.0, 0.05, 0.5, 0.51, 0.52, 1.9, 2.0, 2.05]
    path = write(tmp_path / "vfr.mp4", Picture(times))
    frames, _ = split(decoder.stream(path, video_hz=10))
    assert [number_of(frame.image) for frame in frames] == [0, 2, 5, 6]
    assert [frame.time for frame in frames] == pytest.approx([0.0, 0.5, 1.9, 2.0], abs=1e-4)
    every, _ = split(decoder.stream(path, video_hz=1000))
    assert [frame.time for frame in every] == pytest.approx(times, abs=1e-4)


@pytest.mark.parametrize("name", ["late.mp4", "late.mkv"])
def test_sound_that_starts_later_stays_later(tmp_path, decoder, name):
    sound = Sound(tone(2.0, 44_100, onset=0.5), start=1.0)
    stream = decoder.stream(write(tmp_path / name, Picture(regular(75)), sound))
    frames, samples = split(stream)
    assert stream.probe.video.start == 0
    assert stream.probe.audio.start == pytest.approx(1.0, abs=0.03)
    assert frames[0].time == 0
    assert samples[0].time == pytest.approx(stream.probe.audio.start, abs=0.001)
    assert onset(samples) == pytest.approx(1.5, abs=0.004)


def test_picture_that_starts_later_keeps_its_time_without_the_sound(tmp_path, decoder):
    path = write(tmp_path / "late.mp4", Picture(regular(25, start=1.5)), Sound(tone(2.0, 44_100)))
    both, _ = split(decoder.stream(path))
    stream = decoder.stream(path, audio=False)
    alone, samples = split(stream)
    assert samples == []
    assert both[0].time == pytest.approx(1.5, abs=1e-3)
    assert [frame.time for frame in both] == [frame.time for frame in alone]
    assert stream.probe.audio is not None


def test_time_zero_is_the_earliest_start(tmp_path, decoder):
    sound = Sound(tone(2.0, 44_100, onset=1.0), codec="pcm_s16le", start=5.0)
    path = write(tmp_path / "shifted.mkv", Picture(regular(50, start=5.5)), sound)
    frames, samples = split(decoder.stream(path))
    assert samples[0].time == 0
    assert frames[0].time == pytest.approx(0.5, abs=2e-3)
    assert onset(samples) == pytest.approx(1.0, abs=2e-3)


def test_a_gap_in_the_sound_moves_what_follows(tmp_path, decoder):
    sound = Sound(tone(2.0, 44_100, onset=1.5), codec="pcm_s16le", gap_after=1.0, gap=2.0)
    _, samples = split(decoder.stream(write(tmp_path / "gap.mkv", None, sound)))
    ends = [chunk.time + len(chunk.values) / 16_000 for chunk in samples]
    gaps = [after.time - end for after, end in zip(samples[1:], ends, strict=False)]
    assert max(gaps) == pytest.approx(2.0, abs=0.002)
    assert sum(gap > 1e-6 for gap in gaps) == 1
    assert onset(samples) == pytest.approx(3.5, abs=0.002)
    assert sounding(samples) == pytest.approx(2.0, abs=0.001)


def test_jitter_in_the_stamps_is_absorbed(tmp_path, decoder):
    sound = Sound(tone(2.0, 44_100, onset=1.0), codec="pcm_s16le", jitter=(0.0, 0.01, 0.005))
    _, samples = split(decoder.stream(write(tmp_path / "jitter.mkv", None, sound)))
    ends = [chunk.time + len(chunk.values) / 16_000 for chunk in samples]
    assert [chunk.time for chunk in samples[1:]] == pytest.approx(ends[:-1], abs=1e-9)
    assert onset(samples) == pytest.approx(1.0, abs=0.002)


@pytest.mark.parametrize(
    ("matrix", "degrees", "turn"),
    [
        ((1, 0, 0, 1), 0, lambda image: image),
        ((0, 1, -1, 0), 90, lambda image: np.rot90(image, -1)),  # a phone held upright
        ((-1, 0, 0, -1), 180, lambda image: np.rot90(image, 2)),
        ((0, -1, 1, 0), 270, lambda image: np.rot90(image, 1)),
        ((-1, 0, 0, 1), 0, lambda image: image[:, ::-1]),  # a mirrored front camera
    ],
)
def test_orientation(tmp_path, decoder, matrix, degrees, turn):
    one = 1 << 16
    a, b, c, d = (value * one for value in matrix)
    picture = Picture(regular(3), matrix=(a, b, 0, c, d, 0, 0, 0, 1 << 30))
    stream = decoder.stream(write(tmp_path / "turned.mp4", picture))
    frames, _ = split(stream)
    expected = turn(make.draw(0))
    video = stream.probe.video
    assert (video.height_px, video.width_px) == expected.shape[:2]
    assert video.rotation_deg == degrees
    assert frames[0].image.shape == expected.shape
    assert np.abs(frames[0].image.astype(int) - expected).mean() < 12
    assert frames[0].image.flags.c_contiguous


def test_large_frames_are_scaled_down(tmp_path, decoder):
    path = write(tmp_path / "large.mp4", Picture(regular(3), width=640, height=360))
    frames, _ = split(decoder.stream(path, max_side_px=320))
    assert frames[0].image.shape == (180, 320, 3)
    assert number_of(frames[0].image) == 0
    assert decoder.probe(path).video.width_px == 640


@pytest.mark.parametrize(
    ("codec", "pixel_format", "name"),
    [
        ("libx264", "yuv420p", "a.mp4"),
        ("libx264", "yuv444p", "a.mkv"),
        ("libx264", "yuv420p10le", "a.mkv"),
        ("libx264", "gray", "a.mkv"),
        ("mjpeg", "yuvj420p", "a.avi"),
        ("png", "rgb24", "a.mov"),
        ("png", "rgba", "a.mov"),
        ("ffv1", "bgr0", "a.mkv"),
    ],
)
def test_colours_survive_every_pixel_format(tmp_path, decoder, codec, pixel_format, name):
    picture = Picture(regular(3), codec, pixel_format=pixel_format, tint=(30, 60, 230))
    stream = decoder.stream(write(tmp_path / name, picture))
    frames, _ = split(stream)
    corner = frames[0].image[30:46, 40:60].reshape(-1, 3).mean(axis=0)
    expected = (94, 94, 94) if pixel_format == "gray" else (30, 60, 230)
    assert corner == pytest.approx(expected, abs=14 if pixel_format == "gray" else 5)


def test_one_frame_and_a_tenth_of_a_second(tmp_path, decoder):
    frames, _ = split(decoder.stream(write(tmp_path / "one.mp4", Picture([0.0]))))
    assert [frame.time for frame in frames] == [0.0]
    short = make.wave(tmp_path / "short.wav", tone(0.1, 8_000), 8_000)
    _, samples = split(decoder.stream(short))
    assert sounding(samples) == pytest.approx(0.1)


@pytest.mark.parametrize("name", ["cover.mp3", "cover.m4a"])
def test_cover_art_is_not_video(tmp_path, decoder, name):
    codec = "libmp3lame" if name.endswith("mp3") else "aac"
    path = write(tmp_path / name, None, Sound(tone(1.0, 44_100), codec=codec), cover=True)
    stream = decoder.stream(path)
    frames, samples = split(stream)
    assert stream.probe.video is None
    assert frames == []
    assert sounding(samples) == pytest.approx(1.0, abs=0.05)


def test_only_cover_art_or_subtitles_is_no_recording(tmp_path, decoder):
    with pytest.raises(FormatError, match="neither sound nor picture"):
        decoder.probe(write(tmp_path / "cover.m4a", cover=True))
    with pytest.raises(FormatError, match="found: subtitle"):
        decoder.probe(make.subtitles_only(tmp_path / "words.mkv"))


def test_what_is_not_asked_for_does_not_come(tmp_path, decoder):
    path = write(tmp_path / "a.mp4", Picture(regular(25)), Sound(tone(1.0, 44_100)))
    frames, samples = split(decoder.stream(path, video=False))
    assert frames == []
    assert sounding(samples) == pytest.approx(1.0, abs=0.05)
    with pytest.raises(OptionError):
        decoder.stream(path, audio=False, video=False)
    for rate_hz in (0.0, float("inf"), float("nan")):
        with pytest.raises(OptionError, match="positive and finite"):
            decoder.stream(path, video_hz=rate_hz)
    silent = write(tmp_path / "silent.mp4", Picture(regular(5)))
    assert list(decoder.stream(silent, video=False)) == []
    assert decoder.probe(silent).audio is None


def test_a_cut_file_gives_its_beginning_and_a_warning(tmp_path, decoder):
    whole = write(
        tmp_path / "whole.mp4",
        Picture(regular(250), width=128, height=96),
        Sound(tone(10.0, 44_100)),
        options={"movflags": "faststart"},
    )
    data = whole.read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[: len(data) // 2])
    stream = decoder.stream(cut)
    frames, samples = split(stream)
    assert 2 < frames[-1].time < 8
    assert 2 < sounding(samples) < 8
    assert any("the file ends early" in w and "of 10.0 s" in w for w in stream.warnings)
    headless = tmp_path / "headless.mp4"
    headless.write_bytes(data[:200])
    with pytest.raises(DamagedError, match="copy or record it again"):
        decoder.probe(headless)


def test_no_warnings_before_the_end_and_iteration_stays_over(tmp_path, decoder):
    stream = decoder.stream(write(tmp_path / "one.mp4", Picture([0.0])))
    assert len(list(stream)) == 1
    assert next(stream, None) is None
    stream.close()


def test_the_same_file_gives_the_same_twice(tmp_path, decoder):
    path = write(tmp_path / "a.mp4", Picture(regular(50)), Sound(tone(2.0, 44_100)))
    data = bytearray(path.read_bytes())
    at = data.index(b"mdat")
    data[at + 2000 : at + 2300] = bytes(300)
    path.write_bytes(bytes(data))
    first, second = list(decoder.stream(path)), list(decoder.stream(path))
    assert len(first) == len(second) > 8
    assert all(type(a) is type(b) and a.time == b.time for a, b in zip(first, second, strict=True))
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(first, second, strict=True))


def test_frames_and_sound_come_interleaved(tmp_path, decoder):
    path = write(tmp_path / "a.mkv", Picture(regular(250)), Sound(tone(10.0, 44_100)))
    latest = {Frame: 0.0, Samples: 0.0}
    for item in decoder.stream(path):
        latest[type(item)] = item.time
        assert abs(latest[Frame] - latest[Samples]) < 2.0


@pytest.mark.parametrize("name", ["-i.wav", "concat:a|b", "http:x", "ünï cödé 声.wav", "a%03d.wav"])
def test_odd_names_are_plain_files(tmp_path, decoder, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    make.wave(tmp_path / name, tone(0.5, 16_000), 16_000)
    assert decoder.probe(name).duration == pytest.approx(0.5)
    assert decoder.probe(tmp_path / name).container == "wav"


def test_a_real_clip(decoder, java_clip):
    stream = decoder.stream(java_clip)
    frames, samples = split(stream)
    probe = stream.probe
    assert (probe.video.width_px, probe.video.height_px, probe.video.codec) == (360, 270, "h264")
    assert probe.audio.rate_hz == 44_100
    assert sounding(samples) == pytest.approx(probe.duration, abs=0.05)
    assert len(frames) == int(probe.duration * 5) + 1
    assert all(0 <= f.time - i / 5 < 0.034 for i, f in enumerate(frames))
    assert stream.warnings == []


def test_one_channel_is_chosen_and_another_refused(decoder, tmp_path):
    path = write(tmp_path / "a.mkv", None, Sound(tone(1.0, 16_000), 16_000, "flac", "stereo"))
    both = [item.values for item in decoder.stream(path)]
    one = [item.values for item in decoder.stream(path, channel=2)]
    np.testing.assert_array_equal(np.concatenate(one), np.concatenate(both))
    for channel in (0, 3):
        with pytest.raises(OptionError, match=f"no channel {channel}; choose from 1 to 2"):
            decoder.stream(path, channel=channel)
    assert len(list(decoder.stream(path))) == len(both)
    assert decoder.starts == 1
