"""What runs measured as tables: tidy as CSV, and as Markdown with the paper's numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from mien.evaluation.measures import METRICS
from mien.evaluation.protocols import EVERYTHING, MEAN
from mien.evaluation.statistics import CORRECTED, summarize
from mien.experiments.comparisons import SEEDS, WITHIN, Tested
from mien.experiments.experiment import Experiment
from mien.experiments.spec import Comparison, Reported

KEYS = ["model", "treatment", "protocol", "condition", "level", "metric"]
MOST_NAMES = 4  # dimensions that get tables of their own on the page
_BOOTSTRAP_SEED = 0
_CONDITIONS_FIRST = (EVERYTHING, "as recorded", "audio", "video", "physiology")


def summarise_runs(experiment: Experiment, results: pd.DataFrame) -> pd.DataFrame:
    """Put runs together, one row for each model, treatment, condition, level and metric.

    Returns:
        `KEYS`, then ``runs``, ``mean``, ``deviation`` over runs, ``low`` and ``high`` of the 95 %
        bootstrap interval of the mean (folds are resampled as wholes; runs where there is one
        fold), and ``paper``, the paper's number or NaN.
    """
    rows = []
    many = results["fold"].nunique() > 1
    labels = [model.name for model in experiment.models]
    treatments = [treatment.label for treatment in experiment.treatments]
    results = results.sort_values(
        ["treatment", "model"],
        key=lambda column: column.map((labels if column.name == "model" else treatments).index),
        kind="stable",
    )
    for keys, group in results.groupby(KEYS, sort=False, dropna=False):
        known = group.dropna(subset=["value"])
        row = dict(zip(KEYS, keys, strict=True))
        if len(known):
            owners = list(known["fold"]) if many else None
            found = summarize(known["value"], seed=_BOOTSTRAP_SEED, people=owners)
            row |= {"runs": found.count, "mean": found.mean, "deviation": found.std}
            row |= {"low": found.low, "high": found.high}
        else:
            row |= {"runs": 0, **dict.fromkeys(("mean", "deviation", "low", "high"), math.nan)}
        row["paper"] = _find_paper(experiment.reported, row)
        rows.append(row)
    return pd.DataFrame(rows)


def _find_paper(reported: Sequence[Reported], row: dict[str, object]) -> float:
    for number in reported:
        level = row["level"]
        alike = (
            number.model == row["model"]
            and number.metric == row["metric"]
            and number.treatment in (None, row["treatment"])
            and number.protocol in (None, row["protocol"])
            and number.condition in ("", row["condition"])
            and (number.level is None or number.level == level)
        )
        if alike:
            return number.value
    return math.nan


def write_page(
    experiment: Experiment,
    results: pd.DataFrame,
    table: pd.DataFrame,
    tests: Tested,
    *,
    command: str,
    data: str,
    planned: int | None = None,
) -> str:
    """Write the whole page of an experiment, in Markdown.

    Args:
        experiment: what was run.
        results: of `mien.experiments.runner.collect`.
        table: of `summarise_runs`.
        tests: of `mien.experiments.comparisons.run_comparisons`.
        command: by which it was run.
        data: a sentence on the data.
        planned: runs that the experiment has; said where not all of them are done.
    """
    parts = [f"# {experiment.title}", _write_head(experiment, results, command, data)]
    finished = len(results[["model", "treatment", "fold", "seed"]].drop_duplicates())
    if planned is not None and finished < planned:
        parts.append(
            f"**Not finished: {finished} of {planned} runs, the first seeds of all folds first.** "
            "Cells rest on fewer runs than planned; the CSV says on how many."
        )

    single = [metric for metric in table["metric"].unique() if "/" in metric]
    crowded = len(single) > MOST_NAMES * len(experiment.metrics)
    for (protocol, metric), group in table.groupby(["protocol", "metric"], sort=False):
        if crowded and metric in single:
            continue
        parts.append(f"## {protocol}: {_format_title(str(metric))}")
        leveled = group["level"].notna()
        if (~leveled).any():
            parts.append(_tabulate_conditions(group[~leveled]))
        if leveled.any():
            parts.append(_tabulate_levels(group[leveled]))
    parts += [_tabulate_comparison(asked, found) for asked, found in tests]
    return "\n\n".join(part for part in parts if part) + "\n"


def _write_head(experiment: Experiment, results: pd.DataFrame, command: str, data: str) -> str:
    folds, seeds = results["fold"].nunique(), results["seed"].nunique()
    lines = [
        "No paper has this table." if experiment.paper == "none" else f"Paper: {experiment.paper}.",
        f"Data: {data}",
        experiment.note,
        f"Command: `{command}`. Folds: {folds}, by person where people are known; seeds: {seeds}. "
        "Epochs are chosen on the development part; where there is none, the last one counts. "
        "A cell is the mean over folds and seeds ± the standard deviation of these runs"
        + ("; in brackets the paper's number." if experiment.reported else "."),
        "Every number is in the CSV beside this file, with 95 % bootstrap intervals over folds, or "
        "over seeds where there is one fold; of so few, such intervals are too narrow.",
    ]
    return "\n\n".join(line for line in lines if line)


def _format_title(metric: str) -> str:
    name, _, of = metric.partition("/")
    title, arrow = name.replace("_", " "), ""
    if name in METRICS:
        title = METRICS[name].title
        arrow = f" ({'higher' if METRICS[name].higher_is_better else 'lower'} is better)"
    return f"{title}{' of ' + of if of else ''}{arrow}"


def _tabulate_conditions(group: pd.DataFrame) -> str:
    conditions = list(dict.fromkeys(group["condition"]))
    conditions.sort(key=_rank_condition)
    rows = []
    for (treatment, model), cells in group.groupby(["treatment", "model"], sort=False):
        by = {row["condition"]: row for _, row in cells.iterrows()}
        texts = [_format_cell(by[c]) if c in by else "–" for c in conditions]
        rows.append([str(treatment), str(model), *texts])
    return _format_table(["treatment", "model", *conditions], rows)


def _rank_condition(condition: str) -> tuple[int, str]:
    if condition in _CONDITIONS_FIRST:
        return _CONDITIONS_FIRST.index(condition), ""
    return (len(_CONDITIONS_FIRST) + (condition == MEAN), condition if condition != MEAN else "")


def _tabulate_levels(group: pd.DataFrame) -> str:
    levels = sorted(set(group["level"]))
    rows = []
    for keys, cells in group.groupby(["condition", "treatment", "model"], sort=False):
        by = {row["level"]: row for _, row in cells.iterrows()}
        texts = [_format_cell(by[level], spread=False) if level in by else "–" for level in levels]
        rows.append([*map(str, keys), *texts])
    return _format_table(["condition", "treatment", "model", *(f"{x:g}" for x in levels)], rows)


def _format_cell(row: pd.Series, *, spread: bool = True) -> str:
    if not row["runs"]:
        return "–"
    text = f"{row['mean']:.3f}"
    if spread and not math.isnan(row["deviation"]):
        text += f" ± {row['deviation']:.3f}"
    return text if math.isnan(row["paper"]) else f"{text} [{row['paper']:.3f}]"


def _tabulate_comparison(comparison: Comparison, tests: pd.DataFrame) -> str:
    """One comparison as a table of the page."""
    what = _format_title(comparison.metric)
    what += "" if comparison.by == "condition" else f", {comparison.condition}"
    what += "" if comparison.level is None else f", {comparison.level:g}"
    title = f"## Comparison by {comparison.by}: {what}"
    if tests.empty:
        return f"{title}\n\nNothing was measured that could be compared."
    within = [name for name in WITHIN if name != comparison.by]
    rows = [
        [str(row[column]) for column in (*within, "one", "against", "pairs")]
        + [f"{row[column]:.3f}" for column in ("difference", "t")]
        + [f"{row[column]:.4f}" for column in ("p", "p_holm")]
        for _, row in tests.iterrows()
    ]
    columns = [*within, comparison.by, "against", "pairs", "difference", "t", "p", "p (Holm)"]
    return f"{title}\n\n{_describe_tests(comparison, tests)}\n\n{_format_table(columns, rows)}"


def _describe_tests(comparison: Comparison, tests: pd.DataFrame) -> str:
    """Say which test it was and what it speaks for."""
    of = tests["of"].iloc[0]
    corrected = tests["test"].iloc[0] == CORRECTED
    kind = (
        "Corrected resampled t-tests (Nadeau and Bengio 2003), for test people come back in "
        "several folds,"
        if corrected
        else "Paired t-tests"
    )
    text = (
        f"{kind} over {of}, {comparison.alternative}; Holm-Bonferroni over all {len(tests)} tests "
        "of this table."
    )
    if of == SEEDS:
        text += " They speak for other seeds, not for other people."
    return text


def _format_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])
