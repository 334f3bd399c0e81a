import json
import subprocess
import sys

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import mien
from mien.card import Card
from mien.datasets import Example
from mien.errors import InputError, ModelFileError, NothingPresent, OptionError
from mien.features.extractor import create_extractor
from mien.models import Task, create_model
from mien.signals import Sequence, Signals
from mien.trained import TrainedModel, list_trained, load_model, read_card
from mien.training.standardisation import PersonOffset, Standardisation

SIZES = {"audio": 10, "video": 264}
TASK = Task("categories", ("glad", "so-so", "sad"))


def specs():
    audio, video = create_extractor("mfcc"), create_extractor("face_ferplus")
    return {"audio": audio.spec(), "video": video.spec()}


def signals(batch=2, seed=0):
    torch.manual_seed(seed)
    return Signals(
        {
            "audio": Sequence(torch.randn(batch, 12, 10) * 3 + 1, torch.rand(batch, 12) < 0.8, 0.1),
            "video": Sequence(torch.randn(batch, 6, 264), torch.rand(batch, 6) < 0.8, 0.2),
        }
    )


def trained(**changes):
    torch.manual_seed(1)
    model = create_model("concat", task=TASK, modalities=SIZES, hidden=8).eval()
    examples = [
        Example(f"c{n}", "p", signals().select(torch.tensor([n])), torch.tensor(0))
        for n in range(2)
    ]
    made = {
        "options": {"hidden": 8},
        "standardisation": Standardisation.fit(examples),
        "temperature": 1.7,
        "card": Card(description="a test", people=3),
        "name": "mine",
    }
    return TrainedModel("concat", model, specs(), **(made | changes))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.safetensors"
    trained().save(path)
    return path


def test_a_round_trip_answers_the_same_to_the_bit(file):
    before, after = trained(), load_model(file)
    for withheld in ((), ("audio",), ("video",)):
        given = Signals({n: s for n, s in signals().items() if n not in withheld})
        assert torch.equal(before.predict(given).scores, after.predict(given).scores)
    assert after.task == TASK
    assert after.card.description == "a test"
    assert after.name == "mine"


def test_the_answer_is_that_of_another_process(file):
    code = (
        "import torch, sys; sys.path.insert(0, 'tests'); from test_trained import signals;"
        "import mien; print(mien.load_model(sys.argv[1]).predict(signals()).scores.tolist())"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=True
    )
    assert json.loads(said.stdout) == trained().predict(signals()).scores.tolist()


def test_half_precision_halves_the_weights(tmp_path, file):
    path = tmp_path / "half.safetensors"
    trained().save(path, half=True)
    kept, whole = load_file(path), load_file(file)
    assert kept["standard.mean.audio"].dtype == torch.float32
    assert {t.dtype for n, t in kept.items() if n.startswith("model.")} == {torch.float16}
    assert path.stat().st_size < file.stat().st_size
    close = load_model(path).predict(signals()).scores
    torch.testing.assert_close(close, trained().predict(signals()).scores, atol=1e-2, rtol=1e-2)
    assert whole


def test_temperature_divides_the_logits_and_leaves_the_order():
    cold, warm = trained(temperature=1.0), trained(temperature=2.0)
    one, other = cold.predict(signals()).scores, warm.predict(signals()).scores
    torch.testing.assert_close(one / 2, other)


def test_plain_tensors_are_signals():
    plain = {"audio": torch.randn(2, 12, 10), "video": torch.randn(2, 6, 264)}
    assert trained().predict(plain).scores.shape == (2, 3)


def test_a_modality_that_the_model_does_not_know_changes_nothing():
    extra = Signals({**signals(), "text": Sequence(torch.ones(2, 3, 4), torch.ones(2, 3) > 0, 1.0)})
    assert torch.equal(trained().predict(extra).scores, trained().predict(signals()).scores)


def test_nothing_observed_is_a_clear_error():
    nothing = Signals({n: s.hide() for n, s in signals().items()})
    with pytest.raises(NothingPresent):
        trained().predict(nothing)


def test_a_persons_offset_is_taken_off_before_anything_else():
    model = trained(offset="person")
    shifted = Signals(
        {
            n: Sequence(torch.where(s.valid[..., None], s.values * 2 + 5, s.values), s.valid, s.hop)
            for n, s in signals(batch=1).items()
        }
    )
    torch.testing.assert_close(
        model.predict(signals(batch=1)).scores,
        model.predict(shifted).scores,
        atol=1e-4,
        rtol=1e-4,
    )
    known = PersonOffset()
    known.add(signals(batch=2))
    with_offset = model.predict(signals(batch=1), known).scores
    assert not torch.equal(with_offset, model.predict(signals(batch=1)).scores)


def test_examples_of_a_person_share_an_offset():
    examples = [
        Example(f"c{n}", "p", signals().select(torch.tensor([n])), torch.tensor(0))
        for n in range(2)
    ]
    offset = PersonOffset()
    offset.add(signals())
    prepared = trained(offset="person").prepare_examples(examples)
    expected = trained(offset="person").prepare(examples[0].signals, offset)
    torch.testing.assert_close(prepared[0].signals["audio"].values, expected["audio"].values)


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


def test_a_path_that_is_not_there_and_a_name_that_nobody_knows(tmp_path):
    with pytest.raises(InputError, match="is not there"):
        load_model(tmp_path / "none.safetensors")
    with pytest.raises(InputError, match="is not there"):
        load_model("none.safetensors")
    with pytest.raises(OptionError, match="no trained model is called 'defualt'"):
        load_model("defualt")


def test_the_card_is_read_without_loading(file):
    said = read_card(file)
    assert said["task"]["names"] == ["glad", "so-so", "sad"]
    assert said["card"]["people"] == 3
    assert said["extractors"]["audio"]["name"] == "mfcc"


@pytest.mark.parametrize("name", list_trained())
def test_shipped_models_load_and_answer(name):
    model = mien.load_model(name)
    shape = {n: spec["shape"] for n, spec in model.extractors.items()}
    given = {n: torch.randn(1, 15, *size) for n, size in shape.items()}
    assert torch.isfinite(model.predict(given).scores).all()
    assert model.card.licence != "unknown"
    assert model.card.description
