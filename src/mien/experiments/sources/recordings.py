"""Sources that are recordings: features come from mien's own extractor and are kept on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor

from mien.datasets import (
    Clip,
    Example,
    Fold,
    crema_d_clips,
    folds_of_people,
    java_sed_clips,
    java_sed_voices,
    manifest_clips,
    mater_folds,
    msp_improv_clips,
    official,
    ravdess_clips,
    ravdess_voices,
    rotating_folds,
    sfav_folds,
    vavl_partitions,
)
from mien.datasets.java_sed import EMOTION_CODES as JAVA_SED
from mien.datasets.ravdess import RAVDESS_EMOTIONS
from mien.errors import FormatError, OptionError
from mien.evaluation.humans import Rated, crema_d_ratings
from mien.experiments.degraded import CLEAN, CONDITIONS, extractor
from mien.experiments.sources._base import Examples, Places, Shape, Source, paired
from mien.features.face_encoder import CROP_PX
from mien.features.kept import FeatureStore
from mien.features.observation import FACE_FEATURES
from mien.features.pixels import COEFFICIENTS, MFCC_HOP, PixelExtractor
from mien.features.sequences import SequenceExtractor
from mien.features.voice import VOICE_FEATURES
from mien.models import Task
from mien.schema import AUDIO, VIDEO, ordered

CREMA_D_EMOTIONS = ordered(("anger", "disgust", "fear", "happiness", "neutral", "sadness"))
_LONGEST_S = 4.0
Split = Literal["rotating", "sfav", "mater", "vavl", "official", "random"]


class _Recordings(Source):
    """Base of corpora of recordings.

    Attributes:
        hop: seconds of a step of either modality.
        split_by: how people are divided.
        test: people in each test part, where that is not a paper's.
        dev: likewise.
        count: of folds, where that is free.
    """

    hop: Annotated[float, Field(gt=0.02, le=2)] = 0.2
    split_by: Split = "rotating"
    test: Annotated[int, Field(ge=1)] = 2
    dev: Annotated[int, Field(ge=1)] = 1
    count: Annotated[int, Field(ge=1)] = 5

    def clips(self, places: Places) -> list[Clip]:
        """The recordings with their labels."""
        raise NotImplementedError

    def task(self) -> Task:
        """What is asked."""
        raise NotImplementedError

    def target(self, clip: Clip) -> Tensor | None:
        """The label of a clip; None leaves it out."""
        names = self.task().names
        if clip.emotion not in names:
            return None
        return torch.tensor(names.index(clip.emotion))

    def shape(self) -> Shape:
        """Voice features (768) and face features (264) in steps of `hop`."""
        hops = {AUDIO: self.hop, VIDEO: self.hop}
        steps = {name: max(2, round(_LONGEST_S / self.hop)) for name in hops}
        return Shape(self.task(), paired(VOICE_FEATURES, FACE_FEATURES), hops, steps)

    def examples(self, places: Places) -> list[Example]:
        """All labelled clips of which anything was observed."""
        return self.extracted(self.clips(places), places, CLEAN)

    def extracted(self, clips: Sequence[Clip], places: Places, condition: str) -> list[Example]:
        """Clips with their features in a condition."""
        with extractor(condition, places.data, self.hop) as extract:
            return self.read(clips, places, extract)

    def read(
        self, clips: Sequence[Clip], places: Places, extract: SequenceExtractor | PixelExtractor
    ) -> list[Example]:
        """Labelled clips of which anything was observed, as an extractor gives them."""
        store, out = FeatureStore(places.kept), []
        for clip in clips:
            target = self.target(clip)
            if target is None:
                continue
            signals = store.get(clip.path, extract)
            name = f"{clip.corpus}/{clip.path.stem}"
            example = Example(name, clip.person, signals, target, clip.part)
            if example.observed:
                out.append(example)
        return out

    def split(self, examples: Sequence[Example]) -> tuple[Fold, ...]:
        """By `split_by`."""
        people = sorted({example.person for example in examples})
        if self.split_by == "sfav":
            return sfav_folds()
        if self.split_by == "mater":
            return mater_folds(people, self.count)
        if self.split_by == "vavl":
            return vavl_partitions(people, self.count)
        if self.split_by == "official":
            return (official(examples),)
        if self.split_by == "random":
            seeds = range(self.count)
            return tuple(
                folds_of_people(people, test=self.test, dev=self.dev, seed=s) for s in seeds
            )
        return rotating_folds(people, self.test, self.dev)


class JavaSed(_Recordings):
    """Java-SED, the clips with face and voice; further voices of the same actors and of RAVDESS."""

    name: Literal["java_sed"] = "java_sed"

    @property
    def note(self) -> str:
        """What the data is."""
        return (
            "Java-SED, 192 clips of 8 actors with face and voice, 6 acted emotions, balanced; "
            "features of mien's own extractor (Whisper tiny.en blocks 2 and 3, mien's face "
            "encoder) in steps of "
            f"{self.hop:g} s. A clip of which nothing at all was observed does not count."
        )

    def clips(self, places: Places) -> list[Clip]:
        """The 192 clips."""
        return java_sed_clips(places.data / "java_sed")

    def task(self) -> Task:
        """Six emotions."""
        return Task.emotions(tuple(JAVA_SED.values()))

    def further(self, places: Places) -> Mapping[str, Examples]:
        """Voices alone, of Java-SED's other takes and of RAVDESS."""
        voices: dict[str, Callable[[], list[Clip]]] = {
            "java_sed_voice": lambda: java_sed_voices(places.data / "java_sed_voice"),
            "ravdess_voice": lambda: ravdess_voices(places.data / "ravdess_audio"),
        }
        return {
            name: lambda read=read: self.extracted(read(), places, CLEAN)  # type: ignore[misc]
            for name, read in voices.items()
        }

    def variants(self, places: Places) -> Mapping[str, Examples]:
        """The same clips after their recordings were degraded."""
        return {name: partial(self._degraded, places, name) for name in CONDITIONS}

    def _degraded(self, places: Places, condition: str) -> list[Example]:
        return self.extracted(self.clips(places), places, condition)


class JavaSedPixels(JavaSed):
    """Java-SED as face crops and cepstra, for models that learn from pixels."""

    name: Literal["java_sed_pixels"] = "java_sed_pixels"  # type: ignore[assignment]
    hop: Annotated[float, Field(gt=0.02, le=2)] = 0.24
    standardise: bool = False

    @property
    def note(self) -> str:
        """What the data is."""
        return (
            "Java-SED, 192 clips of 8 actors with face and voice, 6 acted emotions, balanced; "
            f"aligned grey face crops of 48 px every {self.hop:g} s and 10 cepstra every 23 ms."
        )

    def shape(self) -> Shape:
        """Crops and cepstra."""
        long = round(_LONGEST_S / MFCC_HOP)
        return Shape(
            self.task(),
            {AUDIO: (COEFFICIENTS,), VIDEO: (1, CROP_PX, CROP_PX)},
            {AUDIO: MFCC_HOP, VIDEO: self.hop},
            {AUDIO: long, VIDEO: round(_LONGEST_S / self.hop)},
        )

    def examples(self, places: Places) -> list[Example]:
        """The 192 clips."""
        with PixelExtractor(hop=self.hop) as extract:
            return self.read(self.clips(places), places, extract)

    def further(self, places: Places) -> Mapping[str, Examples]:
        """None."""
        del places
        return {}

    def variants(self, places: Places) -> Mapping[str, Examples]:
        """None."""
        del places
        return {}


class Ravdess(_Recordings):
    """RAVDESS speech with face and voice, from its recordings."""

    name: Literal["ravdess"] = "ravdess"
    split_by: Split = "sfav"

    @property
    def note(self) -> str:
        """What the data is."""
        return (
            "RAVDESS speech, 1440 clips of 24 actors, 8 emotions; features of mien's own "
            f"extractor in steps of {self.hop:g} s instead of the paper's."
        )

    def clips(self, places: Places) -> list[Clip]:
        """The 1440 clips with face and voice."""
        return ravdess_clips(places.data / "ravdess")

    def task(self) -> Task:
        """Eight emotions."""
        return Task.emotions(RAVDESS_EMOTIONS)


class CremaD(_Recordings):
    """CREMA-D, from its recordings.

    Attributes:
        labels: ``acted``, or what most raters of face and voice together perceived: the
            ``plurality``, the ``majority``, or ``shares`` of their votes.
    """

    name: Literal["crema_d"] = "crema_d"
    split_by: Split = "vavl"
    labels: Literal["acted", "plurality", "majority", "shares"] = "majority"

    @property
    def note(self) -> str:
        """What the data is."""
        return (
            f"CREMA-D, {self.labels} labels, 6 emotions; features of mien's own extractor in steps "
            f"of {self.hop:g} s instead of the paper's."
        )

    def clips(self, places: Places) -> list[Clip]:
        """The clips that have a label."""
        rule = "plurality" if self.labels == "shares" else self.labels
        return crema_d_clips(places.data / "crema_d", rule)

    def task(self) -> Task:
        """Six emotions."""
        return Task.emotions(CREMA_D_EMOTIONS)

    def target(self, clip: Clip) -> Tensor | None:
        """The emotion, or the shares of the votes."""
        if self.labels != "shares":
            return super().target(clip)
        return torch.tensor([clip.shares.get(emotion, 0.0) for emotion in CREMA_D_EMOTIONS])

    def rated(self, places: Places) -> Mapping[str, Rated]:
        """The votes that come with the corpus."""
        rated = crema_d_ratings(places.data / "crema_d")
        return {f"crema_d/{name}": one for name, one in rated.items()}


class MspImprov(_Recordings):
    """MSP-IMPROV with arousal, valence and dominance from 0 to 1, from its recordings."""

    name: Literal["msp_improv"] = "msp_improv"
    split_by: Split = "vavl"

    @property
    def note(self) -> str:
        """What the data is."""
        return (
            "MSP-IMPROV, arousal, valence and dominance from 0 to 1; features of mien's own "
            f"extractor in steps of {self.hop:g} s instead of the paper's."
        )

    def clips(self, places: Places) -> list[Clip]:
        """All turns."""
        return msp_improv_clips(places.data / "msp_improv")

    def task(self) -> Task:
        """Three dimensions."""
        return Task("dimensions", ("arousal", "valence", "dominance"), "clip", 0.0, 1.0)

    def target(self, clip: Clip) -> Tensor:
        """The consensus."""
        values = [clip.values.get(name, float("nan")) for name in self.task().names]
        return torch.tensor(values)


class Manifest(_Recordings):
    """Anybody's recordings, named by a table; see `mien.datasets.manifest_clips`.

    Attributes:
        path: of the table, relative to the data folder.
        emotions: the categories to tell apart, of `mien.schema.EMOTIONS`; a recording with another
            one or none is left out. Empty where dimensions are asked.
        dimensions: columns of the table; a recording of which none is known is left out. Empty
            where emotions are asked.
        low: smallest value of a dimension.
        high: largest.
    """

    name: Literal["manifest"] = "manifest"
    path: Path = Path("manifest.csv")
    emotions: tuple[str, ...] = ()
    dimensions: tuple[str, ...] = ()
    low: float = -1.0
    high: float = 1.0
    split_by: Split = "random"

    @property
    def note(self) -> str:
        """What the data is."""
        return f"The recordings of {self.path}; features of mien's own extractor."

    @field_validator("emotions")
    @classmethod
    def _in_the_vocabulary(cls, emotions: tuple[str, ...]) -> tuple[str, ...]:
        ordered(emotions)
        return emotions

    def clips(self, places: Places) -> list[Clip]:
        """Those of the table.

        Raises:
            FormatError: it has not what is asked, or no row with any of the emotions.
        """
        path = places.data / self.path
        needed = ("emotion",) if self.emotions else self.dimensions
        clips = manifest_clips(path, needed)
        if self.emotions and not {clip.emotion for clip in clips} & {*self.emotions}:
            there = ordered([clip.emotion for clip in clips if clip.emotion])
            raise FormatError(
                f"no row has the emotion {' or '.join(self.emotions)}, only {', '.join(there)}",
                path=path,
                advice="ask for emotions that the table has",
            )
        return clips

    def task(self) -> Task:
        """Categories or dimensions.

        Raises:
            OptionError: both or neither is asked.
        """
        if bool(self.emotions) == bool(self.dimensions):
            raise OptionError(
                "a manifest needs emotions or dimensions", advice="name one of the two in data"
            )
        if self.emotions:
            return Task.emotions(self.emotions)
        return Task("dimensions", self.dimensions, "clip", self.low, self.high)

    def target(self, clip: Clip) -> Tensor | None:
        """The emotion, or the dimensions."""
        if self.emotions:
            return super().target(clip)
        if not {*self.dimensions} & {*clip.values}:
            return None
        return torch.tensor([clip.values.get(name, float("nan")) for name in self.dimensions])
