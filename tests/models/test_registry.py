import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch

import mien
from mien.errors import OptionError, WeightError
from mien.models import (
    MODELS,
    Task,
    check_model_options,
    create_model,
    describe_model,
    from_official,
    list_models,
    register_model,
)
from mien.plugins import load_plugin

SIZES = {"audio": 74, "video": 35}
PROMISED = {
    *("sfav_lt", "sfav_it", "sfav_ia", "tav", "tva", "mult"),
    *("mmte_ammtd", "mmte_fc", "mmte_lstm", "late_lstm"),
    *("vavl", "unimodal_conformer", "uavm", "auxformer", "tlstm"),
    *("cross_attention", "cross_attention_2stage", "concat", "lstm_fusion", "self_attention"),
    *("mater", "linear_probe"),
}


def test_every_promised_model_is_there():
    assert set(list_models()) == PROMISED


@pytest.mark.parametrize("name", sorted(PROMISED))
def test_every_model_can_be_described(name):
    facts = describe_model(name, SIZES)
    assert facts.parameters > 1000
    assert "categories per clip" in facts.tasks
    assert facts.paper
    assert facts.missing


def test_the_count_is_that_of_a_real_model():
    task = Task.emotions(
        ("neutral", "happiness", "sadness", "anger", "fear", "disgust", "surprise")
    )
    model = create_model("sfav_ia", task=task, modalities=SIZES)
    counted = sum(parameter.numel() for parameter in model.parameters())
    assert describe_model("sfav_ia", SIZES).parameters == counted


@pytest.mark.parametrize("name", sorted(PROMISED))
def test_an_unknown_option_says_which_there_are(name):
    task = Task("categories", ("a", "b"))
    with pytest.raises(OptionError, match=f"{name} has no option .nonsense.; (choose|did)"):
        create_model(name, task=task, modalities=SIZES, nonsense=1)


def test_options_are_known_that_a_model_hands_on():
    check_model_options("mmte_ammtd", {"overlap": 5, "tcn_kernel": 3, "truncate": 7})
    check_model_options("sfav_lt", {"widths": {}, "backbone": None, "heads": 2})
    check_model_options("lstm_fusion", {"hidden": 8, "encoders": None, "width": 6})
    with pytest.raises(OptionError, match="fused"):  # what only the base is told
        check_model_options("lstm_fusion", {"fused": 8})


@pytest.mark.parametrize("name", sorted(PROMISED))
@pytest.mark.parametrize(
    ("modalities", "words"),
    [
        ({}, "needs a modality"),
        ({"": 3}, "cannot be called ''"),
        ({"face.left": 3}, "'face.left'; give letters"),
        ({"values": 3}, "'values'"),
        ({"audio": 3, "keys": 3}, "'keys'"),
        ({"audio": 0, "video": 3}, "audio has 0 features"),
        ({"audio": 4, "video": -3}, "video has -3 features"),
    ],
)
def test_modalities_that_make_no_sense(name, modalities, words):
    with pytest.raises(OptionError, match=words):
        create_model(name, task=Task("categories", ("a", "b")), modalities=modalities)
    with pytest.raises(OptionError, match=words):
        describe_model(name, modalities)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("mater", {"widht": 8}, "mater has no option 'widht'; did you mean width?"),
        ("mater", {"width": "8"}, "mater's option width cannot be '8'; give a whole number"),
        ("mater", {"width": 8.0}, "give a whole number"),
        ("mater", {"dropout": "1e-4"}, "dropout cannot be '1e-4'; give a number"),
        ("late_lstm", {"staged": 1}, "give true or false"),
        ("late_lstm", {"widths": 8}, "give a dictionary"),
        ("late_lstm", {"bidirectional": "audio"}, "give a list"),
        ("sfav_ia", {"missing_frame": "grey"}, "give zeros or black"),
        ("sfav_ia", {"widths": {"audio": [4, 4, 4]}}, "give a dictionary"),
        ("mmte_fc", {"look_ahead": "all"}, "give a whole number or nothing"),
    ],
)
def test_options_are_checked_without_building(name, options, words):
    with pytest.raises(OptionError, match=re.escape(words)):
        check_model_options(name, options)


def test_options_of_yaml_are_fine():
    check_model_options("sfav_lt", {"widths": {"audio": [4, 6, 6, 8]}, "backbone": None})
    check_model_options("mmte_ammtd", {"dropout": 0, "look_ahead": None, "truncate": 7})
    check_model_options("vavl", {})


PLUGIN = """
import torch
from mien import Model, Prediction, register_model

@register_model("{name}", paper="nobody 2030")
class Mean(Model):
    def __init__(self, task, modalities, *, bias: float = 0.0):
        super().__init__(task, modalities)
        self.heads = torch.nn.ModuleDict(
            {{n: torch.nn.Linear(size, len(task.names)) for n, size in self.modalities.items()}}
        )

    def forward(self, signals):
        present, scores = self.require_anything(signals), 0.0
        for name, seen in present.items():
            if name in signals:
                s = signals[name]
                mean = torch.where(s.valid[..., None], s.values, 0.0).sum(1)
                scores = scores + self.heads[name](mean) * seen[:, None]
        return Prediction(scores)
"""


def test_a_model_of_the_users_own_is_one_file(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(PLUGIN.format(name="mine"))
    try:
        load_plugin(file)
        assert "mine" in list_models()
        assert MODELS.origin("mine") == str(file)
        assert describe_model("mine", SIZES).tasks == (
            "categories per clip",
            "dimensions per clip",
            "categories per frame",
            "dimensions per frame",
        )
        with pytest.raises(OptionError, match="did you mean bias"):
            check_model_options("mine", {"bais": 1.0})
        model = create_model("mine", task=Task("categories", ("a", "b")), modalities=SIZES)
        assert model({"audio": torch.ones(1, 3, 74)}).scores.shape == (1, 2)
    finally:
        MODELS._entries.pop("mine", None)


def test_a_name_that_is_taken_is_told_to_the_newcomer():
    code = (
        "from mien.errors import PluginError\n"
        "from mien.plugins import load_plugin\n"
        "import sys\n"
        "try:\n    load_plugin(sys.argv[1])\n"
        "except PluginError as error:\n    print(error)\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "mine.py"
        file.write_text(PLUGIN.format(name="mult"))
        done = subprocess.run(
            [sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=True
        )
    assert "two entries are called 'mult'" in done.stdout


def test_only_a_model_can_be_registered():
    with pytest.raises(OptionError, match="no model"):
        register_model("module")(torch.nn.Linear)


def test_the_front_shows_its_lazy_names():
    assert {"register_model", "Signals", "Sequence", "Model", "Task"} <= set(dir(mien))
    assert {n for n in dir(mien) if not n.startswith("_")} == {*mien.__all__, "errors"} - {
        "__version__"
    }
    assert mien.Task is Task


def test_modalities_of_any_other_name_can_be_had():
    sizes = {"Eye-gaze_2": 3, "visage_à_gauche": 2}
    model = create_model("late_lstm", task=Task("categories", ("a", "b")), modalities=sizes)
    assert dict(model.modalities) == sizes


def test_an_unknown_name_says_which_there_are():
    with pytest.raises(OptionError, match="sfav_ia"):
        create_model("nonsense", task=Task("dimensions", ("valence",)), modalities=SIZES)


def test_an_unknown_checkpoint_says_which_there_are():
    with pytest.raises(OptionError, match="efficientface"):
        from_official("nonsense", {})


def test_a_checkpoint_of_something_else_is_refused():
    with pytest.raises(WeightError, match="no checkpoint of tcn"):
        from_official("tcn", {"something.weight": torch.zeros(3)})
