import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.contract import check_contract
from golden.check import check_file, read
from mien.errors import OptionError, WeightError
from mien.missing import withhold
from mien.models._base import Prediction, Task
from mien.models._official import from_official
from mien.models.uavm import UAVM, _Windows
from mien.signals import Sequence, Signals

SMALL = {"width": 8, "heads": 2, "layers": 1, "shared_layers": 1, "steps": 12}
SIX = Task("categories", tuple("abcdef"))


def count(model) -> int:
    return sum(p.numel() for p in model.parameters())


def model(task: Task = SIX, **options: object) -> UAVM:
    torch.manual_seed(0)
    return UAVM(task, {"audio": 5, "video": 4}, **{**SMALL, **options}).eval()


def signals(audio: int = 12, video: int = 12) -> Signals:
    torch.manual_seed(1)
    return Signals(
        {
            "audio": Sequence(
                torch.randn(3, audio, 5), torch.ones(3, audio, dtype=torch.bool), 0.1
            ),
            "video": Sequence(
                torch.randn(3, video, 4), torch.ones(3, video, dtype=torch.bool), 0.1
            ),
        }
    )


def test_golden(golden_folder):
    rows = check_file(golden_folder / "uavm.safetensors")
    assert rows
    assert [row for row in rows if not row.good] == []


def official(features: int, width: int, shared: int, names: int = 3, steps: int = 4):
    """A whole checkpoint under its official names, dead weights included."""
    state = {}
    sizes = {"a_trans": (features, width), "v_trans": (7, width), "s_trans": (width, shared)}
    for name, (size, inner) in sizes.items():
        state |= {
            f"{name}.pos_embed": torch.randn(1, steps, inner),
            f"{name}.in_layernorm.weight": torch.randn(size),
            f"{name}.in_layernorm.bias": torch.randn(size),
            f"{name}.in_proj.weight": torch.randn(inner, size),
            f"{name}.in_proj.bias": torch.randn(inner),
            f"{name}.mlp_head.0.weight": torch.randn(inner),
            f"{name}.mlp_head.0.bias": torch.randn(inner),
            f"{name}.mlp_head.1.weight": torch.randn(names, inner),
            f"{name}.mlp_head.1.bias": torch.randn(names),
            f"{name}.blocks.0.attn.qkv.weight": torch.randn(3 * inner, inner),
        }
        for part, (rows, columns) in {
            "attn.proj": (inner, inner),
            "mlp.fc1": (4 * inner, inner),
            "mlp.fc2": (inner, 4 * inner),
            "norm1": (inner, None),
            "norm2": (inner, None),
        }.items():
            shape = (rows,) if columns is None else (rows, columns)
            state[f"{name}.blocks.0.{part}.weight"] = torch.randn(*shape)
            state[f"{name}.blocks.0.{part}.bias"] = torch.randn(rows)
    return state


@pytest.mark.parametrize(("features", "width", "shared"), [(5, 8, 8), (8, 8, 8), (5, 8, 6)])
def test_a_whole_checkpoint_loads_without_its_dead_weights(features, width, shared):
    state = official(features, width, shared)
    loaded = from_official("uavm", state, num_heads=2)
    assert (loaded.specific["audio"].project is None) == (features == width)
    assert (loaded.shared.project is None) == (shared == width)
    dead = 2 * (2 * width + 3 * width + 3)  # the classifiers of the specific transformers
    dead += (features == width) * (width * width + width)
    dead += (shared == width) * (width * width + width)
    assert count(loaded) == sum(value.numel() for value in state.values()) - dead
    with pytest.raises(WeightError, match="stranger"):
        from_official("uavm", state | {"a_trans.stranger.weight": torch.zeros(1)}, num_heads=2)
    with pytest.raises(WeightError):
        from_official(
            "uavm", {k: v for k, v in state.items() if "s_trans.mlp_head.0" not in k}, num_heads=2
        )


def test_every_stored_parameter_is_used(golden_folder):
    golden = read(golden_folder / "uavm.safetensors")
    loaded = from_official("uavm", golden.parameters, **golden.sizes)
    assert count(loaded) == sum(value.numel() for value in golden.parameters.values())


def test_parameters_are_the_papers_less_those_never_used():
    with torch.device("meta"):
        paper = UAVM(SIX, {"audio": 1024, "video": 1408})
    classifiers = 2 * (2 * 1024 + 6 * 1024 + 6)
    projections = 2 * (1024 * 1024 + 1024)
    assert count(paper) == 117_065_490 - classifiers - projections == 114_949_894


def test_two_modalities_are_averaged_and_one_stands_for_itself():
    both = signals()
    whole = model()(both)
    alone = [model()(withhold(both, {name})) for name in ("video", "audio")]
    torch.testing.assert_close(whole.by_modality["audio"], alone[0].scores)
    torch.testing.assert_close(whole.scores, (alone[0].scores + alone[1].scores) / 2)


def test_an_item_is_trained_by_what_it_has():
    both = signals()
    both["video"].valid[1] = False
    said = model()(both)
    target = torch.tensor([0, 1, 2])
    torch.testing.assert_close(said.by_modality["video"][1], said.by_modality["audio"][1])
    own = [said.by_modality["audio"], said.by_modality["video"]]
    losses = [super(UAVM, model()).loss(Prediction(scores), target) for scores in own]
    torch.testing.assert_close(model().loss(said, target), torch.stack(losses).mean())


def test_a_moment_is_averaged_over_what_was_observed_then():
    frame = Task("dimensions", ("valence",), "frame")
    both = signals()
    both["video"].valid[:, 3:5] = False
    said = model(frame)(both)
    audio, video = said.by_modality["audio"], said.by_modality["video"]
    torch.testing.assert_close(said.scores[:, 3:5], audio[:, 3:5])
    torch.testing.assert_close(said.scores[:, 5:], (audio + video)[:, 5:] / 2)


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 30), st.integers(1, 9), st.integers(0, 9), st.integers(0, 99))
def test_windows_give_back_what_they_were_cut_from(time, steps, padding, seed):
    torch.manual_seed(seed)
    lengths = torch.tensor([time, 1 + seed % time])
    valid = torch.arange(time + padding) < lengths[:, None]
    values = torch.randn(2, time + padding, 3)
    cut = _Windows(valid, steps)
    parts = cut.cut(values)
    assert parts.shape[1] <= steps
    joined = cut.join(parts)
    assert joined.shape == values.shape
    torch.testing.assert_close(joined[valid], values[valid])
    # What is used for an item does not depend on the padding or on who else is there.
    alone = _Windows(valid[1:, : lengths[1]], steps)
    used = cut.used[1].nonzero().flatten()
    assert torch.equal(used, alone.used[0].nonzero().flatten())


def test_heads_must_divide_the_widths():
    with pytest.raises(OptionError, match="divide"):
        model(shared_width=7)


def test_contract():
    check_contract("uavm", **SMALL)


def test_contract_of_other_widths():
    check_contract("uavm", audio=8, tasks=("categories, clip",), **{**SMALL, "shared_width": 6})
