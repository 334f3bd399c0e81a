"""Loading official checkpoints: what is refused, with which words, and at what cost."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch

from golden.check import read
from mien.errors import OptionError, WeightError
from mien.models import _official, from_official
from mien.models._official import OFFICIAL

FILES = {
    "auxformer": "auxformer",
    "efficientface": "efficientface",
    "mater": "mater_reference",
    "mult": "mult_av",
    "sfav_ia": "sfav_ia",
    "tcn": "tcn",
    "uavm": "uavm",
}


@pytest.fixture(params=FILES)
def checkpoint(request, golden_folder):
    """A system's name, its parameters and the sizes that they do not tell."""
    golden = read(golden_folder / f"{FILES[request.param]}.safetensors")
    return request.param, golden.parameters, golden.sizes


@pytest.mark.parametrize("name", sorted(OFFICIAL))
def test_what_is_no_state_dict_says_what_to_pass(name):
    weights = {"fc.weight": torch.zeros(2)}
    for given, advice in (
        ({}, "pass the parameters by their official names"),
        (
            {"epoch": 3, "state_dict": weights, "optimizer": {"state": {}}},
            "checkpoint['state_dict']",
        ),
        ({"model": weights}, "checkpoint['model']"),
        ({**weights, "epoch": 3}, "epoch is no tensor but of type int"),
        ({"model": torch.nn.Linear(2, 2)}, "state_dict()"),
        (torch.nn.Linear(2, 2), "state_dict()"),
        ({0: torch.zeros(1)}, "0 is no name"),
    ):
        with pytest.raises(OptionError) as caught:
            from_official(name, given, num_heads=2)
        assert advice in str(caught.value), given


def test_the_prefix_of_parallel_training_is_taken_off(checkpoint):
    name, parameters, sizes = checkpoint
    plain = from_official(name, parameters, **sizes).state_dict()
    prefixed = {f"module.{key}": value for key, value in parameters.items()}
    for key, value in from_official(name, prefixed, **sizes).state_dict().items():
        assert torch.equal(value, plain[key]), key
    some = dict(list(prefixed.items())[:3]) | dict(list(parameters.items())[3:])
    with pytest.raises(WeightError, match="no checkpoint"):
        from_official(name, some, **sizes)


@pytest.mark.parametrize("heads", [0, -1, 2.0, "4", None])
def test_heads_must_be_counted_from_one(golden_folder, heads):
    for file in ("mult_crossmodal", "mater_reference", "sfav_it", "uavm"):
        golden = read(golden_folder / f"{file}.safetensors")
        with pytest.raises(OptionError, match="num_heads is"):
            from_official(golden.name, golden.parameters, num_heads=heads)


def test_a_size_that_is_lacking_or_unknown_is_no_fault_of_the_weights(golden_folder):
    golden = read(golden_folder / "mult_crossmodal.safetensors")
    for sizes in ({}, {"num_heads": 5, "depth": 2}):
        with pytest.raises(OptionError, match="sizes that shapes cannot tell"):
            from_official(golden.name, golden.parameters, **sizes)


def test_wrong_shapes_are_named(golden_folder):
    state = read(golden_folder / "tcn.safetensors").parameters
    with pytest.raises(WeightError, match=r"shape \(9,\) instead of \(64,\)"):
        from_official("tcn", state | {"network.2.conv1.bias": torch.zeros(9)})
    with pytest.raises(WeightError, match=r"holds torch\.int64"):
        from_official("tcn", state | {"network.2.conv1.bias": torch.zeros(64, dtype=torch.int64)})


def test_no_message_is_an_index_out_of_range(checkpoint):
    name, parameters, sizes = checkpoint
    flat = {key: value.flatten() for key, value in parameters.items()}
    scalars = {key: value.flatten()[0] for key, value in parameters.items()}
    empty = {key: value[:0] for key, value in parameters.items()}
    for degraded in (flat, scalars, {"something.weight": torch.zeros(3)}):
        with pytest.raises(WeightError) as caught:
            from_official(name, degraded, **sizes)
        assert re.search("parameter|instead of|projection|shapes", str(caught.value))
    with pytest.raises((WeightError, OptionError)):
        from_official(name, empty, **sizes)


def test_shapes_are_compared_before_anything_is_allocated(golden_folder, monkeypatch):
    state = read(golden_folder / "efficientface.safetensors").parameters
    key = "stage4.0.branch1.2.weight"
    official = OFFICIAL["efficientface"]

    def build(parameters):
        assert torch.empty(0).device.type == "meta"  # else this one layer would take 11 GiB
        return official.build(parameters)

    patched = {**OFFICIAL, "efficientface": replace(official, build=build)}
    monkeypatch.setattr(_official, "OFFICIAL", patched)
    with pytest.raises(WeightError, match="instead of"):
        from_official("efficientface", state | {key: state[key].flatten()})
