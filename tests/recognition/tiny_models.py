"""Small trained models of quick extractors, for tests to share."""

from __future__ import annotations

from math import prod

import torch
from tests.synthetic import generate_examples

from mien.datasets import Shape
from mien.features.extractor import create_extractor
from mien.models import Task, create_model
from mien.standardisation import Standardisation
from mien.trained import TrainedModel

MOODS = Task("categories", ("glad", "so-so", "très sad"))
LEVELS = Task("dimensions", ("stress", "mood"), ranges={"mood": (1, 7)})


def quick_extractors():
    return {"audio": create_extractor("mfcc", hop=0.1), "video": create_extractor("face_ferplus")}


def train_tiny(name="concat", task=MOODS, extractors=None, steps=2, sizes=None, **changes):
    """Train a model for a few steps on noise, standardised.

    Args:
        name: of the model.
        task: what it says.
        extractors: by modality; quick ones where None.
        steps: of the optimizer.
        sizes: of the model's modalities, where they are not those of the extractors.
        changes: fields of the `TrainedModel`; ``options`` are the model's.
    """
    torch.manual_seed(0)
    extractors = quick_extractors() if extractors is None else extractors
    shape = Shape(
        task,
        {modality: one.shape for modality, one in extractors.items()},
        {modality: one.hop for modality, one in extractors.items()},
        {modality: max(int(2.0 / one.hop), 1) for modality, one in extractors.items()},
    )
    examples = generate_examples(shape)[:8]
    options = changes.setdefault("options", {})
    sizes = sizes or {modality: prod(one.shape) for modality, one in extractors.items()}
    model = create_model(name, task=task, modalities=sizes, **options)
    made = TrainedModel(
        name,
        model,
        {modality: one.spec() for modality, one in extractors.items()},
        **({"standardisation": Standardisation.fit(examples), "name": f"tiny_{name}"} | changes),
    )
    _train(made, examples, steps)
    return made


def _train(made, examples, steps):
    from mien.training import collate

    signals, target = collate(made.prepare_examples(examples))
    optimizer = torch.optim.Adam(made.model.parameters(), lr=0.01)
    made.model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        prediction = made.model(signals)
        target = target[:, : prediction.scores.shape[1]] if made.task.per == "frame" else target
        made.model.loss(prediction, target).backward()
        optimizer.step()
    made.model.eval()
