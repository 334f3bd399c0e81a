import numpy as np
import pytest
import torch
from tools.linear_probe import heads
from tools.linear_probe.evaluate import measures
from tools.linear_probe.heads import Rows, fit_head, fit_probe, held_out

from mien.signals import Sequence, Signals

EMOTIONS = ("neutral", "anger", "fear")


def rows(
    seed: int = 0, people: int = 4, each: int = 12, width: int = 6, noise: float = 0.5
) -> Rows:
    """Clips whose emotion can be read from their first numbers."""
    draw = np.random.default_rng(seed)
    label = np.tile(np.arange(2), people * each // 2)
    values = draw.normal(0, noise, (people * each, width)).astype(np.float32)
    values[np.arange(len(label)), label] += 2
    return Rows(
        values=values,
        label=label,
        person=np.repeat([f"p{i}" for i in range(people)], each),
        weight=np.ones(len(label)),
        judged=np.ones(len(label), dtype=bool),
        clip=np.arange(len(label)),
    )


def test_a_head_learns_what_separates_the_emotions():
    known = rows()
    said = fit_head(known, 1.0, 3).logits(known.values).argmax(axis=1)
    assert (said == known.label).mean() > 0.9


def test_an_emotion_without_examples_gets_no_chance():
    logits = fit_head(rows(), 1.0, 3).logits(rows(seed=1).values)
    assert (logits[:, 2] < logits[:, :2].max(axis=1) - 5).all()


def test_a_person_is_never_scored_by_a_head_that_saw_them(monkeypatch):
    seen = []
    inner = heads.fit_head

    def spy(training, *arguments):
        seen.append(set(training.person))
        return inner(training, *arguments)

    monkeypatch.setattr(heads, "fit_head", spy)
    scored = [set(clip // 12) for clip, _, _ in held_out(rows(), 1.0, 3)]
    for people, who in zip(seen, scored, strict=True):
        assert len(who) == 1
        assert f"p{who.pop()}" not in people


def test_a_probe_trusts_the_modality_that_tells_more():
    good, bad = rows(), rows(seed=1, noise=20.0)
    probe = fit_probe({"audio": [good], "video": [bad]}, EMOTIONS)
    weights = dict(zip(probe.modalities, probe.trust.tolist(), strict=True))
    scale = {m: probe.heads[m].linear.weight.abs().sum().item() for m in probe.modalities}
    assert weights["audio"] * scale["audio"] > 5 * weights["video"] * scale["video"]


def test_a_fitted_probe_is_a_model_of_the_package():
    probe = fit_probe({"audio": [rows()]}, EMOTIONS)
    signals = Signals(
        {"audio": Sequence(torch.randn(2, 5, 3), torch.ones(2, 5, dtype=torch.bool), 0.1)}
    )
    assert probe(signals).scores.shape == (2, 3)


def test_measures_of_a_known_case():
    said = np.array([[0.8, 0.2], [0.6, 0.4], [0.3, 0.7], [0.9, 0.1]])
    got = measures(said, np.array([0, 0, 1, 1]))
    assert got["accuracy"] == 0.75
    assert got["unweighted_average_recall"] == 0.75
    assert got["log_loss"] == pytest.approx(-np.log([0.8, 0.6, 0.7, 0.1]).mean())
    assert got["confidence"] == pytest.approx(0.75)
