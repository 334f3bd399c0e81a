from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from tests.training.material import SIZES, examples, model

from mien.errors import InputError, OptionError
from mien.missing import ModalityDropout
from mien.training import (
    CHECKPOINT,
    LOG,
    OptimizerSettings,
    Plan,
    ScheduleSettings,
    Training,
    train,
)

pytestmark = pytest.mark.slow

TRAINING = Training(epochs=3, batch_size=4, optimizer=OptimizerSettings(rate=0.01))
ROOT = Path(__file__).resolve().parents[2]


class Stopped(Exception):
    pass


class StopAt(ModalityDropout):
    """Modality dropout that ends the training at some step, as a full disk would."""

    def __init__(self, step):
        super().__init__()
        object.__setattr__(self, "left", [step])

    def enlarge(self, signals, generator):
        if not self.left[0]:
            raise Stopped
        self.left[0] -= 1
        return super().enlarge(signals, generator)


def accuracy(trained):
    from mien.evaluation.predict import predict

    answers = predict(trained, examples(8, seed=1))
    return float((answers.scores.argmax(1) == answers.target).float().mean())


def plan(folder=None, **options):
    defaults = {"training": TRAINING, "seed": 3, "score": accuracy, "checkpoint_every": 0.0}
    defaults |= {"operation": ModalityDropout(), "folder": folder}
    return Plan(examples(), **{**defaults, **options})


def test_it_learns_what_can_be_learned():
    learner = model()
    result = train(learner, plan(training=TRAINING.model_copy(update={"epochs": 15})))
    assert result.score >= 0.9
    assert result.rows[-1]["loss"] < result.rows[0]["loss"]


@pytest.mark.parametrize("name", ["sfav_ia", "auxformer"])  # the second one with dropout
def test_stopped_anywhere_it_ends_in_the_same_weights(name, tmp_path):
    whole = train(model(name), plan(tmp_path / "whole"))
    for stop in (1, 4, 5):
        folder = tmp_path / str(stop)
        with pytest.raises(Stopped):
            train(model(name), plan(folder, operation=StopAt(stop)))
        resumed = train(model(name), plan(folder))
        assert resumed.best_epoch == whole.best_epoch
        for key, weight in whole.last.items():
            assert torch.equal(resumed.last[key], weight), key
        kept = [{k: v for k, v in row.items() if k != "seconds"} for row in resumed.rows]
        assert kept == [{k: v for k, v in row.items() if k != "seconds"} for row in whole.rows]


CHILD = """
import sys, time, torch
from pathlib import Path
torch.set_num_threads(1)
from mien.training import OptimizerSettings, Plan, Training, train
from mien.missing import ModalityDropout
from tests.training.material import examples, model
class Slow(ModalityDropout):
    def enlarge(self, signals, generator):
        time.sleep(float(sys.argv[2]))
        return super().enlarge(signals, generator)
learner = model()
training = Training(epochs=4, batch_size=4, optimizer=OptimizerSettings(rate=0.01))
result = train(learner, Plan(examples(), training, 3, lambda m: 0.0,
    operation=Slow(), folder=Path(sys.argv[1]), checkpoint_every=0.0))
torch.save(result.last, Path(sys.argv[1]) / "last.pt")
"""


def test_killed_and_started_again_it_ends_in_the_same_weights(tmp_path):
    def start(folder, pause):
        folder.mkdir(exist_ok=True)
        command = [sys.executable, "-c", textwrap.dedent(CHILD), str(folder), str(pause)]
        return subprocess.Popen(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"})

    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert start(whole, 0).wait(120) == 0
    process = start(cut, 0.2)
    deadline = time.monotonic() + 100
    while not (cut / CHECKPOINT).exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.5)
    process.send_signal(signal.SIGKILL)
    assert process.wait(30) == -signal.SIGKILL
    assert not (cut / "last.pt").exists()
    assert start(cut, 0).wait(120) == 0
    one, other = (torch.load(f / "last.pt", weights_only=True) for f in (whole, cut))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_the_best_epoch_is_that_of_the_development_score():
    scores = iter([0.2, 0.9, 0.4])
    learner, seen = model(), []

    def score(trained):
        seen.append({k: v.clone() for k, v in trained.state_dict().items()})
        return next(scores)

    result = train(learner, plan(score=score))
    assert (result.best_epoch, result.score, result.epochs) == (2, 0.9, 3)
    assert all(torch.equal(learner.state_dict()[k], v) for k, v in seen[1].items())
    assert not learner.training


def test_without_a_development_part_the_last_epoch_counts():
    learner = model()
    result = train(learner, plan(score=None))
    assert result.best_epoch == result.epochs == 3
    assert all(torch.equal(learner.state_dict()[k], v) for k, v in result.last.items())


def test_patience_ends_it():
    training = TRAINING.model_copy(update={"epochs": 50, "patience": 2})
    assert train(model(), plan(training=training, score=lambda _: 0.5)).epochs == 3


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        (ScheduleSettings(), [0.01, 0.01, 0.01]),
        (ScheduleSettings(name="steps", epochs=(1, 2), factor=0.5), [0.01, 0.005, 0.0025]),
        (ScheduleSettings(name="plateau", patience=0, factor=0.1), [0.01, 0.01, 0.001]),
        (ScheduleSettings(name="cosine"), [0.01, 0.0075, 0.0025]),
    ],
)
def test_schedules_move_the_rate(schedule, rates):
    training = TRAINING.model_copy(update={"schedule": schedule})
    for score in (0.5, -0.5):  # a negative error is a score, too
        result = train(model(), plan(training=training, score=lambda _, same=score: same))
        assert [row["learning_rate"] for row in result.rows] == pytest.approx(rates, rel=1e-6)


def test_it_reports_its_progress():
    fractions = []
    train(model(), plan(on_progress=fractions.append))
    assert fractions == sorted(fractions)
    assert len(fractions) > TRAINING.epochs
    assert (0 < fractions[0] < 1 / TRAINING.epochs, fractions[-1]) == (True, 1.0)


def test_the_log_has_a_row_an_epoch(tmp_path):
    train(model(), plan(tmp_path))
    rows = list(csv.DictReader((tmp_path / LOG).open()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert list(rows[0]) == ["epoch", "learning_rate", "loss", "score", "seconds"]


def test_another_trainings_checkpoint_is_refused(tmp_path):
    train(model(), plan(tmp_path))
    with pytest.raises(InputError, match="other settings"):
        train(model(), plan(tmp_path, seed=4))
    (tmp_path / CHECKPOINT).write_bytes(b"nothing")
    with pytest.raises(InputError, match="no checkpoint"):
        train(model(), plan(tmp_path))


def test_with_restart_an_unusable_checkpoint_is_discarded_and_the_result_says_why(tmp_path):
    fresh = train(model(), plan(seed=4)).last
    first = train(model(), plan(tmp_path))
    assert first.discarded == ""
    again = train(model(), plan(tmp_path, seed=4, restart=True))
    assert "other settings, other data or another seed" in again.discarded
    assert all(torch.equal(again.last[key], weight) for key, weight in fresh.items())
    # Now the folder is that of the second training, which goes on and still knows why.
    assert train(model(), plan(tmp_path, seed=4)).discarded == again.discarded
    (tmp_path / CHECKPOINT).write_bytes(b"nothing")
    assert "is no checkpoint" in train(model(), plan(tmp_path, restart=True)).discarded


def test_a_fingerprint_tells_trainings_apart(tmp_path):
    train(model(), plan(tmp_path, fingerprint="labels of Monday"))
    with pytest.raises(InputError, match="other settings, other data"):
        train(model(), plan(tmp_path, fingerprint="labels of Tuesday"))


def test_nothing_to_learn_from_is_said():
    with pytest.raises(OptionError, match="nothing to learn"):
        train(model(), Plan([], TRAINING, 0, None))


def test_seeds_matter_and_repeat():
    runs = [train(model(), plan(seed=seed)).last for seed in (1, 1, 2)]
    assert all(torch.equal(runs[0][k], runs[1][k]) for k in runs[0])
    assert any(not torch.equal(runs[0][k], runs[2][k]) for k in runs[0])


def test_half_precision_is_fabrics():
    fabric = Fabric(accelerator="cpu", devices=1, precision="bf16-mixed")
    result = train(model(), plan(operation=None), fabric)
    assert all(w.dtype == torch.float32 for w in result.last.values() if w.is_floating_point())


def test_alternating_moves_only_its_part():
    from mien.training.strategies import build_strategy

    learner = model("vavl", width=8, heads=2, layers=1, shared_layers=1, hidden=(8, 8))
    fabric = Fabric(accelerator="cpu", devices=1)
    strategy = build_strategy(
        TRAINING.model_copy(update={"strategy": "alternating"}), learner, fabric
    )
    parts = learner.parts()
    assert set(strategy.optimizers) == {*SIZES, "shared", "audio_visual"}
    from mien.training import collate
    from mien.training.strategies import LossModule

    signals, target = collate(examples(4))
    before = {name: [w.clone() for w in weights] for name, weights in parts.items()}
    from mien.signals import Signals

    only_audio = Signals({"audio": signals["audio"]})
    strategy.update(LossModule(learner), only_audio, target)

    def moves(name):
        return any(not torch.equal(a, b) for a, b in zip(before[name], parts[name], strict=True))

    moved = {name: moves(name) for name in parts}
    assert moved == {"audio": True, "video": False, "shared": True, "audio_visual": False}
    strategy.update(LossModule(learner), signals, target)
    assert moves("audio_visual")
    assert all(w.requires_grad for w in learner.parameters())


def test_alternating_needs_a_model_in_parts():
    training = TRAINING.model_copy(update={"strategy": "alternating"})
    with pytest.raises(OptionError, match="loss for each part"):
        train(model(), plan(training=training))
