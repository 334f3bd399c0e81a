import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from golden.check import check_file
from mien.errors import OptionError, WeightError
from mien.models import from_official
from mien.models.i3d import (
    I3D,
    ConvolutionSpec,
    InceptionI3d,
    MixedSpec,
    PoolSpec,
    _convert,
    same_padding,
    split_subsequences,
)
from mien.signals import Sequence

SMALL = {
    "Conv3d_1a_7x7": ConvolutionSpec(4, 7, 2),
    "MaxPool3d_2a_3x3": I3D["MaxPool3d_2a_3x3"],
    "Conv3d_2b_1x1": ConvolutionSpec(4, 1, 1),
    "Conv3d_2c_3x3": ConvolutionSpec(5, 3, 1),
    "MaxPool3d_3a_3x3": I3D["MaxPool3d_3a_3x3"],
    "Mixed_3b": MixedSpec(2, 3, 4, 1, 2, 2),
    "Mixed_3c": MixedSpec(3, 2, 3, 1, 2, 1),
    "MaxPool3d_4a_3x3": I3D["MaxPool3d_4a_3x3"],
    "Mixed_4b": MixedSpec(2, 2, 2, 1, 2, 1),
}


def small(outputs=None, layers=SMALL):
    torch.manual_seed(0)
    network = InceptionI3d(outputs, layers=layers).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    return network


def official(network):
    """Our state under the official names."""
    renamed = {}
    for key, value in network.state_dict().items():
        if key.startswith("logits."):
            name = key.replace("logits", "logits.conv3d")
            renamed[name] = value[..., None, None, None] if value.ndim == 2 else value
        else:
            name = key.removeprefix("layers.").replace(".conv.", ".conv3d.")
            renamed[name.replace(".norm.", ".bn.")] = value
    return renamed


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_numbers_of_the_paper():
    with torch.device("meta"):
        assert count(InceptionI3d()) == 12_287_264
        assert count(InceptionI3d(400)) == 12_697_264
        assert InceptionI3d().features == 1024


def test_golden(golden_folder):
    wrong = [row for row in check_file(golden_folder / "i3d_stem.safetensors") if not row.good]
    assert not wrong


@pytest.mark.parametrize("key", ["Mixed_3b.b2b.conv3d.weight", "Conv3d_2c_3x3.bn.running_mean"])
def test_a_degraded_parameter_fails(golden_folder, tmp_path, key):
    from safetensors import safe_open

    source = golden_folder / "i3d_stem.safetensors"
    with safe_open(source, framework="pt") as archive:
        notes = archive.metadata()
    tensors = load_file(source)
    tensors[f"param/{key}"].view(-1)[0] += 0.5
    save_file(tensors, tmp_path / "degraded.safetensors", notes)
    assert not all(row.good for row in check_file(tmp_path / "degraded.safetensors"))


@pytest.mark.parametrize("last", ["Conv3d_1a_7x7", "Conv3d_2c_3x3", "Mixed_3c", "Mixed_4b"])
def test_checkpoints_of_other_depth_and_width(last):
    names = list(SMALL)
    network = small(layers={name: SMALL[name] for name in names[: names.index(last) + 1]})
    again = from_official("i3d", official(network))
    clip = torch.randn(1, 3, 8, 33, 40)
    with torch.no_grad():
        assert torch.equal(again(clip), network(clip))


def test_a_checkpoint_with_logits():
    network = small(3)
    state = official(network)
    again = from_official("i3d", state)
    clip = torch.randn(2, 3, 8, 33, 40)
    with torch.no_grad():
        assert torch.equal(again(clip), network(clip))
        assert again(clip).shape == (2, 3)


@pytest.mark.parametrize("degrade", ["missing", "superfluous", "shape", "gap"])
def test_what_is_no_checkpoint_is_refused(degrade):
    state = official(small())
    if degrade == "missing":
        del state["Mixed_3b.b1a.bn.weight"]
    elif degrade == "superfluous":
        state["Mixed_9z.b0.conv3d.weight"] = torch.zeros(1)
    elif degrade == "shape":
        state["Mixed_3b.b1b.conv3d.weight"] = torch.zeros(4, 3, 1, 1, 1)
    else:
        state = {k: v for k, v in state.items() if not k.startswith("Mixed_3b")}
    with pytest.raises(WeightError):
        from_official("i3d", state)


def test_conversion_takes_every_key():
    state = official(small(3))
    dropped = {key for key in state if key.endswith("num_batches_tracked")}
    assert len(_convert(state)) == len(state) - len(dropped)


@given(size=st.integers(1, 300), kernel=st.integers(1, 7), stride=st.integers(1, 3))
def test_same_padding_gives_one_output_per_stride(size, kernel, stride):
    before, behind = same_padding(size, kernel, stride)
    assert 0 <= behind - before <= 1
    padded = size + before + behind
    if kernel >= stride:
        assert (padded - kernel) // stride + 1 == -(-size // stride)
        assert before + behind == max((-(-size // stride) - 1) * stride + kernel - size, 0)


@settings(max_examples=12, deadline=None)
@given(
    time=st.integers(1, 9),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    batch=st.integers(1, 2),
)
def test_any_size_of_clip(time, height, width, batch):
    network, clips = small(), torch.randn(batch, 3, time, height, width)
    with torch.no_grad():
        features = network(clips)
        first_maps = network.layers["Conv3d_1a_7x7"](clips)
        first = network(clips[:1])
    assert features.shape == (batch, network.features)
    assert features.isfinite().all()
    torch.testing.assert_close(features[:1], first)
    assert first_maps.shape[2:] == tuple(-(-n // 2) for n in (time, height, width))


@settings(max_examples=20, deadline=None)
@given(sizes=st.tuples(*[st.integers(1, 12)] * 3), kernel=st.integers(1, 3))
def test_pools_are_padded_with_zeros(sizes, kernel):
    """What the operation pads itself, with minus infinity, is the same after a ReLU."""
    pool = PoolSpec((kernel, 3, 3), (1, 2, 2))
    layer = InceptionI3d(layers={"MaxPool3d_2a_3x3": pool}).layers["MaxPool3d_2a_3x3"]
    maps = torch.rand(1, 2, *sizes)
    axes = zip(sizes, pool.kernel, pool.stride, strict=True)
    pads = [step for axis in reversed([same_padding(*a) for a in axes]) for step in axis]
    padded = torch.nn.functional.pad(maps, pads)
    expected = torch.nn.functional.max_pool3d(padded, pool.kernel, pool.stride)
    assert torch.equal(layer(maps), expected)


def test_features_of_long_clips_are_means_of_windows():
    network = small()
    maps = torch.rand(1, network.features, 4, 8, 7)
    windows = network.describe(maps)
    assert windows.shape == (1, 3, network.features)
    expected = torch.nn.functional.avg_pool3d(maps, (2, 7, 7), 1)[..., 0].mean(dim=3).mT
    torch.testing.assert_close(windows, expected)


def test_every_parameter_learns():
    network = small(2).train()
    network(torch.randn(2, 3, 8, 40, 40)).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_what_is_no_clip_is_refused():
    with pytest.raises(OptionError):
        small()(torch.zeros(3, 8, 40, 40))


@settings(max_examples=20, deadline=None)
@given(time=st.integers(1, 11), length=st.integers(1, 5), seed=st.integers(0, 99))
def test_subsequences_cut_frames_and_blacken_the_unobserved(time, length, seed):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(2, time, 3, 2, 2, generator=generator)
    valid = torch.rand(2, time, generator=generator) < 0.5
    values[~valid] = torch.nan
    cut = split_subsequences(Sequence(values, valid, 0.04), length)
    clips = -(-time // length)
    assert cut.values.shape == (2, clips, 3, length, 2, 2)
    assert cut.hop == pytest.approx(0.04 * length)
    back = cut.values.transpose(2, 3).flatten(1, 2)[:, :time]
    assert torch.equal(back, torch.where(valid[..., None, None, None], values, 0.0))
    expected = [
        [valid[b, c * length : (c + 1) * length].any() for c in range(clips)] for b in (0, 1)
    ]
    assert cut.valid.tolist() == torch.tensor(expected).tolist()
