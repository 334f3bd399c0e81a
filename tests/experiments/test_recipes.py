"""Every shipped experiment is read, and runs for two steps on synthetic data."""

from __future__ import annotations

import re

import pytest
from tests.synthetic import SYNTHETIC_CLIPS, SYNTHETIC_PEOPLE, generate_examples, generate_ratings

from mien.datasets import Examples, Fold, Places
from mien.experiments.comparisons import run_comparisons
from mien.experiments.data import forget_data
from mien.experiments.loading import RECIPES, list_experiments, load_shipped
from mien.experiments.runner import attempt, collect, plan_runs
from mien.experiments.tables import summarise_runs, write_page

LEARNT = (SYNTHETIC_PEOPLE - 2) * SYNTHETIC_CLIPS


class Synthetic:
    """Synthetic examples of a data set's shape stand in for its files."""

    def resolve(self, places):
        return self

    def examples(self, places, progress=None, *, strict=False):
        return Examples(generate_examples(self.shape()))

    def split(self, examples):
        first, second, *others = sorted({example.person for example in examples})
        return (Fold("synthetic", tuple(others), (second,), (first,)),)

    def further(self, places):
        return dict.fromkeys(super().further(places), list)

    def variants(self, places):
        return {name: lambda: self.examples(places) for name in super().variants(places)}

    def rated(self, places):
        examples = self.examples(places)
        if examples[0].target.shape or examples[0].target.is_floating_point():
            return {}
        return generate_ratings(examples, self.task())


def make_synthetic(data):
    kind = type(data)
    stand_in = type(f"Synthetic{kind.__name__}", (Synthetic, kind), {"__module__": __name__})
    return stand_in.model_validate(data.model_dump(exclude_unset=True))


@pytest.mark.parametrize("name", list_experiments())
def test_a_recipe_says_its_command_its_time_and_its_source(name):
    head = [line for line in (RECIPES / f"{name}.yaml").read_text().splitlines() if line[:1] == "#"]
    command = f"# mien train {name} --data DIR --out {name}.safetensors"
    assert head[0].startswith(f"# mien reproduce {name}") or head[0] == command
    time = next(line for line in head[1:3] if line.startswith("# Time: "))
    assert re.match(r"# Time: \S+ \S+", time)
    assert "TIME_" not in time
    experiment = load_shipped(name)
    assert experiment.paper == "none" or re.search(r"\d{4}", experiment.paper)
    if experiment.reported:
        first = " ".join(line.removeprefix("# ") for line in head[2:8])
        said = re.search(r"The paper's numbers?\b.*", first)
        assert said
        assert any(f"{number.value:g}" in said[0] for number in experiment.reported)


@pytest.mark.slow
@pytest.mark.parametrize("name", list_experiments())
def test_a_recipe_runs_for_two_steps_on_synthetic_data(name, tmp_path):
    forget_data()
    places = Places(tmp_path, tmp_path)
    experiment = load_shipped(name).shrink()
    training = experiment.training.model_copy(update={"epochs": 1, "batch_size": LEARNT // 2})
    experiment = experiment.model_copy(update={"training": training})
    runs = []
    for model in experiment.models:
        row = model.model_copy(update={"data": {}})
        data = make_synthetic(experiment.data_of(model))
        one = experiment.model_copy(update={"models": (row,), "data": data}).resolve(places)
        runs += plan_runs(one, places, tmp_path / "runs")
    experiment = experiment.model_copy(update={"metrics": one.metrics})
    assert runs
    assert [error for run in runs if (error := attempt(run))] == []
    results = collect(runs)
    assert set(results["protocol"]) == {protocol.name for protocol in experiment.protocols}
    table = summarise_runs(experiment, results)
    assert (table["runs"] > 0).any()
    tests = run_comparisons(experiment, results)
    page = write_page(experiment, results, table, tests, command="none", data="Synthetic.")
    assert "Data: Synthetic." in page
