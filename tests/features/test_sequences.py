import numpy as np
import pytest
import torch

from mien.errors import FormatError, NothingPresent, OptionError
from mien.features.faces import SeenFace
from mien.features.kept import FeatureStore
from mien.features.observation import Observation
from mien.features.sequences import SequenceExtractor, face_sequence, voice_sequence
from mien.features.voice import VOICE_FEATURES, VoiceSegment
from mien.media import Frame, Samples
from mien.missing.raw import FrameRate, RawBurst, WhiteNoise
from mien.schema import AUDIO, VIDEO


@pytest.fixture
def seen(tmp_path):
    with Observation(tmp_path / "clip.mp4") as observation:
        yield observation


def hear(observation, values, voiced, first=0):
    rows = np.repeat(np.asarray(values, dtype=np.float32)[:, None], VOICE_FEATURES, axis=1)
    observation.add_voice([VoiceSegment(first, rows, np.asarray(voiced, dtype=np.bool_))])


def look(observation, time, person, value):
    observation.add_faces(
        [
            SeenFace(
                time=time,
                person=person,
                box=(1.0, 1.0, 4.0, 4.0),
                landmarks=np.zeros((5, 2), dtype=np.float32),
                quality=1.0,
                embedding=np.full(256, value, dtype=np.float32),
                logits=np.full(8, -value, dtype=np.float32),
                crop=np.zeros((48, 48), dtype=np.uint8),
                image=np.zeros((8, 8, 3), dtype=np.uint8),
            )
        ]
    )


def test_a_step_of_voice_is_the_mean_of_what_was_voiced(seen):
    seen.duration = 0.7
    hear(seen, range(35), [i % 2 == 0 and i < 20 for i in range(35)])
    sequence = voice_sequence(seen, 0.2)
    assert sequence.valid.tolist() == [[True, True, False, False]]
    assert sequence.values[0, :, 0].tolist() == [4, 14, 0, 0]
    assert sequence.values.shape == (1, 4, VOICE_FEATURES)
    assert sequence.hop == 0.2


def test_late_sound_and_odd_hops_fall_into_the_right_steps(seen):
    seen.duration = 1.0
    hear(seen, [1] * 10, [True] * 10, first=30)  # 0.6 s to 0.8 s
    assert voice_sequence(seen, 0.25).valid.tolist() == [[False, False, True, True]]
    assert voice_sequence(seen, 0.02).valid[0].nonzero().flatten().tolist() == list(range(30, 40))


def test_long_voice_is_summed_in_blocks_without_a_seam(seen, monkeypatch):
    seen.duration = 2.0
    values = np.random.default_rng(0).integers(0, 50, 100)
    hear(seen, values, values > 10)
    whole = voice_sequence(seen, 0.3)
    monkeypatch.setattr("mien.features.sequences._BLOCK_STEPS", 7)
    torch.testing.assert_close(voice_sequence(seen, 0.3).values, whole.values)


def test_the_face_is_the_one_that_was_seen_most(seen):
    seen.duration = 1.1
    for index in range(5):
        look(seen, index / 5 + 0.01, 2, index + 1)
    look(seen, 0.0, 1, 9)
    sequence = face_sequence(seen, 5.0)
    assert sequence.valid.tolist() == [[True] * 5 + [False]]
    assert sequence.values[0, :, 0].tolist() == [1, 2, 3, 4, 5, 0]
    assert sequence.values[0, 1, -1] == -2
    assert sequence.values.shape == (1, 6, 264)


def test_nobody_seen_and_nobody_heard_is_a_mask_and_no_number(seen):
    seen.duration = 0.5
    for sequence in (voice_sequence(seen, 0.2), face_sequence(seen, 5.0)):
        assert sequence.valid.shape == (1, 3)
        assert not sequence.valid.any()


def test_the_version_says_all_that_features_depend_on(encoders):
    variants = [
        SequenceExtractor(),
        SequenceExtractor(hop=0.1),
        SequenceExtractor(face_hz=2),
        SequenceExtractor(without=[AUDIO]),
        SequenceExtractor(without=[VIDEO]),
        SequenceExtractor(through=WhiteNoise(10)),
        SequenceExtractor(through=WhiteNoise(0)),
        SequenceExtractor(through=WhiteNoise(0), seed=1),
    ]
    assert len({variant.version for variant in variants}) == len(variants)
    assert "\n" not in variants[0].version
    assert SequenceExtractor(face_hz=5).version == variants[0].version
    assert "whisper" not in variants[3].version
    assert "yunet" not in variants[4].version


@pytest.mark.parametrize(
    "options", [{"hop": 0.001}, {"hop": float("nan")}, {"face_hz": 0}, {"without": ["smell"]}]
)
def test_settings_that_make_no_sense_are_typed_errors(options):
    with pytest.raises(OptionError):
        SequenceExtractor(**options)


@pytest.fixture(scope="module")
def clean(encoders, java_clip):
    with SequenceExtractor() as extract:
        return extract(java_clip)


def test_a_real_clip_becomes_two_sequences(clean):
    assert clean[AUDIO].values.shape == (1, 19, 768)
    assert clean[VIDEO].values.shape == (1, 19, 264)
    assert 8 <= clean[AUDIO].valid.sum() <= 17
    assert clean[VIDEO].valid.sum() >= 17
    for sequence in clean.values():
        assert sequence.values.isfinite().all()
        assert not sequence.values[~sequence.valid].any()


def test_the_second_clip_is_read_as_if_it_were_the_first(clean, java_clip, data_folder):
    with SequenceExtractor() as extract:
        extract(data_folder / "java_sed" / "07-01-01_01.mp4")
        again = extract(java_clip)
    for modality, sequence in clean.items():
        torch.testing.assert_close(again[modality].values, sequence.values, rtol=0, atol=1e-4)
        assert torch.equal(again[modality].valid, sequence.valid)


def test_a_withheld_or_lacking_modality_is_left_out(encoders, java_clip, data_folder):
    with SequenceExtractor(without=[VIDEO]) as extract:
        assert list(extract(java_clip)) == [AUDIO]
    voice = next((data_folder / "java_sed_voice").glob("*.ogg"))
    with SequenceExtractor() as extract:
        assert list(extract(voice)) == [AUDIO]
    with SequenceExtractor(without=[AUDIO]) as extract, pytest.raises(NothingPresent):
        extract(voice)


def test_no_recording_is_a_typed_error_and_the_next_one_works(encoders, java_clip, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no recording at all" * 100)
    with SequenceExtractor(without=[VIDEO]) as extract:
        with pytest.raises(FormatError):
            extract(broken)
        assert extract(java_clip)[AUDIO].valid.any()


def test_a_degradation_reaches_the_features_that_it_should_and_no_others(clean, java_clip):
    with SequenceExtractor(through=WhiteNoise(0)) as extract:
        noisy = extract(java_clip)
    torch.testing.assert_close(noisy[VIDEO].values, clean[VIDEO].values, rtol=0, atol=1e-4)
    both = noisy[AUDIO].valid & clean[AUDIO].valid
    change = (noisy[AUDIO].values - clean[AUDIO].values)[both].norm()
    assert change > 0.1 * clean[AUDIO].values[both].norm()


def test_fewer_frames_are_holes_and_the_length_stays(clean, java_clip):
    with SequenceExtractor(through=FrameRate(1)) as extract:
        few = extract(java_clip)
    assert few[VIDEO].valid[0].nonzero().flatten().tolist() == [0, 5, 10, 15]
    assert few[VIDEO].values.shape == clean[VIDEO].values.shape
    torch.testing.assert_close(few[AUDIO].values, clean[AUDIO].values, rtol=0, atol=1e-4)


@pytest.mark.parametrize("modality", [AUDIO, VIDEO])
def test_a_burst_leaves_nobody_in_its_stretch(clean, java_clip, modality):
    other = VIDEO if modality == AUDIO else AUDIO
    with SequenceExtractor(through=RawBurst(modality, seconds=2)) as extract:
        spoiled = extract(java_clip)
    lost = clean[modality].valid & ~spoiled[modality].valid
    assert 5 <= lost.sum() <= 13
    assert torch.equal(spoiled[other].valid, clean[other].valid)


def test_chance_hangs_on_content_and_seed_and_on_nothing_else(encoders, java_clip, tmp_path):
    calls = []

    class Asking:
        def __call__(self, items, seed):
            calls.append(seed)
            for item in items:
                assert isinstance(item, Frame | Samples)
                yield item

    copy = tmp_path / "copy.mp4"
    copy.write_bytes(java_clip.read_bytes())
    for path, seed in ((java_clip, 0), (copy, 0), (java_clip, 1)):
        with SequenceExtractor(without=[VIDEO], through=Asking(), seed=seed) as extract:
            extract(path)
    assert calls[0] == calls[1] != calls[2]


def test_a_degraded_clip_is_kept_apart_from_the_clean_one(clean, java_clip, tmp_path):
    store = FeatureStore(tmp_path)
    for operation in (None, RawBurst(VIDEO)):
        with SequenceExtractor(through=operation) as extract:
            first = store.get(java_clip, extract)
            second = store.get(java_clip, extract)
        assert torch.equal(first[VIDEO].values, second[VIDEO].values)
    assert len(list(tmp_path.glob("*/*.parquet"))) == 2
    assert int(first[VIDEO].valid.sum()) < int(clean[VIDEO].valid.sum())
