from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from contract.contract import check_contract
from golden.check import check_file, read
from mien.errors import OptionError, WeightError
from mien.missing import withhold
from mien.models import Prediction, Task, from_official, predict_in_windows
from mien.models.uavm import UAVM
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


def test_behind_its_end_a_modality_says_nothing():
    frames = model(replace(SIX, per="frame"))
    both = signals(audio=6)
    with torch.no_grad():
        found = frames(both)
        alone = frames(Signals({"video": both["video"]}))
    torch.testing.assert_close(found.scores[:, 6:], alone.scores[:, 6:])
    assert not torch.allclose(found.scores[:, :6], alone.scores[:, :6], atol=1e-3)


@pytest.mark.parametrize("time", [13, 25, 31])
def test_longer_sequences_are_the_common_windows(time):
    frame = Task("dimensions", ("valence",), "frame")
    both = signals(time, 12)
    both["audio"].valid[1, 20:] = False
    alone = Signals({"audio": both["audio"]})
    expected = predict_in_windows(model(frame), alone, 12, 6, fill=0.0).scores
    observed = both["audio"].valid
    torch.testing.assert_close(model(frame)(alone).scores[observed], expected[observed])
    said = model(frame)(both).by_modality["audio"]
    torch.testing.assert_close(said[observed], expected[observed])


def test_a_longer_clip_is_the_mean_over_its_windows():
    long = signals(18)
    parts = [
        Signals({"audio": replace(s, values=s.values[:, at], valid=s.valid[:, at])})
        for s in [long["audio"]]
        for at in (slice(0, 12), slice(6, 18))
    ]
    first, second = (model()._window("audio", part).embeddings["shared"] for part in parts)
    both = (first[:, 6:] + second[:, :6]) / 2
    mean = torch.cat([first[:, :6], both, second[:, 6:]], dim=1).mean(dim=1)
    found = model()(Signals({"audio": long["audio"]}))
    torch.testing.assert_close(found.embeddings["audio"], mean)
    torch.testing.assert_close(found.scores, model().head(model().head_norm(mean)))


def test_padding_behind_the_positions_changes_nothing():
    short, long = signals(12), signals(12)
    padded = {
        name: replace(
            s, values=F.pad(s.values, (0, 0, 0, 20), value=torch.nan), valid=F.pad(s.valid, (0, 20))
        )
        for name, s in long.items()
    }
    for task in (SIX, Task("dimensions", ("valence",), "frame")):
        found, expected = model(task)(Signals(padded)).scores, model(task)(short).scores
        torch.testing.assert_close(found[:, :12], expected[:, :12])


def test_heads_must_divide_the_widths():
    with pytest.raises(OptionError, match="divide"):
        model(shared_width=7)


def test_contract():
    check_contract("uavm", **SMALL)  # 40 and 16 steps over 12 positions


def test_contract_of_other_widths():
    check_contract("uavm", audio=8, tasks=("categories, clip",), **{**SMALL, "shared_width": 6})
