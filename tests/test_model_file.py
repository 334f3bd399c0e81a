"""Files that are damaged, of another kind, or do not fit: each is named."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from mien.errors import ModelFileError
from mien.trained import load_model
from trained_material import trained


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.safetensors"
    trained().save(path)
    return path


def rewrite(path, change=lambda header: header, tensors=lambda tensors: tensors):
    with safe_open(path, framework="pt") as archive:
        header = json.loads(archive.metadata()["mien"])
    kept = tensors(load_file(path))
    changed = change(header)
    save_file(kept, path, metadata={"mien": json.dumps(changed if changed else header)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h: h | {"format": 99}, "is of format 99"),
        (lambda h: h | {"architecture": "concatt"}, "concat"),
        (lambda h: h | {"options": {"hiden": 8}}, "hiden"),
        (lambda h: h | {"options": {"hidden": 9}}, "misshapen"),
        (lambda h: h | {"options": {"hidden": 10**12}}, "misshapen"),
        (lambda h: h | {"options": {"hidden": -3}}, "cannot be built"),
        (lambda h: h | {"options": {"hidden": "x"}}, "hidden"),
        (lambda h: h | {"task": h["task"] | {"kind": "feelings"}}, "kind"),
        (lambda h: h | {"modalities": {}}, "modalities"),
        (lambda h: h | {"modalities": {"audio": 11, "video": 264}}, "misshapen"),
        (lambda h: h | {"window": 1e9}, "window"),
        (lambda h: h | {"extractors": {}}, "no extractor gives audio"),
        (lambda h: h | {"extractors": {"audio": {}, "video": {}}}, "extractor"),
        (lambda h: h | {"format": "9" * 1000}, "is of format"),
        (lambda h: h | {"card": {"people": -1}}, "card.people"),
        (lambda h: h | {"temperature": 0}, "temperature"),
        (lambda h: h | {"surprise": 1}, "surprise"),
        (lambda h: h | {"architecture": "theirs", "plugin": "their.py"}, "plugin their.py"),
        (
            lambda h: {
                **h,
                "extractors": {
                    **h["extractors"],
                    "audio": h["extractors"]["audio"] | {"version": "0"},
                },
            },
            "version",
        ),
        (
            lambda h: {
                **h,
                "extractors": {
                    **h["extractors"],
                    "audio": h["extractors"]["audio"] | {"name": "mfccs"},
                },
            },
            "mfcc",
        ),
    ],
)
def test_a_header_that_does_not_fit_is_named(file, change, message):
    rewrite(file, change)
    with pytest.raises(ModelFileError, match=message) as caught:
        load_model(file)
    assert str(file) in str(caught.value)
    assert caught.value.advice


def test_a_missing_tensor_and_one_too_many_are_named(file, tmp_path):
    name = next(n for n in load_file(file) if n.startswith("model."))
    rewrite(file, tensors=lambda t: {n: v for n, v in t.items() if n != name})
    with pytest.raises(ModelFileError, match="lacks weights"):
        load_model(file)
    trained().save(file)
    rewrite(file, tensors=lambda t: t | {"model.more": torch.zeros(1)})
    with pytest.raises(ModelFileError, match="unknown weights: more"):
        load_model(file)


MEAN = "standard.mean.audio"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: {_weight(t): t[_weight(t)] * float("nan")}, "not finite in model"),
        (lambda t: {_weight(t): t[_weight(t)].int()}, "another type"),
        (lambda t: {_weight(t): t[_weight(t)][None]}, "misshapen"),
        (lambda t: {MEAN: t[MEAN] * float("inf")}, "not finite in standard"),
        (lambda t: {MEAN: t[MEAN][:-1]}, "the mean of audio has the shape"),
        (lambda t: {MEAN: t[MEAN][0]}, "the mean of audio has the shape"),
        (lambda t: {"standard.deviation.audio": t[MEAN] * 0}, "deviation of audio is not positive"),
        (lambda t: {"standard.mean.text": t[MEAN]}, "unknown tensors: mean.text"),
        (lambda t: {"standard.median.audio": t[MEAN]}, "do not fit"),
        (lambda t: {"standard.mean": t[MEAN]}, "unknown tensors"),
        (lambda t: {"standard.basis.audio": torch.ones(9, 2)}, "components of audio"),
        (lambda t: {"standard.basis.audio": torch.ones(10, 2)}, "audio has 2 features"),
        (lambda t: {"other": t[MEAN]}, "unknown tensors: other"),
    ],
)
def test_tensors_that_do_not_fit_are_named(file, change, message):
    rewrite(file, tensors=lambda t: t | {n: v.clone() for n, v in change(t).items()})
    with pytest.raises(ModelFileError, match=message) as caught:
        load_model(file)
    assert str(file) in str(caught.value)
    assert caught.value.advice


def _weight(tensors):
    return next(name for name in tensors if name.startswith("model."))


def test_half_a_standardisation_is_refused(file):
    rewrite(file, tensors=lambda t: {n: v for n, v in t.items() if n != MEAN})
    with pytest.raises(ModelFileError, match="standardisation of audio lacks a mean"):
        load_model(file)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", "[" * 100_000, '{"format": 1}' + " " * (17 << 20)]
)
def test_a_header_that_is_none_or_too_long_is_damaged(file, text):
    save_file(load_file(file), file, metadata={"mien": text})
    with pytest.raises(ModelFileError, match="has a damaged header"):
        load_model(file)


@pytest.mark.parametrize("kept", [0, 5, 200, -10])
def test_a_file_cut_short_is_named(file, kept):
    content = file.read_bytes()
    file.write_bytes(content[:kept])
    with pytest.raises(ModelFileError, match=r"mine\.safetensors: "):
        load_model(file)


def test_a_file_of_another_kind_is_named(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(ModelFileError, match="holds no trained model"):
        load_model(path)
