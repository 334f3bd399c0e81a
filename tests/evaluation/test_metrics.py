from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.evaluation import ccc, ccc_loss, mae, pearson, rmse

NAN = float("nan")


@pytest.fixture(scope="module")
def cases(golden_folder):
    stored = np.load(golden_folder / "ccc_cases.npz")
    pieces = zip(stored["offsets"][:-1], stored["offsets"][1:], strict=True)
    pairs = [
        tuple(torch.from_numpy(stored[name][start:end]) for name in ("x", "y"))
        for start, end in pieces
    ]
    return stored, pairs


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("ccc_population", ccc),
        ("ccc_sample", lambda x, y: ccc(x, y, ddof=1)),
        ("pearson", pearson),
        ("rmse", rmse),
        ("mae", mae),
    ],
)
def test_golden_cases(cases, name, function):
    stored, pairs = cases
    for (x, y), kind, expected in zip(pairs, stored["kind"], stored[name], strict=True):
        found = float(function(x, y))
        if np.isnan(expected):
            assert np.isnan(found), kind
        else:
            tolerance = 1e-9 if kind == "large_offset" else 1e-12
            assert found == pytest.approx(expected, rel=tolerance, abs=tolerance), kind


def test_golden_cases_in_one_padded_batch(cases):
    stored, pairs = cases
    longest = max(len(x) for x, _ in pairs)
    x, y = (torch.full((len(pairs), longest), 7.0, dtype=torch.float64) for _ in range(2))
    valid = torch.zeros_like(x, dtype=torch.bool)
    for row, (a, b) in enumerate(pairs):
        x[row, : len(a)], y[row, : len(b)] = a, b
        x[row, len(a) :] = NAN
        valid[row, : len(a)] = True
    found = ccc(x, y, valid=valid).numpy()
    np.testing.assert_allclose(found, stored["ccc_population"], rtol=1e-9, atol=1e-12)


def test_constants_whose_mean_is_rounded():
    constant = torch.full((7,), 0.1, dtype=torch.float64)
    assert ccc(constant, constant).isnan()
    assert ccc(constant, constant, undefined=0.0) == 0
    assert ccc(constant, constant * 3) == 0
    assert ccc(constant, torch.arange(7.0)) == 0


def test_steps_without_label_do_not_count():
    x, y = torch.randn(3, 9), torch.randn(3, 9)
    y[:, 6:] = NAN
    assert torch.allclose(ccc(x, y), ccc(x[:, :6], y[:, :6]), atol=1e-12)
    assert ccc(x[0], torch.full((9,), NAN)).isnan()
    assert ccc(torch.full((9,), NAN), x[0]).isnan()


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 40), st.integers(0, 10**6), st.floats(0.1, 9.0), st.floats(-5.0, 5.0))
def test_properties(length, seed, scale, shift):
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.randn(2, length, generator=generator, dtype=torch.float64)
    assert -1 <= ccc(x, y) <= 1
    assert float(ccc(x, y)) == pytest.approx(float(ccc(y, x)))
    assert float(ccc(x, x)) == pytest.approx(1)
    assert abs(float(ccc(x, y))) <= abs(float(pearson(x, y))) + 1e-9
    together = ccc(scale * x + shift, scale * y + shift)
    assert float(together) == pytest.approx(float(ccc(x, y)), abs=1e-9)


def test_loss_is_one_minus_the_mean():
    x, y = torch.randn(4, 20, 2), torch.randn(4, 20, 2)
    assert ccc_loss(x, y, dim=1) == pytest.approx(1 - float(ccc(x, y, dim=1).mean()), abs=1e-6)


def test_loss_leaves_out_what_cannot_be_scored():
    x, y = torch.randn(3, 20, requires_grad=True), torch.randn(3, 20)
    y[1] = NAN
    y[2, 1:] = NAN
    loss = ccc_loss(x, y)
    assert loss.item() == pytest.approx(1 - float(ccc(x[0].detach(), y[0])), abs=1e-6)
    (gradient,) = torch.autograd.grad(loss, x)
    assert gradient.isfinite().all()
    assert not gradient[1:].any()
    assert ccc_loss(x, torch.full_like(y, NAN)) == 1


def test_a_constant_prediction_still_learns():
    x = torch.full((10,), 0.3, requires_grad=True)
    (gradient,) = torch.autograd.grad(ccc_loss(x, torch.randn(10)), x)
    assert gradient.isfinite().all()
    assert gradient.any()


def test_gradient_of_the_loss():
    x = torch.randn(2, 8, dtype=torch.float64, requires_grad=True)
    y = torch.randn(2, 8, dtype=torch.float64)
    y[0, 3] = NAN
    assert torch.autograd.gradcheck(lambda values: ccc_loss(values, y), (x,))


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="differ in shape"):
        ccc(torch.zeros(3), torch.zeros(4))
