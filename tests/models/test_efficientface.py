"""EfficientFace: sizes, official numbers, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from golden.check import check_file
from mien.errors import OptionError, WeightError
from mien.models import from_official
from mien.models.efficientface import EfficientFace, LocalFeatures, Modulator, ShuffleUnit, shuffle

SMALL = {"classes": 3, "widths": (4, 8, 16, 24, 10), "units": (2, 1, 2), "hidden": 2, "dilated": 1}


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameters_as_in_the_official_network():
    assert count(EfficientFace()) == 1_275_293
    assert count(EfficientFace(classes=None)) == 1_268_118


def test_official_numbers(golden_folder):
    rows = check_file(golden_folder / "efficientface.safetensors")
    assert len(rows) == 6
    assert [row for row in rows if not row.good] == []


def test_counters_of_a_real_checkpoint_are_dropped_and_strangers_refused(golden_folder):
    stored = load_file(golden_folder / "efficientface.safetensors")
    state = {k.removeprefix("param/"): v.float() for k, v in stored.items() if k[:5] == "param"}
    from_official("efficientface", {**state, "conv1.1.num_batches_tracked": torch.tensor(7)})
    with pytest.raises(WeightError, match="unknown parameter"):
        from_official("efficientface", {**state, "conv9.weight": torch.zeros(1)})
    del state["local.bn3_2.running_var"]
    with pytest.raises(WeightError, match=r"local\.bn3_2\.running_var"):
        from_official("efficientface", state)


def official_small(network: EfficientFace) -> dict[str, torch.Tensor]:
    """The state of a small network under official names, written out independently."""
    state = {k: v for k, v in network.state_dict().items() if "num_batches" not in k}
    out = {}
    for key, value in state.items():
        if key.startswith("local."):
            layer, kind = int(key.split(".")[2]), key.split(".")[3]
            for patch, part in enumerate(value.chunk(4), start=1):
                word = "conv" if layer in {0, 3} else "bn"
                out[f"local.{word}{patch}_{1 if layer < 3 else 2}.{kind}"] = part
            continue
        for ours, official in {
            "stem.": "conv1.",
            "last.": "conv5.",
            "classifier.": "fc.",
            "stages.0.": "stage2.",
            "stages.1.": "stage3.",
            "stages.2.": "stage4.",
            "modulator.channel.0": "modulator.channel_att.gate_c.gate_c_fc_0",
            "modulator.channel.1": "modulator.channel_att.gate_c.gate_c_bn_1",
            "modulator.channel.3": "modulator.channel_att.gate_c.gate_c_fc_final",
            "modulator.spatial.0": "modulator.spatial_att.gate_s.gate_s_conv_reduce0",
            "modulator.spatial.1": "modulator.spatial_att.gate_s.gate_s_bn_reduce0",
            "modulator.spatial.3": "modulator.spatial_att.gate_s.gate_s_conv_di_0",
            "modulator.spatial.4": "modulator.spatial_att.gate_s.gate_s_bn_di_0",
            "modulator.spatial.6": "modulator.spatial_att.gate_s.gate_s_conv_final",
        }.items():
            if key.startswith(ours):
                out[official + key.removeprefix(ours)] = value
    return out


def test_any_size_comes_from_the_shapes():
    torch.manual_seed(0)
    network = EfficientFace(**SMALL).eval()
    loaded = from_official("efficientface", official_small(network))
    faces = torch.rand(2, 3, 48, 32)
    with torch.no_grad():
        assert torch.equal(loaded(faces), network(faces))


def test_refuses_what_is_no_face_crop():
    network = EfficientFace(**SMALL)
    for shape in ((2, 1, 32, 32), (2, 3, 40, 32), (2, 3, 32, 40), (3, 32, 32)):
        with pytest.raises(OptionError):
            network(torch.zeros(shape))


def test_many_faces_are_described_as_few():
    torch.manual_seed(0)
    network = EfficientFace(**SMALL).eval()
    faces = torch.rand(19, 3, 16, 16)
    with torch.no_grad():
        together, alone = network(faces), torch.cat([network(face[None]) for face in faces])
    torch.testing.assert_close(together, alone)
    torch.testing.assert_close(network(faces), together)


def test_without_classes_gives_features():
    network = EfficientFace(**{**SMALL, "classes": None}).eval()
    faces = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(network(faces), network.describe(faces))


def test_a_quarter_of_the_map_only_changes_its_own_quarter():
    torch.manual_seed(0)
    local = LocalFeatures(4, 8).eval()
    maps = torch.rand(1, 4, 8, 12)
    other = maps.clone()
    other[:, :, 4:, :6] += 1  # bottom left
    with torch.no_grad():
        changed = (local(other) - local(maps)).abs().amax(dim=(0, 1)) > 0
    assert changed.shape == (4, 6)
    assert bool(changed[2:, :3].any())
    assert not bool(changed[:2].any())
    assert not bool(changed[2:, 3:].any())


@settings(max_examples=25, deadline=None)
@given(half=st.integers(1, 6), batch=st.integers(1, 3), side=st.integers(1, 5))
def test_shuffle_only_moves_channels(half, batch, side):
    maps = torch.randn(batch, 2 * half, side, side + 1)
    shuffled = shuffle(maps)
    assert torch.equal(shuffled[:, ::2], maps[:, :half])
    assert torch.equal(shuffled[:, 1::2], maps[:, half:])


@settings(max_examples=25, deadline=None)
@given(
    half=st.integers(1, 5),
    stride=st.sampled_from((1, 2)),
    side=st.integers(2, 9),
    batch=st.integers(1, 3),
)
def test_a_unit_treats_each_picture_alone(half, stride, side, batch):
    unit = ShuffleUnit(2 * half, 2 * half if stride == 1 else 4 * half, stride).eval()
    modulator = Modulator(2 * half, 3, 2).eval()
    maps = torch.randn(batch, 2 * half, side, side)
    with torch.no_grad():
        together, alone = unit(maps), torch.cat([unit(one[None]) for one in maps])
        modulated = modulator(maps)
    assert together.shape[2] == (side + stride - 1) // stride
    torch.testing.assert_close(together, alone)
    assert modulated.shape == maps.shape
    assert bool((modulated.abs() <= maps.abs()).all())  # a sigmoid only attenuates
