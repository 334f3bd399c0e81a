"""Files of features: as others write them, on odd grids, and damaged."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mien.errors import FormatError, InputError, OptionError
from mien.features.extractor import create_extractor, load_extractor
from mien.features.files import FeatureFile, inspect_feature_file

OPENSMILE = """name;frameTime;Loudness_sma3;F0semitoneFrom27.5Hz_sma3nz
'unknown';0.000000;1.5;0
'unknown';0.010000;2.5;12.5
'unknown';0.020000;3.5;13
"""
FUNCTIONALS = """name;F0_amean;loudness_amean
'unknown';21.5;0.25
"""
OPENSMILE_PYTHON = """file,start,end,Loudness,F0
a.wav,0 days 00:00:00,0 days 00:00:00.020000,1,2
a.wav,0 days 00:00:00.010000,0 days 00:00:00.030000,3,4
"""
OPENFACE = """frame, face_id, timestamp, confidence, success, gaze_0_x, AU01_r
1, 0, 0.000, 0.98, 1, 0.1, 1.5
2, 0, 0.033, 0.03, 0, 0.0, 0.0
2, 1, 0.033, 0.97, 1, 9.0, 9.0
3, 0, 0.067, 0.97, 1, 0.3, 1.7
4, 0, 0.100, 0.97, 1, 0.4, 1.8
"""


def write(folder, text, name="features.csv"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def read(path, hop=None):
    columns, found = inspect_feature_file(path, hop=hop)
    return FeatureFile(columns=columns, hop=found).read(path)


def table(path, times, **columns):
    pd.DataFrame({"time": times, **columns}).to_csv(path, index=False)
    return path


def test_opensmile_descriptors_as_they_come(tmp_path):
    path = write(tmp_path, OPENSMILE)
    assert inspect_feature_file(path) == (("Loudness_sma3", "F0semitoneFrom27.5Hz_sma3nz"), 0.01)
    series = read(path)
    assert series.values.tolist() == [[1.5, 0], [2.5, 12.5], [3.5, 13]]
    assert series.valid.all()


def test_opensmile_functionals_are_one_row(tmp_path):
    path = write(tmp_path, FUNCTIONALS)
    series = read(path)
    assert inspect_feature_file(path)[0] == ("F0_amean", "loudness_amean")
    assert series.values.tolist() == [[21.5, 0.25]]


def test_opensmile_from_python(tmp_path):
    path = write(tmp_path, OPENSMILE_PYTHON)
    assert inspect_feature_file(path) == (("Loudness", "F0"), 0.01)
    assert read(path).values.tolist() == [[1, 2], [3, 4]]


def test_openface_as_it_comes(tmp_path):
    path = write(tmp_path, OPENFACE)
    columns, hop = inspect_feature_file(path)
    assert columns == ("gaze_0_x", "AU01_r")
    assert hop == pytest.approx(1 / 30)
    series = read(path)
    assert series.valid.tolist() == [True, False, True, True]
    np.testing.assert_allclose(series.values[:, 0], [0.1, 0, 0.3, 0.4], rtol=1e-6)


@pytest.mark.parametrize("rate_hz", [30, 25, 29.97, 50, 100, 12.5])
def test_rounded_times_of_a_long_recording_are_a_regular_grid(tmp_path, rate_hz):
    times = np.round(np.arange(5000) / rate_hz, 3)
    path = table(tmp_path / "a.csv", times, x=np.arange(5000))
    assert inspect_feature_file(path)[1] == pytest.approx(1 / rate_hz, rel=1e-6)
    series = read(path)
    assert series.values[:, 0].tolist() == list(range(5000))


def test_a_gap_is_not_observed_and_a_late_start_lies_where_it_was(tmp_path):
    path = table(tmp_path / "a.csv", [0.5, 0.6, 0.9, 1.0], x=[5, 6, 9, 10])
    series = read(path)
    assert series.hop == 0.1
    assert series.valid.nonzero()[0].tolist() == [5, 6, 9, 10]
    assert series.values[[5, 6, 9, 10], 0].tolist() == [5, 6, 9, 10]


def test_a_little_jitter_is_a_grid(tmp_path):
    chance = np.random.default_rng(0)
    times = np.arange(1, 300) * 0.04 + chance.uniform(-0.006, 0.006, 299)
    path = table(tmp_path / "a.csv", times, x=np.arange(1, 300))
    columns, hop = inspect_feature_file(path)
    assert hop == pytest.approx(0.04, rel=1e-3)
    series = FeatureFile(columns=columns, hop=0.04).read(path)
    assert series.values[1:, 0].tolist() == list(range(1, 300))


def test_irregular_times_take_the_nearest_row(tmp_path):
    path = table(tmp_path / "a.csv", [0.0, 0.13, 0.19, 0.32, 0.4], x=[0, 13, 19, 32, 40])
    series = read(path, hop=0.1)
    assert series.values[:, 0].tolist() == [0, 13, 19, 32, 40, 40]
    slow = read(path, hop=0.2)
    assert slow.values[:3, 0].tolist() == [0, 19, 40]


def test_another_hop_takes_the_nearest_row(tmp_path):
    path = table(tmp_path / "a.csv", np.arange(100) * 0.01, x=np.arange(100))
    assert read(path, hop=0.2).values[:, 0].tolist() == [0, 20, 40, 60, 80]


@pytest.mark.parametrize(
    ("times", "problem"),
    [
        ([0.0, 0.2, 0.1], "row 4: the time 0.1 s does not come after 0.2 s"),
        ([0.0, 0.1, 0.1], "row 4: "),
        ([-1.0, 0.1, 0.2], "must not be negative"),
        ([0.0, 0.1, float("nan")], "row 4, column time"),
        ([0.0, 0.001, 1e9], "in seconds"),
    ],
)
def test_times_that_make_no_sense_name_file_and_row(tmp_path, times, problem):
    path = table(tmp_path / "a.csv", times, x=[1, 2, 3])
    with pytest.raises(FormatError, match=problem) as raised:
        FeatureFile(columns=("x",), hop=0.1).read(path)
    assert raised.value.path == str(path)


def test_an_empty_row_is_not_observed_and_a_row_half_empty_is_refused(tmp_path):
    nothing = float("nan")
    path = table(tmp_path / "a.csv", [0, 0.1, 0.2], x=[1, nothing, 3], y=[1, nothing, 3])
    assert read(path).valid.tolist() == [True, False, True]
    path = table(tmp_path / "b.csv", [0, 0.1, 0.2], x=[1, 2, 3], y=[1, nothing, 3])
    with pytest.raises(FormatError, match="row 3, column y is empty"):
        read(path)


def test_rows_are_counted_before_the_face_is_chosen(tmp_path):
    path = write(tmp_path, OPENFACE.replace("0.4, 1.8", "0.4, much"))
    with pytest.raises(FormatError, match="row 6, column AU01_r: 'much'"):
        read(path)


def test_an_array_that_is_nearly_one_that_is_read_is_not_passed_over(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, values=np.ones((4, 2)), times=np.arange(4) / 2, hop=1.0)
    with pytest.raises(FormatError, match="holds times, which nothing reads; did you mean time"):
        read(path)
    np.savez(path, values=np.ones((4, 2)), hop=1.0, software=np.array("mine"))
    assert read(path).hop == 1.0


def test_a_word_among_numbers_is_named(tmp_path):
    path = table(tmp_path / "a.csv", [0, 0.1], x=[1, "loud"])
    with pytest.raises(FormatError, match="row 3, column x: 'loud'"):
        read(path)


def test_other_columns_than_the_first_file_are_named(tmp_path):
    first = table(tmp_path / "a.csv", [0, 0.1], x=[1, 2], y=[3, 4])
    columns, hop = inspect_feature_file(first)
    extractor = FeatureFile(columns=columns, hop=hop)
    other = table(tmp_path / "b.csv", [0, 0.1], y=[30, 40], x=[10, 20])
    assert extractor.read(other).values.tolist() == [[10, 30], [20, 40]]
    with pytest.raises(FormatError, match="lacks y and has also z"):
        extractor.read(table(tmp_path / "c.csv", [0, 0.1], x=[1, 2], z=[3, 4]))


def test_archives_and_parquet_give_what_csv_gives(tmp_path):
    values = np.arange(6, dtype=np.float32).reshape(3, 2)
    times = np.array([0.0, 0.1, 0.2])
    path = tmp_path / "a.npz"
    np.savez(path, values=values, time=times, names=np.array(["x", "y"]))
    assert inspect_feature_file(path) == (("x", "y"), 0.1)
    archive = read(path)
    parquet = tmp_path / "a.parquet"
    pd.DataFrame({"time": times, "x": values[:, 0], "y": values[:, 1]}).to_parquet(parquet)
    for series in (archive, read(parquet)):
        np.testing.assert_array_equal(series.values, values)
        assert series.valid.all()
        assert series.hop == 0.1


def test_an_archive_of_one_array_with_a_hop_and_a_mask(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, audio=np.ones((3, 2)), hop=0.04, valid=np.array([True, False, True]))
    assert inspect_feature_file(path) == (("0", "1"), 0.04)
    assert read(path).valid.tolist() == [True, False, True]
    np.savez(path, audio=np.ones((3, 2)))
    with pytest.raises(FormatError, match="has no times"):
        inspect_feature_file(path)
    assert len(read(path, hop=0.5)) == 3


@pytest.mark.parametrize(
    "arrays",
    [
        {"a": np.ones((3, 2)), "b": np.ones((3, 2))},
        {"values": np.ones(3)},
        {"values": np.array([["a"]])},
        {"values": np.array([[object()]], dtype=object)},
        {"values": np.ones((3, 2)), "time": np.ones(2)},
        {"values": np.ones((3, 2)), "names": np.array(["x"])},
        {},
    ],
)
def test_archives_that_are_none(tmp_path, arrays):
    path = tmp_path / "a.npz"
    np.savez(path, **arrays)
    with pytest.raises(FormatError):
        inspect_feature_file(path, hop=0.1)


@pytest.mark.parametrize("suffix", [".npz", ".parquet", ".csv", ".wav", ""])
def test_files_that_are_none(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"\x00\xff\x80 nothing of the kind" * 20)
    with pytest.raises(FormatError):
        inspect_feature_file(path)
    with pytest.raises(InputError, match="no such file"):
        inspect_feature_file(tmp_path / f"gone{suffix}")


def test_a_file_without_rows_or_features_is_refused(tmp_path):
    with pytest.raises(FormatError, match="no rows"):
        FeatureFile(columns=("x",), hop=0.1).read(write(tmp_path, "time,x\n"))
    with pytest.raises(FormatError, match="no column of features"):
        inspect_feature_file(write(tmp_path, "time\n0\n1\n"))


def test_it_is_an_extractor_like_others():
    extractor = create_extractor("file", columns=["x", "y"], hop=0.1)
    assert extractor.shape == (2,)
    assert load_extractor(extractor.spec()) == extractor
    for settings in ({"columns": [], "hop": 0.1}, {"columns": ["x", "x"], "hop": 0.1}):
        with pytest.raises(OptionError):
            create_extractor("file", **settings)
    with pytest.raises(OptionError, match="needs columns, hop"):
        create_extractor("file")
