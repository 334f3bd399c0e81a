"""The runner: what became of each run."""

from types import SimpleNamespace

from rich.console import Console

from mien.experiments import runner
from mien.experiments.runs import RunFolder, RunState


def test_a_run_whose_data_changes_at_every_reading_has_failed(monkeypatch, tmp_path):
    """As a data set with random numbers in it: what was trained is never what is there now."""
    undone = RunState(False, False, ("features of audio",))
    run = SimpleNamespace(inspect=lambda: undone, folder=RunFolder(tmp_path), base=None)
    monkeypatch.setattr(runner, "attempt", lambda *_: None)
    (failure,) = runner.run_all([run], Console(quiet=True), workers=1)
    assert "features of audio changed while it ran" in failure.error
