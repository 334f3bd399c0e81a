"""The conformer block: official numbers, its layers against slow readings, and its masks."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from golden.outputs import compute_outputs
from mien.errors import OptionError, WeightError
from mien.layers.conformer import (
    ConformerBlock,
    ConformerEncoder,
    ConvolutionModule,
    RelativeAttention,
    shift_to_keys,
    sinusoids,
)
from mien.models import from_official
from mien.models._official_conformer import _DEAD, _NAMES

GOLDEN = ("conformer_block", "conformer_block_vavl")
quick = settings(max_examples=15, deadline=None)
seeds = st.integers(0, 10_000)


@st.composite
def masks(draw, batch=3, longest=9):
    time = draw(st.integers(1, longest))
    rows = st.lists(st.booleans(), min_size=time, max_size=time)
    return torch.tensor(draw(st.lists(rows, min_size=batch, max_size=batch)))


def official(width=8, heads=2, kernel=3, expansion=3):
    """An official state of other sizes, from one of our blocks."""
    torch.manual_seed(1)
    block = ConformerBlock(width, heads, kernel_size=kernel, expansion=expansion).eval()
    state = block.state_dict()
    state["convolution.norm.running_mean"] = torch.randn(width)
    state["convolution.norm.running_var"] = torch.rand(width) + 0.5
    block.load_state_dict(state)
    theirs = {name: state[ours].clone() for name, ours in _NAMES.items()}
    pointwise = ("2.conv.weight", "7.conv.weight")
    return block, {k: v.unsqueeze(-1) if k.endswith(pointwise) else v for k, v in theirs.items()}


def tensors(path, group):
    found = {
        k.removeprefix(f"{group}/"): v for k, v in load_file(path).items() if k.startswith(group)
    }
    return {k: v.float() if v.dtype == torch.float16 else v for k, v in found.items()}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_outputs_and_gradient(golden_folder, name):
    path = golden_folder / f"{name}.safetensors"
    block = from_official(name, tensors(path, "param"), num_heads=4)
    x = tensors(path, "input")["x"].requires_grad_()
    found = compute_outputs(name, block, {"x": x})
    for key, expected in tensors(path, "output").items():
        torch.testing.assert_close(found[key], expected, atol=1e-5, rtol=0)
    found["y"].sum().backward()
    torch.testing.assert_close(x.grad, tensors(path, "grad")["x"], atol=1e-5, rtol=0)


def test_official_sizes_come_from_shapes():
    ours, theirs = official()
    loaded = from_official("conformer_block", theirs)
    x = torch.randn(2, 7, 8)
    assert torch.equal(loaded(x), ours(x))


def test_official_dead_weights_are_dropped_and_others_refused():
    _, theirs = official()
    from_official("conformer_block", theirs | {name: torch.zeros(1) for name in _DEAD})
    with pytest.raises(WeightError, match="unknown parameters extra"):
        from_official("conformer_block", theirs | {"extra": torch.zeros(1)})
    with pytest.raises(WeightError):
        from_official("conformer_block", {k: v for k, v in theirs.items() if "u_bias" not in k})
    with pytest.raises(WeightError):
        from_official("conformer_block", {k: v for k, v in theirs.items() if "7.conv.b" not in k})
    with pytest.raises(WeightError, match="has 2 heads"):
        from_official("conformer_block", theirs, num_heads=4)


def test_sizes_that_do_not_go_together():
    with pytest.raises(OptionError, match="3 heads"):
        RelativeAttention(8, 3)
    with pytest.raises(OptionError, match="odd kernel"):
        ConvolutionModule(8, kernel_size=4)


def test_one_block_at_the_size_of_vavl_has_its_parameters():
    with torch.device("meta"):
        block = ConformerBlock(512, 8)
    assert sum(p.numel() for p in block.parameters()) == 6_323_200


@quick
@given(width=st.integers(1, 9), position=st.integers(-40, 40))
def test_sinusoids(width, position):
    row = sinusoids(torch.tensor([float(position)], dtype=torch.float64), width)[0]
    for column in range(width):
        angle = position / 10000 ** ((column - column % 2) / width)
        expected = math.cos(angle) if column % 2 else math.sin(angle)
        assert row[column] == pytest.approx(expected, abs=1e-12)


@quick
@given(steps=st.integers(1, 8), batch=st.integers(1, 3), seed=seeds)
def test_shift_gives_each_key_the_score_of_its_distance(steps, batch, seed):
    torch.manual_seed(seed)
    scores = torch.randn(batch, 2, steps, 2 * steps - 1)
    found = shift_to_keys(scores)
    for query in range(steps):
        for key in range(steps):
            row = steps - 1 - (query - key)
            assert torch.equal(found[..., query, key], scores[..., query, row])


@quick
@given(valid=masks(), heads=st.sampled_from([1, 2, 4]), seed=seeds)
def test_attention_is_the_slow_reading(valid, heads, seed):
    torch.manual_seed(seed)
    layer = RelativeAttention(8, heads).double().eval()
    x = torch.randn(*valid.shape, 8, dtype=torch.float64)
    found = layer(x, valid)
    size = 8 // heads
    for item, seen in enumerate(valid):
        if not seen.any():
            assert found[item].isfinite().all()
            continue
        query, key, value = layer.query(x[item]), layer.key(x[item]), layer.value(x[item])
        for step in range(len(seen)):
            parts = []
            for head in range(heads):
                cut = slice(head * size, (head + 1) * size)
                keys = seen.nonzero().flatten()
                table = layer.position(sinusoids((step - keys).double(), 8))
                content = key[keys, cut] @ (query[step, cut] + layer.u[head])
                place = table[:, cut] @ (query[step, cut] + layer.v[head])
                weights = ((content + place) / math.sqrt(size)).softmax(0)
                parts.append(weights @ value[keys, cut])
            torch.testing.assert_close(found[item, step], layer.out(torch.cat(parts)))


@quick
@given(
    valid=masks(),
    heads=st.sampled_from([1, 2]),
    kernel=st.sampled_from([1, 3, 7]),
    padding=st.integers(0, 4),
    training=st.booleans(),
    seed=seeds,
)
def test_encoder_masks(valid, heads, kernel, padding, training, seed):
    """What was not observed, padding and the rest of the batch change nothing."""
    torch.manual_seed(seed)
    encoder = ConformerEncoder(5, 8, layers=2, heads=heads, kernel_size=kernel, dropout=0.0)
    encoder.train(training)
    x = torch.randn(*valid.shape, 5)
    clean = encoder(x, valid)
    assert bool(clean.isfinite().all())
    assert not clean[~valid].any()
    dirty = torch.where(valid.unsqueeze(-1), x, torch.nan)
    longer = torch.cat([dirty, torch.full((len(x), padding, 5), torch.inf)], dim=1)
    more = torch.cat([valid, valid.new_zeros(len(x), padding)], dim=1)
    padded = encoder(longer, more)
    torch.testing.assert_close(padded[:, : valid.shape[1]], clean, atol=1e-5, rtol=1e-4)
    if not training:
        alone = encoder(x[:1], valid[:1])
        torch.testing.assert_close(alone, clean[:1], atol=1e-5, rtol=1e-4)


def test_gradients_are_finite_where_a_whole_item_is_missing():
    encoder = ConformerEncoder(5, 8, layers=1, heads=2, kernel_size=3)
    valid = torch.tensor([[True, True, False], [False, False, False]])
    x = torch.full((2, 3, 5), torch.nan)
    x[valid] = torch.randn(2, 5)
    encoder(x, valid).square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name
