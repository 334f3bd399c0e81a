import pytest
import torch

from contract.contract import check_contract
from mien.models import Task
from mien.models._sfav_branches import Track
from mien.models.tav import TAV, TVA, ConvolutionalTransformer
from mien.signals import Sequence, Signals

SIX = Task("categories", tuple("abcdef"))
SIZES = {"audio": 10, "video": 16}
SMALL = {"widths": {"audio": (4, 6, 6, 8), "video": (4, 4, 6, 8)}}


def signals(video: bool = True, audio: bool = True) -> Signals:
    torch.manual_seed(1)
    sequences = {}
    for name, time, wanted in (("audio", 40, audio), ("video", 15, video)):
        if wanted:
            valid = torch.ones(3, time, dtype=torch.bool)
            sequences[name] = Sequence(torch.randn(3, time, SIZES[name]), valid, 3.6 / time)
    return Signals(sequences)


def spread(scores: torch.Tensor) -> float:
    return float((scores - scores[:1]).detach().abs().max())


def test_tav_without_audio_is_constant_and_tva_without_video_is_not():
    """As in table II: 13.33 % for the one, something learned for the other."""
    torch.manual_seed(0)
    tav, tva = TAV(SIX, SIZES).eval(), TVA(SIX, SIZES).eval()
    assert spread(tav(signals(audio=False)).scores) < 1e-5
    assert spread(tva(signals(video=False)).scores) > 1e-5
    assert spread(tav(signals(video=False)).scores) > 1e-5
    assert spread(tva(signals(audio=False)).scores) > 1e-5


def test_a_block_does_not_see_what_is_not_there():
    torch.manual_seed(0)
    block = ConvolutionalTransformer(4, 6, heads=2).eval()
    valid = torch.tensor([[True, True, False, True, False]])
    asked = Track.of(torch.randn(1, 3, 6), torch.ones(1, 3, dtype=torch.bool))
    values = torch.randn(1, 5, 4)
    other = torch.where(valid.unsqueeze(-1), values, 7.0)
    first, second = (block(Track.of(x, valid), asked)[valid] for x in (values, other))
    torch.testing.assert_close(first, second)


@pytest.mark.parametrize("kind", [TAV, TVA])
def test_dense_layers_before_the_output_add_two_of_the_inner_width(kind):
    plain, dense = (kind(SIX, SIZES, output_block=wanted) for wanted in (False, True))
    more = [sum(p.numel() for p in model.parameters()) for model in (plain, dense)]
    assert more[1] - more[0] == 2 * (128 * 128 + 128)


@pytest.mark.parametrize("name", ["tav", "tva"])
def test_contract(name):
    check_contract(name, output_block=True, **SMALL)
