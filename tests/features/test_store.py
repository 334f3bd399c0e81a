import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.errors import OutputError
from mien.features.store import RowStore


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9)), max_size=8), st.data())
def test_a_store_is_a_table_with_holes(writes, data):
    store, table = RowStore(3), np.zeros((80, 3), dtype=np.float32)
    for number, (first, count) in enumerate(writes):
        rows = np.full((count, 3), number + 0.5, dtype=np.float32)
        store.write(first, rows)
        table[first : first + count] = rows
    start = data.draw(st.integers(-5, 60))
    stop = data.draw(st.integers(start, 70))
    expected = np.zeros((stop - start, 3), dtype=np.float32)
    inside = [i for i in range(start, stop) if i >= 0]
    expected[len(expected) - len(inside) :] = table[inside]
    np.testing.assert_array_equal(store.read(start, stop), expected)
    store.close()


def test_a_far_row_takes_no_space_before_it():
    store = RowStore(100)
    store.write(10_000_000, np.ones((1, 100), dtype=np.float32))
    assert os.fstat(store._file.fileno()).st_blocks * 512 < 1 << 20
    assert store.rows == 10_000_001


def test_a_full_disk_is_a_typed_error(monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OutputError, match="TMPDIR"):
        RowStore(3).write(0, np.ones((1, 3), dtype=np.float32))


def test_half_precision_is_what_is_kept():
    store = RowStore(1)
    store.write(0, np.array([[1 / 3]], dtype=np.float32))
    assert store.read(0, 1)[0, 0] == np.float32(np.float16(1 / 3))
