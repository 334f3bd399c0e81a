import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

import mien
from mien.datasets import Example
from mien.errors import (
    InputError,
    ModelFileError,
    NothingPresent,
    OptionError,
    OutputError,
    PluginError,
)
from mien.evaluation.predict import predict
from mien.features.extractor import create_extractor
from mien.models import MODELS, Task, create_model
from mien.signals import Sequence, Signals
from mien.standardisation import PersonOffset, Standardisation
from mien.trained import list_trained, load_model, read_card
from trained_material import SIZES, TASK, signals, specs, trained


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
        "import torch, sys; sys.path.insert(0, 'tests'); from trained_material import signals;"
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


def test_features_of_another_size_and_unknown_modalities_are_named(file):
    model = load_model(file)
    with pytest.raises(OptionError, match=r"audio has steps of shape \(2,\), mine takes"):
        model.predict({"audio": torch.ones(1, 4, 2)})
    with pytest.raises(NothingPresent, match="mine cannot use audoi; did you mean audio"):
        model.predict({"audoi": torch.ones(1, 4, 2)})


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


@pytest.mark.parametrize("per", ["clip", "frame"])
def test_an_evaluation_of_whole_recordings_says_the_same(per):
    task = Task("categories", TASK.names, per)
    torch.manual_seed(1)
    model = create_model("concat", task=task, modalities=SIZES, hidden=8).eval()
    made = trained(model=model, temperature=1.0)
    whole = [signals(batch=1, seed=seed) for seed in range(2)]
    target = torch.tensor(0) if per == "clip" else torch.zeros(12, dtype=torch.long)
    examples = [Example(f"c{n}", f"p{n}", one, target) for n, one in enumerate(whole)]
    scores = predict(made.model, made.prepare_examples(examples)).scores
    for found, one in zip(scores, whole, strict=True):
        torch.testing.assert_close(found, made.predict(one).scores[0], rtol=0, atol=1e-6)


def test_long_recordings_are_shown_to_a_model_per_frame_in_windows():
    task = Task("dimensions", ("stress",), "frame")
    model = create_model("late_lstm", task=task, modalities={"audio": 10}).eval()
    made = trained(architecture="late_lstm", model=model, extractors={"audio": specs()["audio"]})
    whole, windows = replace(made, frame_window=None), replace(made, frame_window=4)
    given = Signals({"audio": signals(batch=1)["audio"]})
    assert windows.predict(given).scores.shape == whole.predict(given).scores.shape == (1, 12, 1)
    assert not torch.allclose(windows.predict(given).scores, whole.predict(given).scores)


def test_names_that_cannot_stand_in_one_table_are_refused():
    for names in (("Glad", "glad"), ("glad", "two\nlines")):
        task = Task("categories", names)
        model = create_model("concat", task=task, modalities=SIZES, hidden=8)
        with pytest.raises(OptionError, match=r"is called like the label|is no name of a label"):
            trained(model=model)
    task = Task("dimensions", ("confidence",))
    model = create_model("concat", task=task, modalities=SIZES, hidden=8)
    with pytest.raises(OptionError, match="'confidence' is called like the column"):
        trained(model=model)


def test_parts_that_do_not_fit_are_refused_when_they_are_put_together():
    audio = {"audio": specs()["audio"]}
    with pytest.raises(OptionError, match="no extractor gives video"):
        trained(extractors=audio)
    with pytest.raises(OptionError, match="the model knows no text"):
        trained(extractors=specs() | {"text": specs()["audio"]})
    other = specs() | {"audio": create_extractor("mfcc", count=11).spec()}
    with pytest.raises(OptionError, match=r"mean of audio has the shape \(10,\)"):
        trained(extractors=other)
    with pytest.raises(OptionError, match="audio has 11 features, the model was made for 10"):
        trained(extractors=other, standardisation=Standardisation())


def test_weights_that_are_shared_are_written_twice(tmp_path):
    model = create_model("concat", task=TASK, modalities=SIZES, hidden=8).eval()
    model.register_buffer("twin", next(model.parameters()).data)
    trained(model=model).save(tmp_path / "twin.safetensors")
    with pytest.raises(ModelFileError, match="unknown weights: twin"):
        load_model(tmp_path / "twin.safetensors")


def test_weights_that_are_not_finite_are_not_written(tmp_path):
    model = trained()
    with torch.no_grad():
        next(model.model.parameters())[0] = float("nan")
    with pytest.raises(OutputError, match="not finite"):
        model.save(tmp_path / "nan.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_weight_beyond_half_precision_keeps_all_of_its_digits(tmp_path):
    model = trained()
    with torch.no_grad():
        model.model.get_parameter(_first_name(model))[0] = 1e6
    model.save(tmp_path / "half.safetensors", half=True)
    kept = load_file(tmp_path / "half.safetensors")
    kinds = {name: t.dtype for name, t in kept.items() if name.startswith("model.")}
    assert kinds[f"model.{_first_name(model)}"] == torch.float32
    assert torch.float16 in kinds.values()


def _first_name(model):
    return next(name for name, _ in model.model.named_parameters())


def test_modalities_that_the_model_does_not_have_are_not_in_its_file(tmp_path):
    model = create_model("concat", task=TASK, modalities={"audio": 10}, hidden=8).eval()
    trained(model=model, extractors={"audio": specs()["audio"]}).save(tmp_path / "a.safetensors")
    kept = load_file(tmp_path / "a.safetensors")
    assert [n for n in kept if n.startswith("standard.")] == [
        "standard.deviation.audio",
        "standard.mean.audio",
    ]
    assert load_model(tmp_path / "a.safetensors").model.modalities == {"audio": 10}


def test_a_plugin_that_raises_is_named(monkeypatch):
    def fail(signals):
        raise ZeroDivisionError("ouch")

    model = trained()
    monkeypatch.setattr(model.model, "forward", fail)
    with pytest.raises(ZeroDivisionError):
        model.predict(signals())
    monkeypatch.setattr(MODELS, "origin", lambda name: "their.py")
    with pytest.raises(PluginError, match=r"their.py: the model concat raised ZeroDivisionError"):
        model.predict(signals())


def test_scores_of_another_shape_are_named(monkeypatch):
    model = trained()
    said = mien.Prediction(torch.zeros(2, 4))
    monkeypatch.setattr(model.model, "forward", lambda signals: said)
    with pytest.raises(PluginError, match=r"shape \(2, 4\) for 3 names per clip"):
        model.predict(signals())


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


def test_the_folder_of_a_run_names_the_model_in_it(tmp_path):
    trained().save(tmp_path / "model.safetensors")
    assert load_model(tmp_path).task == TASK
