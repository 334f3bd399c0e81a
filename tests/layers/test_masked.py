import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.layers.masked import MaskedBatchNorm, masked_mean

rows = st.integers(1, 9).flatmap(
    lambda time: st.lists(
        st.lists(st.booleans(), min_size=time, max_size=time), min_size=1, max_size=3
    )
)


@settings(max_examples=25, deadline=None)
@given(mask=rows, width=st.integers(1, 4))
def test_masked_mean(mask, width):
    valid = torch.tensor(mask)
    values = torch.where(valid.unsqueeze(-1), torch.randn(*valid.shape, width), torch.nan)
    found = masked_mean(values, valid)
    for item, row in enumerate(valid):
        expected = values[item][row].mean(0) if row.any() else torch.zeros(width)
        torch.testing.assert_close(found[item], expected)


@settings(max_examples=40, deadline=None)
@given(mask=rows, channels=st.integers(1, 5), seed=st.integers(0, 10_000))
def test_batch_norm_counts_observed_steps_only(mask, channels, seed):
    torch.manual_seed(seed)
    valid = torch.tensor(mask)
    mine, theirs = MaskedBatchNorm(channels), torch.nn.BatchNorm1d(channels)
    x = torch.randn(*valid.shape, channels)
    dirty = torch.where(valid.unsqueeze(-1), x, torch.nan).requires_grad_()
    found = mine(dirty.mT, valid).mT
    if valid.sum() > 1:
        torch.testing.assert_close(found[valid], theirs(x[valid]))
        torch.testing.assert_close(mine.running_mean, theirs.running_mean)
        torch.testing.assert_close(mine.running_var, theirs.running_var)
        found[valid].square().sum().backward()
        assert bool(mine.weight.grad.isfinite().all())
    else:
        torch.testing.assert_close(found[valid], x[valid] / (1 + mine.eps) ** 0.5)
        assert torch.equal(mine.running_mean, torch.zeros(channels))
        assert torch.equal(mine.running_var, torch.ones(channels))
    after = mine.eval()(x.mT, valid)
    torch.testing.assert_close(after, theirs.eval()(x.mT), atol=1e-5, rtol=1e-4)
