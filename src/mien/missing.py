"""Operations that take away: every way in which a modality can be missing, written once.

Training and evaluation use the same functions, so that "without audio" means one thing everywhere.
"""

from __future__ import annotations

from collections.abc import Collection

from mien.errors import OptionError
from mien.schema import MODALITIES
from mien.signals import Signals


def check_withheld(without: Collection[str]) -> frozenset[str]:
    """The modalities to withhold, checked.

    Raises:
        OptionError: an unknown name, or nothing would be left.
    """
    unknown = sorted(set(without) - set(MODALITIES))
    if unknown:
        raise OptionError(
            f"cannot withhold {', '.join(unknown)}", advice=f"choose from {', '.join(MODALITIES)}"
        )
    if set(without) == set(MODALITIES):
        raise OptionError("nothing is left", advice="withhold audio or video, not both")
    return frozenset(without)


def withhold(signals: Signals, without: Collection[str]) -> Signals:
    """Hide whole modalities for everyone in the batch."""
    return Signals({name: s.hidden() if name in without else s for name, s in signals.items()})
