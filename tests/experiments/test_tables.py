import math

import pandas as pd
import pytest
from scipy import stats

from mien.experiments.comparisons import concat_tests, run_comparisons
from mien.experiments.loading import load_experiment
from mien.experiments.tables import summarise_runs, write_page

TWO = """\
title: Two
paper: none
data: {name: simulator}
metrics: [ccc]
training: {select: ccc}
protocols: [{name: without_each}, {name: masked_frames}]
models: [{label: good, model: mmte_fc}, {label: bad, model: late_lstm}]
comparisons:
  - {by: model, against: bad, metric: ccc, protocol: PROTOCOL}
"""
SCORES = {  # by level (none: everything) and model, one number for each seed
    math.nan: {"good": (0.9, 0.7, 0.8), "bad": (0.5, 0.4, 0.7)},
    0.5: {"good": (0.6, 0.5, 0.4), "bad": (0.5, 0.5, 0.5)},
    0.9: {"good": (0.1, 0.2, 0.0), "bad": (0.4, 0.3, 0.2)},
}


def results():
    return pd.DataFrame(
        [
            {
                "model": model,
                "treatment": "none",
                "fold": 0,
                "seed": seed,
                "protocol": "without_each" if math.isnan(level) else "masked_frames",
                "condition": "everything" if math.isnan(level) else "audio masked",
                "level": level,
                "metric": "ccc",
                "value": value,
            }
            for level, models in SCORES.items()
            for model, values in models.items()
            for seed, value in enumerate(values)
        ]
    )


def written(experiment, found):
    tests = run_comparisons(experiment, found)
    return write_page(
        experiment, found, summarise_runs(experiment, found), tests, command="none", data="Made."
    )


def page(tmp_path, protocol):
    path = tmp_path / "two.yaml"
    path.write_text(TWO.replace("PROTOCOL", protocol))
    experiment = load_experiment(path)
    return written(experiment, results())


@pytest.mark.parametrize(
    ("protocol", "title", "difference"),
    [
        ("without_each", "everything", 0.8 - 1.6 / 3),
        ("masked_frames, condition: audio masked, level: 0.5", "audio masked, 0.5", 0.0),
        ("masked_frames, condition: audio masked, level: 0.9", "audio masked, 0.9", -0.2),
    ],
)
def test_a_comparison_is_of_one_level(tmp_path, protocol, title, difference):
    text = page(tmp_path, protocol)
    part = text[text.index("## Comparison by model") :]
    assert title in part.splitlines()[0]
    cells = [cell.strip() for cell in part.splitlines()[-1].strip("|").split("|")]
    assert cells[:4] == ["none", "good", "bad", "3"]
    assert float(cells[4]) == pytest.approx(difference, abs=5e-4)


def test_a_comparison_without_its_level_says_so(tmp_path):
    text = page(tmp_path, "masked_frames, condition: audio masked")
    assert text.rstrip().endswith("Nothing was measured that could be compared.")


def test_many_dimensions_are_left_to_the_file_of_numbers(tmp_path):
    path = tmp_path / "two.yaml"
    path.write_text(TWO.replace("PROTOCOL", "without_each"))
    experiment = load_experiment(path)
    for count, shown in ((4, 5), (5, 1)):
        names = ["ccc", *(f"ccc/{number}" for number in range(count))]
        many = pd.concat([results().assign(metric=name) for name in names])
        table = summarise_runs(experiment, many[many["level"].isna()])
        text = written(experiment, many[many["level"].isna()])
        assert text.count("## without_each") == shown
        assert set(table["metric"]) == set(names)


def folds(scores):
    """Two models, three folds, two seeds; every seed of a fold has the fold's score."""
    return pd.DataFrame(
        [
            {
                "model": model,
                "treatment": treatment,
                "fold": fold,
                "seed": seed,
                "protocol": "without_each",
                "condition": condition,
                "level": math.nan,
                "metric": "ccc",
                "value": value + (0.01 if seed else -0.01),
            }
            for (model, treatment, condition), values in scores.items()
            for fold, value in enumerate(values)
            for seed in (0, 1)
        ]
    )


def compared(tmp_path, text, scores):
    path = tmp_path / "two.yaml"
    path.write_text(text)
    experiment = load_experiment(path)
    found = folds(scores)
    page = written(experiment, found)
    rows = page[page.index("## Comparison by") :].splitlines()[6:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


TREATED = """\
treatments: [{label: plain}, {label: dropped, operation: {name: modality_dropout}}]
"""
BY_TREATMENT = TREATED + TWO.replace("by: model, against: bad", "by: treatment, against: plain")
SIX = {
    ("good", "plain", "everything"): (0.5, 0.6, 0.7),
    ("good", "dropped", "everything"): (0.6, 0.71, 0.82),
    ("bad", "plain", "everything"): (0.1, 0.2, 0.3),
    ("bad", "dropped", "everything"): (0.12, 0.18, 0.31),
}


def test_seeds_of_a_fold_count_once_and_all_tests_of_a_table_are_adjusted(tmp_path):
    rows = compared(tmp_path, BY_TREATMENT.replace("PROTOCOL", "without_each"), SIX)
    assert [row[:4] for row in rows] == [
        ["good", "dropped", "plain", "3"],
        ["bad", "dropped", "plain", "3"],
    ]
    expected = [
        stats.ttest_rel(SIX[model, "dropped", "everything"], SIX[model, "plain", "everything"])
        for model in ("good", "bad")
    ]
    assert [float(row[6]) for row in rows] == pytest.approx([e.pvalue for e in expected], abs=1e-4)
    assert float(rows[0][7]) == pytest.approx(2 * expected[0].pvalue, abs=1e-4)
    assert float(rows[1][7]) == pytest.approx(expected[1].pvalue, abs=1e-4)


def test_conditions_may_be_compared_within_a_model(tmp_path):
    text = TWO.replace("by: model, against: bad", "by: condition, against: everything")
    scores = {
        ("good", "none", "everything"): (0.5, 0.6, 0.7),
        ("good", "none", "without audio"): (0.3, 0.41, 0.52),
        ("good", "none", "without video"): (0.5, 0.6, 0.71),
    }
    rows = compared(tmp_path, text.replace("PROTOCOL", "without_each"), scores)
    assert [row[:5] for row in rows] == [
        ["none", "good", "without audio", "everything", "3"],
        ["none", "good", "without video", "everything", "3"],
    ]
    assert float(rows[0][5]) == pytest.approx(-0.19, abs=1e-3)


def test_folds_that_share_test_people_are_compared_by_the_corrected_test(tmp_path):
    path = tmp_path / "two.yaml"
    path.write_text(BY_TREATMENT.replace("PROTOCOL", "without_each"))
    experiment = load_experiment(path)
    found = folds(SIX)
    plain = concat_tests(run_comparisons(experiment, found))
    corrected = run_comparisons(experiment, found, overlap=0.5)
    assert (concat_tests(corrected)["p"] > plain["p"]).all()
    table = summarise_runs(experiment, found)
    text = write_page(experiment, found, table, corrected, command="none", data="Made.")
    assert "Corrected resampled t-tests (Nadeau and Bengio 2003)" in text
    assert "Paired t-tests" not in text
