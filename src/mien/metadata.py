"""How a timeline came about: which model, what it says, of which recordings."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mien import schema
from mien.schema import AUDIO, VIDEO

PREDICTED = "predicted"
UNKNOWN = "unknown"
_DERIVED = "derived"
_FIXED_COLUMNS = {
    "file": ("", "the recording"),
    "person": ("", "who, one name throughout the recording"),
    "start": ("s", "start of the step, from the start of the recording"),
    "end": ("s", "end of the step"),
    "emotion": ("", "the most probable label; missing where nothing was observed"),
    "confidence": ("1", "probability of that label, 0 to 1"),
    "face_x": ("1", "left edge of the face, fraction of the picture's width"),
    "face_y": ("1", "upper edge of the face, fraction of the picture's height"),
    "face_width": ("1", "width of the face, fraction of the picture's width"),
    "face_height": ("1", "height of the face, fraction of the picture's height"),
    "face_quality": ("1", "how well the face could be seen, 0 to 1"),
}


class RecordingInfo(BaseModel):
    """What is known of one recording.

    Attributes:
        duration: seconds.
        modalities: those that the recording holds, whether anything was observed in them or not:
            ``audio`` where it has sound, ``video`` where it has pictures.
        warnings: what went wrong without stopping the analysis, one sentence each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    duration: float = Field(ge=0, allow_inf_nan=False)
    modalities: tuple[str, ...]
    warnings: tuple[str, ...] = ()


class Dimension(BaseModel):
    """Where the numbers of a dimension come from and how far they reach.

    Attributes:
        source: ``predicted``, a text that begins with ``derived``, or any other text that a reader
            should see, as ``learned from acted categories``.
        low: the lowest value of the scale; None where it has none or a file does not say. A model
            may predict values somewhat outside of its scale; they are kept as they are.
        high: the highest value; None together with ``low``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = Field(default=PREDICTED, min_length=1)
    low: float | None = Field(default=-1.0, allow_inf_nan=False)
    high: float | None = Field(default=1.0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _check_scale(self) -> Self:
        if (self.low is None) != (self.high is None):
            raise ValueError("low and high are given together or not at all")
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise ValueError(f"low must be less than high, not {self.low:g} and {self.high:g}")
        return self

    @property
    def derived(self) -> bool:
        """Whether it was computed from the categories rather than predicted."""
        return self.source.startswith(_DERIVED)

    @property
    def scale(self) -> str:
        """The scale in words, as ``-1 to 1``; empty where there is none."""
        return "" if self.low is None else f"{self.low:g} to {self.high:g}"


def describe_derived() -> dict[str, Dimension]:
    """Describe the dimensions that `mien.schema.derive_dimensions` returns."""
    return {name: Dimension(source=schema.DERIVED_SOURCE) for name in schema.DIMENSIONS}


class Metadata(BaseModel):
    """How a timeline came about.

    Attributes:
        mien_version: the version that made it.
        model: the name of the model.
        labels: the categories that the model tells apart, in its order: any words. Empty for a
            model of dimensions only.
        dimensions: by name in the order of the columns, predicted or derived. At least one where
            there are no labels.
        modalities: those that the model can use, in the order of the columns.
        faces: ``video`` was read from faces, so rows hold the box and the quality of the face.
        per: whether the model answers per ``clip``, that is once for each window, or per
            ``frame``; None where a file does not say.
        window: seconds that each row's scores were computed from; None for a model that reads the
            whole recording, or where a file does not say.
        hop: seconds between two rows of one person; None where a file does not say.
        withheld: modalities that were hidden from the model on purpose.
        baseline: features were standardised by each person's own recordings.
        model_card: what the model's maker says of its data and limits; may be empty.
        model_fingerprint: a hash of the model file; empty where a file does not say.
        recordings: by the name that the column ``file`` holds.

    Raises:
        OptionError: names of labels, dimensions and modalities cannot stand in one table; see
            `mien.schema.check_names`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mien_version: str
    model: str
    labels: tuple[str, ...] = ()
    dimensions: dict[str, Dimension] = {}
    modalities: tuple[str, ...] = Field(min_length=1)
    faces: bool = False
    per: Literal["clip", "frame"] | None = "clip"
    window: float | None = Field(gt=0, allow_inf_nan=False)
    hop: float | None = Field(gt=0, allow_inf_nan=False)
    withheld: tuple[str, ...] = ()
    baseline: bool = False
    model_card: str = ""
    model_fingerprint: str = ""
    recordings: dict[str, RecordingInfo]

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        if not self.labels and not self.dimensions:
            raise ValueError("there must be labels or dimensions")
        if self.faces and VIDEO not in self.modalities:
            raise ValueError(f"faces need the modality {VIDEO}")
        schema.check_names(self.labels, self.dimensions, self.modalities)
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns of the timeline, in order."""
        return schema.timeline_columns(
            self.labels, self.dimensions, self.modalities, faces=self.faces
        )

    def evidence(self, modality: str) -> str:
        """Name what is observed of a person in a modality: ``voice``, ``face``, else its name."""
        if modality == VIDEO:
            return "face" if self.faces else "picture"
        return "voice" if modality == AUDIO else modality


def describe_columns(metadata: Metadata) -> dict[str, dict[str, str]]:
    """Tell unit and meaning of every column of a timeline.

    Returns:
        By column: ``{"unit": …, "description": …}``; the unit is ``s``, ``1`` for a pure number,
        or empty for what is no number.
    """
    described: dict[str, tuple[str, str]] = dict(_FIXED_COLUMNS)
    for modality in metadata.modalities:
        described[modality] = ("", f"{metadata.evidence(modality)} was observed in the step")
    for label in metadata.labels:
        described[schema.probability_column(label)] = ("1", f"probability of {label}, 0 to 1")
    for name, dimension in metadata.dimensions.items():
        facts = (name, dimension.scale)
        described[name] = ("1", f"{', '.join(filter(None, facts))}; {dimension.source}")
    return {
        name: dict(zip(("unit", "description"), described[name], strict=True))
        for name in metadata.columns
    }
