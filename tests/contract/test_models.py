"""Every registered model keeps the contract, at sizes that take a second or two."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from contract.contract import check_contract
from mien.missing import ModalityDropout
from mien.models import Task, create_model, list_models
from mien.signals import Sequence, Signals

pytestmark = pytest.mark.slow

SFAV = {"widths": {"audio": (4, 6, 6, 8), "video": (4, 4, 6, 8)}}
MMTE = {
    "width": 8,
    "hidden": 12,
    "tcn_layers": 2,
    "tcn_kernel": 3,
    "positions": 60,
    "mask_length": 15,
}
CONFORMER = {"width": 8, "heads": 2, "kernel_size": 3, "projected": 5, "hidden": (7, 6)}
# What keeps each model small; what is not named here is checked with the model's defaults.
OPTIONS: dict[str, dict[str, Any]] = {
    "auxformer": {"width": 8, "heads": 2, "layers": 2, "hidden": (12, 10)},
    "concat": {"hidden": 8},
    "cross_attention": {"hidden": 8},
    "cross_attention_2stage": {"hidden": 8},
    "late_lstm": {"widths": {"audio": 6, "video": 6}, "fusion_width": 5, "hidden": 6},
    "lstm_fusion": {"hidden": 8, "width": 6},
    "mater": {"width": 8, "layers": 2, "heads": 2, "feedforward": 12},
    "mmte_ammtd": MMTE,
    "mmte_fc": MMTE,
    "mmte_lstm": MMTE,
    "mult": {"width": 8, "heads": 2, "layers": 2},
    "self_attention": {"hidden": 8, "width": 6},
    "sfav_ia": SFAV,
    "sfav_it": SFAV,
    "sfav_lt": SFAV,
    "tav": SFAV,
    "tlstm": {"width": 8, "heads": 2, "layers": 1, "recurrent_width": 6},
    "tva": SFAV,
    "uavm": {"width": 8, "heads": 2, "layers": 1, "shared_layers": 1, "steps": 12},
    "unimodal_conformer": {**CONFORMER, "layers": 1},
    "vavl": {**CONFORMER, "layers": 1, "shared_layers": 1},
}


@pytest.mark.parametrize("name", list_models())
def test_contract(name):
    check_contract(name, **OPTIONS.get(name, {}))


# At full depth: what stands in for a modality must not grow from layer to layer.
DEEP = {
    name: {key: value for key, value in options.items() if "layers" not in key}
    for name, options in OPTIONS.items()
}


@pytest.mark.parametrize("name", list_models())
def test_training_with_a_modality_missing_keeps_its_gradients_small(name):
    torch.manual_seed(0)
    task = Task("categories", ("a", "b"))
    model = create_model(name, task=task, modalities={"audio": 6, "video": 4}, **DEEP.get(name, {}))
    valid = torch.ones(4, 8, dtype=torch.bool)
    signals = Signals(
        {
            "audio": Sequence(torch.randn(4, 8, 6), valid, 0.2),
            "video": Sequence(torch.randn(4, 8, 4), valid, 0.2),
        }
    )
    signals, rows = ModalityDropout().enlarge(signals, torch.Generator().manual_seed(0))
    model.loss(model(signals), torch.tensor([0, 1, 0, 1])[rows]).backward()
    slopes = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(bool(slope.isfinite().all()) for slope in slopes)
    assert max(float(slope.abs().max()) for slope in slopes) < 1000
