"""The golden files are met, and files in which anything is spoilt are not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from golden.check import Unreadable, check_file, main
from mien.models._official import OFFICIAL

NAMES = {
    "auxformer": "auxformer",
    "ca_fusion": "ca_fusion",
    "conformer_block": "conformer_block",
    "conformer_block_vavl": "conformer_block_vavl",
    "efficientface": "efficientface",
    "i3d_stem": "i3d_stem",
    "mater_reference": "mater",
    "mult_av": "mult_av",
    "mult_crossmodal": "mult_crossmodal",
    "sfav_ia": "sfav_ia",
    "sfav_ia_h4": "sfav_ia",
    "sfav_it": "sfav_it",
    "sfav_lt": "sfav_lt",
    "tcn": "tcn",
    "uavm": "uavm",
}
KNOWN = [file for file, name in NAMES.items() if name in OFFICIAL]
NO_MODELS = {"mfcc_cases"}  # features, tested where they are computed


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the tensors are too small to be shared
    yield
    torch.set_num_threads(threads)


def rewrite(source: Path, target: Path, change) -> Path:
    """A copy of a file after `change(tensors, metadata)`."""
    with safe_open(source, framework="pt") as archive:
        notes = archive.metadata()
        tensors = {key: archive.get_tensor(key) for key in archive.keys()}  # noqa: SIM118
    change(tensors, notes)
    save_file(tensors, target, metadata=notes)
    return target


def test_every_golden_file_is_known(golden_folder):
    found = {path.stem for path in golden_folder.glob("*.safetensors")}
    assert found - NO_MODELS == set(NAMES)


@pytest.mark.parametrize("file", KNOWN)
def test_golden(golden_folder, file):
    rows = check_file(golden_folder / f"{file}.safetensors")
    assert rows
    assert [row for row in rows if not row.good] == []


@pytest.mark.parametrize("file", [file for file in KNOWN if file != "efficientface"])
def test_spoilt_outputs_and_gradients_fail(golden_folder, tmp_path, file):
    source = golden_folder / f"{file}.safetensors"
    with safe_open(source, framework="pt") as archive:
        keys = [key for key in archive.keys() if key.startswith(("output", "grad"))]  # noqa: SIM118

    def spoil(tensors, _notes):
        for key in keys:
            step = 1e-3 * max(float(tensors[key].abs().max()), 0.1)
            tensors[key].view(-1)[-1] += step

    rows = check_file(rewrite(source, tmp_path / "spoilt.safetensors", spoil))
    assert {row.what for row in rows if row.good} == set()
    assert {row.what for row in rows} == set(keys)


@pytest.mark.parametrize("file", KNOWN)
def test_a_spoilt_parameter_fails(golden_folder, tmp_path, file):
    def spoil(tensors, _notes):
        key = (
            next(key for key in tensors if key.startswith("param/") and "weight" in key.lower())
            if file != "ca_fusion"
            else "param/W"
        )
        tensors[key] = (tensors[key].float() * 1.05).to(tensors[key].dtype)

    spoilt = rewrite(golden_folder / f"{file}.safetensors", tmp_path / "s.safetensors", spoil)
    assert main([str(spoilt)]) == 1


@pytest.mark.parametrize("file", KNOWN)
def test_missing_extra_and_misshapen_parameters_fail(golden_folder, tmp_path, file, capsys):
    source, target = golden_folder / f"{file}.safetensors", tmp_path / "changed.safetensors"

    def first(tensors):
        return min(key for key in tensors if key.startswith("param/"))

    def drop(tensors, notes):
        notes.pop("param_order", None)
        del tensors[first(tensors)]
        tensors.setdefault("param/leftover", torch.zeros(1))

    def add(tensors, notes):
        notes.pop("param_order", None)
        tensors["param/superfluous"] = torch.zeros(1)

    def cut(tensors, _notes):
        tensors[first(tensors)] = tensors[first(tensors)][:-1].contiguous()

    for change in (drop, add, cut):
        assert main([str(rewrite(source, target, change))]) == 1, change.__name__
        assert "WRONG" in capsys.readouterr().out


@pytest.mark.parametrize("file", KNOWN[:1])
def test_a_missing_parameter_is_named(golden_folder, tmp_path, file):
    dropped = []

    def drop(tensors, notes):
        key = f"param/{json.loads(notes['param_order'])[3]}"
        dropped.append(key)
        del tensors[key]

    rows = check_file(
        rewrite(golden_folder / f"{file}.safetensors", tmp_path / "d.safetensors", drop)
    )
    assert [(row.what, row.remark) for row in rows] == [(dropped[0], "is missing")]


def test_what_cannot_be_read_exits_2(tmp_path, golden_folder):
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no tensors here")
    unknown = tmp_path / "unknown.safetensors"
    save_file({"param/a": torch.zeros(1)}, unknown, metadata={"name": "nobody"})
    for path in (broken, unknown, tmp_path / "nowhere.safetensors"):
        with pytest.raises(Unreadable):
            check_file(path)
        assert main([str(path)]) == 2
    assert main([]) == 2
