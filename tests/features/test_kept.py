import os
import threading

import numpy as np
import pytest
import torch

from mien.errors import InputError, NothingPresent, OutputError
from mien.features.kept import FeatureStore, content_digest
from mien.schema import AUDIO, VIDEO
from mien.signals import Sequence, Signals


class Counting:
    """Gives features that depend on the content of the file, and counts how often."""

    def __init__(self, version="one"):
        self.version = version
        self.calls = 0

    def __call__(self, path):
        self.calls += 1
        generator = torch.Generator().manual_seed(len(path.read_bytes()))
        valid = torch.tensor([[True, False, True, True]])
        voice = torch.randn(1, 4, 6, generator=generator)
        face = torch.randn(1, 3, 2, 5, generator=generator)
        return Signals(
            {
                AUDIO: Sequence(voice, valid, 0.2),
                VIDEO: Sequence(face, torch.ones(1, 3, dtype=torch.bool), 1 / 7),
            }
        )


class Giving:
    version = "given"

    def __init__(self, signals):
        self.signals = signals

    def __call__(self, path):
        return self.signals


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "recording.bin"
    path.write_bytes(b"sound and picture")
    return path


@pytest.fixture
def store(tmp_path):
    return FeatureStore(tmp_path / "deep" / "store")


def files(store):
    return sorted(store.folder.glob("*/*.parquet"))


def same(one, other):
    assert list(one) == list(other)
    for modality, sequence in one.items():
        assert sequence.hop == other[modality].hop
        assert sequence.values.dtype == torch.float32
        torch.testing.assert_close(sequence.valid, other[modality].valid, rtol=0, atol=0)
        torch.testing.assert_close(sequence.values, other[modality].values, rtol=0, atol=0)


def test_what_is_kept_comes_back_and_is_not_extracted_again(store, recording):
    extractor = Counting()
    first = store.get(recording, extractor)
    same(first, store.get(recording, extractor))
    same(first, FeatureStore(store.folder).get(recording, extractor))
    assert extractor.calls == 1
    raw = Counting()(recording)
    seen = raw[AUDIO].valid
    torch.testing.assert_close(first[AUDIO].values[seen], raw[AUDIO].values[seen].half().float())
    assert first[VIDEO].values.shape == (1, 3, 2, 5)


def test_what_was_not_observed_is_zero_whatever_it_was(store, recording):
    valid = torch.tensor([[True, False]])
    values = torch.tensor([[[1.0], [float("nan")]]])
    signals = Signals({AUDIO: Sequence(values, valid, 0.1)})
    kept = store.get(recording, Giving(signals))[AUDIO]
    assert kept.values.flatten().tolist() == [1, 0]


def test_a_recording_is_known_by_its_content(store, recording, tmp_path):
    extractor = Counting()
    first = store.get(recording, extractor)
    copy = tmp_path / "another name.bin"
    copy.write_bytes(recording.read_bytes())
    same(first, store.get(copy, extractor))
    assert extractor.calls == 1
    recording.write_bytes(b"something else")
    assert not torch.equal(store.get(recording, extractor)[AUDIO].values, first[AUDIO].values)
    assert extractor.calls == 2


def test_another_version_is_another_feature(store, recording):
    store.get(recording, Counting("one"))
    other = Counting("two")
    store.get(recording, other)
    assert other.calls == 1
    notes = {path.read_text() for path in store.folder.glob("*/version.txt")}
    assert notes == {"one\n", "two\n"}


@pytest.mark.parametrize("damage", ["cut", "empty", "garbage", "flipped", "other"])
def test_a_damaged_file_is_computed_again(store, recording, tmp_path, damage):
    extractor = Counting()
    first = store.get(recording, extractor)
    (kept,) = files(store)
    content = bytearray(kept.read_bytes())
    if damage == "other":
        other = tmp_path / "other.bin"
        other.write_bytes(b"of other length than the first")
        store.get(other, extractor)
        content = bytearray(next(f for f in files(store) if f != kept).read_bytes())
    content = {
        "cut": content[: len(content) // 2],
        "empty": bytearray(),
        "garbage": bytearray(b"x" * 100),
    }.get(damage, content)
    if damage == "flipped":
        content[60] ^= 1
    kept.write_bytes(bytes(content))
    before = extractor.calls
    same(first, store.get(recording, extractor))
    assert extractor.calls == before + 1
    same(first, store.get(recording, extractor))
    assert extractor.calls == before + 1


def test_no_flipped_byte_gives_other_features(store, recording):
    extractor = Counting()
    first = store.get(recording, extractor)
    (kept,) = files(store)
    content = kept.read_bytes()
    generator = np.random.default_rng(0)
    for place in generator.choice(len(content), 60, replace=False).tolist():
        spoiled = bytearray(content)
        spoiled[place] ^= 0x55
        kept.write_bytes(bytes(spoiled))
        same(first, store.get(recording, extractor))


def test_signals_without_a_modality_are_kept(store, recording):
    only = Signals({VIDEO: Counting()(recording)[VIDEO]})
    kept = store.get(recording, Giving(only))
    assert list(kept) == [VIDEO]
    assert list(store.get(recording, Giving(Signals({})))) == [VIDEO]


def test_a_sequence_without_steps_is_kept(store, recording):
    nothing = Sequence(torch.empty(1, 0, 6), torch.empty(1, 0, dtype=torch.bool), 0.2)
    extractor = Giving(Signals({AUDIO: nothing}))
    store.get(recording, extractor)
    assert store.get(recording, extractor)[AUDIO].values.shape == (1, 0, 6)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e6])
def test_observed_values_that_half_precision_cannot_hold_are_refused(store, recording, value):
    signals = Signals({AUDIO: Sequence(torch.full((1, 2, 3), value), torch.ones(1, 2) > 0, 0.2)})
    with pytest.raises(ValueError, match="finite"):
        store.get(recording, Giving(signals))
    assert not files(store)


def test_a_batch_is_refused(store, recording):
    signals = Signals({AUDIO: Sequence(torch.ones(2, 2, 3), torch.ones(2, 2) > 0, 0.2)})
    with pytest.raises(ValueError, match="one recording"):
        store.get(recording, Giving(signals))


def test_a_bad_recording_leaves_nothing_behind(store, recording, tmp_path):
    class Failing:
        version = "failing"

        def __call__(self, path):
            raise NothingPresent("nothing", path=path)

    with pytest.raises(NothingPresent):
        store.get(recording, Failing())
    with pytest.raises(InputError, match="no such file"):
        store.get(tmp_path / "gone.mp4", Counting())
    assert not store.folder.exists()


def test_a_folder_that_takes_nothing_is_a_typed_error(recording):
    with pytest.raises(OutputError):
        FeatureStore(recording / "store").get(recording, Counting())


def test_writers_of_one_file_do_not_disturb_each_other(store, recording):
    expected = FeatureStore(store.folder.parent / "alone").get(recording, Counting())
    results, together = [], threading.Barrier(8)

    def work():
        together.wait()
        results.append(FeatureStore(store.folder).get(recording, Counting()))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    for result in results:
        same(result, expected)
    assert len(files(store)) == 1
    assert not list(store.folder.rglob("*.part"))


def test_a_file_is_read_once_for_its_digest(recording, monkeypatch):
    first = content_digest(recording)
    status = recording.stat()
    recording.write_bytes(b"SOUND AND PICTURE")
    os.utime(recording, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert content_digest(recording) == first
    os.utime(recording, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000))
    assert content_digest(recording) != first
