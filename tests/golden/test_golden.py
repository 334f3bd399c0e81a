"""The golden files are met, and files in which anything was changed are not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from golden.check import Unreadable, check_file, main, read
from golden.outputs import compute_outputs
from mien.models import from_official
from mien.models._official import OFFICIAL

pytestmark = pytest.mark.slow

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


@pytest.mark.parametrize("file", KNOWN)
def test_degraded_outputs_and_gradients_fail(golden_folder, tmp_path, file):
    source = golden_folder / f"{file}.safetensors"
    with safe_open(source, framework="pt") as archive:
        keys = [key for key in archive.keys() if key.startswith(("output", "grad"))]  # noqa: SIM118

    def degrade(tensors, _notes):
        for key in keys:
            step = 1e-3 * max(float(tensors[key].abs().max()), 0.1)
            tensors[key].view(-1)[-1] += step

    rows = check_file(rewrite(source, tmp_path / "degraded.safetensors", degrade))
    rows = [row for row in rows if not row.what.startswith("input/")]
    assert {row.what for row in rows if row.good} == set()
    assert {row.what for row in rows} == set(keys)


@pytest.mark.parametrize("file", KNOWN)
def test_a_degraded_parameter_fails(golden_folder, tmp_path, file):
    def degrade(tensors, _notes):
        key = (
            next(key for key in tensors if key.startswith("param/") and "weight" in key.lower())
            if file != "ca_fusion"
            else "param/W"
        )
        tensors[key] = (tensors[key].float() * 1.05).to(tensors[key].dtype)

    degraded = rewrite(golden_folder / f"{file}.safetensors", tmp_path / "s.safetensors", degrade)
    assert main([str(degraded)]) == 1


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


def wrong(golden_folder, tmp_path, file, change):
    """What is found wrong with a golden file after a change."""
    target = rewrite(
        golden_folder / f"{file}.safetensors", tmp_path / "changed.safetensors", change
    )
    rows = [row for row in check_file(target) if not row.good]
    assert main([str(target)]) == (1 if rows else 0)
    return {row.what: row.remark for row in rows}


ANSWERS = {
    "mult_av": "prediction",
    "mult_crossmodal": "cross",
    "auxformer": "main",
    "ca_fusion": "X_att_a",
    "uavm": "logits_mean",
    "i3d_stem": "Mixed_3b_odd",
}


@pytest.mark.parametrize("file", KNOWN)
def test_a_file_without_its_answer_fails(golden_folder, tmp_path, file):
    names = read(golden_folder / f"{file}.safetensors").groups["output"]
    answer = ANSWERS.get(file, "y" if "y" in names else "logits")

    def drop(tensors, _notes):
        del tensors[f"output/{answer}"]

    found = wrong(golden_folder, tmp_path, file, drop)
    assert list(found.values()) == ["is missing"]


@pytest.mark.parametrize("file", KNOWN)
def test_gradients_may_be_left_out_as_a_whole_only(golden_folder, tmp_path, file):
    gradients = sorted(read(golden_folder / f"{file}.safetensors").groups.get("grad", {}))

    def drop_all(tensors, _notes):
        for key in gradients:
            del tensors[f"grad/{key}"]

    def drop_one(tensors, _notes):
        del tensors[f"grad/{gradients[0]}"]

    assert wrong(golden_folder, tmp_path, file, drop_all) == {}
    if len(gradients) > 1:
        assert wrong(golden_folder, tmp_path, file, drop_one) == {
            f"grad/{gradients[0]}": "is missing"
        }


def test_an_output_of_a_second_run_goes_with_its_inputs(golden_folder, tmp_path):
    def drop_all(tensors, _notes):
        for key in ("input/audio_zero", "input/video_zero", "output/prediction_zero"):
            del tensors[key]

    def drop_one(tensors, _notes):
        del tensors["input/video_zero"]

    assert wrong(golden_folder, tmp_path, "mult_av", drop_all) == {}
    assert wrong(golden_folder, tmp_path, "mult_av", drop_one)["input/video_zero"] == "is missing"


@pytest.mark.parametrize(
    "key", ["bla/foo", "stray", "input", "output", "grad", "input/foo", "outputs/y"]
)
def test_what_means_nothing_fails(golden_folder, tmp_path, key):
    def add(tensors, _notes):
        tensors[key] = torch.zeros(2)

    found = wrong(golden_folder, tmp_path, "conformer_block", add)
    assert [what.rstrip("/") for what in found] == [key]


def test_the_position_table_is_compared_with_ours(golden_folder, tmp_path):
    def degrade(tensors, _notes):
        tensors["input/position_table"][3, 2] += 1e-6

    def cut(tensors, _notes):
        tensors["input/position_table"] = tensors["input/position_table"][:-1].contiguous()

    def drop(tensors, _notes):
        del tensors["input/position_table"]

    for change in (degrade, cut):
        assert set(wrong(golden_folder, tmp_path, "mater_reference", change)) == {
            "input/position_table"
        }
    assert wrong(golden_folder, tmp_path, "mater_reference", drop) == {}


def test_a_shallower_instance_passes(golden_folder, tmp_path):
    def shallow(tensors, notes):
        notes.pop("param_order")
        for key in [key for key in tensors if key.startswith("param/network")]:
            if key.split(".")[1] != "0":
                del tensors[key]
        del tensors["output/block1"]
        tensors["output/y"] = tensors["output/block0"].clone()
        x = tensors["input/x"].requires_grad_()
        module = from_official("tcn", {k[6:]: v for k, v in tensors.items() if k[:6] == "param/"})
        y = compute_outputs("tcn", module, {"x": x})["y"]
        tensors["grad/x"] = torch.autograd.grad(y.sum(), x)[0]
        tensors["input/x"] = x.detach()

    assert wrong(golden_folder, tmp_path, "tcn", shallow) == {}


@pytest.mark.parametrize(
    ("note", "value", "code"),
    [
        ("num_heads", "0", 1),
        ("num_heads", "-5", 1),
        ("num_heads", "many", 2),
        ("param_order", "null", 2),
        ("param_order", "3", 2),
        ("param_order", "[3]", 2),
        ("param_order", "{", 2),
    ],
)
def test_senseless_metadata_is_said_and_the_next_file_is_checked(
    golden_folder, tmp_path, capsys, note, value, code
):
    def change(_tensors, notes):
        notes[note] = value

    good = golden_folder / "mult_crossmodal.safetensors"
    assert main([str(rewrite(good, tmp_path / "bad.safetensors", change)), str(good)]) == code
    said = capsys.readouterr().out
    assert note in said
    assert f"{good}: good" in said


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.int64, torch.bool])
@pytest.mark.parametrize("key", ["output/self", "grad/key"])
def test_numbers_of_another_kind_are_named(golden_folder, tmp_path, key, dtype):
    def change(tensors, _notes):
        tensors[key] = tensors[key].to(dtype)

    found = wrong(golden_folder, tmp_path, "mult_crossmodal", change)
    assert set(found) == {key}
    assert str(dtype) in found[key]


def test_whatever_happens_to_a_file_the_next_is_checked(golden_folder, monkeypatch, capsys):
    good = golden_folder / "ca_fusion.safetensors"

    def crash(path):
        if Path(path) != good:
            raise ZeroDivisionError("nobody thought of it")
        return check_file(path)

    monkeypatch.setattr("golden.check.check_file", crash)
    assert main(["bad.safetensors", str(good)]) == 2
    said = capsys.readouterr().out
    assert "nobody thought of it" in said
    assert f"{good}: good" in said


def test_a_thousandth_in_one_value_of_efficientface_fails(golden_folder, tmp_path):
    names = ("features", "logits", "stage2_mean", "modulator_mean", "local_mean")

    def degrade(tensors, _notes):
        for name in names:
            tensors[f"output/{name}"][1, 3] += 1e-3

    found = wrong(golden_folder, tmp_path, "efficientface", degrade)
    assert set(found) == {f"output/{name}" for name in names}


def test_efficientface_has_room_for_its_own_rounding(golden_folder):
    rows = check_file(golden_folder / "efficientface.safetensors")
    found = {row.what: row for row in rows}
    assert all(row.tolerance > 2 * row.largest for row in rows)
    assert found["output/features"].tolerance > 2 * 1.3e-4  # float32 against float64, as stated


@pytest.mark.parametrize(("step", "good"), [(3e-7, True), (1e-5, False)])
def test_a_gradient_that_is_zero_but_for_rounding(golden_folder, tmp_path, step, good):
    key = "grad/sequential.1.module.attention.key_proj.linear.bias"

    def add(tensors, _notes):
        tensors[key] = torch.full((64,), step)

    assert set(wrong(golden_folder, tmp_path, "conformer_block", add)) == (set() if good else {key})


def test_it_runs_as_a_script_from_anywhere(golden_folder, tmp_path):
    script = Path(__file__).with_name("check.py")
    command = [sys.executable, str(script), str(golden_folder / "ca_fusion.safetensors")]
    assert subprocess.run(command, cwd=tmp_path, check=False).returncode == 0
