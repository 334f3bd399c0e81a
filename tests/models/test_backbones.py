"""Networks that SFAV begins with."""

import numpy as np
import pytest
import torch

from mien.errors import OptionError
from mien.models import Task, create_model
from mien.signals import Sequence, Signals

TASK = Task("categories", ("calm", "angry"))
SMALL = {"widths": {"audio": (8, 8, 8, 8), "video": (8, 8, 8, 8)}}


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
