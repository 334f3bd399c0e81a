import pytest
import torch

from mien.datasets import Example
from mien.signals import Sequence, Signals
from mien.standardisation import PersonOffset, Standardisation, remove_person_offsets


def example(person, values, valid=None, clip="c"):
    values = torch.as_tensor(values, dtype=torch.float32)[None]
    seen = torch.ones(1, values.shape[1], dtype=torch.bool) if valid is None else valid[None]
    signals = Signals({"audio": Sequence(values, seen, 0.1)})
    return Example(clip, person, signals, torch.tensor(0))


def test_the_training_part_gets_mean_zero_and_deviation_one():
    torch.manual_seed(0)
    examples = [example("a", torch.randn(9, 3) * 5 + 2), example("b", torch.randn(4, 3) - 7)]
    scaled = Standardisation.fit(examples).apply(examples)
    steps = torch.cat([e.signals["audio"].values[0] for e in scaled])
    torch.testing.assert_close(steps.mean(0), torch.zeros(3), atol=1e-6, rtol=0)
    torch.testing.assert_close(steps.std(0, correction=0), torch.ones(3), atol=1e-5, rtol=0)


def test_what_was_not_observed_neither_counts_nor_appears():
    valid = torch.tensor([True, True, False])
    standard = Standardisation.fit([example("a", [[1.0], [3.0], [1e9]], valid)])
    assert standard.mean["audio"].tolist() == [2.0]
    (scaled,) = standard.apply([example("a", [[1.0], [3.0], [1e9]], valid)])
    assert scaled.signals["audio"].values.flatten().tolist() == [-1.0, 1.0, 0.0]


def test_packed_and_unpacked_is_the_same_with_components_too():
    torch.manual_seed(0)
    examples = [example("a", torch.randn(40, 6) @ torch.randn(6, 6))]
    standard = Standardisation.fit(examples, components=2)
    again = Standardisation.unpack(standard.pack())
    one, other = (s.apply(examples)[0].signals["audio"].values for s in (standard, again))
    assert one.shape == (1, 40, 2)
    assert torch.equal(one, other)


def test_a_persons_offset_is_that_of_all_that_is_theirs_and_of_nobody_elses():
    torch.manual_seed(0)
    first, second = torch.randn(7, 2) * 3 + 2, torch.randn(9, 2) * 3 - 1
    examples = [example("a", first), example("a", second), example("b", first + 100)]
    one, two, other = (e.signals["audio"].values[0] for e in remove_person_offsets(examples))
    together = torch.cat([one, two])
    torch.testing.assert_close(together.mean(0), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(together.std(0, correction=0), torch.ones(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(other.mean(0), torch.zeros(2), atol=1e-4, rtol=0)
    assert not torch.allclose(one.mean(0), torch.zeros(2), atol=1e-2)


def test_a_feature_that_a_person_holds_still_becomes_zero():
    offset = PersonOffset()
    still = example("a", [[5.0], [5.0]]).signals
    offset.add(still)
    assert offset.apply_to(still)["audio"].values.abs().max() == 0


def test_without_anything_known_of_a_modality_it_stays_as_it_is():
    signals = example("a", [[5.0], [7.0]]).signals
    assert torch.equal(PersonOffset().apply_to(signals)["audio"].values, signals["audio"].values)


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_poison_under_the_mask_never_reaches_an_offset(poison):
    valid = torch.tensor([True, True, False])
    offset = PersonOffset()
    offset.add(example("a", [[1.0], [3.0], [poison]], valid).signals)
    got = offset.apply_to(example("a", [[1.0], [3.0], [poison]], valid).signals)["audio"].values
    assert got.flatten().tolist() == [-1.0, 1.0, 0.0]
