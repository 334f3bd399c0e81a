"""Training: losses and settings as data, strategies, one loop with exact resume."""

from mien.settings import Settings
from mien.training.batches import batches, collate, mixed, stack_targets
from mien.training.loop import CHECKPOINT, LOG, Outcome, Plan, set_criterion, train
from mien.training.settings import Criterion, Optimizer, Schedule, Training

__all__ = [
    "CHECKPOINT",
    "LOG",
    "Criterion",
    "Optimizer",
    "Outcome",
    "Plan",
    "Schedule",
    "Settings",
    "Training",
    "batches",
    "collate",
    "mixed",
    "set_criterion",
    "stack_targets",
    "train",
]
