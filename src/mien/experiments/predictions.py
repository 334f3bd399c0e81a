"""Predictions as a table: a run's answer to each clip or frame of its test part."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from torch import Tensor

from mien.datasets import Example
from mien.evaluation.predict import Answers
from mien.models import Task


def tabulate_predictions(task: Task, examples: Sequence[Example], answers: Answers) -> pd.DataFrame:
    """Tabulate answers, one row for each clip, or for each of its frames.

    Args:
        task: what was asked.
        examples: about which.
        answers: in the same order.

    Returns:
        ``clip, person, step``, then ``score_…`` for each name (logits or values), and ``target``
        (a word) or ``target_…`` (proportions or values).
    """
    rows = []
    for example, scores in zip(examples, answers.scores, strict=True):
        pairs = [(scores, example.target)]
        if task.per == "frame":  # scores are padded to the longest example
            pairs = list(zip(scores, example.target, strict=False))
        for step, (score, gold) in enumerate(pairs):
            row: dict[str, object] = {"clip": example.clip, "person": example.person, "step": step}
            row |= {f"score_{n}": float(x) for n, x in zip(task.names, score, strict=True)}
            rows.append(row | _target(task, gold))
    return pd.DataFrame(rows)


def _target(task: Task, gold: Tensor) -> dict[str, object]:
    if task.kind == "categories" and not gold.is_floating_point():
        return {"target": task.names[int(gold)] if int(gold) >= 0 else None}
    return {f"target_{n}": float(x) for n, x in zip(task.names, gold, strict=True)}
