"""Protocols by name, the package's own and those of a plugin."""

from __future__ import annotations

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from mien.datasets import Example
from mien.errors import OptionError
from mien.evaluation import METRICS, register_metric
from mien.evaluation.protocols import PROTOCOLS, AnyProtocol, Subject, register_protocol
from mien.models import Task, create_model
from mien.plugins import load_plugin
from mien.signals import Sequence, Signals

ADAPTER = TypeAdapter(AnyProtocol)
BUILT_IN = {
    "modalities",
    "without_each",
    "replaced_by_noise",
    "masked_frames",
    "noisy_windows",
    "first_windows",
    "bursts",
    "recordings",
    "prediction_entropy",
    "layer_entropy",
    "embedding_distance",
    "response_time",
    "latency",
    "human_raters",
}
PLUGIN = """
from mien.evaluation import accuracy, register_metric
from mien.evaluation.protocols import Condition, Protocol, register_protocol
from mien.missing import Withhold

@register_metric("error_percent", "categories", title="errors, %", higher_is_better=False)
def error_percent(scores, target):
    return 100 * (1 - accuracy(scores, target))

@register_protocol("only_one")
class OnlyOne(Protocol):
    modality: str = "audio"

    def conditions(self, subject):
        others = [name for name in subject.modalities if name != self.modality]
        yield Condition(f"only {self.modality}", operation=Withhold(others))
"""


def test_the_built_in_protocols_are_known_by_name():
    assert {name for name in PROTOCOLS if not PROTOCOLS.origin(name)} == BUILT_IN
    for name in BUILT_IN:
        chosen = ADAPTER.validate_python({"name": name})
        assert chosen.name == name
        assert type(chosen).__name__.lower() == name.replace("_", "")


def test_a_protocol_without_options_measures_its_conditions():
    rows = ADAPTER.validate_python("modalities").measure(subject("accuracy"))
    assert [row.condition for row in rows] == ["everything", "audio", "video", "mean"]


def test_a_protocol_and_a_metric_of_a_plugin_are_measured(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(PLUGIN)
    load_plugin(file)
    assert PROTOCOLS.origin("only_one") == METRICS.origin("error_percent") == str(file)
    chosen = ADAPTER.validate_python({"name": "only_one", "modality": "video"})
    assert ADAPTER.dump_python(chosen) == {"name": "only_one", "modality": "video"}
    (row,) = chosen.measure(subject("error_percent"))
    assert (row.protocol, row.condition, row.metric) == (
        "only_one",
        "only video",
        "error_percent",
    )
    assert row.value in {0.0, 50.0, 100.0}
    with pytest.raises(ValidationError, match="did you mean modality"):
        ADAPTER.validate_python({"name": "only_one", "modalty": "video"})


def test_what_is_no_protocol_or_metric_is_not_registered():
    with pytest.raises(OptionError, match="derives from Protocol"):
        register_protocol("number")(int)
    with pytest.raises(OptionError, match="did you mean categories"):
        register_metric("odd", "category")
    with pytest.raises(OptionError, match="two entries are called 'ccc'"):
        register_metric("ccc", "dimensions")(abs)


def subject(metric: str) -> Subject:
    torch.manual_seed(0)
    sizes = {"audio": 3, "video": 2}
    model = create_model("late_lstm", task=Task("categories", ("a", "b")), modalities=sizes)
    examples = [
        Example(
            f"clip{number}",
            "somebody",
            Signals(
                {
                    name: Sequence(torch.randn(1, 4, size), torch.ones(1, 4, dtype=torch.bool), 0.5)
                    for name, size in sizes.items()
                }
            ),
            torch.tensor(number),
        )
        for number in (0, 1)
    ]
    return Subject(model.eval(), examples, (metric,))
