from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from contract.contract import check_contract
from mien.errors import NothingPresent, OptionError
from mien.layers.concordance import ccc_loss
from mien.models import Prediction, Task, predict_in_windows
from mien.models.ammtd import AMMTD
from mien.models.mmte import MMTEWithAMMTD, MMTEWithFC, MMTEWithLSTM
from mien.models.mmte_encoder import MMTE
from mien.signals import Sequence, Signals

FRAME = Task("dimensions", ("arousal",), "frame")
SMALL = {
    "width": 8,
    "hidden": 12,
    "tcn_layers": 2,
    "tcn_kernel": 3,
    "positions": 60,
    "mask_length": 15,
}


def size(module):
    return sum(p.numel() for p in module.parameters())


def test_contract_with_more_of_everything():
    check_contract(
        "mmte_ammtd",
        decoder_layers=2,
        decoder_heads=2,
        truncate=7,
        tcn_causal=False,
        look_ahead=3,
        tasks=("dimensions, frame",),
        **SMALL,
    )


@pytest.mark.parametrize("name", ["mmte_ammtd", "mmte_fc"])
def test_contract_of_sequences_longer_than_the_positions(name):
    options = {**SMALL, "positions": 16, "overlap": 7}
    check_contract(name, tasks=("categories, clip",), **options)


def test_parameters():
    modalities = {"audio": 88, "video": 20, "physiology": 3}
    model = MMTEWithAMMTD(FRAME, modalities)
    encoder = model.encoder
    assert [size(tcn) for tcn in encoder.tcns.values()] == [463424, 419904, 409024]
    assert size(encoder.layers) == 99968
    assert size(encoder.kinds) == 192
    assert encoder.positions.numel() == model.decoder.positions.numel() == 16000
    assert size(model.decoder.layers) == 66752
    assert model.decoder.start.numel() == 64
    assert size(model.regression) == 2113
    assert size(model) == 1493441
    assert size(MMTEWithFC(FRAME, modalities).regression) == 6209
    lstm = MMTEWithLSTM(FRAME, modalities)
    assert (size(lstm.lstm), size(lstm.output)) == (54272, 33)


# ---------------------------------------------------------------- the decoder


def heads_of(linear, values, heads, part, parts):
    weight, bias = (p.chunk(parts)[part] for p in (linear.weight, linear.bias))
    return F.linear(values, weight, bias).unflatten(-1, (heads, -1))


def plain(decoder, representations, valid, cut=None):
    """One step after the other as the paper has it, by automatic differentiation."""
    last, outputs, pasts = decoder.start.expand(len(valid), -1), [], [[] for _ in decoder.layers]
    for time in range(valid.shape[1]):
        if cut and time and time % cut == 0:
            last = last.detach()
            pasts = [[(k.detach(), v.detach()) for k, v in past] for past in pasts]
        hidden, there = last + decoder.positions[time], valid[:, time]
        for layer, past in zip(decoder.layers, pasts, strict=True):
            n = layer.heads
            query, key, value = (heads_of(layer.past_in, hidden, n, i, 3) for i in range(3))
            past.append((key, value))
            keys, values = (torch.stack(part, dim=2) for part in zip(*past, strict=True))
            hidden = layer.norm_past(hidden + layer.past_out(answer(query, keys, values)))
            query = heads_of(layer.cross_in, hidden, n, 0, 3)
            now = representations[:, time]
            keys, values = (heads_of(layer.cross_in, now, n, i, 3).transpose(1, 2) for i in (1, 2))
            found = layer.cross_out(answer(query, keys, values, there))
            hidden = layer.norm_cross(hidden + found * there.any(dim=1, keepdim=True))
            hidden = layer.norm_feed(hidden + layer.feed_out(F.gelu(layer.feed_in(hidden))))
        outputs.append(hidden)
        last = hidden
    return torch.stack(outputs, dim=1)


def answer(query, keys, values, there=None):
    scores = (query.unsqueeze(2) * keys).sum(dim=-1) / math.sqrt(query.shape[-1])
    if there is not None:
        scores = scores.masked_fill(~there.unsqueeze(1), -1e30)
    return (scores.softmax(dim=-1).unsqueeze(-1) * values).sum(dim=2).flatten(1)


@settings(max_examples=12, deadline=None)
@given(
    st.integers(1, 3),
    st.sampled_from([1, 2, 4]),
    st.integers(1, 3),
    st.integers(1, 8),
    st.sampled_from([None, 1, 3, 8]),
    st.integers(0, 999),
)
def test_decoder_and_its_gradient(layers, heads, modalities, time, cut, seed):
    torch.manual_seed(seed)
    decoder = AMMTD(8, layers=layers, heads=heads, hidden=6, positions=8, truncate=cut).double()
    decoder.eval()
    given_ = torch.randn(3, time, modalities, 8, dtype=torch.float64, requires_grad=True)
    valid = torch.rand(3, time, modalities) > 0.4
    wanted = [given_, *decoder.parameters()]
    weight = torch.randn(3, time, 8, dtype=torch.float64)
    mine, attention = decoder(given_, valid)
    theirs = plain(decoder, given_, valid, cut)
    assert torch.allclose(mine, theirs, atol=1e-12)
    found = torch.autograd.grad((mine * weight).sum(), wanted)
    expected = torch.autograd.grad(
        (theirs * weight).sum(), wanted, allow_unused=True, materialize_grads=True
    )
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, atol=1e-10)
    assert torch.allclose(attention.sum(dim=-1), valid.any(dim=-1).double())
    state = decoder.begin(3)
    steps = [decoder.advance(state, given_[:, t], valid[:, t]) for t in range(time)]
    assert torch.allclose(torch.stack(steps, dim=1), mine, atol=1e-12)


def test_gradient_with_dropout():
    decoder = AMMTD(4, layers=2, heads=2, hidden=4, positions=4, dropout=0.4).double().train()
    valid = torch.ones(2, 4, 2, dtype=torch.bool)
    given_ = torch.randn(2, 4, 2, 4, dtype=torch.float64, requires_grad=True)

    def run(representations):
        torch.manual_seed(1)
        return decoder(representations, valid)[0]

    assert torch.autograd.gradcheck(run, (given_,))
    torch.manual_seed(2)
    assert not torch.allclose(decoder(given_, valid)[0], run(given_))


def test_a_step_depends_on_the_past_and_not_on_the_future():
    decoder = AMMTD(8, hidden=6, positions=9).double().eval()
    given_ = torch.randn(1, 9, 2, 8, dtype=torch.float64, requires_grad=True)
    output, _ = decoder(given_, torch.ones(1, 9, 2, dtype=torch.bool))
    (gradient,) = torch.autograd.grad(output[:, 4].sum() ** 2 + output[:, 4, 0].sum(), given_)
    reached = gradient[0].abs().amax(dim=(1, 2)) > 0
    assert reached.tolist() == [True] * 5 + [False] * 4


def test_mixed_precision():
    model = MMTEWithAMMTD(FRAME, {"audio": 4, "video": 4}, **SMALL).eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        prediction = model(signals())
        loss = model.loss(prediction, torch.randn(2, 20, 1))
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert torch.allclose(prediction.scores.float(), model(signals()).scores, atol=0.05)


def test_more_steps_than_positions():
    with pytest.raises(OptionError, match="learned positions"):
        AMMTD(8, positions=3)(torch.zeros(1, 4, 2, 8), torch.ones(1, 4, 2, dtype=torch.bool))


# ---------------------------------------------------------------- the encoder


def signals(batch=2, time=20, names=("audio", "video"), features=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    valid = torch.ones(batch, time, dtype=torch.bool)
    return Signals(
        {n: Sequence(torch.randn(batch, time, features, generator=generator), valid, 0.5)
         for n in names}
    )  # fmt: skip


def encoder(**options):
    torch.manual_seed(3)
    return MMTE({"audio": 4, "video": 4}, **{**SMALL, **options}).eval()


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 6), st.integers(0, 6) | st.none(), st.booleans())
def test_who_sees_whom(back, ahead, other):
    """With one layer and a TCN of one step, the mask is all that carries over time."""
    module = encoder(layers=1, mask_length=back, look_ahead=ahead, tcn_layers=1, tcn_kernel=1)
    given_ = signals(batch=1).to("cpu")
    source = given_["video" if other else "audio"].values.requires_grad_()
    encoded = module(given_).values[0, 10, 0]
    (gradient,) = torch.autograd.grad((encoded * torch.randn(8)).sum(), source)
    reached = gradient[0].abs().amax(dim=1).nonzero().flatten().tolist()
    assert reached == list(range(10 - back, 10 + (back if ahead is None else ahead) + 1))


def test_a_missing_modality_is_left_out():
    model = MMTEWithAMMTD(FRAME, {"audio": 4, "video": 4}, **SMALL).eval()
    whole = signals()
    valid = whole["video"].valid.clone()
    valid[1] = False
    mixed = Signals({"audio": whole["audio"], "video": replace(whole["video"], valid=valid)})
    found = model(mixed)
    complete, alone = model(whole), model(Signals({"audio": whole["audio"]}))
    assert torch.allclose(found.scores[0], complete.scores[0], atol=1e-6)
    assert torch.allclose(found.scores[1], alone.scores[1], atol=1e-6)
    assert not found.attention["modalities"][1, :, 1].any()
    assert torch.allclose(alone.attention["modalities"][..., 0], torch.ones(2, 20))
    assert (complete.attention["modalities"] > 0).all()


def test_the_order_of_the_signals_does_not_matter():
    model = MMTEWithFC(FRAME, {"audio": 4, "video": 4}, **SMALL).eval()
    whole = signals()
    turned = Signals(dict(reversed(list(whole.items()))))
    assert torch.equal(model(whole).scores, model(turned).scores)


def test_long_sequences_go_through_windows():
    model = MMTEWithAMMTD(FRAME, {"audio": 4}, **{**SMALL, "positions": 8}, overlap=5).eval()
    whole = signals(names=("audio",))
    expected = predict_in_windows(model, whole, 8, 5).scores
    assert torch.allclose(model(whole).scores, expected, atol=1e-6)
    clips = MMTEWithAMMTD(replace(FRAME, per="clip"), {"audio": 4}, **{**SMALL, "positions": 8})
    clips.load_state_dict(model.state_dict())
    clips.overlap = 5
    assert torch.allclose(clips.eval()(whole).scores, expected.mean(dim=1), atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [{"heads": 3}, {"positions": 0}, {"look_ahead": -1}, {"overlap": 60}, {"truncate": -1}],
)
def test_options_that_make_no_sense(options):
    with pytest.raises(OptionError):
        MMTEWithAMMTD(FRAME, {"audio": 4}, **{**SMALL, **options})


def test_loss_is_the_concordance_of_each_segment_or_of_the_batch_of_clips():
    scores, target = torch.randn(3, 20, 1), torch.randn(3, 20, 1)
    frames = MMTEWithFC(FRAME, {"audio": 4}, **SMALL)
    torch.testing.assert_close(
        frames.loss(Prediction(scores), target), ccc_loss(scores, target, dim=1)
    )
    clips = MMTEWithFC(replace(FRAME, per="clip"), {"audio": 4}, **SMALL)
    per_clip, wanted = scores[:, 0], target[:, 0]
    torch.testing.assert_close(
        clips.loss(Prediction(per_clip), wanted), ccc_loss(per_clip, wanted, dim=0)
    )


# ---------------------------------------------------------------- step by step


def pushed(model, whole, **options):
    batch, time = whole["audio"].valid.shape
    stream = model.stream(batch, **options)
    answers = []
    for step in range(time):
        values = {name: s.values[:, step] for name, s in whole.items()}
        valid = {name: s.valid[:, step] for name, s in whole.items()}
        gone = [name for name in values if not valid[name].any()]
        answer = stream.push({n: v for n, v in values.items() if n not in gone}, valid)
        assert (answer is None) == (step < stream.delay)
        answers += [] if answer is None else [answer]
    answers += stream.finish()
    assert [answer.step for answer in answers] == list(range(time))
    return torch.stack([answer.scores for answer in answers], dim=1)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 4) | st.none(), st.integers(1, 24), st.integers(1, 2), st.integers(0, 999))
def test_stream_equals_the_whole_sequence(ahead, time, layers, seed):
    options = {**SMALL, "look_ahead": ahead, "mask_length": 6, "layers": layers}
    model = MMTEWithAMMTD(FRAME, {"audio": 4, "video": 4}, decoder_layers=layers, **options).eval()
    whole = signals(time=time, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    holes = {n: torch.rand(2, time, generator=generator) > 0.3 for n in whole}
    holes["audio"][:, 0] = True
    whole = Signals({n: replace(s, valid=holes[n]) for n, s in whole.items()})
    assert torch.allclose(pushed(model, whole), model(whole).scores, atol=1e-5)


def streaming(**options):
    torch.manual_seed(5)
    options = {**SMALL, "positions": 16, "look_ahead": 1, **options}
    return MMTEWithAMMTD(FRAME, {"audio": 4, "video": 4}, **options).eval()


@pytest.mark.parametrize("time", [1, 8, 9, 15, 16])
def test_stream_is_the_model_as_far_as_its_positions_go(time):
    model, whole = streaming(), signals(time=time)
    expected = model(whole).scores
    assert torch.allclose(pushed(model, whole), expected, rtol=0, atol=1e-6)
    assert torch.allclose(model.predict_as_stream(whole).scores, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("stride", [None, 1, 5, 8, 16])
def test_stream_of_any_length_is_the_model_over_its_windows(stride):
    model, whole = streaming(), signals(time=40)
    valid = whole["audio"].valid.clone()
    valid[0, 3:7] = False
    valid[1, 15:33] = False  # longer than a window: nothing at all in one of them
    valid[1, 39] = False
    whole = Signals({name: replace(s, valid=valid) for name, s in whole.items()})
    found, expected = (
        pushed(model, whole, stride=stride),
        model.predict_as_stream(whole, stride=stride),
    )
    assert torch.allclose(found, expected.scores, rtol=0, atol=1e-6)
    assert found.isfinite().all()


def test_windows_of_a_stream_may_be_trained_and_must_cover():
    model = streaming()
    model.predict_as_stream(signals(time=40), stride=8).scores.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    with pytest.raises(OptionError, match="every 17"):
        model.predict_as_stream(signals(), stride=17)
    with pytest.raises(NothingPresent):
        model.predict_as_stream(Signals({name: s.hide() for name, s in signals().items()}))


def test_a_stream_ends_once():
    model, step = streaming(), {"audio": torch.zeros(1, 4)}
    stream = model.stream()
    stream.push(step)
    assert len(stream.finish()) == 1
    with pytest.raises(OptionError, match="ended"):
        stream.push(step)
    with pytest.raises(OptionError, match="ended"):
        stream.finish()


@pytest.mark.parametrize(
    ("values", "valid", "words"),
    [
        ({"audio": torch.zeros(3, 4)}, {}, "step of audio"),
        ({"audio": torch.zeros(2, 5)}, {}, "step of audio"),
        ({"audio": torch.zeros(2, 4)}, {"audio": torch.ones(1, dtype=torch.bool)}, "valid of"),
    ],
)
def test_a_step_of_another_size_changes_nothing(values, valid, words):
    model, whole = streaming(), signals(time=3)
    stream = model.stream(2)
    with pytest.raises(OptionError, match=words):
        stream.push(values, valid)
    for step in range(3):
        stream.push({name: s.values[:, step] for name, s in whole.items()})
    assert len(stream.finish()) + 3 - stream.delay == 3


def test_no_stream_while_training():
    model = streaming().train()
    with pytest.raises(OptionError, match="eval"):
        model.stream()
    stream = model.eval().stream()
    model.train()
    with pytest.raises(OptionError, match="eval"):
        stream.push({"audio": torch.zeros(1, 4)})


def test_a_stream_of_nothing_at_all():
    stream = streaming().stream(2)
    for _ in range(5):
        stream.push({})
    with pytest.raises(NothingPresent, match=r"streams \[0, 1\]"):
        stream.finish()
    stream.push({"audio": torch.zeros(2, 4)}, {"audio": torch.tensor([True, False])})
    with pytest.raises(NothingPresent, match=r"streams \[1\]"):
        stream.finish()
    stream.push({"video": torch.zeros(2, 4)})
    assert stream.finish()[-1].step == 6


def test_what_a_stream_cannot_do():
    model = MMTEWithAMMTD(FRAME, {"audio": 4}, **SMALL).eval()
    with pytest.raises(NothingPresent):
        model.stream().finish()
    with pytest.raises(OptionError, match="no modality text"):
        model.stream().push({"text": torch.zeros(1, 4)})
    with pytest.raises(OptionError, match="windows"):
        model.stream(stride=61)
    with pytest.raises(OptionError, match="step by step"):
        MMTEWithAMMTD(FRAME, {"audio": 4}, tcn_causal=False, **SMALL).eval().stream()
