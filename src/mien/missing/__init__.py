"""Operations that take away: every way in which a modality can be missing, written once.

Training and evaluation use the same operations, so that "without audio" means one thing everywhere.
They work on `Signals`, which is on features or on what a model otherwise takes. An operation is
called with signals and a `torch.Generator` and gives signals; it changes nothing in place, and the
same seed gives the same result. What is taken away is ``valid=False``; only soft scaling and noise
change values, and what they change stays valid. What was not observed before is not observed after.
"""

from mien.missing._base import Operation, has_any
from mien.missing.chain import Chain
from mien.missing.dropout import DROPOUT_KINDS, ModalityDropout
from mien.missing.frames import Burst, KeepFirst, MaskFrames
from mien.missing.important import hide_important, measure_importance
from mien.missing.noise import NoiseWindows
from mien.missing.registry import OPERATIONS, create_operation, register_operation
from mien.missing.unpaired import assign_kinds, unpair
from mien.missing.whole import (
    Withhold,
    WithholdPerBatch,
    WithholdPerSample,
    withhold,
)

__all__ = [
    "DROPOUT_KINDS",
    "OPERATIONS",
    "Burst",
    "Chain",
    "KeepFirst",
    "MaskFrames",
    "ModalityDropout",
    "NoiseWindows",
    "Operation",
    "Withhold",
    "WithholdPerBatch",
    "WithholdPerSample",
    "assign_kinds",
    "create_operation",
    "has_any",
    "hide_important",
    "measure_importance",
    "register_operation",
    "unpair",
    "withhold",
]
