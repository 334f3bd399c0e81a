"""What every operation promises, whatever it takes away."""

import copy
import pickle

import pytest
import torch
from hole_material import ALL, SPARING, assert_same, copied, holed, names, seeded, whole
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.errors import NothingPresent
from mien.missing import has_any
from mien.signals import Signals

FEW = settings(max_examples=25, deadline=None)
every = pytest.mark.parametrize("operation", ALL, ids=names)


@every
@FEW
@given(signals=holed(), seed=st.integers(0, 2**31))
def test_the_input_is_untouched_and_a_seed_repeats(operation, signals, seed):
    before = copied(signals)
    first = operation(signals, seeded(seed))
    assert_same(signals, before)
    assert_same(operation(signals, seeded(seed)), first)


@every
@FEW
@given(signals=holed(), seed=st.integers(0, 2**31))
def test_rows_say_where_items_came_from_and_nothing_is_observed_that_was_not(
    operation, signals, seed
):
    after, rows = operation.enlarge(signals, seeded(seed))
    assert rows.dtype == torch.int64
    assert rows.shape == (after.batch,)
    assert set(rows.tolist()) == set(range(signals.batch))
    assert_same(operation(signals, seeded(seed)), after)
    for name, sequence in after.items():
        assert sequence.values.shape[1:] == signals[name].values.shape[1:]
        assert not (sequence.valid & ~signals[name].valid[rows]).any()
        assert sequence.values[sequence.valid].isfinite().all()


@pytest.mark.parametrize("operation", SPARING, ids=names)
@FEW
@given(signals=holed(), seed=st.integers(0, 2**31))
def test_whoever_had_something_keeps_something(operation, signals, seed):
    after, rows = operation.enlarge(signals, seeded(seed))
    assert torch.equal(has_any(after), has_any(signals)[rows])


@every
def test_samples_that_were_not_observed_at_all_stay_so(operation):
    nothing = Signals({name: s.hide() for name, s in whole().items()})
    assert not has_any(operation(nothing, seeded())).any()


@every
def test_signals_without_any_modality_are_a_clear_error(operation):
    with pytest.raises(NothingPresent, match="give audio, video or both"):
        operation.enlarge(Signals({}), seeded())


@every
def test_operations_travel_to_other_processes(operation):
    assert pickle.loads(pickle.dumps(operation)) == operation
    assert copy.deepcopy(operation) == operation


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@every
def test_values_keep_their_precision(operation, dtype):
    signals = whole()
    narrow = Signals({n: type(s)(s.values.to(dtype), s.valid, s.hop) for n, s in signals.items()})
    assert {s.values.dtype for s in operation(narrow, seeded()).values()} == {dtype}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_another_device_gets_the_same_random_numbers():
    signals = whole()
    for operation in ALL:
        here, rows = operation.enlarge(signals, seeded(3))
        there, other_rows = operation.enlarge(signals.to("cuda"), seeded(3))
        assert_same(there.to("cpu"), here)
        assert rows.equal(other_rows.cpu())


@every
def test_the_order_of_the_modalities_does_not_matter(operation):
    signals = whole()
    turned = Signals({name: signals[name] for name in reversed(list(signals))})
    one, other = (operation(s, seeded(1)) for s in (signals, turned))
    assert_same(Signals({name: other[name] for name in one}), one)
