"""The cache: by content and modality, and the same bits as without it."""

from __future__ import annotations

import os
import threading
from functools import partial

import numpy as np
import pytest
from stand_ins import FaceTimes, Loudness, same

from media.make import tone, wave
from mien.errors import (
    DamagedError,
    FormatError,
    InputError,
    NothingPresent,
    OptionError,
    OutputError,
)
from mien.features.cache import FeatureCache, content_digest
from mien.features.extractor import create_extractor
from mien.features.reader import Reader
from mien.missing.raw import RawBurst, WhiteNoise
from mien.schema import AUDIO, VIDEO

pytestmark = pytest.mark.usefixtures("encoders")


@pytest.fixture(scope="module")
def reader():
    with Reader() as reader:
        yield reader


@pytest.fixture
def cache(tmp_path):
    return FeatureCache(tmp_path / "deep" / "cache")


def files(cache):
    return sorted(cache.folder.glob("*/*.safetensors"))


def test_the_same_bits_come_whatever_was_there(cache, reader, java_clip):
    with reader.observe(java_clip) as seen:
        want = seen.main_series()
    alone = cache.get(java_clip, reader, modalities=[AUDIO])
    assert list(alone) == [AUDIO]
    for _ in range(2):
        same(cache.get(java_clip, reader), want)
    same(FeatureCache(cache.folder).get(java_clip, reader), want)
    assert len(files(cache)) == 2
    with reader.observe(java_clip, without=[VIDEO]) as seen:
        same(alone, seen.main_series())


def test_hiding_or_spoiling_the_sound_looks_for_no_faces(cache, java_clip, monkeypatch):
    extractors = {AUDIO: Loudness(), VIDEO: FaceTimes()}
    with Reader(extractors) as reader:
        clean = cache.get(java_clip, reader)
        asked = []
        stream = reader.decoder.stream
        monkeypatch.setattr(
            reader.decoder, "stream", lambda path, **o: asked.append(o) or stream(path, **o)
        )
        same(cache.get(java_clip, reader, modalities=[VIDEO]), {VIDEO: clean[VIDEO]})
        assert not asked
        noise = ("noise 0", partial(WhiteNoise(0), seed=0))
        noisy = cache.get(java_clip, reader, through=noise)
        assert [(o["audio"], o["video"]) for o in asked] == [(True, False)]
        same({VIDEO: noisy[VIDEO]}, {VIDEO: clean[VIDEO]})
        assert not np.array_equal(noisy[AUDIO].values, clean[AUDIO].values)
        cache.get(java_clip, reader, through=("burst", partial(RawBurst(VIDEO), seed=0)))
        assert [(o["audio"], o["video"]) for o in asked[1:]] == [(False, True)]
        cache.get(java_clip, reader, through=("anything", lambda items: items))
        assert asked[2]["audio"]
        assert asked[2]["video"]
        cache.get(java_clip, reader, channel=1)
        assert [(o["audio"], o["video"]) for o in asked[3:]] == [(True, False)]


def test_another_setting_or_hop_of_faces_is_another_feature(cache, java_clip):
    for extractors in (
        {VIDEO: FaceTimes()},
        {VIDEO: FaceTimes(hop=0.4)},
        {VIDEO: FaceTimes(hop=0.4), "fast": FaceTimes(hop=0.3)},
    ):
        with Reader(extractors) as reader:
            got = cache.get(java_clip, reader)
            with reader.observe(java_clip) as seen:
                same(got, seen.main_series())
    assert len(files(cache)) == 4
    notes = [path.read_text() for path in cache.folder.glob("*/version.txt")]
    assert len(set(notes)) == 4
    assert all("test_face_times" in note for note in notes)


@pytest.fixture
def short(tmp_path):
    path = wave(tmp_path / "a.wav", tone(0.5, 16_000), 16_000)
    Loudness.calls.clear()
    return path


@pytest.fixture(scope="module")
def cheap():
    with Reader({AUDIO: Loudness(), VIDEO: FaceTimes()}) as reader:
        yield reader


def test_what_a_recording_has_not_is_remembered(cache, cheap, short, monkeypatch):
    first = cache.get(short, cheap)
    assert list(first) == [AUDIO]
    monkeypatch.setattr(cheap, "decoder", None)
    same(cache.get(short, cheap), first)
    with pytest.raises(NothingPresent, match="holds no video"):
        cache.get(short, cheap, modalities=[VIDEO])
    with pytest.raises(OptionError, match="did you mean audio"):
        cache.get(short, cheap, modalities=["oudio"])


def test_a_recording_is_known_by_its_content(cache, cheap, short, tmp_path):
    first = cache.get(short, cheap)
    copy = tmp_path / "another name.wav"
    copy.write_bytes(short.read_bytes())
    same(cache.get(copy, cheap), first)
    assert len(Loudness.calls) == 1
    wave(short, tone(0.7, 16_000), 16_000)
    assert len(cache.get(short, cheap)[AUDIO]) == 35
    assert len(Loudness.calls) == 2


@pytest.mark.parametrize("damage", ["cut", "empty", "garbage", "flipped", "other"])
def test_a_damaged_file_is_computed_again(cache, cheap, short, tmp_path, damage):
    first = cache.get(short, cheap, modalities=[AUDIO])
    (kept,) = files(cache)
    content = bytearray(kept.read_bytes())
    if damage == "other":
        other = wave(tmp_path / "other.wav", tone(0.6, 16_000), 16_000)
        cache.get(other, cheap, modalities=[AUDIO])
        content = bytearray(next(f for f in files(cache) if f != kept).read_bytes())
    content = {
        "cut": content[: len(content) // 2],
        "empty": bytearray(),
        "garbage": bytearray(b"x" * 100),
    }.get(damage, content)
    if damage == "flipped":
        content[-6] ^= 1
    kept.write_bytes(bytes(content))
    before = len(Loudness.calls)
    for _ in range(2):
        same(cache.get(short, cheap, modalities=[AUDIO]), first)
    assert len(Loudness.calls) == before + 1


def test_no_flipped_byte_gives_other_features(cache, cheap, short):
    first = cache.get(short, cheap, modalities=[AUDIO])
    (kept,) = files(cache)
    content = kept.read_bytes()
    generator = np.random.default_rng(0)
    for place in generator.choice(len(content), 40, replace=False).tolist():
        spoiled = bytearray(content)
        spoiled[place] ^= 0x55
        kept.write_bytes(bytes(spoiled))
        same(cache.get(short, cheap, modalities=[AUDIO]), first)


def test_a_bad_recording_leaves_nothing_behind(cache, cheap, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no recording at all" * 100)
    with pytest.raises((FormatError, DamagedError)):
        cache.get(broken, cheap)
    with pytest.raises(InputError, match="no such file"):
        cache.get(tmp_path / "gone.mp4", cheap)
    assert not cache.folder.exists()


def test_a_folder_that_takes_nothing_is_a_typed_error(cheap, short):
    with pytest.raises(OutputError):
        FeatureCache(short / "cache").get(short, cheap)


def test_writers_of_one_file_do_not_disturb_each_other(cache, short):
    results, together = [], threading.Barrier(4)

    def work():
        with Reader({AUDIO: Loudness()}) as reader:
            together.wait()
            results.append(FeatureCache(cache.folder).get(short, reader))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    for result in results:
        same(result, results[0])
    assert len(files(cache)) == 1
    assert not list(cache.folder.rglob("*.part"))


def test_files_of_features_are_cached_by_their_own_content(cache, short, tmp_path):
    path = tmp_path / "eyes.npz"
    np.savez(path, values=np.arange(5.0)[:, None], hop=0.1)
    extractors = {AUDIO: Loudness(), "eyes": create_extractor("file", columns=["0"], hop=0.1)}
    with Reader(extractors) as reader:
        first = cache.get(short, reader, files={"eyes": path})
        assert first["eyes"].values[:, 0].tolist() == [0, 1, 2, 3, 4]
        same(cache.get(short, reader, files={"eyes": path}), first)
        assert list(cache.get(short, reader)) == [AUDIO]
        np.savez(path, values=np.arange(7.0)[:, None], hop=0.1)
        assert cache.get(short, reader, modalities=["eyes"], files={"eyes": path})["eyes"].values[
            :, 0
        ].tolist() == list(range(7))
    assert len(Loudness.calls) == 1


def test_files_of_features_need_no_recording(cache, cheap, tmp_path):
    path = tmp_path / "eyes.npz"
    np.savez(path, values=np.arange(5.0)[:, None], hop=0.1)
    extractors = {AUDIO: Loudness(), "eyes": create_extractor("file", columns=["0"], hop=0.1)}
    with Reader(extractors) as reader:
        got = cache.get(path, reader, files={"eyes": path})
        with reader.observe(path, files={"eyes": path}) as seen:
            same(got, seen.main_series())
            assert seen.duration == 0.5
    assert list(got) == ["eyes"]


def test_crops_are_kept_as_they_are(cache, java_clip):
    with Reader({VIDEO: create_extractor("face_crops", hop=0.5)}) as reader:
        first = cache.get(java_clip, reader)
        same(cache.get(java_clip, reader), first)
        with reader.observe(java_clip) as seen:
            same(seen.main_series(), first)
    (kept,) = files(cache)
    assert kept.stat().st_size < 8 * 48 * 48 + 2000


def test_a_file_is_read_once_for_its_digest(short):
    first = content_digest(short)
    status = short.stat()
    content = short.read_bytes()
    short.write_bytes(content[:-1] + b"\1")
    os.utime(short, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert content_digest(short) == first
    os.utime(short, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000))
    assert content_digest(short) != first
