import pytest
import torch

from mien.errors import OptionError, WeightError
from mien.models import Task, create_model, describe_model, from_official, list_models

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


def test_an_unknown_name_says_which_there_are():
    with pytest.raises(OptionError, match="sfav_ia"):
        create_model("nonsense", task=Task("dimensions", ("valence",)), modalities=SIZES)


def test_an_unknown_checkpoint_says_which_there_are():
    with pytest.raises(OptionError, match="efficientface"):
        from_official("nonsense", {})


def test_a_checkpoint_of_something_else_is_refused():
    with pytest.raises(WeightError, match="no checkpoint of tcn"):
        from_official("tcn", {"something.weight": torch.zeros(3)})
