from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

import mien.models.mmte  # noqa: F401  (makes the official implementation known)
from golden.check import check_file
from golden.outputs import compute_outputs
from mien.errors import OptionError, WeightError
from mien.layers.tcn import TCN, receptive_field
from mien.models import from_official


def test_golden(golden_folder):
    rows = check_file(golden_folder / "tcn.safetensors")
    assert {row.what for row in rows} == {
        "output/y",
        "output/block0",
        "output/block1",
        "grad/x",
    }
    assert all(row.good for row in rows), rows


def official(channels, inputs, kernel, seed=0):
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for level, (before, after) in enumerate(zip((inputs, *channels[:-1]), channels, strict=True)):
        for name, width in (("conv1", before), ("conv2", after)):
            key = f"network.{level}.{name}."
            state[key + "weight_v"] = torch.randn(after, width, kernel, generator=generator)
            state[key + "weight_g"] = torch.rand(after, 1, 1, generator=generator) + 0.5
            state[key + "bias"] = torch.randn(after, generator=generator)
        if before != after:
            key = f"network.{level}.downsample."
            state[key + "weight"] = torch.randn(after, before, 1, generator=generator)
            state[key + "bias"] = torch.randn(after, generator=generator)
    return state


def plain(state, values):
    """The paper's figure 1, written out."""
    level = 0
    while f"network.{level}.conv1.bias" in state:
        hidden, key = values, f"network.{level}."
        for name in ("conv1", "conv2"):
            v, g, bias = (state[f"{key}{name}.{n}"] for n in ("weight_v", "weight_g", "bias"))
            weight = g * v / v.flatten(1).norm(dim=1)[:, None, None]
            reach = (v.shape[2] - 1) * 2**level
            hidden = F.conv1d(F.pad(hidden, (reach, 0)), weight, bias, dilation=2**level).relu()
        if key + "downsample.bias" in state:
            weight, bias = state[key + "downsample.weight"], state[key + "downsample.bias"]
            values = F.conv1d(values, weight, bias)
        values = (hidden + values).relu()
        level += 1
    return values


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=4),
    st.integers(1, 5),
    st.integers(1, 5),
    st.integers(1, 12),
)
def test_any_official_size(channels, inputs, kernel, time):
    state = official(channels, inputs, kernel)
    aliases = {n.replace("conv1", "net.0"): v for n, v in state.items() if "conv1" in n}
    module = from_official("tcn", {**state, **aliases})
    x = torch.randn(2, inputs, time)
    y = compute_outputs("tcn", module, {"x": x})["y"]
    expected = plain(state, x)
    assert torch.allclose(y, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max() + 1))


@pytest.mark.parametrize("change", ["missing", "more", "shape"])
def test_degraded_checkpoints_are_refused(change):
    state = official((4, 4), 3, 3)
    if change == "missing":
        del state["network.1.conv2.bias"]
    elif change == "more":
        state["network.1.conv3.bias"] = torch.zeros(4)
    else:
        state["network.0.conv2.weight_v"] = torch.zeros(4, 4, 2)
    with pytest.raises(WeightError):
        from_official("tcn", state)


@pytest.mark.parametrize(
    ("features", "parameters"),
    [(88, 463424), (20, 419904), (17, 417984), (35, 429504), (3, 409024)],
)
def test_parameters(features, parameters):
    assert sum(p.numel() for p in TCN(features).parameters()) == parameters


def test_receptive_field_of_the_paper():
    assert receptive_field(6, 9) == TCN(1, (1,) * 6).receptive_field == 1009


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 3), st.booleans())
def test_reach(layers, kernel, base, causal):
    tcn = TCN(2, (3,) * layers, kernel=kernel, base=base, causal=causal).double().eval()
    for name, parameter in tcn.named_parameters():
        parameter.data = torch.full_like(parameter, 0.0 if "bias" in name else 1.0)
    field = tcn.receptive_field
    values = torch.zeros(1, 2 * field + 1, 2, dtype=torch.float64)
    values[0, field] = 1
    reached = tcn(values)[0].any(dim=1).nonzero().flatten()
    if causal:
        assert (int(reached.min()), int(reached.max())) == (field, 2 * field - 1)
    else:
        assert int(reached.max()) - int(reached.min()) == field - 1
        assert abs(int(reached.max()) + int(reached.min()) - 2 * field) <= 2 * layers


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 14), st.booleans(), st.integers(0, 999))
def test_masks(features, layers, time, causal, seed):
    generator = torch.Generator().manual_seed(seed)
    tcn = TCN(features, (4,) * layers, kernel=3, causal=causal).eval()
    values = torch.randn(3, time, features, generator=generator)
    valid = torch.rand(3, time, generator=generator) > 0.4
    found = tcn(torch.where(valid.unsqueeze(-1), values, float("nan")), valid)
    assert found.isfinite().all()
    assert not found[~valid].any()
    longer = tcn(F.pad(values, (0, 0, 0, 3), value=5.0), F.pad(valid, (0, 3)))
    assert torch.allclose(longer[:, :time], found, atol=1e-6)
    alone = tcn(values[1:2], valid[1:2])
    assert torch.allclose(alone, found[1:2], atol=1e-6)
    if causal:
        state = tcn.start(3)
        steps = [tcn.step(values[:, t], valid[:, t], state) for t in range(time)]
        assert torch.allclose(torch.stack(steps, dim=1), found, atol=1e-6)


def test_what_makes_no_sense():
    with pytest.raises(OptionError):
        TCN(3, ())
    with pytest.raises(OptionError, match="step by step"):
        TCN(3, causal=False).start(1)
