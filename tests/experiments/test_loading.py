import re

import pytest

from mien.datasets import Places
from mien.errors import FormatError, InputError, OptionError
from mien.experiments.loading import (
    list_experiments,
    list_parts,
    load_experiment,
    load_shipped,
)

GOOD = """\
# mien train mine.yaml
title: Mine
paper: none
data: {name: simulator}
metrics: [ccc]
training: {select: ccc}
protocols:
  - {name: without_each}
models:
  - {model: mmte_fc}
  - {label: late, model: late_lstm, training: {optimizer: {rate: 0.1}}}
"""


def write(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return path


def test_a_file_becomes_an_experiment(tmp_path):
    experiment = load_experiment(write(tmp_path, GOOD))
    assert experiment.name == "mine"
    assert [model.name for model in experiment.models] == ["mmte_fc", "late"]
    assert [t.label for t in experiment.treatments] == ["none"]
    late = experiment.training_of(experiment.models[1])
    assert (late.optimizer.rate, late.optimizer.name) == (0.1, "adam")


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("mmte_fc", "mmte_fb", 10, "no model is called 'mmte_fb'; did you mean mmte_fc"),
        ("simulator}", "simulater}", 4, "simulator"),
        ("without_each", "without_eech", 8, "did you mean without_each?"),
        ("[ccc]", "[cccp]", 5, "no metric is called 'cccp'; did you mean ccc"),
        ("rate: 0.1", "rate: -1", 11, "models.1.training.optimizer.rate: Input should be greater"),
        (
            "select: ccc",
            "criterion: {name: cccp}",
            6,
            "no criterion is called 'cccp'; did you mean",
        ),
        ("select: ccc", "criterion: {name: ccc, ovre: batch}", 6, "did you mean over?"),
        ("select: ccc", "criterion: {name: squared_error, over: batch}", 6, "has no options"),
        ("select: ccc", "criterion: {name: ccc, over: clip}", 6, "'sequence', 'batch' or"),
        ("select: ccc", "criterion: cccp", 6, "did you mean ccc"),
        ("select: ccc", "optimizer: adm", 6, "'sgd', 'adam' or 'adamw'"),
        ("select: ccc", "selects: ccc", 6, "no option 'selects'; did you mean select?"),
        ("{name: without_each}", "{name: latency, repeat: 3}", 8, "did you mean repeats?"),
        ("{name: without_each}", "{name: latency, repeats: 0}", 8, "greater than or equal to 1"),
        ("{name: without_each}", "{repeats: 0}", 8, "a protocol needs a name; choose from bursts"),
        ("data: {name: simulator}\n", "", 2, "Field required"),
        ("label: late", "label: late, options: {hiden: 4}", 11, "did you mean hidden?"),
        ("label: late", "label: late, data: {peple: 6}", 11, "did you mean people?"),
        ("[ccc]", "[ccc]\ntreatments: [modality_dropuot]", 6, "did you mean modality_dropout?"),
        ("{name: simulator}", "{name: simulator, people: 2}", 4, "greater than or equal to 5"),
        ("models:", "models: []\nother:", 9, "at least 1 item"),
    ],
)
def test_errors_name_the_line_and_what_is_allowed(tmp_path, old, new, line, words):
    with pytest.raises(FormatError) as caught:
        load_experiment(write(tmp_path, GOOD.replace(old, new)))
    assert f"line {line}," in str(caught.value)
    assert words in str(caught.value)


def test_a_plain_name_stands_for_settings_with_their_defaults(tmp_path):
    training = "training: {criterion: ccc, optimizer: sgd, schedule: cosine, select: ccc}"
    text = GOOD.replace("training: {select: ccc}", training)
    found = load_experiment(write(tmp_path, text)).training
    assert (found.criterion.name, found.optimizer.name) == ("ccc", "sgd")
    assert (found.schedule.name, found.optimizer.rate) == ("cosine", 1e-3)


def test_a_list_whose_only_item_is_wrong_is_not_called_empty(tmp_path):
    with pytest.raises(FormatError) as caught:
        load_experiment(
            write(tmp_path, GOOD.replace("{name: without_each}", "{name: latency, a: 1}"))
        )
    assert "at least 1 item" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "- 1\n", "a: [", "just words"])
def test_what_is_no_experiment_is_refused(tmp_path, text):
    with pytest.raises(FormatError):
        load_experiment(write(tmp_path, text))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        load_experiment(tmp_path / "none.yaml")


def test_labels_have_to_be_known_and_different(tmp_path):
    twice = GOOD.replace("label: late", "label: mmte_fc")
    with pytest.raises(FormatError, match="two entries"):
        load_experiment(write(tmp_path, twice))
    paper = GOOD + "reported: [{model: other, metric: ccc, value: 1}]\n"
    with pytest.raises(FormatError, match="no model is labelled other"):
        load_experiment(write(tmp_path, paper))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("{by: model, against: late, metric: ccc}", "no protocol is labelled modalities"),
        (
            "{by: model, against: late, metric: uar, protocol: without_each}",
            "no metric is labelled uar",
        ),
    ],
)
def test_a_comparison_is_of_what_is_measured(tmp_path, said, words):
    with pytest.raises(FormatError, match=words):
        load_experiment(write(tmp_path, GOOD + f"comparisons: [{said}]\n"))


def test_one_protocol_is_measured_once(tmp_path):
    again = "  - {name: without_each}\n  - {name: without_each}\n"
    with pytest.raises(FormatError, match="two entries"):
        load_experiment(write(tmp_path, GOOD.replace("  - {name: without_each}\n", again)))


def test_operations_are_checked_when_they_are_read(tmp_path):
    named = "{name: burst, options: {modality: audio, second: 1}}"
    wrong = GOOD + f"treatments: [{{label: x, operation: {named}}}]\n"
    with pytest.raises(FormatError, match="did you mean seconds"):
        load_experiment(write(tmp_path, wrong))


@pytest.mark.parametrize(
    "treatment",
    [
        "{label: x, operation: {name: burst, options: {modality: adio, seconds: 1}}}",
        "{label: x, operation: {name: withhold_per_sample, options: {probabilities: {adio: 1}}}}",
        "{label: x, unpaired: {both: 0.5, adio: 0.5}}",
    ],
)
def test_a_treatment_of_a_modality_that_the_data_has_not_is_refused(tmp_path, treatment):
    experiment = load_experiment(write(tmp_path, GOOD + f"treatments: [{treatment}]\n"))
    with pytest.raises(OptionError, match="'adio', which the data has not; did you mean audio"):
        experiment.resolve(Places(tmp_path, tmp_path))


def test_shipped_experiments_are_found_by_name():
    assert "sfav_table2_ravdess" in list_experiments()
    assert load_shipped("sfav_table2_ravdess").name == "sfav_table2_ravdess"
    with pytest.raises(OptionError, match="did you mean sfav_table3_mosei"):
        load_shipped("sfav_table9")


def test_quick_is_smaller(tmp_path):
    quick = GOOD + "quick: {models: [late], epochs: 1, options: {late_lstm: {hidden: 4}}}\n"
    experiment = load_experiment(write(tmp_path, quick)).shrink()
    assert [model.name for model in experiment.models] == ["late"]
    assert experiment.models[0].options == {"hidden": 4}
    assert (experiment.training.epochs, experiment.seeds, experiment.data.folds) == (1, (0,), 1)


def test_a_table_of_several_parts_is_all_of_them():
    assert list_parts("mmte_table1") == ("mmte_table1_arousal", "mmte_table1_valence")
    assert list_parts("mmte_table2") == ("mmte_table2",)
    with pytest.raises(OptionError, match="no experiment"):
        list_parts("mmte_tab")


PAPERS = [
    "sfav_table2_ravdess",
    "sfav_table2_mosei",
    "sfav_table3_mosei",
    "mmte_table1",
    "mmte_table2",
    "mmte_figure3",
    "vavl_table1_cremad",
    "vavl_table1_mosei",
    "vavl_table2_improv",
    "vavl_figure2",
    "vavl_figure3",
    "vavl_table3",
    "vavl_figure4",
    "vavl_latency",
    "ca_table2",
    "ca_table3",
    "ca_figure2",
    "ca_table4",
    "mater_table1",
    "mater_table2",
    "mater_figure4",
    "mater_figure5",
    "mater_figure6",
    "mater_figure7",
    "mater_figure8",
    "mater_figure9",
    "mater_figure10",
    "mater_figure11",
]


@pytest.mark.parametrize("name", PAPERS)
def test_every_table_and_figure_of_the_papers_is_there(name):
    for part in list_parts(name):
        experiment = load_shipped(part)
        assert re.search(r"(Table|Figure|section|Fig)", experiment.paper)
