"""Whole modalities withheld: from everyone, sample by sample, or batch by batch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch

from mien.errors import OptionError
from mien.missing import _checks
from mien.missing._base import Operation, choose, draw_uniform, has_any, hide_modalities
from mien.missing.registry import register_operation
from mien.signals import Signals

_ROUNDING = 1e-9  # of a sum of probabilities


def withhold(signals: Signals, without: Collection[str]) -> Signals:
    """Hide whole modalities for everyone in the batch."""
    return Signals({name: s.hide() if name in without else s for name, s in signals.items()})


@register_operation("withhold")
@dataclass(frozen=True)
class Withhold(Operation):
    """Withhold whole modalities from everyone.

    Whoever has nothing else is left with nothing, unlike in all other operations: "voice only" must
    not count a clip that was read from the face. `mien.missing.has_any` says who is left.

    Attributes:
        modalities: which; none withholds nothing.

    Raises:
        OptionError: an unknown modality.
    """

    modalities: Collection[str]

    def __post_init__(self) -> None:
        checked = _checks.check_names("modalities", self.modalities)
        object.__setattr__(self, "modalities", checked)

    def __call__(self, signals: Signals, generator: torch.Generator) -> Signals:
        """Hide the modalities; nothing is random."""
        return withhold(signals, self.modalities)


@register_operation("withhold_per_sample")
@dataclass(frozen=True)
class WithholdPerSample(Operation):
    """Withhold modalities at random from each sample, never the last one that it has.

    Losses are drawn independently. Where they are more than a sample may lose, a random choice of
    them counts, so that with audio at p and video at q a sample with both is left without audio
    with probability ``p (1 - q) + p q / 2``. Both at 1 is the first variant of modality dropout of
    Chumachenko et al. (2022), section III-C: in each sample one modality, chosen at random.

    Attributes:
        probabilities: of losing each modality, 0 to 1.
        at_most: modalities that a sample may lose; None for all but one of those that it has.

    Raises:
        OptionError: no or an unknown modality, or a number outside of its range.
    """

    probabilities: Mapping[str, float]
    at_most: int | None = None

    def __post_init__(self) -> None:
        _checks.check_fractions("probabilities", self.probabilities)
        if not self.probabilities:
            raise OptionError("probabilities are empty", advice="name at least one modality")
        if self.at_most is not None:
            _checks.check_number("at_most", self.at_most, least=1, whole=True)

    def __call__(self, signals: Signals, generator: torch.Generator) -> Signals:
        """Hide other modalities in each sample."""
        present = torch.stack([signals.present(name) for name in self.probabilities], dim=1)
        draws = draw_uniform((len(present), present.shape[1]), generator, present)
        limits = torch.tensor(list(self.probabilities.values()), device=present.device)
        spare = torch.stack([s.present for s in signals.values()]).sum(dim=0) - 1
        number = spare.clamp(min=0, max=self.at_most)
        lost = choose(present & (draws < limits), number, generator)
        return hide_modalities(
            signals, dict(zip(self.probabilities, lost.unbind(dim=1), strict=True))
        )


@register_operation("withhold_per_batch")
@dataclass(frozen=True)
class WithholdPerBatch(Operation):
    """Withhold at most one modality, the same for the whole batch.

    Vazquez-Rodriguez et al. (2023), section 4: per batch, modality i is eliminated with a
    probability and nothing is with what remains to one; section 6.2: video .25 for arousal, audio
    .333 and video .333 for valence. A sample that would be left with nothing keeps what it has.

    Attributes:
        probabilities: of eliminating each modality, together at most 1; none eliminates nothing.

    Raises:
        OptionError: an unknown modality, or probabilities that are none.
    """

    probabilities: Mapping[str, float]

    def __post_init__(self) -> None:
        _checks.check_fractions("probabilities", self.probabilities)
        total = sum(self.probabilities.values())
        if total > 1 + _ROUNDING:
            raise OptionError(
                f"probabilities add up to {total:g}", advice="give some that add up to at most 1"
            )

    def __call__(self, signals: Signals, generator: torch.Generator) -> Signals:
        """Hide one modality or none."""
        everyone = torch.ones_like(has_any(signals))
        draw = float(draw_uniform((1,), generator, everyone))
        for name, probability in self.probabilities.items():
            if draw < probability:
                return hide_modalities(signals, {name: everyone})
            draw -= probability
        return signals
