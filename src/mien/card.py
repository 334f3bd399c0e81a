"""What people have to know of a trained model; it travels in the model's file."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from mien._version import __version__


class Measured(BaseModel):
    """One figure of a card.

    Attributes:
        protocol: what was withheld, as `mien.evaluation.protocols` calls it.
        condition: likewise.
        metric: name of the measure.
        mean: over folds and seeds.
        deviation: sample standard deviation over them; zero of a single value.
        count: how many values the mean is over.
        level: how much was withheld, in the protocol's own unit; None where it has no levels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    protocol: str
    condition: str
    metric: str
    mean: float
    deviation: float
    count: int
    level: float | None = None


class Card(BaseModel):
    """What people have to know of a trained model.

    Attributes:
        description: a sentence or two.
        data: what it was trained on, a sentence.
        people: how many people it was trained on.
        labels_source: where its labels come from: acted, perceived by raters, self-reported ….
        dimensions_source: what a timeline says of its dimensions, as ``learned from acted
            categories``; empty where people rated them.
        licence: of the weights, with what the data asks for.
        metrics: figures on people that the measured models never saw.
        how: split, seeds and what the spread is over, a sentence.
        command: that made the file.
        mien_version: that made it.
        fingerprint: of data, settings and code.
        paper: of the architecture.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    description: str = ""
    data: str = ""
    people: int = Field(default=0, ge=0)
    labels_source: str = ""
    dimensions_source: str = ""
    licence: str = "unknown"
    metrics: tuple[Measured, ...] = ()
    how: str = ""
    command: str = ""
    mien_version: str = __version__
    fingerprint: str = ""
    paper: str = ""
