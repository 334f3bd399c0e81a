import numpy as np
import pytest
import torch

from mien.errors import OptionError
from mien.features.face_encoder import CROP_PX
from mien.features.pixels import MFCC_HOP, PixelExtractor
from mien.models import Task, create_model
from mien.signals import Sequence, Signals

TASK = Task("categories", ("calm", "angry"))
SMALL = {"widths": {"audio": (8, 8, 8, 8), "video": (8, 8, 8, 8)}}


@pytest.mark.usefixtures("encoders")
def test_a_real_clip_becomes_crops_and_cepstra(java_clip):
    with PixelExtractor() as extract:
        signals = extract(java_clip)
        again = extract(java_clip)
    assert signals["video"].values.shape[2:] == (1, CROP_PX, CROP_PX)
    assert signals["audio"].values.shape[2:] == (10,)
    lengths = [s.valid.shape[1] * s.hop for s in signals.values()]
    assert abs(lengths[0] - lengths[1]) < 0.3
    assert signals["audio"].hop == MFCC_HOP
    assert float(signals["video"].valid.float().mean()) > 0.8
    crops = signals["video"].values[signals["video"].valid]
    assert 0 <= float(crops.min()) < float(crops.max()) <= 1
    assert all(torch.equal(signals[name].values, again[name].values) for name in signals)


def crops(valid: list[bool]) -> Signals:
    chance = torch.Generator().manual_seed(0)
    seen = torch.tensor(valid)[None].expand(2, -1).clone()
    video = Sequence(torch.rand(2, len(valid), 1, 48, 48, generator=chance), seen, 0.24)
    sound = torch.randn(2, 20, 10, generator=chance)
    return Signals(
        {"video": video, "audio": Sequence(sound, torch.ones(2, 20, dtype=torch.bool), 0.1)}
    )


def test_the_trained_encoder_is_a_backbone_that_learns():
    model = create_model(
        "sfav_ia",
        task=TASK,
        modalities={"audio": 10, "video": 256},
        backbone="face_encoder",
        **SMALL,
    )
    signals = crops([True, False, True])
    model.loss(model(signals), torch.tensor([0, 1])).backward()
    slopes = [p.grad for p in model.backbone.parameters()]
    assert slopes
    assert all(slope is not None and bool(slope.abs().sum() > 0) for slope in slopes)
    model.eval()
    hidden = signals["video"].values.clone()
    hidden[:, 1] = 9.0
    changed = Signals({**signals, "video": Sequence(hidden, signals["video"].valid, 0.24)})
    np.testing.assert_array_equal(
        model(signals).scores.detach().numpy(), model(changed).scores.detach().numpy()
    )


def test_a_backbone_has_a_name_and_a_size():
    with pytest.raises(OptionError, match="efficientface or face_encoder"):
        create_model(
            "sfav_ia", task=TASK, modalities={"audio": 10, "video": 256}, backbone="resnet"
        )
    with pytest.raises(OptionError, match="256"):
        create_model(
            "sfav_ia", task=TASK, modalities={"audio": 10, "video": 35}, backbone="face_encoder"
        )
