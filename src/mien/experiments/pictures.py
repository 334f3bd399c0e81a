"""Figures of an experiment: what protocols with levels, ranks, entropies and answers look like."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from mien.evaluation import figures
from mien.evaluation.categories import confusion
from mien.evaluation.measures import METRICS
from mien.evaluation.protocols import EVERYTHING, MEAN
from mien.evaluation.statistics import rank_models
from mien.experiments.runs import PREDICTIONS, Run
from mien.experiments.spec import Experiment

MOST_LINES = 8
MOST_TRACES = 4
FEWEST_RANKED = 5
_AXES = {
    "masked_frames": "share of the frames masked",
    "noisy_windows": "windows replaced by noise",
    "first_windows": "windows presented",
    "bursts": "seconds masked",
}


def draw(
    experiment: Experiment, results: pd.DataFrame, runs: Sequence[Run], folder: Path
) -> list[Path]:
    """Draw all figures of an experiment as SVG.

    Args:
        experiment: what was run.
        results: of `mien.experiments.runner.collect`.
        runs: finished ones, whose predictions may be drawn.
        folder: where to; names begin with the experiment's.

    Returns:
        The files.
    """
    made = []
    for name, figure in _all(experiment, results, runs):
        path = folder / f"{experiment.name}_{re.sub(r'[^a-z0-9]+', '_', name.lower())}.svg"
        figures.save(figure, path)
        made.append(path)
    return made


def _all(
    experiment: Experiment, results: pd.DataFrame, runs: Sequence[Run]
) -> Iterator[tuple[str, Figure]]:
    shown = experiment.shown or [entry.called for entry in experiment.models][:MOST_LINES]
    some = results[results["model"].isin(shown)]
    for protocol, group in some.groupby("protocol", sort=False):
        if protocol == "layer_entropy":
            yield from _entropies(group)
        elif protocol == "response_time":
            yield from _responses(group)
        elif protocol in _AXES:
            yield from _curves(experiment.metrics[0], str(protocol), group)
    yield from _ranks(experiment.metrics[0], results)
    if "confusion" in experiment.figures:
        yield from _confusions(runs)
    if "traces" in experiment.figures:
        yield from _traces(runs, shown)


def _curves(metric: str, protocol: str, group: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    rows = group[(group["metric"] == metric) & group["level"].notna()]
    for (condition, treatment), part in rows.groupby(["condition", "treatment"], sort=False):
        yield (
            f"{protocol} {condition} {treatment}",
            figures.degradation(
                part,
                level="level",
                value="value",
                by="model",
                labels=(_AXES[protocol], METRICS[metric].title),
                title=f"{condition}; trained with {treatment}",
            ),
        )


def _entropies(group: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    for (model, treatment), part in group.groupby(["model", "treatment"], sort=False):
        layers = {
            str(modality): rows.pivot_table(
                index=["fold", "seed"], columns="level", values="value"
            ).to_numpy()
            for modality, rows in part.groupby("condition", sort=False)
        }
        title = f"{model}; trained with {treatment}"
        yield f"entropy {model} {treatment}", figures.entropy_by_layer(layers, title=title)


def _responses(group: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    for (model, treatment), part in group.groupby(["model", "treatment"], sort=False):
        means = part.groupby(["metric", "condition", "level"], dropna=False, sort=False)["value"]
        table = means.mean().reset_index()
        shares = table[table["metric"] == "share"]
        right = table[table["metric"] == "told right"]
        told = {str(c): float(v) for c, v in zip(right["condition"], right["value"], strict=True)}
        by = {
            str(c): rows["value"].to_numpy() for c, rows in shares.groupby("condition", sort=False)
        }
        yield (
            f"response {model} {treatment}",
            figures.response_times(
                by,
                ends=np.unique(shares["level"]),
                told=told,
                title=f"{model}; trained with {treatment}",
            ),
        )


def _ranks(metric: str, results: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    rows = results[(results["protocol"] == "modalities") & (results["metric"] == metric)]
    for condition in (EVERYTHING, MEAN):
        for treatment, part in rows[rows["condition"] == condition].groupby(
            "treatment", sort=False
        ):
            # Seeds of one fold share their people, so a fold is one block.
            folds = part.groupby(["model", "fold"], sort=False)["value"].mean().reset_index()
            whole = folds.groupby("model")["fold"].nunique() == folds["fold"].nunique()
            folds = folds[folds["model"].map(whole)]
            if folds["model"].nunique() < FEWEST_RANKED or folds["fold"].nunique() < 2:
                continue
            ranks = rank_models(
                folds,
                value="value",
                by="model",
                over=["fold"],
                higher_is_better=METRICS[metric].higher_is_better,
            )
            title = f"{METRICS[metric].title}, {condition}; trained with {treatment}"
            yield (
                f"ranks {condition} {treatment}",
                figures.critical_difference_diagram(ranks, title=title),
            )


def _confusions(runs: Sequence[Run]) -> Iterator[tuple[str, Figure]]:
    by: dict[tuple[str, str], list[pd.DataFrame]] = {}
    for run in runs:
        key = (run.entry.called, run.treatment.label)
        by.setdefault(key, []).append(pd.read_parquet(run.path / PREDICTIONS))
    for (model, treatment), tables in by.items():
        answers = pd.concat(tables)
        names = _named(answers, "score_")
        answers = answers[answers["target"].isin(names)]
        scores = torch.tensor(answers[[f"score_{name}" for name in names]].to_numpy())
        gold = torch.tensor([names.index(target) for target in answers["target"]])
        counts = confusion(scores, gold)
        title = f"{model}; trained with {treatment}"
        yield f"confusion {model} {treatment}", figures.confusion_matrix(counts, names, title=title)


def _traces(runs: Sequence[Run], shown: Sequence[str]) -> Iterator[tuple[str, Figure]]:
    """The first session of the first fold and seed, gold and the models' answers."""
    first = [r for r in runs if r.fold == 0 and r.seed == r.experiment.seeds[0]]
    for treatment in dict.fromkeys(run.treatment.label for run in first):
        chosen = [r for r in first if r.treatment.label == treatment and r.entry.called in shown]
        chosen = chosen[:MOST_TRACES]
        tables = {r.entry.called: pd.read_parquet(r.path / PREDICTIONS) for r in chosen}
        one = next(iter(tables.values()))
        clip = one["clip"].iloc[0]
        hop = min(chosen[0].source.shape().hops.values())
        for name in _named(one, "target_"):
            said = {
                model: table.loc[table["clip"] == clip, f"score_{name}"].to_numpy()
                for model, table in tables.items()
                if f"score_{name}" in table
            }
            gold = one.loc[one["clip"] == clip, f"target_{name}"].to_numpy()
            title = f"{clip}; trained with {treatment}"
            yield (
                f"traces {name} {treatment}",
                figures.traces(gold, said, hop=hop, label=name, title=title),
            )


def _named(table: pd.DataFrame, prefix: str) -> list[str]:
    """What columns of a prefix are about."""
    return [str(c).removeprefix(prefix) for c in table.columns if str(c).startswith(prefix)]
