"""VAVL and its unimodal baseline: the contract, the paper's counts, heads, ablations and loss."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from contract.contract import check_contract
from mien.errors import OptionError
from mien.layers.concordance import ccc_loss
from mien.models import Prediction, Task
from mien.models._branches import find_nearest_valid
from mien.models.vavl import UnimodalConformer, Vavl
from mien.signals import Sequence, Signals

SIZES = {"audio": 4, "video": 3}
ENCODER = {"width": 8, "heads": 2, "kernel_size": 3, "projected": 5, "hidden": (7, 6), "layers": 1}
SMALL = ENCODER | {"shared_layers": 1}
SIX = Task.emotions(("neutral", "happiness", "sadness", "anger", "fear", "disgust"))
PAPER = {"audio": 1024, "video": 1408}


def signals(audio=10, video=5, batch=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Signals(
        {
            name: Sequence(
                torch.randn(batch, steps, SIZES[name], generator=generator),
                torch.ones(batch, steps, dtype=torch.bool),
                1.0 / steps,
            )
            for name, steps in (("audio", audio), ("video", video))
        }
    )


def without(whole, name, items):
    valid = whole[name].valid.clone()
    valid[items] = False
    return Signals({**whole, name: replace(whole[name], valid=valid)})


def model(task=SIX, seed=0, kind=Vavl, **options):
    torch.manual_seed(seed)
    return kind(task, SIZES, **(SMALL if kind is Vavl else ENCODER) | options)


def count(build, *arguments, **options):
    with torch.device("meta"):
        return sum(p.numel() for p in build(*arguments, **options).parameters())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"residual": False},
        {"reconstruction": False},
        {"audio_visual_layer": False},
    ],
    ids=str,
)
def test_contract_of_vavl(options):
    tasks = {"tasks": ("categories, clip", "dimensions, frame")} if options else {}
    check_contract("vavl", **SMALL, **tasks, **options)


def test_contract_of_the_unimodal_conformer():
    check_contract("unimodal_conformer", **ENCODER)


def test_parameters_at_the_sizes_of_the_paper():
    released_paths, never_called = 60_979_602, 3 * 2_364_928
    assert count(Vavl, SIX, PAPER, projection_kernel=1) == released_paths - never_called
    assert count(Vavl, SIX, PAPER) == 53_884_818 + 4 * 50 * (1024 + 1408) == 54_371_218
    five_layers = count(UnimodalConformer, SIX, {"audio": 1024})
    assert five_layers == 5 * 6_323_200 + 26_112 + 5 * 50 * 1024 + 395_526


def test_parts_hold_every_parameter_once():
    whole = model()
    found = [id(p) for part in whole.parts().values() for p in part]
    assert len(found) == len(set(found)) == len(list(whole.parameters()))


def test_each_item_gets_the_head_of_what_it_has():
    whole, net = signals(), model().eval()
    mixed = without(without(whole, "audio", [1]), "video", [2])
    with torch.no_grad():
        found = net(mixed)
        z = found.embeddings
        joint = net.joint(torch.cat([z["audio"], z["video"]], dim=-1))
        torch.testing.assert_close(found.scores[[0, 3]], joint[[0, 3]])
        torch.testing.assert_close(found.scores[1], net.heads["video"](z["video"][1]))
        torch.testing.assert_close(found.scores[2], net.heads["audio"](z["audio"][2]))


def test_the_equations():
    whole, net = signals(), model().eval()
    with torch.no_grad():
        x = whole["audio"].values
        valid = whole["audio"].valid
        own = net.encoders["audio"](x, valid)
        z = net.shared_norm(net.shared(own, valid) + own).mean(1)
        found = net(whole)
        torch.testing.assert_close(found.embeddings["audio"], z)
        torch.testing.assert_close(found.pooled["audio"], x.mean(1))
        torch.testing.assert_close(found.reconstructed["audio"], net.reconstructions["audio"](z))
        plain = model(residual=False).eval()
        z = plain.shared_norm(plain.shared(plain.encoders["audio"](x, valid), valid)).mean(1)
        torch.testing.assert_close(plain(whole).embeddings["audio"], z)


def test_ablations_of_reconstruction_and_of_the_audio_visual_layer():
    whole = signals()
    bare = model(reconstruction=False, audio_visual_layer=False).eval()
    with torch.no_grad():
        found = bare(whole)
    expected = (found.by_modality["audio"] + found.by_modality["video"]) / 2
    torch.testing.assert_close(found.scores, expected)
    assert not found.reconstructed
    assert set(bare.loss_terms(found, torch.zeros(4, dtype=torch.long))) == {"audio", "video"}


@pytest.mark.parametrize(("task", "alpha"), [(SIX, 2.0), (Task("dimensions", ("arousal",)), 1.0)])
def test_loss_is_equation_1_over_those_who_have_what_it_needs(task, alpha):
    mixed = without(without(signals(batch=6), "audio", [1, 4]), "video", [2])
    net = model(task).eval()
    target = torch.randint(0, 6, (6,)) if task is SIX else torch.rand(6, 1)
    per_task = F.cross_entropy if task is SIX else partial(ccc_loss, dim=0)
    with torch.no_grad():
        found = net(mixed)
        terms = net.loss_terms(found, target)
        have = {"audio": [0, 2, 3, 5], "video": [0, 1, 3, 4, 5]}
        for name, items in have.items():
            error = F.mse_loss(found.reconstructed[name][items], found.pooled[name][items])
            own = per_task(found.by_modality[name][items], target[items])
            torch.testing.assert_close(terms[name], own + alpha * error)
        both = [0, 3, 5]
        joint = per_task(found.scores[both], target[both])
        torch.testing.assert_close(terms["audio_visual"], joint)
        torch.testing.assert_close(net.loss(found, target), torch.stack([*terms.values()]).sum())


def test_each_term_moves_its_own_weights_only():
    net, whole = model().train(), signals()
    target = torch.tensor([0, 1, 2, 3])
    moved = {
        "audio": {"audio", "shared"},
        "video": {"video", "shared"},
        "audio_visual": {"audio_visual"},
    }
    for term, parts in moved.items():
        net.zero_grad()
        net.loss_terms(net(whole), target)[term].backward()
        found = {
            name
            for name, part in net.parts().items()
            if any(p.grad is not None and bool(p.grad.any()) for p in part)
        }
        assert found == parts, term


@pytest.mark.parametrize("kind", [Vavl, UnimodalConformer])
@pytest.mark.parametrize("per", ["clip", "frame"])
def test_unpaired_batches_train(kind, per):
    """Half the batch has only a voice, half only a face; the next batch has no voice at all."""
    net = model(Task.emotions(("anger", "fear"), per), kind=kind, dropout=0.0, head_dropout=0.0)
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
    unpaired = without(without(signals(batch=8), "audio", slice(4, 8)), "video", slice(0, 4))
    faces = Signals({"video": signals(batch=8, seed=1)["video"]})
    target = torch.arange(8) % 2
    losses = []
    for _ in range(15):
        for batch in (unpaired, faces):
            prediction = net(batch)
            time = prediction.scores.shape[1:-1]
            wanted = target.reshape(8, *[1] * len(time)).expand(8, *time)
            loss = net.loss(prediction, wanted)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(float(loss.detach()))
    assert np.isfinite(losses).all()
    assert losses[-2] < 0.7 * losses[0]
    assert losses[-1] < 0.7 * losses[1]


def test_frames_are_answered_by_what_was_observed_there():
    task = Task("dimensions", ("arousal", "valence"), per="frame")
    whole, net = signals(audio=10, video=5, batch=1), model(task).eval()
    sound, face = whole["audio"].valid.clone(), whole["video"].valid.clone()
    sound[0, 4] = False  # face alone
    face[0, 0] = False  # sound alone, at steps 0 and 1
    sound[0, 8:], face[0, 4] = False, False  # nothing at all
    holes = Signals(
        {
            "audio": replace(whole["audio"], valid=sound),
            "video": replace(whole["video"], valid=face),
        }
    )
    with torch.no_grad():
        found = net(holes)
    own = found.by_modality
    torch.testing.assert_close(found.scores[0, :2], own["audio"][0, :2])
    torch.testing.assert_close(found.scores[0, 4], own["video"][0, 4])
    torch.testing.assert_close(found.scores[0, 8:], found.scores[0, 7:8].expand(2, -1))
    assert found.observed["video"][0].tolist() == [False] * 2 + [True] * 6 + [False] * 2
    target = torch.zeros(1, 10, 2)
    other = target.clone()
    other[0, 8:] = 5.0  # nobody observed anything there
    assert net.loss(found, other) == net.loss(found, target)


def test_separate_networks_of_the_unimodal_baseline():
    net, whole = model(kind=UnimodalConformer).eval(), signals()
    with torch.no_grad():
        both = net(whole)
        alone = {name: net(Signals({name: whole[name]})).scores for name in SIZES}
    torch.testing.assert_close(both.scores, (alone["audio"] + alone["video"]) / 2)
    for name, scores in alone.items():
        torch.testing.assert_close(both.by_modality[name], scores)


def test_errors_say_what_is_wrong():
    with pytest.raises(OptionError, match="needs a modality"):
        Vavl(SIX, {}, **SMALL)
    other = Signals({"audio": Sequence(torch.zeros(1, 3, 9), torch.ones(1, 3).bool(), 0.1)})
    with pytest.raises(OptionError, match="audio has 9 features"):
        model()(other)
    for kind in (Vavl, UnimodalConformer):
        with pytest.raises(OptionError, match="no prediction of"):
            model(kind=kind).loss(Prediction(torch.zeros(1, 6)), torch.zeros(1).long())


@settings(max_examples=40, deadline=None)
@given(row=st.lists(st.booleans(), min_size=1, max_size=12).filter(any))
def test_nearest_valid(row):
    places = [i for i, here in enumerate(row) if here]
    expected = [min(places, key=lambda place: (abs(place - i), place)) for i in range(len(row))]
    assert find_nearest_valid(torch.tensor([row])).tolist() == [expected]


def test_the_loss_is_the_population_concordance():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 20, 2))
    y = 0.5 * x + 0.5 * y + 0.3
    found = ccc_loss(torch.tensor(x), torch.tensor(y), dim=0)
    ccc = [
        2 * np.cov(a, b, bias=True)[0, 1] / (a.var() + b.var() + (a.mean() - b.mean()) ** 2)
        for a, b in zip(x.T, y.T, strict=True)
    ]
    assert float(found) == pytest.approx(1 - np.mean(ccc), abs=1e-7)
