"""Small layers, by property: any shape, any rate, any mask."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

import mien.layers
from mien.layers.dropout import attention, dropout
from mien.layers.losses import absolute_error, concordance, cross_entropy, squared_error
from mien.layers.output_block import OutputBlock

shapes = st.lists(st.integers(1, 7), min_size=1, max_size=3)


@settings(max_examples=40, deadline=None)
@given(shape=shapes, rate=st.floats(0, 1), seed=st.integers(0, 999))
def test_dropout_keeps_what_it_keeps_in_one_scale(shape, rate, seed):
    torch.manual_seed(seed)
    values = torch.rand(shape) + 1
    found = dropout(values, rate, True)
    assert found.shape == values.shape
    kept = found != 0
    cut = round(rate * 65536) / 65536
    torch.testing.assert_close(found[kept] * (1 - cut), values[kept])
    assert dropout(values, rate, False) is values


@settings(max_examples=30, deadline=None)
@given(
    batch=st.integers(1, 3),
    queries=st.integers(1, 5),
    keys=st.integers(1, 6),
    size=st.integers(1, 4),
)
def test_attention_without_dropout_is_torchs(batch, queries, keys, size):
    q, k, v = (torch.randn(batch, n, size) for n in (queries, keys, keys))
    bias = torch.randn(batch, queries, keys)
    expected = F.scaled_dot_product_attention(q, k, v, bias)
    torch.testing.assert_close(attention(q, k, v, bias=bias), expected)
    nearly = attention(q, k, v, bias=bias, rate=1e-6)  # rounds to none, the other way of computing
    torch.testing.assert_close(nearly, expected, atol=1e-5, rtol=1e-4)


@settings(max_examples=30, deadline=None)
@given(shape=shapes, rate=st.floats(0, 0.9), seed=st.integers(0, 999))
def test_the_output_block_adds_to_what_it_is_given(shape, rate, seed):
    torch.manual_seed(seed)
    block, h = OutputBlock(shape[-1], rate), torch.randn(shape)
    found = block.eval()(h)
    hidden = (h @ block.first.weight.T + block.first.bias).clamp(min=0)
    torch.testing.assert_close(found - h, hidden @ block.second.weight.T + block.second.bias)
    torch.nn.init.zeros_(block.second.weight)
    torch.testing.assert_close(block.train()(h), h + block.second.bias)


masks = st.integers(1, 8).flatmap(
    lambda time: st.lists(
        st.lists(st.booleans(), min_size=time, max_size=time), min_size=1, max_size=4
    )
)


@settings(max_examples=40, deadline=None)
@given(mask=masks, names=st.integers(1, 3), seed=st.integers(0, 999))
@pytest.mark.parametrize("loss", [squared_error, absolute_error, concordance])
def test_what_does_not_count_changes_no_loss_of_numbers(loss, mask, names, seed):
    torch.manual_seed(seed)
    where = torch.tensor(mask)
    target = torch.randn(*where.shape, names)
    scores = torch.randn(*where.shape, names, requires_grad=True)
    value = loss(scores, target, where)
    hidden = torch.where(where.unsqueeze(-1), target, torch.nan)
    torch.testing.assert_close(loss(scores, hidden, None), value)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(scores.grad).all()
    assert not scores.grad[~where].any()


@settings(max_examples=40, deadline=None)
@given(mask=masks, names=st.integers(2, 4), seed=st.integers(0, 999))
def test_what_does_not_count_changes_no_cross_entropy(mask, names, seed):
    torch.manual_seed(seed)
    where = torch.tensor(mask)
    scores = torch.randn(*where.shape, names, requires_grad=True)
    target = torch.randint(names, where.shape)
    value = cross_entropy(scores, target, where)
    if where.any():
        torch.testing.assert_close(value, F.cross_entropy(scores[where], target[where]))
    value.backward()
    assert torch.isfinite(scores.grad).all()
    assert not scores.grad[~where].any()


def test_layers_know_no_model():
    for file in Path(mien.layers.__path__[0]).glob("*.py"):
        assert "mien.models" not in re.sub(r"`[^`]*`", "", file.read_text()), file.name
