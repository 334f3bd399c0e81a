"""What mien's speed is measured against gives the same scores and losses, from the same weights."""

import pytest
import torch
from benchmarks import pairs
from benchmarks.plain.sfav import Sfav, fourfold
from benchmarks.sides import observed
from torch import nn

from mien.models import from_official

pytestmark = pytest.mark.slow

COMPARED = {
    f"{pair.name}, {pair.what}": pair
    for pair in pairs.PAIRS
    if "dropout" not in pair.what and "crops" not in pair.what
}


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", COMPARED)
def test_scores_and_losses_are_the_same(name):
    sides = COMPARED[name].make(2)
    with torch.no_grad():
        for side in sides:
            side.module.eval()
        scores = [side.scores() for side in sides]
        losses = [side.loss() for side in sides]
    torch.testing.assert_close(scores[0], scores[1], atol=1e-4, rtol=0)
    torch.testing.assert_close(losses[0], losses[1], atol=1e-4, rtol=0)
    assert float(scores[0].std()) > 1e-2
    assert float((scores[0][0] - scores[0][1]).abs().max()) > 1e-2  # the input tells, not the bias


@pytest.mark.parametrize("fusion", ["lt", "it", "ia"])
def test_sfav_from_crops_gives_the_same_scores(fusion):
    plain = Sfav(fusion)
    for module in plain.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d):  # or hardly anything reaches the scores
            nn.init.kaiming_normal_(module.weight)
    audio, crops = torch.randn(2, 10, 156), torch.rand(2, 2, 3, 224, 224)
    crops[1] *= 0.3
    with torch.no_grad():
        for _ in range(3):
            plain(audio, crops)  # statistics of batch normalisation other than none
        plain.eval()
        model = from_official(f"sfav_{fusion}", plain.state_dict(), num_heads=1)
        given = {"audio": audio.transpose(1, 2), "video": crops}
        found, expected = model(observed(given)).scores, plain(audio, crops)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    assert float((expected[0] - expected[1]).abs().max()) > 1e-2


def test_the_fourfold_batch_is_full_attenuated_and_without_either():
    audio, crops, share = torch.rand(2, 3, 4), torch.rand(2, 2, 3, 5, 5), torch.tensor([0.25, 1.0])
    heard, seen = (part.chunk(4) for part in fourfold(audio, crops, share))
    assert torch.equal(heard[0], audio)
    assert torch.equal(heard[3], audio)
    assert not heard[2].any()
    assert torch.equal(seen[2], crops)
    assert not seen[3].any()
    torch.testing.assert_close(heard[1][0], audio[0] * 0.25)
    torch.testing.assert_close(seen[1][0], crops[0] * 0.75)


def test_the_step_with_modality_dropout_looks_at_each_picture_once(monkeypatch):
    counted = []
    for on_features, pictures in ((False, 2 * 15 * 2), (True, 15 * 2)):
        mine, _ = pairs.sfav_dropout(2, on_features=on_features)
        backbone = mine.module.backbone
        describe = backbone.describe
        monkeypatch.setattr(
            backbone, "describe", lambda x, d=describe: counted.append(len(x)) or d(x)
        )
        mine.loss().backward()
        assert counted == [pictures]
        counted.clear()
        gradient = backbone.stem[0].weight.grad
        assert bool(gradient.abs().sum() > 0)
