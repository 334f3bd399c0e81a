"""MATER: the contract, the text's own numbers, its baselines, and what the entropies need."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from contract.contract import check_contract
from golden.outputs import compute_outputs
from mien.errors import OptionError, WeightError
from mien.models import Task, from_official
from mien.models.mater import Mater
from mien.signals import Sequence, Signals

SMALL = {"width": 8, "layers": 2, "heads": 2, "feedforward": 12}
SIZES = {"audio": 8, "video": 5}
FOUR = Task.emotions(("neutral", "happiness", "sadness", "anger"))


def signals(time=6, batch=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Signals(
        {
            name: Sequence(
                torch.randn(batch, time, size, generator=generator),
                torch.ones(batch, time, dtype=torch.bool),
                0.5,
            )
            for name, size in SIZES.items()
        }
    )


def model(task=FOUR, **options):
    torch.manual_seed(0)
    return Mater(task, SIZES, **SMALL | options).eval()


def tensors(path, group):
    stored = load_file(path)
    return {k.removeprefix(f"{group}/"): v for k, v in stored.items() if k.startswith(f"{group}/")}


@pytest.mark.parametrize(
    "options",
    [{}, {"attention": False, "positions": False}, {"maps": False}],
    ids=str,
)
def test_contract(options):
    tasks = {"tasks": ("categories, frame", "dimensions, clip")} if options else {}
    check_contract("mater", **SMALL, **tasks, **options)


def test_golden(golden_folder):
    path = golden_folder / "mater_reference.safetensors"
    loaded = from_official("mater", tensors(path, "param"), num_heads=2)
    inputs = {name: x.requires_grad_() for name, x in tensors(path, "input").items()}
    found = compute_outputs("mater", loaded, inputs)
    for name, expected in tensors(path, "output").items():
        torch.testing.assert_close(found[name], expected, atol=1e-12, rtol=0)
    found["logits"].sum().backward()
    for name, expected in tensors(path, "grad").items():
        torch.testing.assert_close(inputs[name].grad, expected, atol=1e-12, rtol=0)


def test_golden_in_single_precision(golden_folder):
    path = golden_folder / "mater_reference.safetensors"
    single = {name: x.float() for name, x in tensors(path, "param").items()}
    inputs = {name: x.float() for name, x in tensors(path, "input").items()}
    with torch.no_grad():
        found = compute_outputs("mater", from_official("mater", single, num_heads=2), inputs)
    for name, expected in tensors(path, "output").items():
        torch.testing.assert_close(found[name], expected.float(), atol=1e-5, rtol=0)


def official(layers, width, names=3):
    torch.manual_seed(2)
    state = {}
    for modality in ("audio", "video"):
        layer = torch.nn.TransformerEncoderLayer(width, 2, 12, batch_first=True)
        stack = torch.nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        state |= {f"{modality}.{name}": x.clone() for name, x in stack.state_dict().items()}
        state[f"{modality}_head.weight"] = torch.randn(names, width)
        state[f"{modality}_head.bias"] = torch.randn(names)
    return state


@settings(max_examples=8, deadline=None)
@given(
    layers=st.integers(1, 3),
    width=st.sampled_from([4, 8]),
    time=st.integers(1, 7),
    data=st.data(),
)
def test_any_size_agrees_with_the_encoder_of_torch(layers, width, time, data):
    state = official(layers, width)
    mine = from_official("mater", state, num_heads=2)
    layer = torch.nn.TransformerEncoderLayer(width, 2, 12, batch_first=True)
    whole = torch.nn.TransformerEncoder(layer, layers, enable_nested_tensor=False).eval()
    whole.load_state_dict({k[6:]: v for k, v in state.items() if k.startswith("audio.")})
    row = st.lists(st.booleans(), min_size=time, max_size=time).filter(any)
    valid = torch.tensor(data.draw(st.lists(row, min_size=2, max_size=2)))
    x = torch.randn(2, time, width)
    encoder = mine.encoders["audio"]
    encoder.positions = False
    with torch.no_grad():
        found = encoder(x, valid, 0.0, True).frames
        expected = whole(x, src_key_padding_mask=~valid)
    torch.testing.assert_close(found[valid], expected[valid], atol=1e-5, rtol=1e-4)


def test_unknown_and_missing_official_parameters_are_refused():
    state = official(2, 4)
    with pytest.raises(WeightError, match="unknown parameter extra"):
        from_official("mater", state | {"extra": torch.zeros(1)}, num_heads=2)
    lost = {k: v for k, v in state.items() if k != "video.layers.0.norm2.bias"}
    with pytest.raises(WeightError):
        from_official("mater", lost, num_heads=2)
    with pytest.raises(WeightError):
        from_official("mater", {k: v for k, v in state.items() if "_head" not in k}, num_heads=2)


@pytest.mark.parametrize(("names", "expected"), [(8, 37_836_816), (6, 37_834_764)])
def test_parameters_at_the_sizes_of_the_paper(names, expected):
    task = Task("categories", tuple(f"class {n}" for n in range(names)))
    with torch.device("meta"):
        built = Mater(task, {"audio": 512, "video": 512})
        baseline = Mater(task, {"audio": 512, "video": 512}, attention=False)
    assert sum(p.numel() for p in built.parameters()) == expected
    attention = 12 * (4 * 512 * 512 + 4 * 512 + 2 * 512)
    assert sum(p.numel() for p in baseline.parameters()) == expected - attention


def test_average_of_the_logits_and_the_other_branch_alone():
    whole, net = signals(), model()
    valid = whole["video"].valid.clone()
    valid[1] = False
    mixed = Signals({**whole, "video": replace(whole["video"], valid=valid)})
    with torch.no_grad():
        found = net(mixed)
    audio, video = found.by_modality["audio"], found.by_modality["video"]
    torch.testing.assert_close(found.scores[[0, 2]], ((audio + video) / 2)[[0, 2]])
    torch.testing.assert_close(found.scores[1], audio[1])


def test_what_the_entropies_need():
    whole, net = signals(), model()
    valid = whole["audio"].valid.clone()
    valid[0, 2], valid[1, 4:] = False, False
    holes = Signals({**whole, "audio": replace(whole["audio"], valid=valid)})
    with torch.no_grad():
        found, fused = net(holes), model(maps=False)(holes)
    assert not fused.attention
    torch.testing.assert_close(fused.scores, found.scores)
    for layer in range(2):
        maps = found.attention[f"audio_attention{layer}"]
        assert maps.shape == (3, 2, 6, 6)
        torch.testing.assert_close(maps.sum(-1), valid[:, None].expand(3, 2, 6).float())
        assert not maps.masked_select(~valid[:, None, None]).any()
        states = found.embeddings[f"audio_layer{layer}"]
        assert states.shape == (3, 6, 8)
        assert not states[~valid].any()
        assert states[valid].any(dim=-1).all()
    last = found.embeddings["audio_layer1"]
    expected = last.sum(1) / valid.sum(1, keepdim=True)
    torch.testing.assert_close(found.embeddings["audio_pooled"], expected)


def test_baselines():
    """Without attention windows do not see each other; without positions their order is lost."""
    whole = Signals({"audio": signals()["audio"]})
    values = whole["audio"].values.clone()
    values[:, 3] += 1.0
    other = Signals({"audio": replace(whole["audio"], values=values)})
    swapped = Signals({"audio": replace(whole["audio"], values=whole["audio"].values.flip(1))})
    with torch.no_grad():
        for attention in (True, False):
            net = model(replace(FOUR, per="frame"), attention=attention)
            changed = (net(other).scores - net(whole).scores).abs().amax(dim=(0, 2)) > 1e-6
            assert changed.tolist() == [attention or step == 3 for step in range(6)]
        for positions in (True, False):
            net = model(positions=positions)
            same = torch.allclose(net(swapped).scores, net(whole).scores, atol=1e-6)
            assert same is not positions


def test_loss_leaves_out_steps_that_nobody_observed():
    whole, net = signals(), model(Task("dimensions", ("arousal",), per="frame"))
    cut = Signals({n: replace(s, valid=s.valid & (torch.arange(6) < 4)) for n, s in whole.items()})
    target = torch.rand(3, 6, 1)
    found = net(cut)
    expected = (found.scores[:, :4] - target[:, :4]).square().mean()
    torch.testing.assert_close(net.loss(found, target), expected)


def test_errors_say_what_is_wrong():
    with pytest.raises(OptionError, match="3 heads"):
        model(heads=3)
    with pytest.raises(OptionError, match="needs a layer"):
        model(layers=0)
