from copy import deepcopy

import pytest
import torch

from contract.contract import check_contract
from mien.errors import OptionError, WeightError
from mien.models import Task
from mien.models.tlstm import TLSTM
from mien.signals import Sequence, Signals

SMALL = {"width": 8, "heads": 2, "layers": 1, "recurrent_width": 6}
ORDERS = (("audio", "video"), ("video", "audio"))
SIX = Task("categories", tuple("abcdef"))


def test_parameters_are_within_a_hundredth_of_the_published_number():
    model = TLSTM(SIX, {"audio": 1024, "video": 1408})
    count = sum(p.numel() for p in model.parameters())
    assert count == 489_734
    assert abs(count / 485_000 - 1) < 0.01


def test_a_frame_does_not_hear_the_lstm_of_later_frames():
    """Transformers see everything, but the LSTM runs forward: shared state ends at the step."""
    torch.manual_seed(0)
    model = TLSTM(Task("dimensions", ("valence",), "frame"), {"audio": 3}, **SMALL).eval()
    fused = torch.randn(1, 6, 8)
    later = torch.cat([fused[:, :4], torch.randn(1, 2, 8)], dim=1)
    torch.testing.assert_close(model.lstm(fused)[0][:, :4], model.lstm(later)[0][:, :4])


def test_frames_of_the_first_modality_are_brought_to_the_finest_hop():
    torch.manual_seed(0)
    model = TLSTM(Task("dimensions", ("v",), "frame"), {"video": 3, "audio": 2}, **SMALL).eval()
    signals = Signals(
        {
            "video": Sequence(torch.randn(1, 3, 3), torch.ones(1, 3, dtype=torch.bool), 0.2),
            "audio": Sequence(torch.randn(1, 6, 2), torch.ones(1, 6, dtype=torch.bool), 0.1),
        }
    )
    scores = model(signals).scores
    assert scores.shape == (1, 6, 1)
    assert torch.equal(scores[:, 0::2], scores[:, 1::2])


def test_weights_say_who_asks():
    """Both orders have weights of the same names and shapes."""
    audio_asks, video_asks = (TLSTM(SIX, dict.fromkeys(names, 3), **SMALL) for names in ORDERS)
    with pytest.raises(WeightError, match="audio asks, in the model video"):
        video_asks.load_state_dict(audio_asks.state_dict())
    with pytest.raises(WeightError, match="video asks, in the model audio"):
        audio_asks.load_state_dict(video_asks.state_dict(), strict=False)
    older = {name: value for name, value in audio_asks.state_dict().items() if name != "asking"}
    again = deepcopy(audio_asks)
    again.load_state_dict(older, strict=True)
    assert "asking" not in older


def test_three_modalities_are_refused():
    with pytest.raises(OptionError, match="one other"):
        TLSTM(SIX, {"audio": 1, "video": 1, "text": 1}, **SMALL)


def test_contract():
    check_contract("tlstm", **SMALL)
