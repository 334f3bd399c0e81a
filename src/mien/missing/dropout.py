"""Modality dropout: a training batch repeated, each time with something else taken away."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mien.errors import OptionError
from mien.missing._base import Operation, draw_uniform, has_other, hide_modalities, index_rows
from mien.missing.noise import replace_by_noise
from mien.missing.registry import register_operation
from mien.schema import AUDIO, VIDEO
from mien.signals import Sequence, Signals

DROPOUT_KINDS = ("full", "soft", "without_audio", "without_video", "noisy_audio", "noisy_video")


@register_operation("modality_dropout")
@dataclass(frozen=True)
class ModalityDropout(Operation):
    """The batch once for each kind, as Chumachenko et al. (2022), sections III-C and IV, train.

    With missing data the paper's kinds are the first four, which is the default; with noisy data
    ``full``, ``noisy_audio`` and ``noisy_video``. Kinds are ``full``: as it is; ``soft``: audio
    times a factor and video times one minus it, uniform from 0 to 1, one for each sample;
    ``without_…``: withheld, and a model that wants zeros puts them itself; ``noisy_…``: values
    from a normal distribution of mean 0 and standard deviation 1.

    A sample keeps its only modality as it is in every kind: there is nothing to learn to do
    without. Every kind has the whole batch, as in the released code, instead of a random part.

    Attributes:
        kinds: of `DROPOUT_KINDS`, in the order in which the batch is repeated.

    Raises:
        OptionError: no or an unknown kind.
    """

    kinds: Collection[str] = DROPOUT_KINDS[:4]

    def __post_init__(self) -> None:
        given = self.kinds
        listed = not isinstance(given, str) and isinstance(given, Collection) and len(given) > 0
        if not listed or any(kind not in DROPOUT_KINDS for kind in given):
            raise OptionError(
                f"kinds is {given!r}", advice=f"give a list of {', '.join(DROPOUT_KINDS)}"
            )
        object.__setattr__(self, "kinds", tuple(given))

    def __call__(self, signals: Signals, generator: torch.Generator) -> Signals:
        """Enlarge the batch, ``batch`` times the number of kinds, kind after kind."""
        made = [_apply_kind(kind, signals, generator) for kind in self.kinds]
        return Signals({name: _concatenate([one[name] for one in made]) for name in signals})

    def enlarge(self, signals: Signals, generator: torch.Generator) -> tuple[Signals, Tensor]:
        """Return the enlarged batch and the rows it came from; see `Operation.enlarge`."""
        return self(signals, generator), index_rows(signals).repeat(len(self.kinds))


def _apply_kind(kind: str, signals: Signals, generator: torch.Generator) -> Signals:
    if kind == "full":
        return signals
    if kind == "soft":
        return _attenuate(signals, generator)
    change, modality = kind.split("_")
    if modality not in signals:
        return signals
    who = has_other(signals, modality)
    if change == "without":
        return hide_modalities(signals, {modality: who})
    sequence = signals[modality]
    where = who.unsqueeze(1).expand_as(sequence.valid)
    return Signals({**signals, modality: replace_by_noise(sequence, where, generator)})


def _attenuate(signals: Signals, generator: torch.Generator) -> Signals:
    both = signals.present(AUDIO) & signals.present(VIDEO)
    factor = draw_uniform((len(both),), generator, both)
    factors = {AUDIO: factor, VIDEO: 1 - factor}
    made = {
        name: _scale(signals[name], torch.where(both, factor, 1.0))
        for name, factor in factors.items()
        if name in signals
    }
    return Signals({**signals, **made})


def _scale(sequence: Sequence, factor: Tensor) -> Sequence:
    values = sequence.values
    factor = factor.view(-1, *[1] * (values.ndim - 1))
    if values.is_floating_point():
        factor = factor.to(values.dtype)
    return replace(sequence, values=values * factor)


def _concatenate(parts: list[Sequence]) -> Sequence:
    values = torch.cat([part.values for part in parts])
    return replace(parts[0], values=values, valid=torch.cat([part.valid for part in parts]))
