import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.errors import OptionError
from mien.models.spectrogram_cnn import SpectrogramCNN


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return SpectrogramCNN().eval()


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_numbers_of_the_paper(network):
    assert count(SpectrogramCNN(1)) == 8_765_313
    assert count(network) == 8_502_656


def test_sizes_of_table_i(network):
    sizes = []
    maps = torch.randn(1, 1, 128, 129)
    for layer in network.blocks:
        maps = layer(maps)
        if "Pool" in type(layer).__name__:
            sizes.append(tuple(maps.shape[1:]))
    assert sizes == [(64, 31, 15), (256, 15, 4), (1024, 1, 1)]


def test_global_average_is_the_pool_of_table_i(network):
    maps = torch.randn(1, 1, 128, 129)
    with torch.no_grad():
        features = network(maps)
        before = network.blocks[:-2](maps)
    pooled = torch.nn.functional.avg_pool2d(before, (13, 2), 1)
    torch.testing.assert_close(features, pooled.flatten(1))


def test_one_spectrogram_at_a_time_gives_the_same(network):
    batch = torch.randn(3, 40, 100)
    with torch.no_grad():
        together, alone = network(batch), torch.cat([network(one) for one in batch.split(1)])
        torch.testing.assert_close(network(batch.unsqueeze(1)), together)
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


@settings(max_examples=8, deadline=None)
@given(bands=st.integers(32, 70), frames=st.integers(91, 140), outputs=st.integers(1, 3))
def test_other_sizes(network, bands, frames, outputs):
    network.head = SpectrogramCNN(outputs).head.eval()
    with torch.no_grad():
        got = network(torch.randn(1, 1, bands, frames))
    network.head = torch.nn.Identity()
    assert got.shape == (1, outputs)
    assert got.isfinite().all()


@pytest.mark.parametrize("shape", [(31, 91), (1, 3, 40, 100), (1, 1, 31, 91), (1, 32, 90)])
def test_what_is_no_spectrogram_is_refused(network, shape):
    with pytest.raises(OptionError):
        network(torch.zeros(shape))


def test_every_parameter_learns():
    network = SpectrogramCNN(2).train()
    network(torch.randn(2, 40, 100)).square().sum().backward()
    # A bias before batch normalisation is taken away again.
    lost = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert all(name.endswith(".bias") for name in lost)


def test_saving_and_loading(network):
    again = SpectrogramCNN().eval()
    again.load_state_dict(network.state_dict(), strict=True)
    spectrogram = torch.randn(1, 1, 40, 100)
    with torch.no_grad():
        assert torch.equal(again(spectrogram), network(spectrogram))
