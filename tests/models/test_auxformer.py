import pytest
import torch

from contract.contract import check_contract
from golden.check import check_file, read
from mien.errors import OptionError, WeightError
from mien.models import Prediction, Task, from_official
from mien.models._official import OFFICIAL
from mien.models.auxformer import AuxFormer
from mien.signals import Sequence, Signals

SMALL = {"width": 8, "heads": 2, "layers": 2, "hidden": (12, 10)}
SIX = Task("categories", tuple("abcdef"))


def count(model) -> int:
    return sum(p.numel() for p in model.parameters())


def signals(audio: int = 5, video: int = 8, seed: int = 0) -> Signals:
    torch.manual_seed(seed)
    return Signals(
        {
            "audio": Sequence(torch.randn(3, 7, audio), torch.ones(3, 7, dtype=torch.bool), 0.1),
            "video": Sequence(torch.randn(3, 4, video), torch.ones(3, 4, dtype=torch.bool), 0.2),
        }
    )


def test_golden(golden_folder):
    rows = check_file(golden_folder / "auxformer.safetensors")
    assert rows
    assert [row for row in rows if not row.good] == []


def test_a_checkpoint_loads_with_its_buffers_and_without_anything_strange(golden_folder):
    golden = read(golden_folder / "auxformer.safetensors")
    buffers = {
        "a_mem.version": torch.tensor([2.0]),
        "trans_a_with_v.embed_positions._float_tensor": torch.zeros(1),
    }
    model = from_official("auxformer", golden.parameters | buffers, num_heads=10)
    assert count(model) == sum(value.numel() for value in golden.parameters.values())
    for key in (
        "trans_a_mem.layers.0.beta",
        "a_mem.layers.7.alpha",
        "conv_1d_v.weight",
        "proj3.bias",
    ):
        with pytest.raises(WeightError, match="no checkpoint of auxformer"):
            from_official("auxformer", golden.parameters | {key: torch.zeros(1)}, num_heads=10)
    with pytest.raises(OptionError, match="divide"):
        from_official("auxformer", golden.parameters, num_heads=7)


def test_gradients_reach_official_parameters_through_the_conversion(golden_folder):
    golden = read(golden_folder / "auxformer.safetensors")
    official = {key: value.clone().requires_grad_() for key, value in golden.parameters.items()}
    converted = OFFICIAL["auxformer"].convert(official)
    model = from_official("auxformer", golden.parameters, num_heads=10)
    assert set(converted) == set(model.state_dict())
    sum(value.sum() for value in converted.values()).backward()
    assert all(value.grad is not None for value in official.values())


def test_parameters_are_as_many_as_those_of_the_released_code():
    assert count(AuxFormer(SIX, {"audio": 1024, "video": 50})) == 1_162_712
    assert count(AuxFormer(SIX, {"audio": 1024, "video": 1408})) == 1_233_112


def test_the_prediction_is_the_mean_of_three_heads_and_so_is_the_loss():
    model = AuxFormer(SIX, {"audio": 5, "video": 8}, **SMALL).eval()
    said = model(signals())
    heads = [said.embeddings["fusion"], said.by_modality["audio"], said.by_modality["video"]]
    torch.testing.assert_close(said.scores, torch.stack(heads).mean(0))
    target = torch.tensor([0, 3, 5])
    losses = [super(AuxFormer, model).loss(Prediction(head), target) for head in heads]
    torch.testing.assert_close(model.loss(said, target), torch.stack(losses).mean())


def test_an_auxiliary_head_hears_its_modality_only():
    model = AuxFormer(SIX, {"audio": 5, "video": 8}, **SMALL).eval()
    first, second = signals(), signals(seed=1)
    before = model(first)
    after = model(Signals({"audio": first["audio"], "video": second["video"]}))
    torch.testing.assert_close(after.by_modality["audio"], before.by_modality["audio"])
    assert not torch.allclose(after.by_modality["video"], before.by_modality["video"])


def test_what_makes_no_sense_is_refused():
    with pytest.raises(OptionError, match="pairs two"):
        AuxFormer(SIX, {"audio": 1, "video": 1, "text": 1}, **SMALL)
    with pytest.raises(OptionError, match="video must be projected"):
        AuxFormer(SIX, {"audio": 8, "video": 5}, project=("audio",), **SMALL)


def test_contract():
    check_contract("auxformer", audio_steps=16, video_steps=8, video_hop=0.2, **SMALL)


def test_zeros_in_place_of_a_modality_do_not_blow_the_gradient_up():
    model = AuxFormer(SIX, {"audio": 6, "video": 4})
    valid = torch.ones(3, 5, dtype=torch.bool)
    audio = Sequence(torch.randn(3, 5, 6), valid & torch.tensor([[True], [True], [False]]), 0.2)
    signals = Signals({"audio": audio, "video": Sequence(torch.randn(3, 5, 4), valid, 0.2)})
    model.loss(model(signals), torch.tensor([0, 1, 0])).backward()
    largest = max(float(p.grad.abs().max()) for p in model.parameters() if p.grad is not None)
    assert largest < 100
