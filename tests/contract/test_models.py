"""Every registered model keeps the contract, at sizes that take a second or two."""

from __future__ import annotations

from typing import Any

import pytest

from contract.contract import check_contract
from mien.models import list_models

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
