"""The speech encoder against a recomputation from the paper's sentences in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sound import read_sound

from mien import weights
from mien.errors import OptionError, WeightError
from mien.features.mel import whisper_log_mel
from mien.features.whisper import WhisperEncoder


@pytest.fixture(scope="module")
def pretrained():
    try:
        return WhisperEncoder.pretrained()
    except WeightError as error:
        pytest.skip(f"no weights: {error}")


def randomised():
    torch.manual_seed(0)
    encoder = WhisperEncoder()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.05)
    return encoder.eval()


def gelu(x):
    return x * 0.5 * (1 + torch.erf(x / 2**0.5))


def normalised(x, weight, bias):
    mean = x.mean(-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(-1, keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt() * weight + bias


def convolved(x, weight, bias, stride):
    """x: (time, inputs); zeros on both sides; kernel 3."""
    padded = torch.cat([torch.zeros(1, x.shape[1]), x, torch.zeros(1, x.shape[1])])
    rows = [
        torch.einsum("ki,oik->o", padded[t : t + 3], weight) + bias
        for t in range(0, len(x), stride)
    ]
    return torch.stack(rows)


def recomputed(p, log_mel, heads=6):
    x = gelu(convolved(log_mel, p["conv1.weight"], p["conv1.bias"], 1))
    x = gelu(convolved(x, p["conv2.weight"], p["conv2.bias"], 2))
    x = x + p["positional_embedding"][: len(x)]
    outputs = []
    for block in range(3):
        q = {k.removeprefix(f"blocks.{block}."): v for k, v in p.items()}
        y = normalised(x, q["attn_ln.weight"], q["attn_ln.bias"])
        query = y @ q["attn.query.weight"].T + q["attn.query.bias"]
        key = y @ q["attn.key.weight"].T
        value = y @ q["attn.value.weight"].T + q["attn.value.bias"]
        mixed = []
        for h in range(heads):
            part = slice(64 * h, 64 * (h + 1))
            energy = query[:, part] @ key[:, part].T / 8
            share = torch.exp(energy - energy.max(-1, keepdim=True).values)
            mixed.append(share / share.sum(-1, keepdim=True) @ value[:, part])
        x = x + torch.cat(mixed, -1) @ q["attn.out.weight"].T + q["attn.out.bias"]
        y = normalised(x, q["mlp_ln.weight"], q["mlp_ln.bias"])
        y = gelu(y @ q["mlp.0.weight"].T + q["mlp.0.bias"])
        x = x + y @ q["mlp.2.weight"].T + q["mlp.2.bias"]
        outputs.append(x)
    return torch.cat(outputs, -1)


def check(encoder, log_mel, tolerance):
    torch.set_default_dtype(torch.float64)
    try:
        parameters = {name: p.double() for name, p in encoder.state_dict().items()}
        expected = recomputed(parameters, log_mel.double())
    finally:
        torch.set_default_dtype(torch.float32)
    with torch.inference_mode():
        ours = encoder(log_mel[None], blocks=(1, 2, 3))[0]
    assert ours.shape == expected.shape
    assert (ours.double() - expected).abs().max() < tolerance * expected.abs().max()


@pytest.mark.parametrize("frames", [2, 41, 120])
def test_random_encoder_equals_the_recomputation(frames):
    check(randomised(), torch.randn(frames, 80), 1e-5)


def test_pretrained_encoder_equals_the_recomputation(pretrained):
    check(pretrained, torch.rand(100, 80) * 2 - 1, 1e-5)


def test_chosen_blocks_come_in_the_order_asked_for():
    encoder = randomised()
    log_mel = torch.randn(2, 20, 80)
    with torch.inference_mode():
        every = encoder(log_mel, blocks=(1, 2, 3))
        swapped = encoder(log_mel, blocks=(3, 1))
        standard = encoder(log_mel)
    assert standard.shape == (2, 10, 768)
    torch.testing.assert_close(standard, every[..., 384:])
    torch.testing.assert_close(swapped, torch.cat([every[..., 768:], every[..., :384]], -1))


def test_batch_of_one_equals_batch_of_many():
    encoder = randomised()
    log_mel = torch.randn(3, 30, 80)
    with torch.inference_mode():
        many = encoder(log_mel)
        one = encoder(log_mel[1:2])
    torch.testing.assert_close(many[1:2], one, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("blocks", [(), (0,), (4,), (2, 5)])
def test_blocks_that_are_not_there(blocks):
    with pytest.raises(OptionError, match="choose from 1 to 3"):
        randomised()(torch.zeros(1, 4, 80), blocks=blocks)


def test_no_more_than_thirty_seconds():
    with pytest.raises(ValueError, match="at most 3000 frames"):
        WhisperEncoder()(torch.zeros(1, 3002, 80), blocks=(1,))


def test_positions_are_the_sinusoids_of_the_paper(pretrained):
    table = weights.load("whisper_tiny_en")["positional_embedding"].float().numpy()
    rates = 10_000.0 ** (-np.arange(192) / 191)
    angles = np.arange(1500)[:, None] * rates
    expected = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    assert np.abs(table - expected).max() < 2e-3
    assert all(not parameter.requires_grad for parameter in pretrained.parameters())


def test_steady_features_are_without_the_drift():
    encoder = randomised()
    log_mel = torch.randn(1, 60, 80)
    with torch.inference_mode():
        drift = encoder.drift_over_time[:30] @ encoder.drift_over_features
        assert (drift == 0).all()
        encoder.drift_over_time.normal_()
        encoder.drift_over_features.normal_()
        drift = encoder.drift_over_time[:30] @ encoder.drift_over_features
        expected = encoder(log_mel, blocks=(3, 1)) - torch.cat([drift[:, 768:], drift[:, :384]], 1)
        torch.testing.assert_close(encoder.encode_steadily(log_mel, blocks=(3, 1)), expected)


def test_the_same_speech_means_the_same_early_and_late(pretrained, data_folder):
    """A sentence alone and after 6 s of others: steady features are nearer to each other."""
    paths = sorted((data_folder / "ravdess_audio").rglob("*.ogg"))[3::200]
    sentence, *others = (read_sound(path) for path in paths)
    sentence = sentence[:48_000]
    late = np.concatenate([*others, sentence])[-9 * 16_000 :]
    apart = {}
    with torch.inference_mode():
        for way in (pretrained, pretrained.encode_steadily):
            alone, inside = (
                way(torch.from_numpy(whisper_log_mel(sound))[None])[0, -150:].mean(dim=0)
                for sound in (sentence, late)
            )
            apart[way] = (alone - inside).norm()
    assert apart[pretrained.encode_steadily] < 0.6 * apart[pretrained]
