"""Files that are hostile, broken or no recordings: each a typed error that says what to do."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from media import make
from media.make import Picture, Sound, regular, tone, write
from mien.errors import DamagedError, FormatError, InputError, LimitError, MienError
from mien.media import Decoder, Frame, Limits


@pytest.fixture(scope="module")
def decoder():
    with Decoder() as decoder:
        yield decoder


def child_memory_mb(decoder, field):
    lines = Path(f"/proc/{decoder.child_pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def test_missing_folder_empty(tmp_path, decoder):
    with pytest.raises(InputError, match="no such file; check the name"):
        decoder.probe(tmp_path / "nowhere.mp4")
    with pytest.raises(InputError, match="it is a folder; name the files"):
        decoder.stream(tmp_path)
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(InputError, match=r"empty\.mp4: the file is empty") as caught:
        decoder.probe(str(tmp_path / "empty.mp4"))
    assert caught.value.path == str(tmp_path / "empty.mp4")
    assert caught.value.advice


def test_unusable_paths(tmp_path, decoder):
    loop = tmp_path / "loop.mp4"
    loop.symlink_to(loop)
    for path in (loop, "a\0b.mp4", "x" * 300 + ".mp4", tmp_path / "gone.mp4"):
        with pytest.raises(InputError):
            decoder.probe(path)
    dangling = tmp_path / "dangling.mp4"
    dangling.symlink_to(tmp_path / "gone.mp4")
    with pytest.raises(InputError, match="no such file"):
        decoder.probe(dangling)


def test_no_permission(tmp_path, decoder, monkeypatch):
    path = make.wave(tmp_path / "secret.wav", tone(0.2, 16_000), 16_000)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(InputError, match="no permission to read"):
        decoder.probe(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission_for_real(tmp_path, decoder):
    path = make.wave(tmp_path / "secret.wav", tone(0.2, 16_000), 16_000)
    path.chmod(0)
    with pytest.raises(InputError, match="no permission to read"):
        decoder.probe(path)


def test_pipes_and_devices_are_not_waited_for(tmp_path, decoder):
    fifo = tmp_path / "pipe.mp4"
    os.mkfifo(fifo)
    link = tmp_path / "link.mp4"
    link.symlink_to(fifo)
    for path in (fifo, link, Path("/dev/zero")):
        with pytest.raises(InputError, match="device, pipe or socket"):
            decoder.probe(path)


def test_a_link_to_a_recording_is_fine(tmp_path, decoder):
    path = make.wave(tmp_path / "real.wav", tone(0.2, 16_000), 16_000)
    link = tmp_path / "link.wav"
    link.symlink_to(path)
    assert decoder.probe(link).path == str(link)


@pytest.mark.parametrize(
    "content",
    [
        b"hello, this is text\n" * 50,
        b"1\n00:00:00,000 --> 00:00:01,000\nhello\n\n",
        b"\x89PNG\r\n\x1a\n" + bytes(200),
        bytes(5000),
        b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nsecret.ts\n#EXT-X-ENDLIST\n",
        b"<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011'></MPD>",
    ],
    ids=["text", "subtitles", "picture", "zeros", "playlist", "manifest"],
)
def test_no_recording_at_all(tmp_path, decoder, content):
    path = tmp_path / "renamed.mp4"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=r"no recording of a known format.*ffmpeg -i IN OUT"):
        decoder.probe(path)


def test_a_playlist_cannot_reach_its_neighbours(tmp_path, decoder):
    write(tmp_path / "secret.mp4", Picture(regular(5)))
    path = tmp_path / "up.mp4"
    path.write_text("ffconcat version 1.0\nfile secret.mp4\n")
    with pytest.raises(FormatError):
        decoder.stream(path)


def test_a_reference_to_another_file_is_not_followed(tmp_path, decoder):
    """A MOV may keep its frames in another file, named by an alias in its ``dref`` box."""
    source = write(tmp_path / "source.mov", Picture(regular(5)))
    data = source.read_bytes()
    at = data.index(b"dref")
    entry = data.index(b"url ", at)
    flags = entry + 4
    assert data[flags : flags + 4] == b"\0\0\0\1"  # "in this file"
    outside = tmp_path / "outside.mov"
    moved = bytearray(data)
    moved[flags : flags + 4] = bytes(4)
    moved[entry : entry + 4] = b"alis"
    outside.write_bytes(bytes(moved))
    shutil.copy(source, tmp_path / "secret.mov")
    try:
        frames = [item for item in decoder.stream(outside) if isinstance(item, Frame)]
    except MienError:
        frames = []
    assert len(frames) <= 1  # at 5 a second, its own first picture at most


def test_a_bomb_is_refused_in_little_memory(tmp_path):
    with Decoder() as decoder:
        path = make.bomb(tmp_path / "bomb.mov")
        assert path.stat().st_size < 1_000_000
        for _ in range(2):
            with pytest.raises(LimitError, match=r"too large \(16000 × 16000.*ffmpeg -i IN -vf"):
                decoder.probe(path)
        assert child_memory_mb(decoder, "VmHWM") < 120


def test_the_pixel_limit_can_be_set(tmp_path):
    path = write(tmp_path / "small.mp4", Picture(regular(3)))
    with Decoder(limits=Limits(max_pixels=64 * 48 - 1)) as decoder:
        with pytest.raises(LimitError, match="too large"):
            decoder.probe(path)
        assert decoder.starts == 1
    with Decoder(limits=Limits(max_pixels=64 * 48)) as decoder:
        assert decoder.probe(path).video is not None


def test_running_out_of_memory_is_a_limit_and_the_next_file_works(tmp_path):
    large = make.bomb(tmp_path / "large.mov", 5_800, "rgba")  # 135 MB a frame
    small = write(tmp_path / "small.mp4", Picture([0.0]))
    with Decoder() as decoder:
        decoder.probe(small)
        enough_mb = child_memory_mb(decoder, "VmPeak")
    with Decoder(limits=Limits(memory_bytes=int(enough_mb) << 20)) as decoder:
        assert len(list(decoder.stream(small))) == 1
        with pytest.raises(LimitError, match="more memory than it is allowed"):
            list(decoder.stream(large))
        assert len(list(decoder.stream(small))) == 1
        assert decoder.starts == 2


def test_known_format_but_nothing_left(tmp_path, decoder):
    whole = write(tmp_path / "whole.mp4", Picture(regular(25)), Sound(tone(1.0, 44_100)))
    data = whole.read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[: data.index(b"moov") - 4])  # its index comes last
    with pytest.raises(DamagedError, match="copy or record it again"):
        decoder.probe(cut)
    wiped = tmp_path / "wiped.mp4"
    at = data.index(b"mdat") + 4
    wiped.write_bytes(
        data[:at] + bytes(data.index(b"moov") - 4 - at) + data[data.index(b"moov") - 4 :]
    )
    with pytest.raises(DamagedError):
        list(decoder.stream(wiped, audio=False))


def test_a_damaged_middle_is_skipped_with_a_warning(tmp_path, decoder):
    path = write(tmp_path / "a.mkv", Picture(regular(100), "mjpeg", pixel_format="yuvj420p"))
    data = bytearray(path.read_bytes())
    for start in range(len(data) // 3, 2 * len(data) // 3, 997):
        data[start : start + 200] = os.urandom(200)
    path.write_bytes(bytes(data))
    stream = decoder.stream(path, video_hz=25)
    assert len([item for item in stream if isinstance(item, Frame)]) > 20
    assert stream.warnings


@pytest.mark.parametrize(
    ("name", "codec"), [("a.wav", "pcm_s16le"), ("a.avi", "libmp3lame"), ("a.mp3", "libmp3lame")]
)
def test_cut_sound_is_told(tmp_path, decoder, name, codec):
    picture = Picture(regular(100), "mpeg4") if name == "a.avi" else None
    path = write(tmp_path / name, picture, Sound(tone(4.0, 44_100), codec=codec))
    assert not play(decoder, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    warnings = play(decoder, path)
    assert any("end is missing" in w or "ends early" in w for w in warnings)


def play(decoder, path):
    stream = decoder.stream(path)
    assert list(stream)
    return stream.warnings


def test_a_rate_beyond_belief_is_left_out(tmp_path, decoder):
    path = make.wave(tmp_path / "slow.wav", tone(1.0, 16_000), 1)
    with pytest.raises(FormatError, match="claims 1 samples a second"):
        decoder.probe(path)
