import pytest
import torch

from mien.errors import OptionError, WeightError
from mien.models import Task, create_model, describe_model, from_official, list_models
from mien.models._registry import option_names
from mien.models.feature_fusion import LstmFusion
from mien.models.mmte import MMTEWithAMMTD
from mien.models.sfav import LateTransformer

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
    with pytest.raises(OptionError, match=f"{name} has no option nonsense; it has .*[a-z]"):
        create_model(name, task=task, modalities=SIZES, nonsense=1)


def test_options_are_known_that_a_model_hands_on():
    assert {"overlap", "tcn_kernel", "truncate"} <= option_names(MMTEWithAMMTD)
    assert {"widths", "backbone", "heads"} <= option_names(LateTransformer)
    assert {"hidden", "encoders", "width"} <= option_names(LstmFusion)
    assert "fused" not in option_names(LstmFusion)


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
