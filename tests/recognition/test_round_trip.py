"""Trained, saved, loaded in a new process: the timeline is what the model said when it was trained.

All models are analysed by one process. Here they are given what `mien.extract` gives, cut by hand.
"""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from analyze_models import HOPS, list_withheld
from tiny_models import LEVELS, MOODS, quick_extractors, train_tiny

import mien
from contract.test_models import OPTIONS
from mien.features.extractor import create_extractor
from mien.models import MODELS, Task
from mien.signals import Signals

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("encoders")]

NAMES = [n for n in MODELS if MODELS[n].model.__module__.startswith("mien.models.")]
FRAMES = ("mmte", "cross_attention")  # those meant for answers per frame
OF_LEVELS = {"mater", "vavl", "mult", "tlstm", "mmte_lstm", "cross_attention"}
CROPS = {
    "audio": create_extractor("mfcc", hop=0.1),
    "video": create_extractor("face_crops", size_px=48),
}


def task_of(name):
    task = LEVELS if name in OF_LEVELS else MOODS
    return replace(task, per="frame") if name.startswith(FRAMES) else task


def tiny(name):
    """A model of each kind, and two that look at pixels."""
    if name == "pixels":
        return train_tiny("linear_probe", MOODS, CROPS)
    if name == "backbone":
        options = {**OPTIONS["sfav_ia"], "backbone": "face_encoder"}
        return train_tiny(
            "sfav_ia", MOODS, CROPS, options=options, sizes={"audio": 10, "video": 256}
        )
    task = task_of(name)
    window = 30 if name.startswith("mmte") else None  # of their options there are 60 positions
    changes = {"options": OPTIONS.get(name, {}), "frame_window": window, "temperature": 1.3}
    return train_tiny(name, task, **changes)


def run(*arguments, fails=False):
    paths = os.pathsep.join([*filter(None, sys.path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
    )
    assert bool(done.returncode) == fails, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def models():
    return {name: tiny(name) for name in (*NAMES, "pixels", "backbone")}


@pytest.fixture(scope="module")
def columns(models, java_clip, tmp_path_factory):
    """By model, the columns of all timelines, from another process."""
    folder = tmp_path_factory.mktemp("models")
    for name, model in models.items():
        model.save(folder / f"{name}.safetensors")
    script = Path(__file__).with_name("analyze_models.py")
    run(script, java_clip, folder, *(folder / f"{name}.safetensors" for name in models))
    return {name: dict(np.load(folder / f"{name}.npz")) for name in models}


@pytest.fixture(scope="module")
def extracted(java_clip):
    """Signals of the clip by specs of extractors and what is withheld; extracted once."""
    known = {}

    def extract(specs, withheld):
        key = (repr(specs), frozenset(withheld))
        if key not in known:
            known[key] = mien.extract(java_clip, specs, without=withheld)
        return known[key]

    return extract


def cut(signals, row, observed):
    """The 3 s around a step of half a second; unobserved where the step has nothing of it."""
    middle, cut = (row + 0.5) * HOPS["clip"], {}
    for name, sequence in signals.items():
        count = round(3.0 / sequence.hop)
        first = round(middle / sequence.hop - count / 2)
        index = torch.arange(first, first + count)
        inside = (index >= 0) & (index < sequence.valid.shape[1])
        index = index.clamp(0, sequence.valid.shape[1] - 1)
        valid = sequence.valid[:, index] & inside & bool(observed[name][row])
        inside = inside.view(-1, *[1] * (sequence.values.ndim - 2))
        cut[name] = replace(
            sequence, values=torch.where(inside, sequence.values[:, index], 0), valid=valid
        )
    return Signals(cut)


def batch(windows):
    return Signals(
        {
            name: replace(
                sequence,
                values=torch.cat([one[name].values for one in windows]),
                valid=torch.cat([one[name].valid for one in windows]),
            )
            for name, sequence in windows[0].items()
        }
    )


def say(model, signals):
    prediction = model.predict(signals)
    known = prediction.probabilities() if model.task.kind == "categories" else prediction.scores
    return known.double().numpy()


def expect(model, signals, observed, rows):
    """What the model says of each row of a timeline; NaN where nothing was observed."""
    anything = np.any([observed[name] for name in signals], axis=0)
    if model.task.per == "clip":
        used = np.flatnonzero(anything)
        said = np.full((rows, len(model.task.names)), np.nan)
        said[used] = say(model, batch([cut(signals, row, observed) for row in used]))
        return said
    frames = say(model, signals)[0]
    ratio = min(sequence.hop for sequence in signals.values()) / HOPS["frame"]
    index = np.floor((np.arange(rows) + 0.5) / ratio + 1e-9).astype(int)
    said = frames[index.clip(max=len(frames) - 1)]
    said[~anything] = np.nan
    return said


@pytest.mark.parametrize("name", [*NAMES, "pixels", "backbone"])
def test_a_timeline_is_what_the_model_said(name, models, columns, extracted):
    model = models[name]
    for withheld in list_withheld(tuple(model.model.modalities)):
        told = "+".join(sorted(withheld))
        observed = {m: columns[name][f"{told}/{m}"] for m in ("audio", "video")}
        assert all(observed[m].any() == (m not in withheld) for m in observed)
        signals = extracted(model.extractors, withheld)
        rows = len(observed["audio"])
        expected = expect(model, signals, observed, rows)
        prefix = "p_" if model.task.kind == "categories" else ""
        for place, label in enumerate(model.task.names):
            found = columns[name][f"{told}/{prefix}{label}"]
            np.testing.assert_array_equal(found, expected[:, place], err_msg=f"without {told}")
        assert np.isfinite(expected).any()


def test_every_model_is_there():
    assert len(NAMES) == 22
    assert set(quick_extractors()) == {"audio", "video"}
    assert isinstance(task_of("mmte_fc"), Task)


MODEL_PLUGIN = """
import torch
import mien


@mien.register_model("loudest", paper="none", missing="nothing")
class Loudest(mien.Model):
    def __init__(self, task, modalities, *, width: int = 4):
        super().__init__(task, modalities)
        self.inner = torch.nn.Linear(modalities["audio"], width)
        self.outer = torch.nn.Linear(width, len(task.names))

    def forward(self, signals):
        self.require_anything(signals)
        audio = signals["audio"]
        values = torch.where(audio.valid.unsqueeze(-1), audio.values, -9.0).amax(dim=1)
        return mien.Prediction(self.outer(self.inner(values).tanh()))
"""
EXTRACTOR_PLUGIN = """
import numpy as np
import mien


@mien.register_extractor("loudness")
class Loudness(mien.SoundExtractor):
    hop: float = 0.1
    gain: float = 1.0
    shape = (2,)

    def extract(self, samples):
        frames = samples[: len(samples) // 1600 * 1600].reshape(-1, 1600) * self.gain
        return np.stack([frames.std(axis=1), np.abs(frames).max(axis=1)], axis=1)
"""
TRAIN = """
import sys
import mien
from tiny_models import MOODS, train_tiny
from mien.features.extractor import create_extractor

folder, clip = sys.argv[1:]
mien.load_plugin(f"{folder}/loudest.py")
mien.load_plugin(f"{folder}/loudness.py")
audio = create_extractor("loudness", gain=2.0)
model = train_tiny("loudest", MOODS, {"audio": audio}, options={"width": 5})
model.save(f"{folder}/mine.safetensors")
mien.analyze(clip, model=model).save(f"{folder}/expected.parquet")
"""


def test_a_model_and_an_extractor_of_plugins_go_the_whole_road(java_clip, tmp_path):
    model, extractor = tmp_path / "loudest.py", tmp_path / "loudness.py"
    model.write_text(MODEL_PLUGIN)
    extractor.write_text(EXTRACTOR_PLUGIN)
    run("-c", TRAIN, tmp_path, java_clip)
    trained = tmp_path / "mine.safetensors"

    def analyze(*plugins, fails=False):
        options = [part for plugin in plugins for part in ("--plugin", plugin)]
        wanted = ("--model", trained, "--format", "parquet", "--out", tmp_path / "out")
        return run("-m", "mien", "analyze", java_clip, *wanted, *options, fails=fails)

    assert f"needs the plugin {model}" in analyze(fails=True)
    said = analyze(model, fails=True)
    assert "needs the extractor 'loudness'; load the plugin loudness.py" in said
    analyze(model, extractor)
    (made,) = (tmp_path / "out").glob("*.parquet")
    found, expected = mien.read(made).frame, mien.read(tmp_path / "expected.parquet").frame
    assert found.equals(expected)
    assert found["p_glad"].notna().any()
    extractor.write_text(EXTRACTOR_PLUGIN.replace("1600", "800"))
    said = analyze(model, extractor, fails=True)
    assert "another version of the extractor loudness" in said
