"""RECOLA's post-processing in an experiment: chosen on answers to the training part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from mien.datasets import Example
from mien.evaluation.postprocess import PostProcessor, fit
from mien.evaluation.predict import Answers, predict
from mien.experiments.spec import PostProcessingSettings
from mien.models import Model

Post = Callable[[Answers], Answers]


def fit_post_processing(
    chosen: PostProcessingSettings | None,
    model: Model,
    train: Sequence[Example],
    window: int | None,
) -> Post:
    """Fit what is done to answers before they are measured.

    Args:
        chosen: None for nothing; otherwise the model has to answer dimensions per frame.
        model: in evaluation mode.
        train: examples that the parameters are chosen on, one chain for each dimension.
        window: steps that the model is shown at once.
    """
    if chosen is None:
        return lambda answers: answers
    hop = min(sequence.hop for sequence in train[0].signals.values())
    answers = predict(model, train, window=window)
    chains = [
        fit(_series(answers.scores, column), _series(answers.target, column, answers), hop,
            steps=chosen.steps)
        for column in range(len(model.task.names))
    ]  # fmt: skip
    return lambda answers: replace(answers, scores=_apply(answers.scores, chains))


def _series(values: Tensor, column: int, answers: Answers | None = None) -> list[Tensor]:
    """One dimension of each example, without the padding after the end of its answer."""
    ends = (~(values if answers is None else answers.scores).isnan()).any(dim=-1).sum(dim=1)
    return [v[:end, column] for v, end in zip(values, ends.tolist(), strict=True) if end]


def _apply(scores: Tensor, chains: Sequence[PostProcessor]) -> Tensor:
    out = scores.clone()
    for column, chain in enumerate(chains):
        ends = (~scores.isnan()).any(dim=-1).sum(dim=1).tolist()
        for row, end in enumerate(ends):
            if end:
                changed = chain.apply([scores[row, :end, column]])[0]
                out[row, :end, column] = torch.from_numpy(changed).to(out.dtype)
    return out
