"""What an extractor is: from the media of a recording, or a file of features, to a time series.

An extractor is a frozen dataclass whose fields are its settings. It has a name in `EXTRACTORS`, and
a version that changes with whatever changes its numbers. A new one is one file::

    import mien
    from mien.features.extractor import SoundExtractor

    @mien.register_extractor("loudness")
    class Loudness(SoundExtractor):
        hop: float = 0.02           # a setting, and the seconds of a step
        shape = (1,)

        def extract(self, samples):
            frames = samples[: len(samples) // 320 * 320].reshape(-1, 320)
            return frames.std(axis=1, keepdims=True)
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as distribution_version
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar, dataclass_transform, get_type_hints

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, TypeAdapter, ValidationError

from mien import weights
from mien.errors import MienError, ModelFileError, OptionError, PluginError
from mien.features.streams import BufferedStream, SoundStream
from mien.plugins import blame_plugin, loaded_plugins
from mien.registry import Registry, check_options

Floats = NDArray[np.float32]
Source = Literal["sound", "face", "file"]
Dtype = Literal["float16", "float32", "uint8"]

_DIGEST_CHARACTERS = 12
_LONGEST_HOP_S = 60.0
_HIGHEST = {"float16": 65_504.0, "float32": float(np.finfo(np.float32).max), "uint8": 255.0}


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
class Extractor:
    """Base of all extractors; subclass `SoundExtractor` or `FaceExtractor`.

    A subclass is a frozen dataclass (`register_extractor` makes it one); its fields are its
    settings, values as JSON has them.

    Attributes:
        name: in `EXTRACTORS`; set by `register_extractor`.
        edition: raise it when the same settings and weights come to give other numbers.
        weights: names of the weight files that it reads, as in `mien.weights`.
        source: what it reads.
        dtype: how its values are kept; ``uint8`` reads back from 0 to 1.
        hop: seconds of a step of what comes out.
    """

    name: ClassVar[str]
    edition: ClassVar[int] = 1
    weights: ClassVar[tuple[str, ...]] = ()
    source: ClassVar[Source]
    dtype: ClassVar[Dtype] = "float32"
    pipeline: ClassVar[int] = 1  # edition of what all extractors of a source share
    hop: float

    @property
    def shape(self) -> tuple[int, ...]:
        """Features of a step."""
        raise NotImplementedError

    @property
    def settings(self) -> dict[str, object]:
        """The fields, as JSON has them."""
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        values = {field.name: getattr(self, field.name) for field in fields}
        return {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()}

    @property
    def needed_weights(self) -> tuple[str, ...]:
        """The weight files that its numbers depend on, with these settings."""
        return self.weights

    @property
    def version(self) -> str:
        """What its numbers depend on besides the settings, in one line.

        The edition, the SHA-256 of each weight file (as the registry of weights knows it: nothing
        is fetched) and, for an extractor from outside, of the plugin or the distribution's version.
        """
        parts = [f"{self.edition}.{self.pipeline}"]
        for name in self.needed_weights:
            parts.append(f"{name}={weights.find_digest(name)[:_DIGEST_CHARACTERS]}")
        if origin := EXTRACTORS.origin(self.name):
            parts.append(f"{Path(origin).name}={_origin_version(type(self), origin)}")
        return " ".join(parts)

    def spec(self) -> dict[str, object]:
        """Return what tells this extractor from every other, as a model file stores it.

        Returns:
            JSON: name, settings, version, hop and shape; and the plugin's name if it has one.
        """
        told: dict[str, object] = {
            "name": self.name,
            "settings": self.settings,
            "version": self.version,
            "hop": self.hop,
            "shape": list(self.shape),
        }
        if origin := EXTRACTORS.origin(self.name):
            told["plugin"] = Path(origin).name
        return told


@dataclasses.dataclass(frozen=True)
class SoundExtractor(Extractor):
    """Base of extractors of sound: a subclass writes `extract`, and that is all it must.

    Where ``hop`` is longer than `native_hop`, a step is the mean over its valid native steps.

    Attributes:
        voiced_only: whether a step counts as observed only where somebody spoke.
    """

    source: ClassVar[Source] = "sound"
    voiced_only: bool = dataclasses.field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        check_hop(self, self.native_hop)

    @property
    def native_hop(self) -> float:
        """Seconds of a step of what `extract` gives."""
        return self.hop

    @property
    def needed_weights(self) -> tuple[str, ...]:
        """The weight files that its numbers depend on, with these settings."""
        return (*self.weights, "silero_vad") if self.voiced_only else self.weights

    def extract(self, samples: Floats) -> Floats:
        """Turn an unbroken stretch of sound into features.

        Args:
            samples: ``(n,)`` float32, 16 kHz mono, from -1 to 1.

        Returns:
            ``(steps, *shape)`` at `native_hop`; step 0 begins with the first sample.
        """
        raise NotImplementedError

    def stream(self) -> SoundStream:
        """Begin an unbroken stretch of sound that arrives piece by piece.

        Unless a subclass knows better, it waits on disk for its end and goes to `extract` whole.
        """
        return BufferedStream(self.extract)


class FaceImage(NamedTuple):
    """One face of one person at one time.

    Attributes:
        time: seconds of the recording.
        image: the picture that it was found in, ``(height, width, 3)`` uint8 BGR.
        box: x, y, width, height in px of the image, inside it.
        landmarks: ``(5, 2)`` float32, px: right eye, left eye, nose, right and left mouth corner.
        crop: ``(48, 48)`` uint8, the aligned grey crop that the face encoder reads.
        quality: how well the face can be read, from 0 to 1.
    """

    time: float
    image: NDArray[np.uint8]
    box: tuple[float, float, float, float]
    landmarks: Floats
    crop: NDArray[np.uint8]
    quality: float


class FaceExtractor(Extractor):
    """Base of extractors of faces: a subclass has the field ``hop`` and writes `encode`.

    Attributes:
        batch: how many faces `encode` is given at most.
    """

    source: ClassVar[Source] = "face"
    batch: ClassVar[int] = 8

    def __post_init__(self) -> None:
        check_hop(self, 1 / 60)

    @property
    def needed_weights(self) -> tuple[str, ...]:
        """The weight files that its numbers depend on: the detector's, and its own."""
        return ("yunet", *self.weights)

    def encode(self, faces: Sequence[FaceImage]) -> NDArray[Any]:
        """Turn faces into features.

        Args:
            faces: at most `batch`.

        Returns:
            ``(n, *shape)``; uint8 where that is the `dtype`.
        """
        raise NotImplementedError


Kind = TypeVar("Kind", bound=type[Extractor])

EXTRACTORS: Registry[type[Extractor]] = Registry(
    "extractor",
    group="mien.extractors",
    modules=(
        "mien.features.whisper",
        "mien.features.spectra",
        "mien.features.face_encoder",
        "mien.features.face_crops",
        "mien.features.files",
        "mien.features.published",
    ),
)


def register_extractor(name: str) -> Callable[[Kind], Kind]:
    """Give an extractor class its name; a class that is no dataclass yet becomes a frozen one.

    Args:
        name: what recipes and model files call it.

    Raises:
        OptionError: another extractor has that name.
    """

    def register(kind: Kind) -> Kind:
        if "__dataclass_fields__" not in kind.__dict__:
            dataclasses.dataclass(frozen=True)(kind)
        kind.name = name
        EXTRACTORS.register(name, kind)
        return kind

    return register


def create_extractor(name: str, **settings: object) -> Extractor:
    """Make an extractor by name.

    Args:
        name: one of `EXTRACTORS`.
        **settings: its fields; lists stand for tuples, as in JSON.

    Raises:
        OptionError: there is no such extractor, or it does not take these settings; the message
            names the nearest word.

    Example:
        >>> create_extractor("mfcc", count=13).shape
        (13,)
    """
    kind = EXTRACTORS[name]
    fields = dataclasses.fields(kind)  # type: ignore[arg-type]
    known = [field.name for field in fields if field.init]
    needed = [
        f.name
        for f in fields
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    check_options(f"the extractor {name}", settings, known, needed)
    hints = get_type_hints(kind)
    typed = {key: _convert(name, key, value, hints[key]) for key, value in settings.items()}
    try:
        return kind(**typed)
    except MienError:
        raise
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"the extractor {name} refuses its settings ({error})", advice="change them"
        ) from error


def load_extractor(spec: Mapping[str, Any]) -> Extractor:
    """Make the extractor that a model file asks for.

    Args:
        spec: as `Extractor.spec` gave it.

    Raises:
        ModelFileError: it is not here, or would not give the numbers that the model was trained on.
    """
    name = str(spec.get("name"))
    plugin = spec.get("plugin")
    if name not in EXTRACTORS:
        origin = f"load the plugin {plugin}" if plugin else "load the plugin that registers it"
        raise ModelFileError(f"the model needs the extractor {name!r}", advice=origin)
    try:
        extractor = create_extractor(name, **spec["settings"])
    except (OptionError, KeyError, TypeError) as error:
        raise ModelFileError(
            f"the model's settings of the extractor {name} do not fit this version of it ({error})",
            advice="use the version of mien that made the model, or train it again",
        ) from error
    here = json.loads(json.dumps(extractor.spec()))
    for key in ("version", "hop", "shape"):
        if spec.get(key) != here[key]:
            raise ModelFileError(
                f"the model was trained with another {key} of the extractor {name}: "
                f"{spec.get(key)!r}, here it is {here[key]!r}",
                advice="use the version of mien (or the plugin) that made it, or train it again",
            )
    return extractor


def check_hop(extractor: Extractor, least: float) -> None:
    """Check the hop of an extractor.

    Raises:
        OptionError: it is no number from the least to 60 s.
    """
    if not least - 1e-9 <= extractor.hop <= _LONGEST_HOP_S:
        name = getattr(extractor, "name", type(extractor).__name__)
        raise OptionError(
            f"{name}: hop is {extractor.hop}",
            advice=f"give a number from {least:.6g} to {_LONGEST_HOP_S:g} seconds",
        )


def run_extractor(
    extractor: Extractor, function: Callable[[Any], NDArray[Any]], given: object
) -> NDArray[Any]:
    """Call a function of an extractor and check what it gives.

    Returns:
        ``(n, *shape)``; empty where nothing is ready.

    Raises:
        PluginError: the function raised something, or gave another shape, or numbers that cannot
            be kept.
    """
    name = extractor.name
    try:
        rows = np.asarray(function(given))
    except MienError:
        raise
    except Exception as error:
        if not EXTRACTORS.origin(name):
            raise
        raise blame_plugin(error, f"the extractor {name}") from error
    if not len(rows):
        return rows
    if rows.shape[1:] != extractor.shape or rows.dtype.kind not in "fiub":
        raise PluginError(
            f"the extractor {name} gave {rows.dtype} of shape {rows.shape}",
            advice=f"it must give numbers of shape (steps, {', '.join(map(str, extractor.shape))})",
        )
    if not np.abs(rows).max() <= _HIGHEST[extractor.dtype]:
        raise PluginError(
            f"the extractor {name} gave numbers that are not finite or do not fit "
            f"{extractor.dtype}",
            advice="mend it, or let it keep its values as float32",
        )
    return rows


def _convert(name: str, key: str, value: object, hint: Any) -> object:  # noqa: ANN401 - any hint
    adapter = TypeAdapter(hint, config=ConfigDict(strict=True))
    try:
        return adapter.validate_json(json.dumps(value))
    except ValidationError as error:
        problem = error.errors()[0]["msg"]
        raise OptionError(
            f"the extractor {name} takes no {key} {value!r}", advice=problem.lower()
        ) from error
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"the extractor {name} takes no {key} {value!r}", advice="give a value as JSON has it"
        ) from error


def _origin_version(kind: type[Extractor], origin: str) -> str:
    # A plugin's module knows its absolute path, whatever the working folder has become since.
    file = getattr(sys.modules.get(kind.__module__), "__file__", None) or origin
    plugin = loaded_plugins().get(file)
    if plugin is not None:
        return plugin[:_DIGEST_CHARACTERS]
    try:
        return distribution_version(origin)
    except PackageNotFoundError:
        return "unknown"
