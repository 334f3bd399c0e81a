"""The file of a trained model, as bytes: a header of JSON, weights and standardisation.

A `.safetensors` file whose metadata carries, under the key ``mien``, one JSON object (`Header`).
Its tensors are the weights (``model.…``) and the standardisation (``standard.…``). Nothing in it is
executed, and whatever is wrong with it is a `ModelFileError`.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors.torch import save
from torch import Tensor

from mien.card import Card
from mien.errors import MienError, ModelFileError, OptionError, OutputError
from mien.features.extractor import Extractor
from mien.formats.atomic import write_atomically
from mien.models import MODELS, Model, Task, create_model
from mien.standardisation import Standardisation
from mien.weights.archive import read_metadata, read_tensors

FORMAT = 1
DEFAULT_WINDOW_S = 3.0
RUN_MODEL = "model.safetensors"  # in the folder of a run
Offset = Literal["none", "person"]

_KEY = "mien"
_MODEL, _STANDARD = "model.", "standard."
_MOST_HEADER_BYTES = 16 << 20
_LONGEST_WINDOW_S = 600.0
_AGAIN = "copy it again or train it again"


class Header(BaseModel):
    """What a file says besides its tensors; see `mien.trained.TrainedModel`.

    Attributes:
        format: `FORMAT`.
        plugin: where the architecture comes from; empty for mien itself.
        modalities: feature size of each, in the model's order.
        task: as of `Task.as_dict`.
        extractors: by modality, as of `mien.Extractor.spec`.
    """

    model_config = ConfigDict(extra="forbid")

    format: int = FORMAT
    architecture: str
    plugin: str = ""
    options: dict[str, Any] = {}
    modalities: dict[str, Annotated[int, Field(ge=1)]] = Field(min_length=1)
    task: dict[str, Any]
    extractors: dict[str, dict[str, Any]]
    offset: Offset = "none"
    temperature: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    window: Annotated[float, Field(gt=0, le=_LONGEST_WINDOW_S)] | None = DEFAULT_WINDOW_S
    frame_window: int | None = Field(default=None, ge=2)
    card: Card = Card()


def is_trained_model(path: Path) -> bool:
    """Tell whether a file of safetensors is a trained model.

    Raises:
        ModelFileError: it is no whole file of safetensors.
    """
    return _KEY in read_metadata(path)


def write_model_file(
    path: Path, header: Header, model: Model, standardisation: Standardisation, *, half: bool
) -> None:
    """Write a file, whole or not at all.

    Args:
        path: where to; an existing file is replaced.
        header: what it says.
        model: whose weights.
        standardisation: of the features.
        half: round weights to half precision, where it can hold them.

    Raises:
        OutputError: it could not be written, or a number is not finite.
    """
    tensors = {f"{_MODEL}{n}": _round(t, half) for n, t in model.state_dict().items()}
    tensors |= {f"{_STANDARD}{n}": _round(t) for n, t in standardisation.pack().items()}
    if strange := _list_not_finite(tensors):
        raise OutputError(
            f"the model's {_some(strange)} hold numbers that are not finite",
            path=path,
            advice="train it again, with a lower learning rate or gradient clipping",
        )
    content = save(tensors, metadata={_KEY: header.model_dump_json()})
    write_atomically(path, lambda file: file.write(content))


def read_header(path: Path) -> Header:
    """Read what a file says, without its tensors.

    Raises:
        ModelFileError: it is no trained model that this mien can read.
    """
    text = read_metadata(path).get(_KEY)
    if text is None:
        raise ModelFileError(
            "holds no trained model of mien",
            path=path,
            advice="give a file that `mien train … --out` wrote, or a name of `mien models`",
        )
    try:
        if len(text) > _MOST_HEADER_BYTES:
            raise ValueError("it is too long")
        said = json.loads(text)
        version = said["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelFileError("has a damaged header", path=path, advice=_AGAIN) from error
    if version != FORMAT:
        newer = isinstance(version, int) and version > FORMAT
        raise ModelFileError(
            f"is of format {version!r:.20}, this mien reads format {FORMAT}",
            path=path,
            advice="upgrade mien" if newer else "train it again",
        )
    try:
        return Header.model_validate(said)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ModelFileError(
            f"has a header in which {place} is wrong: {first['msg']}", path=path, advice=_AGAIN
        ) from error


def read_model(path: Path, header: Header) -> tuple[Model, Standardisation]:
    """Build the model of a file and fill it, strictly.

    Every tensor must be there, of the right shape and kind and finite, and no other.

    Args:
        path: the file.
        header: its header.

    Returns:
        The model in evaluation mode, and the standardisation.

    Raises:
        ModelFileError: the file does not fit the model, or needs a plugin.
    """
    tensors = read_tensors(path)
    of_model = {n[len(_MODEL) :]: t for n, t in tensors.items() if n.startswith(_MODEL)}
    standard = {n[len(_STANDARD) :]: t for n, t in tensors.items() if n.startswith(_STANDARD)}
    further = [n for n in tensors if not n.startswith((_MODEL, _STANDARD))]
    further += [n for n in standard if n.split(".", 1)[-1] not in header.modalities]
    _refuse(path, "has unknown tensors:", further)
    _refuse(path, "has numbers that are not finite in", _list_not_finite(tensors))
    # Sizes are compared before anything is allocated: a header may ask for any.
    plan = _build(path, header, "meta").state_dict()
    _refuse(path, "lacks weights:", [n for n in plan if n not in of_model])
    _refuse(path, "has unknown weights:", [n for n in of_model if n not in plan])
    shared = {n: (wanted, of_model[n]) for n, wanted in plan.items()}
    other = [n for n, (wanted, found) in shared.items() if wanted.shape != found.shape]
    _refuse(path, "has misshapen weights:", other)
    kinds = [n for n, (wanted, found) in shared.items() if _kind(wanted) != _kind(found)]
    _refuse(path, "has weights of another type:", kinds)
    model = _build(path, header, "cpu")
    try:
        model.load_state_dict({n: of_model[n].to(wanted.dtype) for n, wanted in plan.items()})
        standardisation = Standardisation.unpack({n: t.float() for n, t in standard.items()})
    except (MienError, KeyError, ValueError) as error:
        raise ModelFileError(
            f"has tensors that do not fit ({error})", path=path, advice=_AGAIN
        ) from error
    return model.eval(), standardisation


def check_fit(
    model: Model, extractors: Mapping[str, Extractor], standardisation: Standardisation
) -> None:
    """Check that extractors give what is standardised, and that the model takes what comes of it.

    Raises:
        OptionError: they do not.
    """
    for name in model.modalities:
        if name not in extractors:
            raise OptionError(f"no extractor gives {name}", advice="give one for each modality")
    for name, extractor in extractors.items():
        if name not in model.modalities:
            raise OptionError(f"the model knows no {name}, which an extractor gives")
        given = _find_size(name, extractor.shape, standardisation)
        if model.feature_size(name) not in {None, given}:
            raise OptionError(
                f"{name} has {given} features, the model was made for {model.feature_size(name)}"
            )


def _find_size(name: str, shape: tuple[int, ...], standardisation: Standardisation) -> int | None:
    """How many features a step has after it was standardised."""
    mean, deviation = standardisation.mean.get(name), standardisation.deviation.get(name)
    basis = standardisation.basis.get(name)
    if mean is None or deviation is None:
        if any(part is not None for part in (mean, deviation, basis)):
            raise OptionError(f"the standardisation of {name} lacks a mean or a deviation")
        return prod(shape)
    for what, tensor in (("mean", mean), ("deviation", deviation)):
        if tuple(tensor.shape) != tuple(shape):
            raise OptionError(
                f"the {what} of {name} has the shape {tuple(tensor.shape)}, its features {shape}"
            )
    if not bool((deviation > 0).all()):
        raise OptionError(f"a standard deviation of {name} is not positive")
    if basis is None:
        return prod(shape)
    if basis.ndim != 2 or tuple(basis.shape[:1]) != tuple(shape):
        raise OptionError(
            f"the components of {name} have the shape {tuple(basis.shape)}, its features {shape}"
        )
    return int(basis.shape[1])


def _build(path: Path, header: Header, device: str) -> Model:
    """Build the model without its weights."""
    try:
        with torch.device(device), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on the device "meta", copying says that it does not
            return create_model(
                header.architecture,
                task=Task.from_dict(header.task),
                modalities=header.modalities,
                **header.options,
            )
    except Exception as error:  # options of a header may be anything
        problem = error.problem if isinstance(error, MienError) else f"cannot be built: {error!r}"
        advice = _AGAIN
        if header.architecture not in MODELS:
            advice = "upgrade mien, or load the plugin that registers it"
            if header.plugin:
                problem = f"needs the plugin {header.plugin}: {problem}"
                advice = f"give it with --plugin {header.plugin}, or load it with mien.load_plugin"
        raise ModelFileError(problem, path=path, advice=advice) from error


def _refuse(path: Path, what: str, names: list[str]) -> None:
    if names:
        raise ModelFileError(f"{what} {_some(names)}", path=path, advice=_AGAIN)


def _some(names: list[str]) -> str:
    return ", ".join(sorted(names)[:3]) + (" …" if len(names) > 3 else "")


def _list_not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    return [n for n, t in tensors.items() if not bool(torch.isfinite(t).all())]


def _kind(tensor: Tensor) -> str:
    """Return what may stand for one another: numbers with a fraction, whatever their precision."""
    return "fraction" if tensor.is_floating_point() else str(tensor.dtype)


def _round(tensor: Tensor, half: bool = False) -> Tensor:
    kept = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)  # may be shared
    if half and kept.is_floating_point():
        rounded = kept.half()
        return rounded if bool(torch.isfinite(rounded).all()) else kept
    return kept
