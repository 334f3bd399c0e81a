"""Which modalities matter to a model, and hiding those (Vazquez-Rodriguez et al. 2023).

Section 4: a model is trained in the standard way and tested without one modality at a time. Where
its loss rises most, the modality matters. Then it is trained again from the start, and the
modalities that matter are withheld part of the time, so that it learns from the others as well.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from mien.errors import OptionError
from mien.missing.whole import WithholdPerBatch


def measure_importance(full: float, without: Mapping[str, float]) -> dict[str, float]:
    """Measure how much the loss of the first training rises without each modality.

    Args:
        full: loss on the development part with everything present; lower is better.
        without: loss on the same part without each modality.

    Returns:
        The rise by modality, the most important one first; negative where the model is better off.

    Raises:
        OptionError: a loss is not finite.
    """
    odd = [name for name, loss in without.items() if not math.isfinite(loss)]
    if odd or not math.isfinite(full):
        raise OptionError(
            f"the loss {'without ' + ', '.join(odd) if odd else 'with everything'} is not finite",
            advice="measure it on clips that have what is left",
        )
    rises = {name: loss - full for name, loss in without.items()}
    return dict(sorted(rises.items(), key=lambda item: -item[1]))


def hide_important(
    rises: Mapping[str, float], *, probability: float, above: float = 0.0
) -> WithholdPerBatch:
    """Build the operation of the second training.

    The paper takes modalities without which the result is significantly worse over 30 seeds, and
    probabilities found on the development part: .25 for one, .333 for each of two.

    Args:
        rises: as of `measure_importance`.
        probability: of withholding each modality that matters, per batch.
        above: rise from which on, and not at which, a modality matters.

    Raises:
        OptionError: the probabilities of all that matter add up to more than 1.
    """
    return WithholdPerBatch({name: probability for name, rise in rises.items() if rise > above})
