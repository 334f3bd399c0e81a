import torch
from tests.training.material import examples

from mien.datasets import Example
from mien.signals import Sequence, Signals
from mien.training import collate, iterate_batches, mix_seeds, stack_targets


def test_every_example_once_in_an_order_of_seed_and_epoch():
    given = examples(11)
    epochs = [iterate_batches(given, 4, seed=1, epoch=number) for number in (0, 0, 1)]
    names = [[example.clip for batch in epoch for example in batch] for epoch in epochs]
    assert sorted(names[0]) == sorted(e.clip for e in given)
    assert names[0] == names[1] != names[2]


def test_a_single_item_left_over_joins_the_batch_before():
    sizes = [len(batch) for batch in iterate_batches(examples(9), 4, seed=0, epoch=0)]
    assert sizes == [4, 5]
    assert [len(batch) for batch in iterate_batches(examples(1), 4, seed=0, epoch=0)] == [1]


def test_batches_go_on_where_they_were_left():
    whole = list(iterate_batches(examples(12), 4, seed=2, epoch=1))
    rest = list(iterate_batches(examples(12), 4, seed=2, epoch=1, first=2))
    assert [e.clip for e in rest[0]] == [e.clip for e in whole[2]]


def test_collate_pads_with_missing_labels():
    def frames(steps, fill):
        signals = Signals(
            {"audio": Sequence(torch.ones(1, steps, 2), torch.ones(1, steps).bool(), 1.0)}
        )
        return Example(f"{steps}", "p", signals, torch.full((steps, 1), fill))

    signals, target = collate([frames(2, 0.5), frames(4, 1.0)])
    assert signals["audio"].valid.tolist() == [[True, True, False, False], [True] * 4]
    assert target[0, 2:].isnan().all()
    assert target[1].tolist() == [[1.0]] * 4
    indices = stack_targets([torch.tensor([1]), torch.tensor([0, 2])])
    assert indices.tolist() == [[1, -100], [0, 2]]


def test_mixed_seeds_differ():
    seeds = {mix_seeds(a, b) for a in range(50) for b in range(50)}
    assert len(seeds) == 2500
    assert all(0 <= seed < 2**63 for seed in seeds)
