"""Protocols that look inside, on small models and on ones that say what the test wants."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mien.datasets import Example
from mien.errors import OptionError
from mien.evaluation import inside
from mien.evaluation.inside import EmbeddingDistance, Latency, PredictionEntropy, ResponseTime
from mien.evaluation.predict import predict
from mien.evaluation.protocols import FirstWindows, Subject
from mien.missing import Withhold
from mien.models import Model, Prediction, Task, create_model
from mien.signals import Sequence, Signals

NAMES = ("anger", "happiness", "sadness")
SIZES = {"audio": 5, "video": 4}
SMALL = {
    "uavm": {"width": 8, "heads": 2, "layers": 1, "shared_layers": 1, "steps": 12},
    "vavl": {"width": 8, "heads": 2, "layers": 1, "shared_layers": 1, "hidden": (8, 8)},
    "mater": {"width": 8, "heads": 2, "layers": 1, "feedforward": 8},
}


def clip(number: int, steps: int, *, hop: float = 0.1, target: int = 1) -> Example:
    chance = torch.Generator().manual_seed(number)
    signals = {
        name: Sequence(
            torch.randn(1, steps, size, generator=chance),
            torch.ones(1, steps, dtype=torch.bool),
            hop,
        )
        for name, size in SIZES.items()
    }
    return Example(f"clip{number}", "somebody", Signals(signals), torch.tensor(target))


def observed_from(example: Example, modality: str, step: int) -> Example:
    sequence = example.signals[modality]
    valid = sequence.valid.clone()
    valid[:, :step] = False
    changed = {**example.signals, modality: replace(sequence, valid=valid)}
    return replace(example, signals=Signals(changed))


def small(name: str) -> Model:
    torch.manual_seed(0)
    return create_model(
        name, task=Task("categories", NAMES), modalities=SIZES, **SMALL[name]
    ).eval()


def subject(model: Model, *examples: Example) -> Subject:
    return Subject(model, examples, ("accuracy",))


def values(rows):
    return {(row.condition, row.metric, row.level): row.value for row in rows}


class Sure(Model):
    """Always says happiness."""

    def __init__(self, device: str = "cpu") -> None:
        super().__init__(Task("categories", NAMES), SIZES)
        self.weight = torch.nn.Parameter(torch.zeros(1, device=device))

    def forward(self, signals):
        scores = torch.zeros(signals.batch, len(NAMES), device=self.weight.device)
        scores[:, 1] = 1
        return Prediction(scores, {"audio": scores, "video": scores})


@pytest.mark.parametrize("name", ["uavm", "vavl"])
def test_embeddings_are_as_far_apart_alone_as_in_a_padded_batch(name):
    clips = [clip(0, 3), observed_from(clip(1, 11), "video", 4), clip(2, 7)]
    distance = EmbeddingDistance()
    (together,) = distance.measure(subject(small(name), *clips))
    alone = [distance.measure(subject(small(name), one))[0].value for one in clips]
    assert together.value == pytest.approx(np.mean(alone), abs=1e-5)
    assert together.value > 1e-3


def test_what_was_not_observed_is_blank_in_embeddings_over_time():
    clips = [clip(0, 3), observed_from(clip(1, 11), "video", 4)]
    found = predict(small("uavm"), clips, embeddings=True).embeddings["specific_video"]
    assert (found[0, 3:] == 0).all()
    assert (found[1, :4] == 0).all()
    assert (found[1, 4:] != 0).all()


def test_distance_is_of_embeddings_of_whole_clips():
    chosen = EmbeddingDistance(of=("audio_layer0", "video_layer0"))
    with pytest.raises(OptionError, match=r"choose from \['audio_pooled', 'video_pooled'\]"):
        chosen.measure(subject(small("mater"), clip(0, 3)))
    with pytest.raises(OptionError, match="choose vavl or uavm"):
        EmbeddingDistance().measure(subject(Sure(), clip(0, 3)))
    pooled = EmbeddingDistance(of=("audio_pooled", "video_pooled"))
    assert 0 < pooled.measure(subject(small("mater"), clip(0, 3)))[0].value < 2


@pytest.mark.parametrize("name", ["mater", "vavl", "uavm"])
def test_entropies_are_of_clips_that_have_the_modality(name):
    without = clip(1, 6, target=0)
    without = replace(without, signals=Withhold(("video",))(without.signals, torch.Generator()))
    have = [clip(0, 6), clip(2, 6, target=2)]
    both = values(PredictionEntropy().measure(subject(small(name), have[0], without, have[1])))
    only = values(PredictionEntropy().measure(subject(small(name), *have)))
    for metric in ("entropy", "accuracy"):
        keys = [key for key in both if key[:2] == ("video", metric)]
        assert [both[key] for key in keys] == pytest.approx(
            [value for key, value in only.items() if key[:2] == ("video", metric)], abs=1e-5
        )


@pytest.mark.parametrize(("hop", "step"), [(0.5, 4), (0.1, 2)])
def test_nobody_answers_before_anything_was_observed(hop, step):
    """A window a step: 3 * 0.1 is more than 0.3 in floating point, and still the third window."""
    late = observed_from(clip(0, 8, hop=hop), "video", step)
    found = values(ResponseTime(seconds=hop, windows=8).measure(subject(Sure(), late)))
    times = {name: v for (name, metric, _), v in found.items() if metric == "seconds"}
    assert times == pytest.approx({"everything": hop, "audio": hop, "video": (step + 1) * hop})
    correct = {name: v for (name, metric, _), v in found.items() if metric == "correct"}
    assert correct == {"everything": 1, "audio": 1, "video": 1}


def test_the_first_windows_show_nothing_of_what_is_still_to_come():
    late = observed_from(clip(0, 8, hop=0.5), "video", 4)
    rows = FirstWindows(seconds=0.5, windows=8).measure(subject(Sure(), late, clip(1, 8, hop=0.5)))
    answered = {row.level: row.value for row in rows if row.metric == "answered"}
    assert answered == {1: 0.5, 2: 0.5, 3: 0.5, 4: 0.5}
    assert {row.condition for row in rows if row.metric == "answered"} == {"video"}
    assert {row.value for row in rows if row.metric == "accuracy"} == {1}


def test_a_face_that_is_seen_after_the_last_window_is_never_told():
    late = observed_from(clip(0, 8, hop=0.5), "video", 6)
    rows = ResponseTime(seconds=0.5, windows=4).measure(subject(Sure(), late, clip(1, 8, hop=0.5)))
    correct = {row.condition: row.value for row in rows if row.metric == "correct"}
    assert correct == {"everything": 1, "audio": 1, "video": 0.5}


def test_latency_is_timed_on_the_device_of_the_model_after_a_warm_up(monkeypatch):
    waited = []
    monkeypatch.setattr(torch.accelerator, "synchronize", lambda device: waited.append(device.type))
    asked, model = [], Sure("meta")
    model.forward = lambda signals: asked.append(signals["audio"].values.device.type)
    rows = Latency(repeats=3).measure(subject(model, clip(0, 10)))
    assert asked == ["meta"] * 3 * (3 + inside.WARM_UP)
    assert waited == ["meta"] * 3 * (2 * 3)
    found = values(rows)
    seconds = [v for key, v in found.items() if key[1] == "seconds"]
    factors = [v for key, v in found.items() if key[1] == "real_time_factor"]
    assert factors == pytest.approx(seconds)  # ten steps of a tenth


def test_latency_needs_no_device_but_the_cpu_and_a_clip_that_has_everything(monkeypatch):
    monkeypatch.setattr(torch.accelerator, "synchronize", lambda _: pytest.fail("no accelerator"))
    silent = replace(clip(0, 4), signals=Signals({"video": clip(0, 4).signals["video"]}))
    rows = Latency(repeats=2).measure(subject(small("uavm"), silent, clip(1, 4)))
    assert {row.condition for row in rows} == {"everything", "audio", "video"}
