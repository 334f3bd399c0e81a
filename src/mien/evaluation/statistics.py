"""Statistics of differences between runs: standard deviations, intervals, tests, ranks.

Seeds and folds are runs; people are what intervals within one run resample, for the clips of one
person are not independent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from statsmodels.stats.multitest import multipletests

from mien.errors import OptionError
from mien.evaluation._arrays import Floats

Alternative = Literal["two-sided", "greater", "less"]
PAIRED, CORRECTED, WELCH = "paired t", "corrected resampled t", "Welch's t"
_ONE = "_row"


@dataclass(frozen=True)
class Summary:
    """Some runs in four numbers.

    Attributes:
        count: runs with a value.
        mean: of them.
        std: standard deviation, divided by ``count - 1``; NaN for one run.
        low: lower end of the interval of the mean.
        high: upper end.
    """

    count: int
    mean: float
    std: float
    low: float
    high: float


@dataclass(frozen=True)
class TTest:
    """A t-test.

    Attributes:
        difference: mean of the first less mean of the second.
        t: Student's statistic.
        freedom: degrees of freedom.
        p: the chance of such a difference or a larger one if there were none.
    """

    difference: float
    t: float
    freedom: float
    p: float


@dataclass(frozen=True)
class Ranks:
    """Many models on the same blocks, by rank.

    Attributes:
        average: mean rank by model, best first; 1 is the best rank.
        blocks: how many data sets, folds or seeds.
        statistic: Friedman's chi square, corrected for ties.
        p: the chance of it if all models were alike.
        critical_difference: average ranks that lie less far apart do not differ (Nemenyi).
        alpha: the level of that.
    """

    average: pd.Series[float]
    blocks: int
    statistic: float
    p: float
    critical_difference: float
    alpha: float


def summarize(
    values: ArrayLike,
    *,
    seed: int,
    people: Sequence[Hashable] | None = None,
    level: float = 0.95,
) -> Summary:
    """Compute mean, standard deviation and bootstrap interval of the mean.

    Args:
        values: ``(n,)``; NaN is left out.
        seed: of the resampling.
        people: ``(n,)`` whose each value is; they are resampled as wholes. Nothing means that each
            value stands alone.
        level: of the interval.

    Raises:
        OptionError: there is no value at all.
    """
    array = np.asarray(values, dtype=np.float64)
    kept = ~np.isnan(array)
    found = array[kept]
    owners: Sequence[Any] = range(len(found))
    if people is not None:
        owners = [person for person, there in zip(people, kept, strict=True) if there]
    low, high = bootstrap_interval(
        lambda rows: float(found[rows].mean()), owners, seed=seed, level=level
    )
    std = float(found.std(ddof=1)) if len(found) > 1 else float("nan")
    return Summary(len(found), float(found.mean()), std, low, high)


def bootstrap_interval(
    statistic: Callable[[NDArray[np.intp]], float],
    people: Sequence[Hashable],
    *,
    seed: int,
    level: float = 0.95,
    resamples: int = 2000,
) -> tuple[float, float]:
    """Bootstrap percentiles: people are drawn with replacement, each with all of their rows.

    Efron and Tibshirani (1993), "An introduction to the bootstrap", chapter 13. Draws on which the
    statistic is NaN are left out.

    Args:
        statistic: of the indices of the drawn rows, which may repeat, for instance the F1 of them.
        people: ``(n,)`` whose each row is.
        seed: of the draws.
        level: of the interval.
        resamples: how many draws.

    Returns:
        Lower and upper end; NaN where fewer than two people leave nothing to draw from.

    Raises:
        OptionError: there is no row, or the level is not between 0 and 1.
    """
    if not len(people) or not 0 < level < 1:
        raise OptionError("an interval needs at least one row and a level between 0 and 1")
    codes, names = pd.factorize(pd.Series(list(people)))
    if len(names) < 2:
        return float("nan"), float("nan")
    rows = [np.flatnonzero(codes == code) for code in range(len(names))]
    generator = np.random.default_rng(seed)
    drawn = generator.integers(len(rows), size=(resamples, len(rows)))
    found = [statistic(np.concatenate([rows[who] for who in draw])) for draw in drawn]
    low, high = np.nanquantile(found, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def t_test(
    first: ArrayLike, second: ArrayLike, *, paired: bool, alternative: Alternative = "two-sided"
) -> TTest:
    """Test by Student's t of paired runs, or Welch's of independent ones of any variances.

    Args:
        first: ``(n,)`` runs.
        second: ``(m,)`` runs; for pairs of the same length and order.
        paired: do the runs pair up (same seeds, folds or people)?
        alternative: ``greater`` asks whether the first is the larger.

    Returns:
        The test; t and p are NaN with fewer than two runs a side, or where no run differs at all.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    nothing = TTest(float(a.mean() - b.mean()), *(float("nan"),) * 3)
    spread = np.ptp(a - b) if paired else max(np.ptp(a), np.ptp(b))
    if min(len(a), len(b)) < 2 or spread == 0:
        return nothing
    if paired:
        found = stats.ttest_rel(a, b, alternative=alternative)
    else:
        found = stats.ttest_ind(a, b, equal_var=False, alternative=alternative)
    return TTest(nothing.difference, float(found.statistic), float(found.df), float(found.pvalue))


def corrected_t_test(
    differences: ArrayLike, *, overlap: float, alternative: Alternative = "two-sided"
) -> TTest:
    """Test paired differences of splits that share test items: the corrected resampled t-test.

    ``t = mean / sqrt((1 / k + overlap) * variance)`` with ``k - 1`` degrees of freedom. Where the
    test parts of splits overlap their results are correlated, and the usual test takes chance for
    a difference far too often. Nadeau and Bengio (2003), "Inference for the generalization error",
    Machine Learning 52, 239-281, section 3, equation 9 and the statistic of section 4.

    Args:
        differences: ``(k,)`` of two models, one for each split.
        overlap: size of a test part divided by that of a training part, above 0; where splits
            differ, the mean.
        alternative: ``greater`` asks whether the differences are above 0.

    Returns:
        The test; t and p are NaN with fewer than two splits, or where all differences are alike.

    Raises:
        OptionError: the overlap is no number above 0.

    Example:
        >>> found = corrected_t_test([1.0, 2.0, 3.0, 2.0], overlap=0.25)
        >>> round(found.t, 3), found.freedom  # 2 / sqrt((1/4 + 1/4) * 2/3)
        (3.464, 3.0)
    """
    if not 0 < overlap < math.inf:
        raise OptionError(
            f"the overlap of splits is {overlap}",
            advice="give the size of the test part divided by that of the training part",
        )
    gaps = np.asarray(differences, dtype=np.float64)
    count = len(gaps)
    mean = float(gaps.mean()) if count else float("nan")
    if count < 2 or np.ptp(gaps) == 0:
        return TTest(mean, *(float("nan"),) * 3)
    t = mean / math.sqrt((1 / count + overlap) * gaps.var(ddof=1))
    tails = {"greater": stats.t.sf(t, count - 1), "less": stats.t.cdf(t, count - 1)}
    p = tails.get(alternative, 2 * stats.t.sf(abs(t), count - 1))
    return TTest(mean, t, float(count - 1), float(p))


def holm(p: ArrayLike) -> Floats:
    """Adjust several p-values by Holm's method; NaN is no test, and stays NaN.

    Holm (1979), "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
    Statistics 6, 65-70.

    Args:
        p: ``(tests,)``.

    Returns:
        ``(tests,)`` that may be compared with the level directly.
    """
    found = np.array(p, dtype=np.float64)
    tests = ~np.isnan(found)
    if tests.any():
        found[tests] = multipletests(found[tests], method="holm")[1]
    return found


def compare(
    results: pd.DataFrame,
    *,
    value: str,
    by: str,
    against: str | None = None,
    over: Sequence[str] = (),
    overlap: float | None = None,
    alternative: Alternative = "two-sided",
) -> pd.DataFrame:
    """Test which models differ: t-tests over runs, adjusted for their number.

    Args:
        results: one row per run.
        value: the column that holds the metric. A run without a value (NaN) counts for nothing.
        by: the column that names the model.
        against: the model that all others are compared with. Nothing compares every two.
        over: the columns that say which runs pair up (seed, fold). Without any the runs are taken
            as independent.
        overlap: where test people come back in several folds, the size of a test part divided by
            that of a training part: then `corrected_t_test` is used. None where nobody is tested
            twice.
        alternative: ``greater`` asks whether the model's value is above the other's.

    Returns:
        One row per pair: ``model``, ``against``, ``runs`` (pairs, or runs of the model with fewer),
        ``difference`` of the means, ``test`` (which one: ``paired t``, ``corrected resampled t``
        or ``Welch's t``), ``t``, ``p``, ``p_holm``.

    Raises:
        OptionError: a column or the model is not there, two runs of one model cannot be told apart
            by ``over``, or there is an overlap but nothing that pairs up.
    """
    if overlap is not None and not over:
        raise OptionError(
            "runs whose test people overlap can only be compared in pairs",
            advice="name the columns that say which runs pair up",
        )
    _check_columns(results, [value, by, *over])
    pairs = _list_pairs([str(name) for name in results[by].unique()], against)
    runs = _pivot_runs(results.dropna(subset=[value]), value, by, list(over))
    name = WELCH if not over else PAIRED if overlap is None else CORRECTED
    rows = [_compare_two(runs, pair, name, overlap, alternative) for pair in pairs]
    columns = ["model", "against", "runs", "difference", "test", "t", "p"]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(p_holm=holm(table["p"]))


def rank_models(
    results: pd.DataFrame,
    *,
    value: str,
    by: str,
    over: Sequence[str],
    higher_is_better: bool,
    alpha: float = 0.05,
) -> Ranks:
    """Rank many models over the same blocks: Friedman's test and Nemenyi's critical difference.

    Demsar (2006), "Statistical comparisons of classifiers over multiple data sets", Journal of
    Machine Learning Research 7, 1-30, sections 3.2.2 and 3.2.4.

    Args:
        results: one row per model and block.
        value: the column that holds the metric.
        by: the column that names the model.
        over: the columns that name the block: data set, fold, seed.
        higher_is_better: the direction of the metric.
        alpha: the level of the critical difference.

    Raises:
        OptionError: fewer than three models or two blocks, or a model lacks a value on a block.
    """
    _check_columns(results, [value, by, *over])
    table = _require_complete(_pivot_runs(results, value, by, list(over)))
    blocks, models = table.shape
    average = table.rank(axis=1, ascending=not higher_is_better).mean().sort_values()
    test = stats.friedmanchisquare(*(table[name] for name in table))
    reach = critical_difference(models, blocks, alpha=alpha)
    return Ranks(average, blocks, float(test.statistic), float(test.pvalue), reach, alpha)


def critical_difference(models: int, blocks: int, *, alpha: float = 0.05) -> float:
    """Compute Nemenyi's critical difference of average ranks; Demsar (2006), section 3.2.2.

    Args:
        models: how many are compared.
        blocks: on how many data sets, folds or seeds.
        alpha: the level.
    """
    quantile = float(stats.studentized_range.ppf(1 - alpha, models, np.inf)) / np.sqrt(2)
    return float(quantile * np.sqrt(models * (models + 1) / (6 * blocks)))


def _check_columns(results: pd.DataFrame, columns: list[str]) -> None:
    absent = [column for column in columns if column not in results]
    if absent:
        raise OptionError(
            f"the results have no column {', '.join(absent)}",
            advice=f"choose from {', '.join(map(str, results.columns))}",
        )


def _list_pairs(models: list[str], against: str | None) -> list[tuple[str, str]]:
    if against is None:
        return list(combinations(models, 2))
    if against not in models:
        raise OptionError(f"no results of {against}", advice=f"choose from {', '.join(models)}")
    return [(model, against) for model in models if model != against]


def _pivot_runs(results: pd.DataFrame, value: str, by: str, over: list[str]) -> pd.DataFrame:
    """One row per run, one column per model; NaN where a model has no such run."""
    if not over:
        results = results.assign(**{_ONE: results.groupby(by).cumcount()})
    keys = over or [_ONE]
    if bool(results.duplicated([by, *keys]).any()):
        raise OptionError(
            f"several runs of one model share the same {', '.join(keys)}",
            advice="name the columns that tell them apart",
        )
    return results.pivot(index=keys, columns=by, values=value).rename(columns=str)


def _require_complete(table: pd.DataFrame) -> pd.DataFrame:
    blocks, models = table.shape
    if models < 3 or blocks < 2:
        raise OptionError(f"{models} models on {blocks} blocks cannot be ranked; needs 3 on 2")
    if bool(table.isna().any(axis=None)):
        lacking = ", ".join(table.columns[table.isna().any()])
        raise OptionError(
            f"values are missing for {lacking}", advice="rank over the blocks that all models have"
        )
    return table


def _compare_two(
    runs: pd.DataFrame,
    pair: tuple[str, str],
    test: str,
    overlap: float | None,
    alternative: Alternative,
) -> tuple[Any, ...]:
    both = runs.reindex(columns=list(pair))
    if test != WELCH:
        both = both.dropna()
    first, second = (both[name].dropna().to_numpy() for name in pair)
    count = min(len(first), len(second))
    if not count:
        return (*pair, 0, float("nan"), test, *(float("nan"),) * 2)
    if overlap is None:
        found = t_test(first, second, paired=test == PAIRED, alternative=alternative)
    else:
        found = corrected_t_test(first - second, overlap=overlap, alternative=alternative)
    return (*pair, count, found.difference, test, found.t, found.p)
