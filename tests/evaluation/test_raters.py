"""A model beside the raters of the same clips."""

from __future__ import annotations

import pytest
import torch
from pydantic import TypeAdapter

from mien.datasets import Example, Rated
from mien.errors import OptionError
from mien.evaluation.protocols import AnyProtocol, Subject
from mien.evaluation.raters import HumanRaters
from mien.models import Model, Prediction, Task
from mien.signals import Sequence, Signals

NAMES = ("anger", "happiness", "sadness")


class Ear(Model):
    """Says what stands first in the sound, and without a sound anger."""

    def __init__(self, names: tuple[str, ...] = NAMES) -> None:
        super().__init__(Task("categories", names), {"audio": 3, "video": 3})
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, signals):
        said = torch.zeros(signals.batch, 3)
        said[:, 0] = 0.1
        if "audio" in signals:
            said += signals["audio"].values[:, 0] * signals["audio"].valid[:, :1]
        return Prediction(said)


def clip(name: str, said: int, *, voice: bool = True) -> Example:
    face = Sequence(torch.zeros(1, 2, 3), torch.ones(1, 2, dtype=torch.bool), 0.1)
    one = torch.eye(3)[said].expand(1, 2, 3)
    sound = Sequence(one, torch.full((1, 2), voice), 0.1)
    # What raters perceived, which is not what was acted.
    return Example(name, "somebody", Signals({"audio": sound, "video": face}), torch.tensor(2))


def votes(anger: int, happiness: int, sadness: int) -> dict[str, int]:
    return dict(zip(NAMES, (anger, happiness, sadness), strict=True))


CLIPS = [clip("a", 1), clip("b", 0), clip("c", 1, voice=False), clip("unrated", 2)]
RATED = {
    "a": Rated(
        "happiness",
        {"voice": votes(0, 6, 4), "face": votes(0, 9, 1), "audio-visual": votes(0, 10, 0)},
    ),
    "b": Rated(  # by voice a tie
        "anger", {"voice": votes(5, 5, 0), "face": votes(4, 6, 0), "audio-visual": votes(8, 2, 0)}
    ),
    "c": Rated(
        "happiness",
        {"voice": votes(0, 0, 10), "face": votes(0, 10, 0), "audio-visual": votes(0, 4, 6)},
    ),
}


def measured(rated=RATED, model=None):
    subject = Subject(model or Ear(), CLIPS, ("accuracy",), rated=lambda: rated)
    return {row.condition: row.value for row in HumanRaters().measure(subject)}


def test_people_and_model_are_counted_on_the_same_clips_against_what_was_acted():
    assert measured() == pytest.approx(
        {
            # The third clip has no sound, so the model does not answer it and no rater counts.
            "raters, audio": 1 / 2,
            "one rater, audio": 11 / 20,
            "model, audio": 1,
            "raters, video": 2 / 3,
            "one rater, video": 23 / 30,
            "model, video": 1 / 3,
            "raters, everything": 2 / 3,
            "one rater, everything": 22 / 30,
            "model, everything": 2 / 3,
        }
    )


def test_data_that_nobody_rated_is_refused():
    with pytest.raises(OptionError, match="take crema_d"):
        measured({})
    with pytest.raises(OptionError, match="take crema_d"):
        HumanRaters().measure(Subject(Ear(), CLIPS, ("accuracy",)))


def test_a_model_that_cannot_name_what_was_acted_is_refused():
    with pytest.raises(OptionError, match="cannot answer happiness"):
        measured(model=Ear(("anger", "fear", "sadness")))


def test_it_is_a_protocol_by_its_name():
    chosen = TypeAdapter(AnyProtocol).validate_python({"name": "human_raters"})
    assert isinstance(chosen, HumanRaters)
