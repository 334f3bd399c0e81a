"""The small parts: choosing frames, turning them, keeping the sound's clock, and the messages."""

from __future__ import annotations

import math
import os
import struct
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.errors import DamagedError
from mien.media import Decoder
from mien.media.messages import FRAME, HEADER, SAMPLES, MessageHeader, from_bytes, write_all
from mien.media.pictures import Orientation, Ticks, compute_shown_size
from mien.media.sound import Clock, mix_channels
from mien.stream import Frame, Samples

times = st.lists(st.floats(0, 20, allow_nan=False), min_size=1, max_size=60, unique=True)
rates = st.sampled_from([1.0, 5.0, 7.3, 25.0, 29.97])


@given(times, rates)
def test_one_frame_per_tick_and_none_missed(stamps, rate_hz):
    ticks = Ticks(rate_hz)
    chosen = [time for time in sorted(stamps) if ticks.wants(time)]
    cells = [math.floor(time * rate_hz + 1e-6) for time in chosen]
    assert len(set(cells)) == len(cells)
    assert set(cells) == {math.floor(time * rate_hz + 1e-6) for time in stamps}
    for time, cell in zip(chosen, cells, strict=True):
        earlier = [s for s in stamps if math.floor(s * rate_hz + 1e-6) == cell and s < time]
        assert not earlier
    assert ticks.behind == 0


@given(times.flatmap(st.permutations), rates)
def test_what_may_be_skipped_is_never_chosen(order, rate_hz):
    packets, frames = Ticks(rate_hz), Ticks(rate_hz)
    decoded = [time for time in order if packets.may_want(time)]
    with_all, with_fewer = Ticks(rate_hz), frames
    assert [t for t in sorted(order) if with_all.wants(t)] == [
        t for t in sorted(decoded) if with_fewer.wants(t)
    ]


def test_ticks_are_not_lost_to_rounding():
    ticks = Ticks(5.0)
    assert [ticks.wants(index / 5) for index in range(1000)] == [True] * 1000


def test_stamps_that_go_back_are_counted():
    ticks = Ticks(5.0)
    assert [ticks.wants(time) for time in (0.0, 1.0, 0.4, 1.1, 1.2)] == [
        True,
        True,
        False,
        False,
        True,
    ]
    assert ticks.behind == 1


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("mirror_x", [False, True])
@pytest.mark.parametrize("mirror_y", [False, True])
def test_orientation_turns_by_what_it_says(transpose, mirror_x, mirror_y):
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    turned = Orientation(transpose, mirror_x, mirror_y)
    shown = turned.apply(image)
    is_mirrored = transpose ^ mirror_x ^ mirror_y
    stored = image[:, ::-1] if is_mirrored else image
    assert np.array_equal(shown, np.rot90(stored, -turned.rotation_deg // 90))


@pytest.mark.parametrize(
    ("aspect", "size"),
    [(None, (720, 576)), (Fraction(16, 15), (768, 576)), (Fraction(1, 500), (720, 576))],
)
def test_pixels_are_made_square(aspect, size):
    assert compute_shown_size(720, 576, aspect) == size


def sound(values, rate_hz=16_000, sample_format="fltp", layout="mono"):
    frame = av.AudioFrame.from_ndarray(values, sample_format, layout)
    frame.sample_rate = rate_hz
    return frame


@pytest.mark.parametrize(
    ("sample_format", "dtype", "value"),
    [
        ("u8", np.uint8, 192),
        ("s16", np.int16, 1 << 14),
        ("s32", np.int32, 1 << 30),
        ("flt", np.float32, 0.5),
        ("dbl", np.float64, 0.5),
    ],
)
def test_every_sample_format_is_scaled(sample_format, dtype, value):
    quiet = {"u8": 128}.get(sample_format, 0)
    packed = np.array([[value, quiet] * 10], dtype)
    planar = np.array([[value] * 10, [quiet] * 10], dtype)
    for frame in (
        sound(packed, 8_000, sample_format, "stereo"),
        sound(planar, 8_000, sample_format + "p", "stereo"),
    ):
        assert mix_channels(frame) == pytest.approx([0.25] * 10)
        assert mix_channels(frame, 1) == pytest.approx([0.5] * 10)
        assert mix_channels(frame, 2) == pytest.approx([0] * 10)
        with pytest.raises(DamagedError, match="no channel 3 all the way"):
            mix_channels(frame, 3)


def test_64_bit_samples(tmp_path):
    """PyAV cannot build such a frame from an array, so it has to come from a file."""
    values = np.repeat(np.array([[1 << 62, 0]], "<i8"), 4000, axis=0).tobytes()
    layout = struct.pack("<HHIIHH", 1, 2, 8_000, 128_000, 16, 64)
    body = b"WAVEfmt " + struct.pack("<I", 16) + layout + b"data" + struct.pack("<I", len(values))
    (tmp_path / "a.wav").write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body + values)
    with Decoder() as decoder:
        chunks = list(decoder.stream(tmp_path / "a.wav"))
    assert chunks[0].values[2000:6000] == pytest.approx(0.25, abs=1e-3)


def test_sound_beyond_belief_stays_in_range():
    values = np.array([[np.nan, np.inf, -np.inf, 7.0]], np.float32)
    assert mix_channels(sound(values)).tolist() == [0.0, 1.0, -1.0, 1.0]


@given(
    st.lists(
        st.tuples(st.integers(1, 3000), st.floats(-0.3, 0.3), st.sampled_from([8_000, 16_000])),
        min_size=1,
        max_size=12,
    )
)
def test_the_clock_never_overlaps_and_never_strays(pieces):
    clock, given_out, due = Clock(), [], 0.0
    for count, error, rate_hz in pieces:
        frame = sound(np.full((1, count), 0.5, np.float32), rate_hz)
        given_out += clock.push(frame, due + error)
        assert clock.end >= due + error - 0.05
        due = clock.end
    given_out += clock.finish()
    ends = [chunk.time + len(chunk.values) / 16_000 for chunk in given_out]
    for chunk, end in zip(given_out[1:], ends, strict=False):
        assert chunk.time >= end - 1.5 / 16_000
    assert all(chunk.time >= 0 for chunk in given_out)
    assert all(np.abs(chunk.values).max() <= 1 for chunk in given_out)


def test_an_hour_of_slightly_fast_stamps_does_not_drift():
    """A recorder whose clock is 100 ppm off the sound card's: 0.36 s in an hour."""
    clock, second = Clock(), np.zeros((1, 8_000), np.float32)
    for index in range(3600):
        stamp = index * 1.0001
        for chunk in clock.push(sound(second, 8_000), stamp):
            assert chunk.time <= stamp + 1.0
        assert abs(clock.end - (stamp + 1)) < 0.051


def test_messages_survive_the_pipe():
    read, write = os.pipe()
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    header = MessageHeader(FRAME, 1.5, 2, 4, image.size)
    write_all(write, (header.pack(), image.data))
    got = MessageHeader.unpack(os.read(read, HEADER.size), max_pixels=8)
    frame = from_bytes(got, np.frombuffer(os.read(read, 24), np.uint8), "x")
    assert isinstance(frame, Frame)
    assert frame.time == 1.5
    assert np.array_equal(frame.image, image)
    values = np.linspace(-1, 1, 9, dtype=np.float32)
    samples = from_bytes(MessageHeader(SAMPLES, 2.0, 0, 0, 36), values.view(np.uint8), "x")
    assert isinstance(samples, Samples)
    assert np.array_equal(samples.values, values)
    os.close(read)
    os.close(write)


@pytest.mark.parametrize(
    "header",
    [
        MessageHeader(FRAME, 0.0, 3, 3, 27),  # more pixels than allowed
        MessageHeader(FRAME, 0.0, 2, 2, 11),
        MessageHeader(FRAME, math.nan, 2, 2, 12),
        MessageHeader(SAMPLES, math.inf, 0, 0, 4),
        MessageHeader(SAMPLES, 0.0, 0, 0, 1 << 40),
        MessageHeader(b"?", 0.0, 0, 0, 0),
        MessageHeader(b"P", 0.0, 0, 0, 1 << 30),
        MessageHeader(b"A", 0.0, 0, 0, 1),
    ],
)
def test_messages_that_make_no_sense_are_refused(header):
    with pytest.raises(ValueError, match="makes no sense"):
        MessageHeader.unpack(header.pack(), max_pixels=8)


@given(st.binary(min_size=HEADER.size, max_size=HEADER.size))
def test_any_bytes_are_a_header_or_refused(data):
    try:
        header = MessageHeader.unpack(data, max_pixels=100)
    except ValueError:
        return
    assert header.size <= 1 << 28
