"""Where examples come from, by the name that an experiment gives under ``data``."""

from typing import Annotated

from pydantic import Field

from mien.experiments.sources._base import Places, Shape, Source, generated, generated_ratings
from mien.experiments.sources.continuous import JavaSedSessions, Recola, UlmTsst
from mien.experiments.sources.published import CmuMosei, MfnSequences, RavdessUnits
from mien.experiments.sources.recordings import (
    CremaD,
    JavaSed,
    JavaSedPixels,
    Manifest,
    MspImprov,
    Ravdess,
)
from mien.experiments.sources.simulator import Simulator
from mien.experiments.sources.standard import Standard

AnySource = Annotated[
    RavdessUnits
    | MfnSequences
    | CmuMosei
    | JavaSed
    | JavaSedPixels
    | Ravdess
    | CremaD
    | MspImprov
    | Manifest
    | JavaSedSessions
    | Recola
    | UlmTsst
    | Simulator,
    Field(discriminator="name"),
]

__all__ = ["AnySource", "Places", "Shape", "Source", "Standard", "generated", "generated_ratings"]
