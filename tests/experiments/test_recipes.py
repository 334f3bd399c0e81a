"""Every shipped experiment is read, and runs for two steps on made-up data."""

from __future__ import annotations

import re

import pytest

from mien.datasets import Places
from mien.datasets.synthetic import SYNTHETIC_CLIPS, SYNTHETIC_PEOPLE
from mien.experiments.comparisons import all_tested
from mien.experiments.loading import RECIPES, list_experiments, shipped
from mien.experiments.runner import attempt, collect, plan
from mien.experiments.tables import markdown, summary

LEARNT = (SYNTHETIC_PEOPLE - 2) * SYNTHETIC_CLIPS


@pytest.mark.parametrize("name", list_experiments())
def test_a_recipe_says_its_command_its_time_and_its_source(name):
    head = [line for line in (RECIPES / f"{name}.yaml").read_text().splitlines() if line[:1] == "#"]
    assert head[0].startswith(f"# mien reproduce {name}")
    assert re.match(r"# Time: \S+ \S+", head[1])
    assert "TIME_" not in head[1]
    experiment = shipped(name)
    assert experiment.paper == "none" or re.search(r"\d{4}", experiment.paper)
    if experiment.reported:
        first = " ".join(line.removeprefix("# ") for line in head[2:8])
        said = re.search(r"The paper's numbers?\b.*", first)
        assert said
        assert any(f"{number.value:g}" in said[0] for number in experiment.reported)


@pytest.mark.parametrize("name", list_experiments())
def test_a_recipe_runs_for_two_steps_on_made_up_data(name, tmp_path):
    experiment = shipped(name).quickly()
    training = experiment.training.model_copy(update={"epochs": 1, "batch_size": LEARNT // 2})
    experiment = experiment.model_copy(update={"training": training})
    runs = plan(experiment, Places(tmp_path, tmp_path), tmp_path / "runs", made_up=True)
    assert runs
    assert [error for run in runs if (error := attempt(run))] == []
    results = collect(runs)
    assert set(results["protocol"]) == {protocol.name for protocol in experiment.protocols}
    table = summary(experiment, results)
    assert (table["runs"] > 0).any()
    tests = all_tested(experiment, results)
    assert "made up" in markdown(experiment, results, table, tests, command="none", made_up=True)
