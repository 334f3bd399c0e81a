"""A short run of the mutation test; the long ones are those of ``benchmarks/mutate_media.py``."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "mutate_media.py"


@pytest.fixture(scope="module")
def mutate():
    spec = importlib.util.spec_from_file_location("mutate_media", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_damaged_files_end_well_or_in_a_typed_error(mutate):
    tally = mutate.run(152, seed=7, real=False)
    assert tally.failures == []
    counts = tally.by_outcome()
    assert sum(counts.values()) == 152
    assert counts["decoded"] + counts["decoded with warnings"] > 40
    assert counts["DamagedError"] > 10
    assert counts["unexpected"] == 0


@pytest.mark.usefixtures("encoders")
def test_damaged_files_end_in_a_timeline_or_a_typed_error(mutate):
    tally = mutate.run(64, seed=3, real=False, analyze=True)
    assert tally.failures == []
    counts = tally.by_outcome()
    assert counts["timeline"] + counts["timeline with warnings"] > 15
    assert counts["unexpected"] == 0


def test_damage_is_reproducible_and_real(mutate):
    data = bytes(range(256)) * 40
    for index in range(40):
        name, content = mutate.damaged(data, 3, index)
        assert (name, content) == mutate.damaged(data, 3, index)
        assert name in mutate.DAMAGES
        assert content != data


def test_the_table_is_written_whole(mutate, tmp_path):
    tally = mutate.Tally(seconds=2.0, starts=1, slowest=(0.5, "3-a.mp4 (deletion)"))
    tally.outcomes["deletion", "decoded"] = 3
    tally.failures.append("4-a.mkv (insertion): took 99.0 s")
    mutate.save(mutate.table(tally, 3, 1), tmp_path / "new" / "table.md")
    text = (tmp_path / "new" / "table.md").read_text()
    assert "| deletion | 3 |" in text
    assert "- 4-a.mkv (insertion): took 99.0 s" in text
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["table.md"]
