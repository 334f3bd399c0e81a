"""How a model is trained, as data: what an experiment's YAML says under ``training``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from mien.errors import OptionError
from mien.layers.losses import Criterion, criterion
from mien.settings import Settings

Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]


class Named(Settings):
    """Settings that a plain name may stand for, where their defaults will do."""

    @model_validator(mode="before")
    @classmethod
    def _take_a_name(cls, given: object) -> object:
        return {"name": given} if isinstance(given, str) else given


class OptimizerSettings(Named):
    """Which optimiser, as of `torch.optim`.

    Attributes:
        name: ``sgd``, ``adam`` or ``adamw``.
        rate: the learning rate at the start.
        momentum: of SGD.
        dampening: of SGD.
        betas: of Adam.
        decay: weight decay.
    """

    name: Literal["sgd", "adam", "adamw"] = "adam"
    rate: Positive = 1e-3
    momentum: Fraction = 0.0
    dampening: Annotated[float, Field(ge=0, le=1)] = 0.0
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    decay: Annotated[float, Field(ge=0)] = 0.0


class ScheduleSettings(Named):
    """How the learning rate goes down, an epoch at a time.

    Attributes:
        name: ``constant``; ``plateau``: times `factor` after `patience` epochs without a better
            development score; ``steps``: times `factor` at the `epochs`; ``cosine``: to zero.
        factor: what the rate is multiplied by.
        patience: epochs to wait.
        epochs: when, counted from 1.
        lowest: the rate never falls below.
    """

    name: Literal["constant", "plateau", "steps", "cosine"] = "constant"
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    patience: Annotated[int, Field(ge=0)] = 10
    epochs: tuple[int, ...] = ()
    lowest: Annotated[float, Field(ge=0)] = 0.0


class CriterionSettings(Named):
    """A loss by name, with its own options; see `mien.layers.losses.register_criterion`.

    Attributes:
        name: a key of `mien.layers.losses.CRITERIA`, as ``cross_entropy``, ``ccc``,
            ``squared_error`` or ``absolute_error``.
        over: what is one series to ``ccc``: each ``sequence``, the ``batch`` or ``everything``.
        label_smoothing: of cross-entropy.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str
    over: Literal["sequence", "batch", "everything"] | None = None
    label_smoothing: Fraction = 0.0

    @model_validator(mode="after")
    def _check(self) -> CriterionSettings:
        try:
            self.build()
        except OptionError as error:
            raise ValueError(str(error)) from error
        return self

    def build(self) -> Criterion:
        """Build the loss, with the options that differ from these settings' defaults."""
        return criterion(**self.model_dump(exclude_defaults=True))


class Training(Settings):
    """One training.

    Attributes:
        epochs: at most.
        batch_size: clips or segments a step.
        optimizer: see `OptimizerSettings`.
        schedule: see `ScheduleSettings`.
        criterion: see `CriterionSettings`; None is the model's own.
        strategy: ``joint``: one update of everything a batch; ``alternating``: VAVL's Algorithm 1.
        clip: largest norm of the gradient, None for no limit.
        patience: epochs without a better development score after which it ends, None for never.
        select: the metric of the development part by which the best epoch is chosen.
    """

    epochs: Annotated[int, Field(ge=1)] = 30
    batch_size: Annotated[int, Field(ge=1)] = 32
    optimizer: OptimizerSettings = OptimizerSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    criterion: CriterionSettings | None = None
    strategy: Literal["joint", "alternating"] = "joint"
    clip: Positive | None = None
    patience: Annotated[int, Field(ge=1)] | None = None
    select: str = "accuracy"
