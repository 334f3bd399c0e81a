"""Training: losses and settings as data, strategies, one loop with exact resume."""

from mien.settings import Settings
from mien.training.batches import collate, iterate_batches, mix_seeds, stack_targets
from mien.training.loop import CHECKPOINT, LOG, Plan, TrainingResult, set_criterion, train
from mien.training.settings import CriterionSettings, OptimizerSettings, ScheduleSettings, Training

__all__ = [
    "CHECKPOINT",
    "LOG",
    "CriterionSettings",
    "OptimizerSettings",
    "Plan",
    "ScheduleSettings",
    "Settings",
    "Training",
    "TrainingResult",
    "collate",
    "iterate_batches",
    "mix_seeds",
    "set_criterion",
    "stack_targets",
    "train",
]
