"""A small trained model and signals for it, for tests to share."""

import torch

from mien.card import Card
from mien.datasets import Example
from mien.features.extractor import create_extractor
from mien.models import Task, create_model
from mien.signals import Sequence, Signals
from mien.standardisation import Standardisation
from mien.trained import TrainedModel

SIZES = {"audio": 10, "video": 264}
TASK = Task("categories", ("glad", "so-so", "sad"))


def specs():
    audio, video = create_extractor("mfcc"), create_extractor("face_ferplus")
    return {"audio": audio.spec(), "video": video.spec()}


def signals(batch=2, seed=0):
    torch.manual_seed(seed)
    return Signals(
        {
            "audio": Sequence(torch.randn(batch, 12, 10) * 3 + 1, torch.rand(batch, 12) < 0.8, 0.1),
            "video": Sequence(torch.randn(batch, 6, 264), torch.rand(batch, 6) < 0.8, 0.2),
        }
    )


def trained(**changes):
    torch.manual_seed(1)
    model = create_model("concat", task=TASK, modalities=SIZES, hidden=8).eval()
    examples = [
        Example(f"c{n}", "p", signals().select(torch.tensor([n])), torch.tensor(0))
        for n in range(2)
    ]
    made = {
        "options": {"hidden": 8},
        "standardisation": Standardisation.fit(examples),
        "temperature": 1.7,
        "card": Card(description="a test", people=3),
        "name": "mine",
    }
    parts = {"architecture": "concat", "model": model, "extractors": specs()}
    return TrainedModel(**(parts | made | changes))
