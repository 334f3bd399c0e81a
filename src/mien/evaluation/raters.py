"""A model beside the people who rated the same clips by voice, by face and by both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch
from torch import Tensor

from mien.datasets import Presentation, Rated
from mien.errors import OptionError
from mien.evaluation.categories import accuracy
from mien.evaluation.humans import measure_recognition
from mien.evaluation.predict import predict
from mien.evaluation.protocols import (
    NO_LEVEL,
    Protocol,
    Row,
    Subject,
    isolate_each,
    register_protocol,
)
from mien.schema import AUDIO, VIDEO

_SHOWN: Mapping[frozenset[str], Presentation] = MappingProxyType(
    {
        frozenset({AUDIO}): "voice",
        frozenset({VIDEO}): "face",
        frozenset({AUDIO, VIDEO}): "audio-visual",
    }
)


@register_protocol("human_raters")
class HumanRaters(Protocol):
    """Accuracy of the acted emotion, by the raters of the clips and by the model.

    What counts is the acted emotion whatever the model's labels are, for the model as for people;
    with everything, and with each modality alone. Both are counted over the clips that the model
    answers under that condition. MATER sets its Table 2 beside the plurality of CREMA-D's raters.
    """

    def measure(self, subject: Subject) -> list[Row]:
        """Measure the accuracy of the plurality of the raters, of a single rater, and of the model.

        A tie of the raters counts as a miss; see `mien.evaluation.humans.measure_recognition`.

        Raises:
            OptionError: nobody rated the clips, or the model cannot name what was acted in them.
        """
        rated = subject.rated()
        examples = [example for example in subject.examples if example.clip in rated]
        if not examples:
            raise OptionError("human_raters needs clips that people rated", advice="take crema_d")
        people = [rated[example.clip] for example in examples]
        acted = _index_acted(people, subject.model.task.names)
        rows = []
        for name, alone in isolate_each(subject):
            scores = predict(subject.model, examples, operation=alone).scores
            known = ~scores.isnan().any(dim=-1)
            shown = _SHOWN[frozenset(subject.modalities if alone is None else {name})]
            rated_clips = [
                one for one, answered in zip(people, known.tolist(), strict=True) if answered
            ]
            rates = measure_recognition(rated_clips, shown)
            found = {
                "raters": rates["plurality"],
                "one rater": rates["votes"],
                "model": accuracy(scores[known], acted[known]),
            }
            rows += [
                Row(self.name, f"{who}, {name}", NO_LEVEL, "accuracy", value)
                for who, value in found.items()
            ]
        return rows


def _index_acted(people: Sequence[Rated], names: Sequence[str]) -> Tensor:
    unknown = {one.acted for one in people}.difference(names)
    if unknown:
        raise OptionError(
            f"the model cannot answer {' or '.join(sorted(unknown))}, which people were asked",
            advice="train it on the emotions that were acted",
        )
    return torch.tensor([names.index(one.acted) for one in people])
