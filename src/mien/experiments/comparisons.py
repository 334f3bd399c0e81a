"""Who is better than whom: the comparisons that an experiment asks for, tested."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from mien.evaluation.statistics import compare, holm
from mien.experiments.spec import Comparison, Experiment

WITHIN = ("treatment", "model")
SEEDS, FOLDS = "seeds", "folds, each the mean of its seeds"
Tested = Sequence[tuple[Comparison, pd.DataFrame]]


def blocks(results: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Results as they may be paired, and the columns that say what belongs together.

    Seeds of one fold share their people, so a fold counts once, as the mean of its seeds. Where
    there is one fold, the seeds are all there is.
    """
    if results["fold"].nunique() < 2:
        return results, ["fold", "seed"]
    keys = [name for name in results if name not in {"seed", "value"}]
    means = results.groupby(keys, sort=False, dropna=False)["value"].mean()
    return means.reset_index(), ["fold"]


def tested(results: pd.DataFrame, asked: Comparison) -> pd.DataFrame:
    """One comparison: paired t-tests, and Holm-Bonferroni over all of them.

    Args:
        results: of `mien.experiments.runner.collect`.
        asked: what is compared.

    Returns:
        `WITHIN` without what is compared, ``one``, ``against``, ``pairs``, ``of`` (what is paired),
        ``difference``, ``t``, ``p``, ``p_holm``; empty where there is nothing to compare.
    """
    level = asked.level
    chosen = results[results["level"].isna() if level is None else results["level"] == level]
    chosen = chosen[(chosen["metric"] == asked.metric) & (chosen["protocol"] == asked.protocol)]
    if asked.by != "condition":
        chosen = chosen[chosen["condition"] == asked.condition]
    paired, over = blocks(chosen)
    within = [name for name in WITHIN if name != asked.by]
    tables = []
    for keys, group in paired.groupby(within, sort=False):
        labels = set(group[asked.by])
        if len(labels) < 2 or asked.against not in labels:
            continue
        found = compare(
            group,
            value="value",
            by=asked.by,
            against=asked.against,
            over=over,
            alternative=asked.alternative,
        ).rename(columns={"model": "one", "runs": "pairs"})
        for column, key in zip(within, keys, strict=True):
            found[column] = str(key)
        tables.append(found)
    if not tables:
        return pd.DataFrame()
    whole = pd.concat(tables, ignore_index=True)
    return whole.assign(p_holm=holm(whole["p"]), of=SEEDS if "seed" in over else FOLDS)


def all_tested(experiment: Experiment, results: pd.DataFrame) -> Tested:
    """Every comparison of an experiment with its tests; see `tested`."""
    return [(asked, tested(results, asked)) for asked in experiment.comparisons]


def as_one(tests: Tested) -> pd.DataFrame:
    """All of them, one row a test, with what was compared beside it; empty without any."""
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
