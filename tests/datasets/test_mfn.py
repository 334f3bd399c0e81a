from collections import Counter

import numpy as np
import pytest
import torch

from mien.datasets import official
from mien.datasets.mfn import MFN_NAMES, SENTIMENTS, mfn_examples
from mien.errors import FormatError, InputError, OptionError


def arrays(**changes):
    draw = np.random.default_rng(0)
    out = {}
    for part, count in (("train", 3), ("valid", 1), ("test", 2)):
        out[f"audio_{part}"] = draw.normal(size=(count, 4, 5)).astype(np.float32)
        out[f"video_{part}"] = draw.normal(size=(count, 4, 2)).astype(np.float32)
        out[f"labels_{part}"] = np.arange(count, dtype=np.float64)
    return {**out, **changes}


def test_padding_and_what_is_not_finite_is_masked(tmp_path):
    content = arrays()
    content["audio_train"][0, :2] = 0
    content["audio_train"][0, 2, 1] = -np.inf
    content["video_train"][1] = 0
    content["video_train"][2, :, 0] = 0
    np.savez(tmp_path / "a.npz", **content)
    first, second, third = mfn_examples(tmp_path / "a.npz", "mmmo")[:3]
    assert first.signals["audio"].valid.tolist() == [[False, False, False, True]]
    assert torch.isfinite(first.signals["audio"].values).all()
    assert not second.signals["video"].valid.any()
    assert second.observed
    assert third.signals["video"].valid.all()


def test_parts_are_kept_and_no_two_clips_share_a_person(tmp_path):
    np.savez(tmp_path / "a.npz", **arrays())
    examples = mfn_examples(tmp_path / "a.npz", "mmmo")
    assert Counter(e.part for e in examples) == {"train": 3, "valid": 1, "test": 2}
    assert [e.target.tolist() for e in examples[:3]] == [[0.0], [1.0], [2.0]]
    fold = official(examples)
    assert (len(fold.train), len(fold.dev), len(fold.test)) == (3, 1, 2)


def test_one_of_three_becomes_an_index(tmp_path):
    one_hot = {
        f"labels_{part}": np.eye(3, dtype=np.float32)[[2, 0, 1][:count]]
        for part, count in (("train", 3), ("valid", 1), ("test", 2))
    }
    np.savez(tmp_path / "a.npz", **arrays(**one_hot))
    examples = mfn_examples(tmp_path / "a.npz", "youtube")
    assert [SENTIMENTS[e.target] for e in examples[:3]] == ["positive", "negative", "neutral"]
    one_hot["labels_train"][0] = 0
    np.savez(tmp_path / "a.npz", **arrays(**one_hot))
    with pytest.raises(FormatError, match="not one of three"):
        mfn_examples(tmp_path / "a.npz", "youtube")


def test_pickled_objects_are_never_opened(tmp_path):
    np.savez(tmp_path / "a.npz", **arrays(labels_test=np.array([{}, {}], dtype=object)))
    with pytest.raises(FormatError, match="pickled objects are not opened"):
        mfn_examples(tmp_path / "a.npz", "mmmo")


def test_what_is_wrong_is_named(tmp_path):
    path = tmp_path / "a.npz"
    with pytest.raises(InputError, match=r"is not there.*MFN"):
        mfn_examples(path, "mmmo")
    path.write_bytes(b"no archive")
    with pytest.raises(FormatError, match=r"is no .npz file"):
        mfn_examples(path, "mmmo")
    np.savez(path, **{k: v for k, v in arrays().items() if k != "video_valid"})
    with pytest.raises(FormatError, match="no array video_valid"):
        mfn_examples(path, "mmmo")
    np.savez(path, **arrays(labels_valid=np.zeros(7)))
    with pytest.raises(FormatError, match="labels \\(7,\\) of valid do not belong"):
        mfn_examples(path, "mmmo")
    np.savez(path, **arrays())
    with pytest.raises(FormatError, match="1 labels a clip, not 17"):
        mfn_examples(path, "pom")
    with pytest.raises(OptionError, match="no corpus mosi"):
        mfn_examples(path, "mosi")


@pytest.mark.parametrize(
    ("corpus", "parts", "widths", "nothing", "no_face"),
    [
        ("mmmo", (220, 40, 80), (74, 36), 0, 0),
        ("pom", (600, 100, 203), (43, 41), 0, 486),
        ("youtube", (173, 36, 60), (74, 36), 191, 199),
    ],
)
def test_the_published_sequences(data_folder, corpus, parts, widths, nothing, no_face):
    examples = mfn_examples(data_folder / "mfn_sequences" / f"{corpus}.npz", corpus)
    counted = Counter(e.part for e in examples)
    assert (counted["train"], counted["valid"], counted["test"]) == parts
    for example in examples:
        assert tuple(example.signals[m].values.shape[2] for m in ("audio", "video")) == widths
        if example.target.ndim:
            assert example.target.shape == (len(MFN_NAMES[corpus]),)
    assert sum(not e.observed for e in examples) == nothing
    assert sum(not bool(e.signals["video"].valid.any()) for e in examples) == no_face
