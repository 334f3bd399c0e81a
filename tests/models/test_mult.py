import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from contract.contract import Modality, check_contract
from golden.check import check_file
from golden.outputs import compute_outputs
from mien.errors import OptionError, WeightError
from mien.layers import crossmodal
from mien.layers.crossmodal import CrossmodalTransformer, Dropouts, Sight, attend, sinusoids
from mien.layers.steps import Steps, fill_with_zeros, resample_to_grid
from mien.models import Task, from_official
from mien.models.mult import MulT
from mien.signals import Sequence, Signals

ONE = Task("dimensions", ("sentiment",))
SMALL = {"width": 8, "heads": 2, "layers": 2}


def count(model) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("file", ["mult_crossmodal", "mult_av"])
def test_golden(golden_folder, file):
    rows = check_file(golden_folder / f"{file}.safetensors")
    assert rows
    assert [row for row in rows if not row.good] == []


# ---------------------------------------------------------------- an independent recomputation


def official_transformer(width: int, layers: int) -> dict[str, torch.Tensor]:
    def some(*shape):
        return torch.randn(*shape) * 0.3

    state = {"layer_norm.weight": 1 + some(width), "layer_norm.bias": some(width)}
    for n in range(layers):
        state |= {
            f"layers.{n}.self_attn.in_proj_weight": some(3 * width, width),
            f"layers.{n}.self_attn.in_proj_bias": some(3 * width),
            f"layers.{n}.self_attn.out_proj.weight": some(width, width),
            f"layers.{n}.self_attn.out_proj.bias": some(width),
            f"layers.{n}.fc1.weight": some(4 * width, width),
            f"layers.{n}.fc1.bias": some(4 * width),
            f"layers.{n}.fc2.weight": some(width, 4 * width),
            f"layers.{n}.fc2.bias": some(width),
        }
        for m in (0, 1):
            state[f"layers.{n}.layer_norms.{m}.weight"] = 1 + some(width)
            state[f"layers.{n}.layer_norms.{m}.bias"] = some(width)
    return state


def part(state, prefix):
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def embedded(x, scaled_positions=True):
    """One sequence ``(time, width)``; a step whose first channel is zero has no position."""
    time, width = x.shape
    half = width // 2
    out = x * math.sqrt(width)
    for t in range(time if scaled_positions else 0):
        if x[t, 0] != 0:
            w = torch.tensor([math.exp(-i * math.log(1e4) / (half - 1)) for i in range(half)])
            out[t] = out[t] + torch.cat([torch.sin((t + 1) * w), torch.cos((t + 1) * w)])
    return out


def reference(state, heads, query, key=None):
    """The official transformer over one item, by loops, without a batch or a mask tensor."""

    def norm(x, name):
        return F.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"])

    x, memory = embedded(query), None if key is None else embedded(key)
    width = x.shape[-1]
    for n in range(len([k for k in state if k.endswith("fc1.bias")])):
        at = f"layers.{n}"
        m = x if memory is None else memory
        weight, bias = (
            state[f"{at}.self_attn.in_proj_weight"],
            state[f"{at}.self_attn.in_proj_bias"],
        )
        asks = norm(x, f"{at}.layer_norms.0") @ weight[:width].T + bias[:width]
        k, v = (norm(m, f"{at}.layer_norms.0") @ weight[width:].T + bias[width:]).chunk(2, -1)
        rows = []
        for i in range(len(x)):
            seen = min(len(m), i + abs(len(m) - len(x)) + 1)
            row = []
            for h in range(heads):
                own = slice(h * width // heads, (h + 1) * width // heads)
                scores = k[:seen, own] @ asks[i, own] / math.sqrt(width / heads)
                row.append(scores.softmax(0) @ v[:seen, own])
            rows.append(torch.cat(row))
        x = x + F.linear(
            torch.stack(rows),
            state[f"{at}.self_attn.out_proj.weight"],
            state[f"{at}.self_attn.out_proj.bias"],
        )
        inner = F.linear(
            norm(x, f"{at}.layer_norms.1"), state[f"{at}.fc1.weight"], state[f"{at}.fc1.bias"]
        )
        x = x + F.linear(inner.relu(), state[f"{at}.fc2.weight"], state[f"{at}.fc2.bias"])
    return norm(x, "layer_norm")


def official_mult(width=6, layers=2, sizes=(("l", 7), ("a", 5), ("v", 4)), outputs=3):
    state = {f"proj_{m}.weight": torch.randn(width, size, 1) for m, size in sizes}
    letters = [m for m, _ in sizes]
    inner = width * (len(letters) - 1)
    for m in letters:
        for other in letters:
            if m != other:
                found = official_transformer(width, layers)
                state |= {f"trans_{m}_with_{other}.{k}": v for k, v in found.items()}
        found = official_transformer(inner, max(layers, 3))
        state |= {f"trans_{m}_mem.{k}": v for k, v in found.items()}
        state[f"trans_{m}_mem.version"] = torch.tensor([2.0])
        state[f"trans_{m}_mem.embed_positions._float_tensor"] = torch.zeros(1)
    whole = inner * len(letters)
    for name, rows in (("proj1", whole), ("proj2", whole), ("out_layer", outputs)):
        state[f"{name}.weight"] = torch.randn(rows, whole) * 0.2
        state[f"{name}.bias"] = torch.randn(rows) * 0.2
    return state


def reference_mult(state, heads, inputs):
    x = {m: v @ state[f"proj_{m}.weight"].squeeze(-1).T for m, v in inputs.items()}
    last = []
    for m, own in x.items():
        others = [
            reference(part(state, f"trans_{m}_with_{o}."), heads, own, x[o]) for o in x if o != m
        ]
        last.append(reference(part(state, f"trans_{m}_mem."), heads, torch.cat(others, -1))[-1])
    h = torch.cat(last)

    def dense(v, n):
        return F.linear(v, state[f"{n}.weight"], state[f"{n}.bias"])

    return dense(dense(dense(h, "proj1").relu(), "proj2") + h, "out_layer")


@pytest.mark.parametrize("sizes", [(("l", 7), ("a", 5), ("v", 4)), (("a", 5), ("v", 4))])
@pytest.mark.parametrize(("width", "heads", "layers"), [(6, 3, 2), (8, 1, 4)])
def test_official_checkpoints_of_two_and_three_modalities(sizes, width, heads, layers):
    torch.manual_seed(0)
    state = official_mult(width, layers, sizes)
    model = from_official("mult", state, num_heads=heads)
    names = {"l": "text", "a": "audio", "v": "video"}
    steps = {"l": 4, "a": 9, "v": 6}
    inputs = {m: torch.randn(2, steps[m], size) for m, size in sizes}
    inputs["a"][1, -2:] = 0
    with torch.no_grad():
        got = compute_outputs("mult", model, {names[m]: v for m, v in inputs.items()})["prediction"]
    for item in range(2):
        expected = reference_mult(state, heads, {m: v[item] for m, v in inputs.items()})
        torch.testing.assert_close(got[item], expected, atol=2e-5, rtol=2e-5)


def test_a_checkpoint_with_something_else_in_it_is_refused():
    state = official_mult()
    for key in ("trans_l_mem.layers.0.gate", "stranger.weight", "trans_x_mem.layer_norm.bias"):
        with pytest.raises(WeightError, match="no checkpoint of mult"):
            from_official("mult", state | {key: torch.zeros(1)}, num_heads=2)


# ---------------------------------------------------------------- the layer


@st.composite
def batches(draw):
    """Two batches of steps with lengths and holes of their own, and a transformer."""
    torch.manual_seed(draw(st.integers(0, 999)))
    heads = draw(st.integers(1, 3))
    width = heads * draw(st.integers(1, 3)) * 2
    batch = draw(st.integers(1, 3))

    def steps():
        time = draw(st.integers(1, 7))
        valid = torch.rand(batch, time) < draw(st.sampled_from([0.4, 0.9, 1.1]))
        valid[:, draw(st.integers(0, time - 1))] = True
        values = torch.where(valid[..., None], torch.randn(batch, time, width), 0.0)
        return Steps(values, valid, valid, torch.ones(batch, dtype=torch.float64))

    layers, causal, blend = draw(st.integers(0, 2)), draw(st.booleans()), draw(st.booleans())
    model = CrossmodalTransformer(width, heads, layers, causal=causal, blend=blend)
    return model.eval(), steps(), steps() if draw(st.booleans()) else None


def one(steps, item, time):
    return Steps(
        *(x[item : item + 1, :time] for x in (steps.values, steps.valid, steps.positioned)),
        steps.hop[item : item + 1],
    )


@settings(max_examples=60, deadline=None)
@given(batches())
def test_each_item_is_as_it_would_be_alone_and_without_its_padding(case):
    model, query, memory = case
    with torch.no_grad():
        got, last = model(query, memory), model(query, memory, last=True)
        assert got.shape == query.values.shape
        assert bool(got.isfinite().all())
        for item in range(len(got)):
            asked = int(query.length[item])
            answers = None if memory is None else one(memory, item, int(memory.length[item]))
            alone = model(one(query, item, asked), answers)
            torch.testing.assert_close(got[item, :asked], alone[0], atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(last[item, 0], alone[0, -1], atol=1e-5, rtol=1e-5)


@settings(max_examples=40, deadline=None)
@given(batches(), st.integers(1, 3))
def test_attention_in_runs_of_queries_is_the_same(case, run):
    model, query, memory = case
    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        expected = model(query, memory)
        patch.setattr(crossmodal, "RUN", run)
        torch.testing.assert_close(model(query, memory), expected, atol=1e-5, rtol=1e-5)


def test_dropout_of_causal_attention_is_of_its_weights_alone():
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 2, 300, 4)
    seen = Sight(None, triangular=True, reach=0)
    plain = attend(q, k, v, seen)
    torch.testing.assert_close(attend(q, k, v, seen, rate=1e-9), plain, atol=1e-5, rtol=1e-5)
    mean = torch.stack([attend(q, k, v, seen, rate=0.3) for _ in range(200)]).mean(0)
    assert float((mean - plain).abs().mean()) < 0.03


def test_a_step_that_sees_nothing_gets_nothing_but_the_bias():
    torch.manual_seed(0)
    model = CrossmodalTransformer(4, 2, 1).eval()
    hop = torch.ones(1, dtype=torch.float64)
    valid = torch.tensor([[False, False, True]])
    everywhere = torch.ones_like(valid)
    query = Steps(torch.randn(1, 3, 4), everywhere, everywhere, hop)
    got = model(query, Steps(torch.zeros(1, 3, 4), valid, valid, hop))
    x = model.embed(query) + model.layers[0].attention.out.bias
    layer = model.layers[0]
    expected = model.norm(x + layer.narrow(layer.widen(layer.feedforward_norm(x)).relu()))
    torch.testing.assert_close(got[:, :2], expected[:, :2])


def test_later_steps_are_not_seen_unless_asked_for():
    torch.manual_seed(0)
    valid = torch.ones(1, 5, dtype=torch.bool)
    steps = Steps(torch.randn(1, 5, 4), valid, valid, torch.ones(1, dtype=torch.float64))
    changed = steps.of(torch.cat([steps.values[:, :3], torch.randn(1, 2, 4)], dim=1))
    for causal in (True, False):
        model = CrossmodalTransformer(4, 2, 2, causal=causal).eval()
        same = torch.allclose(model(steps)[:, :3], model(changed)[:, :3], atol=1e-6)
        assert same == causal


def test_positions_of_an_odd_width_end_in_a_zero():
    assert sinusoids(3, 5, torch.zeros(1)).shape == (3, 5)
    assert sinusoids(3, 5, torch.zeros(1))[:, -1].tolist() == [0, 0, 0]


def test_heads_must_divide_the_width_and_dropouts_be_known():
    with pytest.raises(OptionError, match="divide"):
        MulT(ONE, {"audio": 3}, width=30, heads=4)
    with pytest.raises(OptionError, match="embeding"):
        MulT(ONE, {"audio": 3}, dropouts={"embeding": 0.1})
    with pytest.raises(OptionError, match="kernel"):
        MulT(ONE, {"audio": 3}, kernel=2)
    assert Dropouts.of({"relu": 0.5}) == Dropouts(relu=0.5)


# ---------------------------------------------------------------- zeros and grids


def some_signals(lost: tuple[tuple[str, int], ...] = ()) -> Signals:
    torch.manual_seed(1)
    sequences = {}
    for name, time, size, hop in (("audio", 8, 5, 0.1), ("video", 4, 4, 0.2)):
        valid = torch.ones(3, time, dtype=torch.bool)
        valid[1, time - time // 4 :] = False
        for modality, item in lost:
            if modality == name:
                valid[item] = False
        sequences[name] = Sequence(torch.randn(3, time, size), valid, hop)
    return Signals(sequences)


def test_zeros_last_as_long_as_what_the_item_has():
    steps = fill_with_zeros(some_signals((("video", 1), ("audio", 2))), {"audio": 5, "video": 4})
    assert steps["audio"].length.tolist() == [8, 6, 4]
    assert steps["video"].length.tolist() == [4, 6, 4]
    assert steps["video"].hop.tolist() == [0.2, 0.1, 0.2]
    assert not steps["video"].positioned[1].any()
    assert float(steps["video"].values[1].abs().max()) == 0


def test_a_missing_modality_is_what_zeros_are_to_the_released_code():
    torch.manual_seed(0)
    sizes = {"audio": 5, "video": 4}
    model = MulT(ONE, sizes, **SMALL, unposition_zeros=True).eval()
    signals = some_signals()
    whole = torch.ones(3, 8, dtype=torch.bool)
    audio = Sequence(signals["audio"].values, whole, 0.1)
    zeros = Sequence(torch.zeros(3, 8, 4), whole, 0.1)
    expected = model(Signals({"audio": audio, "video": zeros})).scores
    torch.testing.assert_close(model(Signals({"audio": audio})).scores, expected)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.sampled_from([0.1, 0.2, 0.04, 0.25]),
    st.sampled_from([0.1, 0.5]),
)
def test_a_grid_takes_the_step_under_its_middle(audio, video, audio_hop, video_hop):
    signals = Signals(
        {
            name: Sequence(
                torch.arange(time).float()[None, :, None],
                torch.ones(1, time, dtype=torch.bool),
                hop,
            )
            for name, time, hop in (("audio", audio, audio_hop), ("video", video, video_hop))
        }
    )
    steps = fill_with_zeros(signals, {"audio": 1, "video": 1})
    hidden = {name: part.values for name, part in steps.items()}
    hop = min(audio_hop, video_hop)
    for got, time, own in zip(
        resample_to_grid(hidden, steps, signals),
        (audio, video),
        (audio_hop, video_hop),
        strict=True,
    ):
        seconds = max(audio * audio_hop, video * video_hop)
        expected = [
            min(time - 1, math.floor((i + 0.5) * hop / own + 1e-6))
            for i in range(max(1, math.ceil(seconds / hop - 0.5 - 1e-6)))
        ]
        assert got.flatten().tolist() == expected


# ---------------------------------------------------------------- the model


def test_parameters_are_as_many_as_those_of_the_released_code():
    sizes = {"audio": 74, "video": 35}
    assert count(MulT(ONE, {"text": 300, **sizes})) == 1_073_731
    assert count(MulT(ONE, sizes)) == 234_691
    six = Task("dimensions", tuple("abcdef"))
    assert count(MulT(six, sizes)) == 234_996
    assert count(MulT(six, {"audio": 1024, "video": 1408}, width=50, heads=10)) == 755_806


def test_contract():
    check_contract("mult", **SMALL)


def test_contract_of_three_modalities_and_other_options():
    more = {"text": Modality((7,), 10, 0.4)}
    tasks = ("categories, clip", "dimensions, frame")
    options = {"kernel": 3, "causal": False, "output_block": False}
    check_contract(
        "mult",
        audio_steps=20,
        video_steps=8,
        audio_hop=0.2,
        video_hop=0.5,
        more=more,
        tasks=tasks,
        **SMALL,
        **options,
    )


def test_attention_to_sound_and_picture_is_not_dropped_out_but_that_to_text_is():
    model = MulT(ONE, {"text": 3, "audio": 3, "video": 3}, **SMALL)
    rates = {
        source: model.crossmodal[target][source].dropouts.attention
        for target, source in (("audio", "text"), ("text", "audio"), ("audio", "video"))
    }
    assert rates == {"text": 0.1, "audio": 0.0, "video": 0.0}
    assert model.memory["audio"].dropouts.attention == 0.1
