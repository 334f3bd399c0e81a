import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from contract.contract import TASKS, check_contract
from golden.check import check_file
from mien.errors import OptionError, WeightError
from mien.models import create_model, from_official
from mien.models._official import OFFICIAL
from mien.models.cross_attention import READINGS, CrossCorrelation, cross_correlate
from mien.signals import Sequence, Signals

SIZES = {"audio": 3, "video": 4}


def model(name="cross_attention", task="dimensions, frame", modalities=SIZES, **options):
    torch.manual_seed(0)
    options = {"hidden": 8, **options}
    return create_model(name, task=TASKS[task], modalities=modalities, **options).eval()


def signals(batch=2, steps=5):
    torch.manual_seed(1)
    every = torch.ones(batch, steps, dtype=torch.bool)
    return Signals(
        {n: Sequence(torch.randn(batch, steps, s), every.clone(), 0.64) for n, s in SIZES.items()}
    )


def hide(both, modality, where):
    valid = both[modality].valid.clone()
    valid[where] = False
    return Signals({**both, modality: Sequence(both[modality].values, valid, 0.64)})


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cross_attention", {}),
        ("cross_attention", {"reading": "printed", "temperature": 0.5}),
        ("cross_attention", {"reading": "released", "width": 5, "pooling": "max"}),
        ("cross_attention_2stage", {}),
    ],
)
def test_contract(name, options):
    check_contract(name, hidden=8, **options)


def test_golden(golden_folder):
    wrong = [row for row in check_file(golden_folder / "ca_fusion.safetensors") if not row.good]
    assert not wrong


def test_official_weights_are_checked():
    weight = torch.randn(4, 4)
    assert torch.equal(from_official("ca_fusion", {"W": weight}).weight, weight)
    assert "ca_fusion" in OFFICIAL
    with pytest.raises(WeightError):
        from_official("ca_fusion", {"W": weight, "V": weight})
    with pytest.raises(WeightError):
        from_official("ca_fusion", {"W": weight[:3]})


def test_model_follows_the_golden_equations(golden_folder):
    file = load_file(golden_folder / "ca_fusion.safetensors")
    fusion = model(modalities={"audio": 32, "video": 32}).double()
    fusion.attention[0].weight = torch.nn.Parameter(file["param/W"])
    every = torch.ones(2, 8, dtype=torch.bool)
    inputs = {"audio": "X_a", "video": "X_v"}
    prediction = fusion(
        Signals({n: Sequence(file[f"input/{key}"].mT, every, 0.64) for n, key in inputs.items()})
    )
    torch.testing.assert_close(prediction.embeddings["fused"].mT, file["output/X_concat"])
    torch.testing.assert_close(prediction.attention["audio"], file["output/A_a"])
    torch.testing.assert_close(prediction.attention["video"], file["output/A_v"])


def test_released_model_follows_the_golden_numbers(golden_folder):
    file = load_file(golden_folder / "ca_fusion.safetensors")
    fusion = model(modalities={"audio": 32, "video": 32}, reading="released").double()
    fusion.attention[0].weight = torch.nn.Parameter(file["param/W"])
    every = torch.ones(2, 8, dtype=torch.bool)
    inputs = {"audio": "X_a", "video": "X_v"}
    prediction = fusion(
        Signals({n: Sequence(file[f"input/{key}"].mT, every, 0.64) for n, key in inputs.items()})
    )
    torch.testing.assert_close(prediction.embeddings["fused"].mT, file["output_repo/sum"])


def test_two_stages_accumulate():
    both, fusion = signals(), model("cross_attention_2stage")
    audio, video = both["audio"].values, both["video"].values
    first = cross_correlate(audio, video, fusion.attention[0].weight)
    audio_1, video_1 = torch.tanh(audio + first.audio), torch.tanh(video + first.video)
    second = cross_correlate(audio_1, video_1, fusion.attention[1].weight)
    audio_2 = torch.tanh(audio + audio_1 + second.audio)
    video_2 = torch.tanh(video + video_1 + second.video)
    prediction = fusion(both)
    expected = torch.cat([video_2, audio_2], dim=-1)
    torch.testing.assert_close(prediction.embeddings["fused"], expected)
    assert set(prediction.attention) == {"audio", "video", "audio_2", "video_2"}


@pytest.mark.parametrize("name", ["cross_attention", "cross_attention_2stage"])
def test_the_other_modality_passes_through_alone(name):
    both, fusion = signals(), model(name)
    fused = fusion(hide(both, "audio", 1)).embeddings["fused"]
    torch.testing.assert_close(fused[0], fusion(both).embeddings["fused"][0])
    alone = torch.tanh(both["video"].values[1])
    if name == "cross_attention_2stage":
        alone = torch.tanh(both["video"].values[1] + alone)
    torch.testing.assert_close(fused[1, :, :4], alone)
    assert not fused[1, :, 4:].any()


def test_released_passes_the_features_themselves_through():
    both, fusion = signals(), model(reading="released", width=5)
    lost = fusion(hide(both, "audio", 1)).embeddings["fused"][1]
    video = torch.nn.functional.normalize(
        fusion.projections["video"](both["video"].values[1]), dim=-1
    )
    torch.testing.assert_close(lost, video)


def test_a_hole_is_filled_by_what_the_other_modality_finds():
    both, fusion = signals(), model()
    fused = fusion(hide(both, "audio", (0, 2))).embeddings["fused"][0, 2]
    rest = [0, 1, 3, 4]
    audio, video = both["audio"].values[0], both["video"].values[0]
    correlation = audio[rest] @ fusion.attention[0].weight @ video[2]
    torch.testing.assert_close(fused[4:], torch.tanh(correlation.softmax(0) @ audio[rest]))
    torch.testing.assert_close(fused[:4], torch.tanh(video[2]))


def test_temperature_sharpens():
    audio, video, weight = torch.randn(1, 6, 3), torch.randn(1, 6, 4), torch.randn(3, 4)
    soft = cross_correlate(audio, video, weight, temperature=1e6).audio_weights
    hard = cross_correlate(audio, video, weight, temperature=1e-6).audio_weights
    torch.testing.assert_close(soft, torch.full_like(soft, 1 / 6), atol=1e-4, rtol=0)
    torch.testing.assert_close(hard.amax(dim=-2), torch.ones(1, 6))


@settings(max_examples=50, deadline=None)
@given(
    reading=st.sampled_from(READINGS),
    steps=st.integers(1, 7),
    audio=st.integers(1, 5),
    video=st.integers(1, 5),
    seed=st.integers(0, 999),
)
def test_weights_are_distributions_over_what_was_observed(reading, steps, audio, video, seed):
    generator = torch.Generator().manual_seed(seed)
    layer = CrossCorrelation(audio, video, reading=reading)
    heard = torch.rand(2, steps, generator=generator) < 0.6
    seen = torch.rand(2, steps, generator=generator) < 0.6
    pairs = heard.unsqueeze(2) & seen.unsqueeze(1)
    x_a = torch.where(heard.unsqueeze(-1), torch.randn(2, steps, audio, generator=generator), 0.0)
    x_v = torch.where(seen.unsqueeze(-1), torch.randn(2, steps, video, generator=generator), 0.0)
    found = layer(x_a, x_v, pairs)
    assert not found.audio_weights[~pairs].any()
    assert not found.video_weights[~pairs.mT].any()
    across = -1 if reading == "printed" else -2
    for weights, mask, axis in (
        (found.audio_weights, pairs, -2),
        (found.video_weights, pairs.mT, across),
    ):
        torch.testing.assert_close(weights.sum(axis), mask.any(axis).float())
    assert found.audio.shape == (2, steps, audio)
    assert found.video.shape == (2, steps, video)
    sum(t.sum() for t in (found.audio, found.video)).backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.isfinite().all()


def test_numbers_of_the_paper():
    fusion = model(modalities={"audio": 1024, "video": 1024}, hidden=512)
    assert fusion.attention[0].weight.numel() == 1_048_576
    deviation = math.sqrt(2 / 2048)
    assert fusion.attention[0].weight.std().item() == pytest.approx(deviation, rel=0.01)
    assert fusion.head[0].p == 0.5


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cross_attention", {"temperature": 0.0}),
        ("cross_attention", {"reading": "rows"}),
        ("cross_attention", {"reading": "released"}),
        ("cross_attention", {"modalities": {"audio": 3, "video": 4, "text": 5}}),
        ("cross_attention", {"modalities": {}}),
        ("cross_attention_2stage", {"reading": "released", "width": 5}),
    ],
)
def test_options_that_make_no_sense(name, options):
    with pytest.raises(OptionError):
        model(name, **options)
