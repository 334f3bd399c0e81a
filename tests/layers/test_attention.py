"""Attention, blocks and convolutions of SFAV: what they do with masks, by property."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from mien.layers.attention import (
    CrossTransformer,
    MutualAttention,
    attend,
    similarities,
    split_heads,
)
from mien.models._sfav_branches import Convolution, Track

masks = st.integers(1, 9).flatmap(
    lambda time: st.lists(
        st.lists(st.booleans(), min_size=time, max_size=time), min_size=1, max_size=3
    )
)


@settings(max_examples=30, deadline=None)
@given(mask=masks, steps=st.integers(1, 6), heads=st.integers(1, 3), size=st.integers(1, 4))
def test_attention_is_that_of_the_valid_keys_alone(mask, steps, heads, size):
    valid = torch.tensor(mask)
    batch, time = valid.shape
    queries = torch.randn(batch, heads, steps, size, requires_grad=True)
    keys, values = torch.randn(2, batch, heads, time, size)
    found, weights = attend(queries, keys, values, valid), similarities(queries, keys, valid)
    assert found.shape == (batch, steps, heads * size)
    for item in range(batch):
        some = valid[item]
        k, v = keys[item][:, some], values[item][:, some]
        products = queries[item] @ k.transpose(1, 2) * size**-0.5
        expected = (products.softmax(dim=-1) @ v).transpose(0, 1).flatten(1)
        torch.testing.assert_close(found[item], expected)
        torch.testing.assert_close(weights[item][..., some], products.softmax(dim=-1))
        assert not bool(weights[item][..., ~some].any())
    (found.sum() + weights.sum()).backward()
    assert bool(queries.grad.isfinite().all())


@settings(max_examples=20, deadline=None)
@given(
    heads=st.integers(1, 3),
    chunk=st.integers(1, 4),
    other=st.integers(1, 5),
    time=st.integers(1, 7),
)
def test_blocks_do_not_see_invalid_keys(heads, chunk, other, time):
    width = heads * chunk
    block, weigh = CrossTransformer(width, other, heads=heads), MutualAttention(width, other)
    queries, keys = torch.randn(2, 4, width), torch.randn(2, time + 3, other)
    valid = torch.arange(time + 3).expand(2, -1) < time
    asking = torch.ones(2, 4, dtype=torch.bool)
    found, weights = block(queries, keys, valid), weigh(queries, asking, keys, valid)
    short = valid[:, :time]
    torch.testing.assert_close(found, block(queries, keys[:, :time], short))
    expected = weigh(queries, asking, keys[:, :time], short)
    torch.testing.assert_close(weights, F.pad(expected, (0, 3)))
    assert split_heads(queries, heads).shape == (2, heads, 4, chunk)


@settings(max_examples=30, deadline=None)
@given(
    width=st.integers(1, 4),
    out=st.integers(1, 4),
    time=st.integers(4, 12),
    padding=st.integers(0, 5),
    pools=st.booleans(),
)
def test_a_convolution_cannot_tell_padding_from_the_end(width, out, time, padding, pools):
    layer = Convolution(width, out, pools=pools).eval()
    values = torch.randn(2, time, width)
    every = torch.ones(2, time, dtype=torch.bool)
    plain = layer(Track.of(values, every))
    padded = layer(Track.of(F.pad(values, (0, 0, 0, padding)), F.pad(every, (0, padding))))
    maps = layer.convolution(values.transpose(1, 2))
    expected = layer.normalise(maps, torch.ones(2, maps.shape[2], dtype=torch.bool)).relu()
    expected = F.max_pool1d(expected, 2, 1) if pools else expected
    assert plain.valid.all()
    torch.testing.assert_close(plain.values.transpose(1, 2), expected)
    torch.testing.assert_close(padded.cleaned[:, : plain.values.shape[1]], plain.values)
    assert not bool(padded.valid[:, plain.values.shape[1] :].any())
    torch.testing.assert_close(padded.mean, plain.mean)


@settings(max_examples=30, deadline=None)
@given(mask=masks)
def test_windows_lie_inside_and_saw_something(mask):
    valid = torch.tensor(mask)
    track = Track.of(torch.zeros(*valid.shape, 1), valid, 4)
    windows, lengths = track.window(3)
    assert torch.equal(track.valid.any(dim=1), valid.any(dim=1))
    for item in range(len(valid)):
        for start in range(windows.shape[1]):
            inside = start + 3 <= int(track.lengths[item])
            seen = bool(track.valid[item, start : start + 3].any())
            assert bool(windows[item, start]) == (inside and seen)
        assert bool(windows[item].any()) == bool(valid[item].any())
    assert torch.equal(lengths, track.lengths - 2)
