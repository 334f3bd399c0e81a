import pytest
import torch
from torch.nn import functional as F

from mien.layers.dropout import Dropout, attention, dropout


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5, 0.9])
def test_a_share_is_zeroed_and_the_mean_stays(rate):
    torch.manual_seed(0)
    kept = dropout(torch.ones(301, 331), rate, True)
    assert float((kept == 0).float().mean()) == pytest.approx(rate, abs=0.005)
    assert len(kept.unique()) == 2
    assert float(kept.mean()) == pytest.approx(1.0, abs=0.02)
    # No value decides about its neighbours.
    gone = (kept == 0).float()
    together = (gone[:, 1:] * gone[:, :-1]).mean()
    assert float(together) == pytest.approx(rate**2, abs=0.01)


def test_the_gradient_passes_where_the_value_did():
    torch.manual_seed(0)
    values = torch.randn(7, 5, requires_grad=True)
    kept = dropout(values, 0.5, True)
    kept.sum().backward()
    torch.testing.assert_close(values.grad * values.detach(), kept.detach())


def test_the_same_seed_drops_the_same():
    values = torch.randn(33, 3)
    torch.manual_seed(4)
    first = dropout(values, 0.3, True)
    second = dropout(values, 0.3, True)
    torch.manual_seed(4)
    assert torch.equal(first, dropout(values, 0.3, True))
    assert not torch.equal(first, second)


@pytest.mark.parametrize(("rate", "training"), [(0.0, True), (0.5, False)])
def test_nothing_is_dropped_without_training_or_rate(rate, training):
    values = torch.randn(4, 3)
    assert torch.equal(dropout(values, rate, training), values)
    assert torch.equal(Dropout(rate).train(training)(values), values)


def test_everything_can_be_dropped_and_nothing_be_given():
    assert not dropout(torch.ones(4, 3), 1.0, True).any()
    assert dropout(torch.ones(0, 3), 0.5, True).shape == (0, 3)


def test_attention_without_dropout_is_torch_s_and_with_it_so_on_average():
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 4, 5, 6).unbind(0)
    bias = torch.randn(5, 5)
    expected = F.scaled_dot_product_attention(q, k, v, bias, scale=0.3)
    assert torch.equal(attention(q, k, v, bias=bias, scale=0.3), expected)
    drawn = [attention(q, k, v, bias=bias, rate=0.2, scale=0.3) for _ in range(400)]
    found = torch.stack(drawn).mean(dim=0)
    assert float((found - expected).abs().mean()) < 0.03
