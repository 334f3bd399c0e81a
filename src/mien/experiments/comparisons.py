"""Who is better than whom: the comparisons that an experiment asks for, tested."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from mien.errors import InputError, OptionError
from mien.evaluation.statistics import compare as compare_models
from mien.evaluation.statistics import holm
from mien.experiments.experiment import Experiment
from mien.experiments.runs import NOTE, RunFolder, measure_overlap
from mien.experiments.spec import Comparison

WITHIN = ("treatment", "model")
SEEDS, FOLDS = "seeds", "folds, each the mean of its seeds"
Tested = Sequence[tuple[Comparison, pd.DataFrame]]


def pair_runs(results: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Put results as they may be paired, and name the columns that say what belongs together.

    Seeds of one fold share their people, so a fold counts once, as the mean of its seeds. Where
    there is one fold, the seeds are all there is.
    """
    if results["fold"].nunique() < 2:
        return results, ["fold", "seed"]
    keys = [name for name in results if name not in {"seed", "value"}]
    means = results.groupby(keys, sort=False, dropna=False)["value"].mean()
    return means.reset_index(), ["fold"]


def run_comparison(
    results: pd.DataFrame, asked: Comparison, overlap: float | None = None
) -> pd.DataFrame:
    """Test one comparison: paired t-tests, and Holm-Bonferroni over all of them.

    Args:
        results: of `mien.experiments.runner.collect`.
        asked: what is compared.
        overlap: of the folds, see `mien.experiments.runs.measure_overlap`.

    Returns:
        `WITHIN` without what is compared, ``one``, ``against``, ``pairs``, ``of`` (what is paired),
        ``difference``, ``test``, ``t``, ``p``, ``p_holm``; empty where there is nothing to compare.
    """
    level = asked.level
    chosen = results[results["level"].isna() if level is None else results["level"] == level]
    chosen = chosen[(chosen["metric"] == asked.metric) & (chosen["protocol"] == asked.protocol)]
    if asked.by != "condition":
        chosen = chosen[chosen["condition"] == asked.condition]
    paired, over = pair_runs(chosen)
    within = [name for name in WITHIN if name != asked.by]
    tables = []
    for keys, group in paired.groupby(within, sort=False):
        labels = set(group[asked.by])
        if len(labels) < 2 or asked.against not in labels:
            continue
        found = compare_models(
            group,
            value="value",
            by=asked.by,
            against=asked.against,
            over=over,
            overlap=None if "seed" in over else overlap,
            alternative=asked.alternative,
        ).rename(columns={"model": "one", "runs": "pairs"})
        for column, key in zip(within, keys, strict=True):
            found[column] = str(key)
        tables.append(found)
    if not tables:
        return pd.DataFrame()
    whole = pd.concat(tables, ignore_index=True)
    return whole.assign(p_holm=holm(whole["p"]), of=SEEDS if "seed" in over else FOLDS)


def run_comparisons(
    experiment: Experiment, results: pd.DataFrame, overlap: float | None = None
) -> Tested:
    """Test every comparison of an experiment; see `run_comparison`."""
    return [(asked, run_comparison(results, asked, overlap)) for asked in experiment.comparisons]


def concat_tests(tests: Tested) -> pd.DataFrame:
    """Put all tests into one table, one row each, with what was compared; empty without any."""
    tables = [
        table.assign(
            by=asked.by,
            metric=asked.metric,
            protocol=asked.protocol,
            condition="" if asked.by == "condition" else asked.condition,
            level=asked.level,
            alternative=asked.alternative,
        )
        for asked, table in tests
        if len(table)
    ]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def compare(
    runs: Sequence[str | Path],
    *,
    metric: str | None = None,
    condition: str = "everything",
    protocol: str | None = None,
    level: float | None = None,
) -> pd.DataFrame:
    """Put runs beside each other, with paired t-tests where folds and seeds allow.

    Args:
        runs: folders of runs, or folders that hold runs at any depth.
        metric: the first that all have, where None.
        condition: which.
        protocol: whose condition it is; may be None where one protocol has it.
        level: of the condition, where it has levels.

    Returns:
        One row for each pair of models, called by model and treatment, and by experiment where
        there are several: means, difference, which test, t, p and Holm's p. Seeds of a fold are one
        pair.

    Raises:
        InputError: a folder holds no finished run.
        OptionError: there are not two models to compare, or it is not said under what.
    """
    folders = [folder for path in map(Path, runs) for folder in _find_runs(path)]
    results = pd.concat([folder.read_results() for folder in folders], ignore_index=True)
    chosen = metric or str(results["metric"].iloc[0])
    rows = results[(results["metric"] == chosen) & (results["condition"] == condition)]
    rows = _choose_one(rows, protocol, level)
    names = rows["model"] + ", " + rows["treatment"]
    if rows["experiment"].nunique() > 1:
        names = rows["experiment"] + ", " + names
    rows = rows.assign(model=names)
    if rows["model"].nunique() < 2:
        raise OptionError(
            f"there are not two models with {chosen} under {condition}",
            advice="name runs of several models or treatments",
        )
    once, over = pair_runs(rows[["model", "fold", "seed", "value"]])
    means = once.groupby("model")["value"].mean()
    overlap = None if "seed" in over else measure_overlap(folders)
    table = compare_models(once, value="value", by="model", over=over, overlap=overlap)
    return table.assign(
        metric=chosen, mean=table["model"].map(means), mean_against=table["against"].map(means)
    )


def _find_runs(path: Path) -> list[RunFolder]:
    folders = [RunFolder(note.parent) for note in sorted(path.rglob(NOTE))]
    notes = [(folder, folder.read_note()) for folder in folders]
    found = [f for f, note in notes if note is None or note.fold is not None]
    if not found:
        raise InputError("holds no run", path=path, advice="train an experiment first")
    return found


def _choose_one(rows: pd.DataFrame, protocol: str | None, level: float | None) -> pd.DataFrame:
    """Choose the rows of one protocol and one level; several must not be taken for one."""
    if protocol is not None:
        rows = rows[rows["protocol"] == protocol]
    if level is not None:
        rows = rows[rows["level"] == level]
    for what in ("protocol", "level"):
        known = rows[what].unique().tolist()
        if len(known) > 1:
            raise OptionError(
                f"the condition is measured at several: {what} {known}",
                advice=f"name one with --{what}",
            )
    return rows
