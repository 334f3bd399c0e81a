import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.contract import TASKS, check_contract
from mien.errors import OptionError
from mien.layers.concordance import ccc_loss
from mien.models import Prediction, create_model
from mien.models.feature_fusion import encode
from mien.signals import Sequence, Signals

SIZES = {"audio": 3, "video": 4}
SMALL = {"concat": {}, "lstm_fusion": {"width": 6}, "self_attention": {"width": 6}}
NAMES = tuple(SMALL)


def model(name, task="categories, clip", modalities=SIZES, **options):
    torch.manual_seed(0)
    options = {"hidden": 8, **SMALL[name], **options}
    return create_model(name, task=TASKS[task], modalities=modalities, **options).eval()


def signals(batch=2, steps=5, hops=(0.1, 0.1), sizes=SIZES):
    torch.manual_seed(1)
    return Signals(
        {
            name: Sequence(
                torch.randn(batch, steps, size), torch.ones(batch, steps, dtype=torch.bool), hop
            )
            for (name, size), hop in zip(sizes.items(), hops, strict=True)
        }
    )


@pytest.mark.parametrize("name", NAMES)
def test_contract(name):
    check_contract(name, hidden=8, **SMALL[name])


def test_contract_of_maximum_pooling():
    check_contract("concat", hidden=8, pooling="max", tasks=("dimensions, clip",))


def test_concatenation_is_video_then_audio():
    given_signals = signals()
    fused = model("concat")(given_signals).embeddings["fused"]
    expected = torch.cat([given_signals["video"].values, given_signals["audio"].values], dim=-1)
    assert torch.equal(fused, expected)


def test_a_clip_is_the_mean_of_its_observed_frames_before_the_fully_connected_layers():
    both = signals()
    clip = model("concat")
    both["audio"].valid[0, 3:] = False
    both["video"].valid[0, 3:] = False
    fused = torch.cat([both["video"].values, both["audio"].values], dim=-1)
    expected = clip.head(fused[:1, :3].mean(dim=1))
    torch.testing.assert_close(clip(both).scores[:1], expected)


def test_self_attention_is_softmax_of_scaled_products():
    attention, both = model("self_attention"), signals()
    joined = torch.cat([both["video"].values, both["audio"].values], dim=-1)
    query, key, value = attention.projection(joined).chunk(3, dim=-1)
    weights = (query @ key.mT / 6**0.5).softmax(dim=-1)
    torch.testing.assert_close(attention(both).embeddings["fused"], weights @ value)


def test_lstm_runs_forward_only():
    lstm, both = model("lstm_fusion", "dimensions, frame"), signals()
    before = lstm(both).scores
    both["audio"].values[:, 3] += 1.0
    after = lstm(both).scores
    assert torch.equal(before[:, :3], after[:, :3])
    assert not torch.equal(before[:, 3:], after[:, 3:])


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_the_modalities_does_not_matter(name):
    one, other = model(name), model(name, modalities=dict(reversed(SIZES.items())))
    torch.testing.assert_close(one(signals()).scores, other(signals()).scores)


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    steps=st.integers(1, 9),
    audio=st.integers(1, 5),
    video=st.integers(1, 5),
    ratio=st.sampled_from((1, 2, 3)),
    seed=st.integers(0, 99),
)
def test_lengths_widths_and_masks(name, steps, audio, video, ratio, seed):
    sizes = {"audio": audio, "video": video}
    frame = model(name, "dimensions, frame", sizes)
    whole = signals(3, steps, (0.1, 0.1 * ratio), sizes)
    generator = torch.Generator().manual_seed(seed)
    masked = Signals(
        {
            key: Sequence(s.values, torch.rand(3, steps, generator=generator) < 0.6, s.hop)
            for key, s in whole.items()
        }
    )
    for sequence in masked.values():
        sequence.valid[:, 0] |= True
        sequence.values[~sequence.valid] = torch.nan
    scores = frame(masked).scores
    assert scores.shape == (3, steps * ratio, 2)
    assert scores.isfinite().all()


def test_the_loss_takes_all_frames_of_a_batch_and_leaves_unknown_targets_out():
    one = model(NAMES[0], "dimensions, frame")
    scores, target = torch.randn(2, 5, 2), torch.randn(2, 5, 2)
    expected = ccc_loss(scores.flatten(0, 1)[:7], target.flatten(0, 1)[:7], dim=0)
    target[1, 2:] = torch.nan
    torch.testing.assert_close(one.loss(Prediction(scores), target), expected)


def test_losses_by_task():
    scores = torch.randn(4, 2)
    dimensions, categories = model("concat", "dimensions, clip"), model("concat")
    target = torch.randn(4, 2)
    assert dimensions.loss(Prediction(scores), target) == ccc_loss(scores, target, dim=0)
    classes = torch.tensor([0, 1, 1, 0])
    expected = torch.nn.functional.cross_entropy(scores, classes)
    assert categories.loss(Prediction(scores), classes) == expected


def test_encoders_never_see_what_was_not_observed():
    seen = []

    class Encoder(torch.nn.Module):
        def forward(self, values):
            seen.append(values)
            return values.flatten(1).sum(dim=1, keepdim=True)

    values = torch.randn(2, 3, 4, 4)
    valid = torch.tensor([[True, False, True], [False, True, False]])
    values[~valid] = torch.nan
    got = encode(Encoder(), Sequence(values, valid, 0.64), 1)
    assert len(seen[0]) == 3
    expected = torch.where(valid, values.sum(dim=(2, 3)), 0.0).unsqueeze(-1)
    torch.testing.assert_close(got.values, expected)
    nothing = encode(Encoder(), Sequence(values, torch.zeros_like(valid), 0.64), 1)
    assert len(seen) == 1
    assert not nothing.values.any()


def test_an_encoder_trains_along():
    sizes = {"audio": 1024, "video": 4}
    both = model("concat", modalities=sizes, encoders={"audio": "spectrogram_cnn"}, dropout=0.0)
    valid = torch.tensor([[True, False], [True, True]])
    inputs = Signals(
        {
            "audio": Sequence(torch.randn(2, 2, 32, 91), valid, 0.64),
            "video": Sequence(torch.randn(2, 2, 4), torch.ones_like(valid), 0.64),
        }
    )
    prediction = both.train()(inputs)
    both.loss(prediction, torch.tensor([0, 1])).backward()
    lost = [name for name, p in both.named_parameters() if p.grad is None]
    assert not lost


@pytest.mark.parametrize(
    "options",
    [
        {"pooling": "last"},
        {"modalities": {}},
        {"modalities": {"audio": 3, "video": 4, "text": 5}},
        {"encoders": {"audio": "vgg"}},
        {"encoders": {"text": "i3d"}},
        {"encoders": {"audio": "spectrogram_cnn"}},
    ],
)
def test_options_that_make_no_sense(options):
    with pytest.raises(OptionError):
        model("concat", **options)


def test_features_of_another_size_are_refused():
    with pytest.raises(OptionError, match="audio has 3 features"):
        model("concat", modalities={"audio": 5, "video": 4})(signals())
