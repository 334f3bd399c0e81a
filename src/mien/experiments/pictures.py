"""Figures of an experiment: what protocols with levels, ranks, entropies and answers look like."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from mien.errors import OptionError
from mien.evaluation import figures
from mien.evaluation.categories import confusion_matrix
from mien.evaluation.measures import METRICS
from mien.evaluation.protocols import EVERYTHING, MEAN
from mien.evaluation.statistics import rank_models
from mien.experiments.comparisons import pair_runs
from mien.experiments.experiment import Experiment
from mien.experiments.runs import RunSpec
from mien.experiments.tables import MOST_NAMES

MOST_LINES = 8
MOST_TRACES = 4
FEWEST_RANKED = 5
_GOLD = "target_"
_AXES = {
    "masked_frames": "fraction of the frames masked",
    "noisy_windows": "windows replaced by noise",
    "first_windows": "windows presented",
    "bursts": "seconds masked",
}


def draw(
    experiment: Experiment, results: pd.DataFrame, runs: Sequence[RunSpec], folder: Path
) -> list[Path]:
    """Draw all figures of an experiment as SVG.

    Args:
        experiment: what was run.
        results: of `mien.experiments.runner.collect`.
        runs: finished ones, whose predictions may be drawn.
        folder: where to; names begin with the experiment's.

    Returns:
        The files.

    Raises:
        OptionError: a clip that is to be traced was not measured.
    """
    made = []
    for name, figure in _draw_all(experiment, results, runs):
        path = folder / f"{experiment.name}_{re.sub(r'[^a-z0-9]+', '_', name.lower())}.svg"
        figures.save(figure, path)
        made.append(path)
    return made


def _draw_all(
    experiment: Experiment, results: pd.DataFrame, runs: Sequence[RunSpec]
) -> Iterator[tuple[str, Figure]]:
    shown = experiment.shown or [model.name for model in experiment.models][:MOST_LINES]
    some = results[results["model"].isin(shown)]
    for protocol, group in some.groupby("protocol", sort=False):
        if protocol == "layer_entropy":
            yield from _draw_entropies(group)
        elif protocol == "response_time":
            yield from _draw_responses(group)
        elif protocol in _AXES:
            yield from _draw_curves(experiment.metrics[0], str(protocol), group)
    yield from _draw_ranks(experiment.metrics[0], results)
    if "confusion" in experiment.figures:
        yield from _draw_confusions(runs)
    if "traces" in experiment.figures:
        yield from _draw_traces(runs, shown, experiment.traced)


def _draw_curves(metric: str, protocol: str, group: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Of a metric and, where they are not too many, of the dimensions that it tells one by one."""
    rows = group[group["level"].notna()]
    each = [str(m) for m in rows["metric"].unique() if str(m).startswith(f"{metric}/")]
    for one in (metric, *each[: len(each) if len(each) <= MOST_NAMES else 0]):
        dimension = one.partition("/")[2]
        title = METRICS[metric].title + (f" of {dimension}" if dimension else "")
        of = rows[rows["metric"] == one]
        for (condition, treatment), part in of.groupby(["condition", "treatment"], sort=False):
            yield (
                " ".join(filter(None, (protocol, str(condition), str(treatment), dimension))),
                figures.draw_degradation(
                    part,
                    level="level",
                    value="value",
                    by="model",
                    labels=(_AXES[protocol], title),
                    title=f"{condition}; trained with {treatment}",
                ),
            )


def _draw_entropies(group: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    for (model, treatment), part in group.groupby(["model", "treatment"], sort=False):
        layers = {
            str(modality): rows.pivot_table(
                index=["fold", "seed"], columns="level", values="value"
            ).to_numpy()
            for modality, rows in part.groupby("condition", sort=False)
        }
        title = f"{model}; trained with {treatment}"
        yield f"entropy {model} {treatment}", figures.draw_entropy_by_layer(layers, title=title)


def _draw_responses(group: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    for (model, treatment), part in group.groupby(["model", "treatment"], sort=False):
        means = part.groupby(["metric", "condition", "level"], dropna=False, sort=False)["value"]
        table = means.mean().reset_index()
        fractions = table[table["metric"] == "fraction"]
        right = table[table["metric"] == "correct"]
        rates = {str(c): float(v) for c, v in zip(right["condition"], right["value"], strict=True)}
        by = {
            str(c): rows["value"].to_numpy()
            for c, rows in fractions.groupby("condition", sort=False)
        }
        yield (
            f"response {model} {treatment}",
            figures.draw_response_times(
                by,
                ends=np.unique(fractions["level"]),
                correct=rates,
                title=f"{model}; trained with {treatment}",
            ),
        )


def _draw_ranks(metric: str, results: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    rows = results[(results["protocol"] == "modalities") & (results["metric"] == metric)]
    for condition in (EVERYTHING, MEAN):
        for treatment, part in rows[rows["condition"] == condition].groupby(
            "treatment", sort=False
        ):
            folds, _ = pair_runs(part)
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
                figures.draw_critical_differences(ranks, title=title),
            )


def _draw_confusions(runs: Sequence[RunSpec]) -> Iterator[tuple[str, Figure]]:
    by: dict[tuple[str, str], list[pd.DataFrame]] = {}
    for run in runs:
        key = (run.model.name, run.treatment.label)
        by.setdefault(key, []).append(pd.read_parquet(run.folder.predictions))
    for (model, treatment), tables in by.items():
        answers = pd.concat(tables)
        names = _list_names(answers, "score_")
        answers = answers[answers["target"].isin(names)]
        scores = torch.tensor(answers[[f"score_{name}" for name in names]].to_numpy())
        gold = torch.tensor([names.index(target) for target in answers["target"]])
        counts = confusion_matrix(scores, gold)
        title = f"{model}; trained with {treatment}"
        yield (
            f"confusion {model} {treatment}",
            figures.draw_confusion_matrix(counts, names, title=title),
        )


def _draw_traces(
    runs: Sequence[RunSpec], shown: Sequence[str], traced: Sequence[str]
) -> Iterator[tuple[str, Figure]]:
    """Sessions of the first seed, gold and the models' answers; models may be asked differently."""
    first = [r for r in runs if r.seed == r.experiment.seeds[0] and r.model.name in shown]
    for treatment in dict.fromkeys(run.treatment.label for run in first):
        asked = [run for run in first if run.treatment.label == treatment]
        tables = [pd.read_parquet(run.folder.predictions) for run in asked]
        for clip in traced or [str(tables[0]["clip"].iloc[0])]:
            found = _find_sessions(asked, tables, clip)
            for name in dict.fromkeys(
                name for _, table in found for name in _list_names(table, _GOLD)
            ):
                yield (
                    " ".join(filter(None, ("traces", clip if traced else "", name, treatment))),
                    _draw_trace(found, name, f"{clip}; trained with {treatment}"),
                )


def _find_sessions(
    runs: Sequence[RunSpec], tables: Sequence[pd.DataFrame], clip: str
) -> list[tuple[RunSpec, pd.DataFrame]]:
    """Collect what each model answered to one clip, in the first of its folds that tests it."""
    found: dict[str, tuple[RunSpec, pd.DataFrame]] = {}
    for run, table in zip(runs, tables, strict=True):
        rows = table[table["clip"] == clip]
        if len(rows):
            found.setdefault(run.model.name, (run, rows))
    if not found:
        known = dict.fromkeys(str(one) for table in tables for one in table["clip"].unique())
        raise OptionError(
            f"no clip {clip} to trace was measured", advice=f"choose from {', '.join(known)}"
        )
    return list(found.values())


def _draw_trace(found: Sequence[tuple[RunSpec, pd.DataFrame]], name: str, title: str) -> Figure:
    owners = [(run, table) for run, table in found if f"{_GOLD}{name}" in table][:MOST_TRACES]
    run, table = owners[0]
    return figures.draw_traces(
        table[f"{_GOLD}{name}"].to_numpy(),
        {run.model.name: table[f"score_{name}"].to_numpy() for run, table in owners},
        hop=min(run.dataset.shape().hops.values()),
        label=name,
        title=title,
    )


def _list_names(table: pd.DataFrame, prefix: str) -> list[str]:
    """Return what columns of a prefix are about."""
    return [str(c).removeprefix(prefix) for c in table.columns if str(c).startswith(prefix)]
