from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from mien.errors import OptionError
from mien.evaluation.statistics import (
    bootstrap_interval,
    compare,
    corrected_t_test,
    critical_difference,
    holm,
    rank_models,
    summarize,
    t_test,
)

NAN = float("nan")


@pytest.fixture
def runs():
    """Five seeds of three models; b is a shifted by about 0.1, c is a with noise."""
    generator = np.random.default_rng(0)
    base = generator.normal(0.6, 0.05, 5)
    table = {
        "a": base,
        "b": base + generator.normal(0.1, 0.01, 5),
        "c": base + generator.normal(0, 0.05, 5),
    }
    return pd.DataFrame(
        [
            {"model": model, "seed": seed, "f1": value}
            for model, values in table.items()
            for seed, value in enumerate(values)
        ]
    )


def column(runs, model):
    return runs.loc[runs["model"] == model, "f1"].to_numpy()


def test_summary():
    values = np.random.default_rng(1).normal(5, 2, 400)
    found = summarize([*values, NAN], seed=0)
    assert found.count == 400
    assert found.mean == pytest.approx(values.mean())
    assert found.std == pytest.approx(np.std(values, ddof=1))
    # For a mean of many the interval is close to the normal one.
    half = 1.96 * values.std() / 20
    assert found.low == pytest.approx(values.mean() - half, abs=0.03)
    assert found.high == pytest.approx(values.mean() + half, abs=0.03)
    assert found == summarize(values, seed=0)
    assert found != summarize(values, seed=1)


def test_one_value_has_no_spread():
    found = summarize([3.0], seed=0)
    assert (found.count, found.mean) == (1, 3.0)
    assert all(map(math.isnan, (found.std, found.low, found.high)))
    with pytest.raises(OptionError, match="at least one"):
        summarize([NAN], seed=0)


def test_people_are_drawn_as_wholes():
    # Each person is constant: a thousand clips of four people say no more than four numbers.
    values = np.repeat([0.0, 1.0, 2.0, 3.0], 250)
    people = np.repeat(["p", "q", "r", "s"], 250)
    alone = summarize(values, seed=0)
    owned = summarize(values, seed=0, people=list(people))
    assert alone.high - alone.low < 0.2
    assert owned.high - owned.low > 1.5


def test_interval_of_any_statistic():
    values = np.arange(50.0)
    low, high = bootstrap_interval(lambda rows: float(np.median(values[rows])), range(50), seed=0)
    reference = stats.bootstrap(
        (values,), np.median, method="percentile", n_resamples=2000, rng=np.random.default_rng(1)
    ).confidence_interval
    assert low == pytest.approx(reference.low, abs=2)
    assert high == pytest.approx(reference.high, abs=2)


def test_paired_test_by_hand(runs):
    a, b = column(runs, "a"), column(runs, "b")
    gap = b - a
    t = gap.mean() / (gap.std(ddof=1) / math.sqrt(5))
    found = t_test(b, a, paired=True)
    assert found.t == pytest.approx(t)
    assert found.freedom == 4
    assert found.p == pytest.approx(2 * stats.t.sf(abs(t), 4))
    assert found.difference == pytest.approx(gap.mean())
    assert t_test(b, a, paired=True, alternative="greater").p == pytest.approx(found.p / 2)
    assert t_test(b, a, paired=True, alternative="less").p == pytest.approx(1 - found.p / 2)


def test_independent_test_by_hand():
    a, b = np.array([1.0, 2.0, 3.0, 4.0]), np.array([10.0, 14.0])
    error = math.sqrt(a.var(ddof=1) / 4 + b.var(ddof=1) / 2)
    found = t_test(a, b, paired=False)
    assert found.t == pytest.approx((a.mean() - b.mean()) / error)
    freedom = error**4 / ((a.var(ddof=1) / 4) ** 2 / 3 + (b.var(ddof=1) / 2) ** 2)
    assert found.freedom == pytest.approx(freedom)
    assert found.p == pytest.approx(2 * stats.t.sf(-found.t, freedom))


def test_no_test_where_nothing_varies():
    assert math.isnan(t_test([1.0, 2.0], [1.0, 2.0], paired=True).p)
    assert math.isnan(t_test([1.0], [2.0], paired=False).p)
    assert t_test([1.0], [2.0], paired=False).difference == -1


def test_corrected_test_by_hand():
    """Four splits with a fifth of the people tested: mean 2, variance 2/3, t = 2 / sqrt(1/3)."""
    gaps = [1.0, 2.0, 3.0, 2.0]
    found = corrected_t_test(gaps, overlap=0.25)
    assert found.difference == 2
    assert found.t == pytest.approx(math.sqrt(12))
    assert found.freedom == 3
    assert found.p == pytest.approx(2 * stats.t.sf(math.sqrt(12), 3))
    assert corrected_t_test(gaps, overlap=0.25, alternative="greater").p == pytest.approx(
        found.p / 2
    )
    assert corrected_t_test(gaps, overlap=0.25, alternative="less").p == pytest.approx(
        1 - found.p / 2
    )
    assert math.isnan(corrected_t_test([1.0], overlap=0.25).p)
    assert math.isnan(corrected_t_test([1.0, 1.0], overlap=0.25).p)
    for odd in (0, -1, NAN, math.inf):
        with pytest.raises(OptionError, match="divided by that of the training part"):
            corrected_t_test(gaps, overlap=odd)


def test_corrected_test_does_not_take_chance_for_a_difference():
    """Two models that do not differ, on ten splits that share half of their test people."""
    generator = np.random.default_rng(0)
    naive, corrected = 0, 0
    for _ in range(300):
        people = generator.normal(size=40)  # the difference of the models for each person
        gaps = np.array([generator.permutation(people)[:20].mean() for _ in range(10)])
        naive += t_test(gaps, np.zeros(10), paired=True).p < 0.05
        corrected += corrected_t_test(gaps, overlap=20 / 20).p < 0.05
    assert naive / 300 > 0.3
    assert 0.02 < corrected / 300 < 0.09


def test_compare_says_which_test_was_used(runs):
    usual = compare(runs, value="f1", by="model", against="a", over=["seed"])
    corrected = compare(runs, value="f1", by="model", against="a", over=["seed"], overlap=0.25)
    independent = compare(runs.drop(columns="seed"), value="f1", by="model", against="a")
    assert set(usual["test"]) == {"paired t"}
    assert set(corrected["test"]) == {"corrected resampled t"}
    assert set(independent["test"]) == {"Welch's t"}
    gaps = column(runs, "b") - column(runs, "a")
    assert corrected.loc[0, "t"] == pytest.approx(corrected_t_test(gaps, overlap=0.25).t)
    assert corrected.loc[0, "t"] == pytest.approx(usual.loc[0, "t"] / math.sqrt(1 + 5 * 0.25))
    with pytest.raises(OptionError, match="in pairs"):
        compare(runs.drop(columns="seed"), value="f1", by="model", overlap=0.25)


def test_holm_steps_down():
    """The smallest of m is held to all m tests, the next to m - 1; none passes before it."""
    p = np.random.default_rng(2).uniform(0, 0.2, 12)
    order = np.argsort(p)
    expected = np.empty(12)
    expected[order] = np.maximum.accumulate(p[order] * np.arange(12, 0, -1)).clip(max=1)
    np.testing.assert_allclose(holm(p), expected, atol=1e-15)
    np.testing.assert_allclose(holm([0.01, NAN, 0.04, 0.03]), [0.03, NAN, 0.06, 0.06])
    assert holm([]).shape == (0,)


def test_compare_with_one_model(runs):
    found = compare(runs, value="f1", by="model", against="a", over=["seed"])
    assert found["model"].tolist() == ["b", "c"]
    assert (found["against"] == "a").all()
    expected = stats.ttest_rel(column(runs, "b"), column(runs, "a"))
    assert found.loc[0, "t"] == pytest.approx(expected.statistic)
    assert found.loc[0, "p"] == pytest.approx(expected.pvalue)
    np.testing.assert_allclose(found["p_holm"], multipletests(found["p"], method="holm")[1])
    assert found.loc[0, "p_holm"] < 0.05 < found.loc[1, "p_holm"]
    # The order of the rows says nothing about which runs pair up.
    shuffled = runs.sample(frac=1, random_state=3)
    again = compare(shuffled, value="f1", by="model", against="a", over=["seed"])
    assert again.set_index("model").loc["b", "p"] == pytest.approx(found.loc[0, "p"])


def test_compare_every_two_independent_models(runs):
    found = compare(runs.drop(columns="seed"), value="f1", by="model")
    assert list(zip(found["model"], found["against"], strict=True)) == [
        ("a", "b"),
        ("a", "c"),
        ("b", "c"),
    ]
    expected = stats.ttest_ind(column(runs, "a"), column(runs, "b"), equal_var=False)
    assert found.loc[0, "p"] == pytest.approx(expected.pvalue)
    assert found.loc[0, "difference"] == pytest.approx(
        column(runs, "a").mean() - column(runs, "b").mean()
    )


def test_runs_without_a_partner_do_not_count(runs):
    runs.loc[(runs["model"] == "b") & (runs["seed"] == 1), "f1"] = NAN
    runs = runs[~((runs["model"] == "c") & (runs["seed"] > 0))]
    found = compare(runs, value="f1", by="model", against="a", over=["seed"]).set_index("model")
    assert found["runs"].to_dict() == {"b": 4, "c": 1}
    assert math.isnan(found.loc["c", "p"])
    assert found.loc["b", "p_holm"] == found.loc["b", "p"]


def test_compare_refuses_what_it_cannot_pair(runs):
    with pytest.raises(OptionError, match="no column fold"):
        compare(runs, value="f1", by="model", over=["fold"])
    with pytest.raises(OptionError, match="no results of d"):
        compare(runs, value="f1", by="model", against="d")
    with pytest.raises(OptionError, match="share the same seed"):
        compare(pd.concat([runs, runs]), value="f1", by="model", over=["seed"])


@pytest.mark.parametrize(
    ("models", "alpha", "quantile"),
    # Demsar (2006), table 5a.
    [(2, 0.05, 1.960), (4, 0.05, 2.569), (10, 0.05, 3.164), (4, 0.10, 2.291), (10, 0.10, 2.920)],
)
def test_critical_difference_as_tabulated(models, alpha, quantile):
    expected = quantile * math.sqrt(models * (models + 1) / (6 * 14))
    assert critical_difference(models, 14, alpha=alpha) == pytest.approx(expected, abs=1e-3)


def test_ranks(runs):
    found = rank_models(runs, value="f1", by="model", over=["seed"], higher_is_better=True)
    assert found.average.index[0] == "b"
    assert found.average.sum() == pytest.approx(6)
    expected = stats.friedmanchisquare(*(column(runs, name) for name in "abc"))
    assert found.p == pytest.approx(expected.pvalue)
    assert found.critical_difference == pytest.approx(critical_difference(3, 5))
    worst = rank_models(runs, value="f1", by="model", over=["seed"], higher_is_better=False)
    assert worst.average["b"] == pytest.approx(4 - found.average["b"])


def test_ranks_by_hand_with_a_tie():
    rows = [
        ("x", 1, 0.9),
        ("y", 1, 0.9),
        ("z", 1, 0.1),
        ("x", 2, 3.0),
        ("y", 2, 2.0),
        ("z", 2, 1.0),
    ]
    table = pd.DataFrame(rows, columns=["model", "set", "value"])
    found = rank_models(table, value="value", by="model", over=["set"], higher_is_better=True)
    assert found.average.to_dict() == {"x": 1.25, "y": 1.75, "z": 3.0}


def test_ranks_need_every_model_on_every_block(runs):
    with pytest.raises(OptionError, match="missing for c"):
        rank_models(runs.iloc[:-1], value="f1", by="model", over=["seed"], higher_is_better=True)
    two = runs[runs["model"] != "c"]
    with pytest.raises(OptionError, match="2 models"):
        rank_models(two, value="f1", by="model", over=["seed"], higher_is_better=True)
