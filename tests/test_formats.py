from __future__ import annotations

import csv
import json
import math
import subprocess
import sys

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien import errors, formats
from mien.metadata import describe_columns
from mien.plugins import load_plugin
from mien.timeline import Timeline, read
from timelines import DERIVED, dimension_timeline, frame, metadata, timeline, wordy_timeline

NAMES = tuple(formats.FORMATS)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_timeline_gives_the_same_bytes(name, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    timeline().save(first, format=name)
    timeline().save(second, format=name)
    assert first.read_bytes() == second.read_bytes()
    assert first.stat().st_size > 40


@pytest.mark.parametrize("name", NAMES)
def test_the_suffix_chooses_the_format(name, tmp_path):
    by_suffix = tmp_path / f"talk{formats.FORMATS[name].suffix.upper()}"
    timeline().save(by_suffix)
    timeline().save(tmp_path / "by_name", format=name)
    assert by_suffix.read_bytes() == (tmp_path / "by_name").read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_every_format_takes_a_timeline_without_rows(name, tmp_path):
    Timeline(frame().iloc[:0], metadata()).save(tmp_path / "empty", format=name)
    assert (tmp_path / "empty").stat().st_size > 0


def test_an_unknown_format_is_refused_with_the_choices(tmp_path):
    with pytest.raises(errors.OptionError, match=r"'\.xls' belongs to no known.*csv, html, json"):
        timeline().save(tmp_path / "talk.xls")
    with pytest.raises(errors.OptionError, match="no format is called 'xls'"):
        timeline().save(tmp_path / "talk.csv", format="xls")


@pytest.mark.parametrize("name", ["json", "parquet"])
def test_exact_formats_come_back_as_they_were(name, tmp_path):
    both = Timeline.concat([timeline("a.mp4"), timeline('ü, "b".mp4')])
    both.save(tmp_path / "both", format=name)
    again = formats.read(tmp_path / "both", format=name)
    pd.testing.assert_frame_equal(again.frame, both.frame, check_exact=True)
    assert again.metadata == both.metadata


@pytest.mark.parametrize("name", ["json", "parquet", "csv", "tsv"])
def test_a_timeline_without_rows_comes_back(name, tmp_path):
    empty = Timeline(frame().iloc[:0], metadata())
    empty.save(tmp_path / "empty", format=name)
    again = formats.read(tmp_path / "empty", format=name)
    pd.testing.assert_frame_equal(again.frame, empty.frame)


@pytest.mark.parametrize("name", ["csv", "tsv"])
def test_separated_text_comes_back_to_the_written_precision(name, tmp_path):
    timeline().save(tmp_path / "talk", format=name)
    again = formats.read(tmp_path / "talk", format=name)
    pd.testing.assert_frame_equal(again.frame, timeline().frame, check_exact=False, atol=6e-6)
    assert again.metadata.model == "unknown"
    assert again.metadata.hop is None
    assert again.metadata.recordings["talk.mp4"].duration == 6.0


@settings(deadline=None, max_examples=60)
@given(
    st.text(st.characters(exclude_categories=("Cs",)), min_size=1),
    st.text(st.characters(exclude_categories=("Cs",)), min_size=1),
    st.sampled_from(["csv", "tsv", "json", "parquet"]),
)
def test_any_name_comes_back(tmp_path_factory, file, person, name):
    path = tmp_path_factory.mktemp("names") / "talk"
    Timeline(frame(file, person), metadata(file)).save(path, format=name)
    again = formats.read(path, format=name)
    assert set(again.frame["file"]) == {file}
    assert set(again.frame["person"]) == {person}


def test_csv_is_plain_and_fixed(tmp_path):
    rows = frame().assign(arousal=lambda rows: rows["arousal"].where(rows.index > 0, -1e-9))
    Timeline(rows, metadata()).save(tmp_path / "talk.csv")
    content = (tmp_path / "talk.csv").read_bytes()
    assert b"\r" not in content
    assert content.endswith(b"\n")
    lines = list(csv.DictReader(content.decode("utf-8").splitlines()))
    assert lines[0]["start"] == "0.000"
    assert lines[0]["audio"] == "true"
    assert lines[1]["audio"] == "false"
    assert lines[0]["p_anger"] == f"{rows['p_anger'][0]:.5f}"
    assert lines[0]["arousal"] == "0.00000"
    unseen = lines[4]
    assert unseen["video"] == "false"
    assert {unseen[name] for name in ("emotion", "confidence", "p_anger", "face_x")} == {""}


def test_csv_leaves_names_that_look_like_formulas_alone(tmp_path):
    name = '=HYPERLINK("x").mp4'
    Timeline(frame(name), metadata(name)).save(tmp_path / "talk.csv")
    line = (tmp_path / "talk.csv").read_text(encoding="utf-8").splitlines()[1]
    assert line.startswith('"=HYPERLINK(""x"").mp4",1,0.000')


def test_csv_of_a_spreadsheet_is_read(tmp_path):
    path = tmp_path / "talk.csv"
    timeline().save(path)
    text = path.read_text(encoding="utf-8").replace("true", "TRUE").replace("\n", "\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert formats.read(path).frame["audio"].sum() == timeline().frame["audio"].sum()


def test_a_summary_is_a_table_too(tmp_path):
    formats.write_table(timeline().summary(), tmp_path / "summary.csv")
    lines = list(csv.DictReader((tmp_path / "summary.csv").read_text().splitlines()))
    assert [line["person"] for line in lines] == ["1", "2"]
    assert lines[0]["video_seconds"] == "4.500"


def test_json_is_strict_and_describes_itself(tmp_path):
    timeline().save(tmp_path / "talk.json")

    def refuse(constant):
        raise AssertionError(constant)

    parts = json.loads((tmp_path / "talk.json").read_text("utf-8"), parse_constant=refuse)
    assert list(parts) == ["metadata", "columns", "rows"]
    assert parts["columns"]["start"]["unit"] == "s"
    assert parts["columns"]["arousal"]["description"] == f"arousal, -1 to 1; {DERIVED}"
    assert parts["rows"][4]["p_anger"] is None
    assert parts["rows"][4]["emotion"] is None
    assert parts["rows"][0]["audio"] is True


def test_parquet_carries_units_and_metadata(tmp_path):
    timeline().save(tmp_path / "talk.parquet")
    stored = pq.read_schema(tmp_path / "talk.parquet")
    assert tuple(stored.names) == metadata().columns
    assert stored.field("end").metadata[b"unit"] == b"s"
    assert stored.field("valence").metadata[b"description"].endswith(DERIVED.encode())
    assert json.loads(stored.metadata[b"mien"])["model"] == "linear_probe"
    assert pq.read_table(tmp_path / "talk.parquet")["p_anger"].null_count == 5


def test_describe_columns_describes_each():
    described = describe_columns(metadata())
    assert tuple(described) == metadata().columns
    assert all(column["description"] for column in described.values())


# --- labels, dimensions and modalities of any names -----------------------------------------------

BOTH_KINDS = [wordy_timeline, dimension_timeline]


@pytest.mark.parametrize("made", BOTH_KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_every_format_takes_both_kinds(name, made, tmp_path):
    made().save(tmp_path / "talk", format=name)
    assert (tmp_path / "talk").stat().st_size > 40


@pytest.mark.parametrize("made", BOTH_KINDS)
@pytest.mark.parametrize("name", ["json", "parquet"])
def test_exact_formats_give_both_kinds_back(name, made, tmp_path):
    made().save(tmp_path / "talk", format=name)
    again = read(tmp_path / "talk", format=name)
    pd.testing.assert_frame_equal(again.frame, made().frame, check_exact=True)
    assert again.metadata == made().metadata


@pytest.mark.parametrize("made", BOTH_KINDS)
@pytest.mark.parametrize("name", ["csv", "tsv"])
def test_separated_text_gives_both_kinds_back(name, made, tmp_path):
    made().save(tmp_path / "talk", format=name)
    again = read(tmp_path / "talk", format=name)
    pd.testing.assert_frame_equal(again.frame, made().frame, check_exact=False, atol=6e-6)
    assert again.metadata.labels == made().metadata.labels
    assert again.metadata.modalities == made().metadata.modalities
    assert list(again.metadata.dimensions) == list(made().metadata.dimensions)
    assert {d.source for d in again.metadata.dimensions.values()} == {"unknown"}
    assert again.metadata.per is None


@pytest.mark.parametrize("name", ["json", "parquet", "csv", "tsv"])
def test_dimensions_without_rows_come_back(name, tmp_path):
    made = dimension_timeline()
    Timeline(made.frame.iloc[:0], made.metadata).save(tmp_path / "empty", format=name)
    again = read(tmp_path / "empty", format=name)
    assert again.metadata.modalities == ("video",)
    assert list(again.metadata.dimensions) == ["valence", "arousal", "dominance"]


def test_sources_and_scales_are_said_of_each_column():
    described = describe_columns(dimension_timeline().metadata)
    valence, dominance = (described[name]["description"] for name in ("valence", "dominance"))
    assert valence == "valence, -1 to 1; learned from acted categories"
    assert dominance == "dominance, 1 to 7; predicted"
    assert described["video"]["description"] == "picture was observed in the step"


def test_a_format_of_somebody_else_is_known_by_name_and_suffix(tmp_path, monkeypatch):
    monkeypatch.setattr(formats.FORMATS, "_entries", dict(formats.FORMATS.items()))
    count = formats.Format(
        ".count", "how many rows", lambda timeline, file: file.write(b"%d" % len(timeline.frame))
    )
    formats.register_format("count", count)
    timeline().save(tmp_path / "talk.count")
    assert (tmp_path / "talk.count").read_text() == "24"
    with pytest.raises(errors.OptionError, match="two entries are called 'count'"):
        formats.register_format("count", count)
    with pytest.raises(errors.OptionError, match="the suffix 'txt' of the format text is none"):
        formats.register_format("text", formats.Format("txt", "no dot", count.write))
    with pytest.raises(errors.OptionError, match=r"the suffix \.CSV belongs to the format csv"):
        formats.register_format("other", formats.Format(".CSV", "again", count.write))


def test_a_plugin_adds_a_format(tmp_path, monkeypatch):
    monkeypatch.setattr(formats.FORMATS, "_entries", dict(formats.FORMATS.items()))
    plugin = tmp_path / "lines.py"
    plugin.write_text(
        "from mien.formats import Format, register_format\n"
        "def write(timeline, file):\n"
        "    file.write('\\n'.join(timeline.metadata.labels).encode())\n"
        "register_format('lines', Format('.lines', 'labels, one a line', write))\n"
    )
    load_plugin(plugin)
    timeline().save(tmp_path / "talk.lines")
    assert (tmp_path / "talk.lines").read_text().split() == list(timeline().metadata.labels)
    with pytest.raises(errors.OptionError, match="lines cannot be read back"):
        read(tmp_path / "talk.lines")


def test_formats_load_in_any_order():
    for first in ("mien.timeline", "mien.formats", "mien.formats.page", "mien.report"):
        code = f"import {first}, mien; mien.formats.FORMATS['html']; mien.Timeline; mien.read"
        subprocess.run([sys.executable, "-c", code], check=True)


# --- reading what is no timeline ------------------------------------------------------------------


def test_reading_what_is_not_there(tmp_path):
    with pytest.raises(errors.InputError, match="No such file"):
        formats.read(tmp_path / "nothing.csv")
    with pytest.raises(errors.InputError):
        formats.read(tmp_path, format="csv")
    with pytest.raises(errors.OptionError, match="html cannot be read back; give csv"):
        formats.read(tmp_path / "talk.html")


@pytest.mark.parametrize("name", ["csv", "tsv", "json", "parquet"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff\xfe", b"a,b\n1,2\n", b"[]", b'"', b"{}"])
def test_reading_something_else(name, content, tmp_path):
    path = tmp_path / "talk"
    path.write_bytes(content)
    with pytest.raises(errors.FormatError, match=f"is no {name} timeline: .+; give a file"):
        formats.read(path, format=name)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("true", "maybe", "audio must be true or false, not 'maybe'"),
        ("0.000,0.500", "zero,0.500", "could not convert"),
        ("0.000,0.500", "0.000", "too many or too few fields"),
        ("confidence", "trust", "does not name the columns"),
        ("p_neutral", "p_ANGER", "the label 'anger' is called like the label 'ANGER'"),
        ("p_neutral", "p_anger", "a column stands there twice"),
        ("0.000,0.500", "0.500,0.000", "end must follow start"),
    ],
)
def test_reading_a_changed_csv(old, new, text, tmp_path):
    path = tmp_path / "talk.csv"
    timeline().save(path)
    path.write_text(path.read_text("utf-8").replace(old, new, 1), "utf-8")
    with pytest.raises(errors.FormatError) as raised:
        formats.read(path)
    assert text in str(raised.value)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("null", "NaN", "NaN is not JSON"),
        ('"audio": true', '"audio": "true"', "audio cannot be 'true'"),
        ('"start": 0.0', '"start": "0"', "start cannot be '0'"),
        ('"start": 0.0, ', "", "'start' is missing"),
        ('"model"', '"modell"', "model"),
    ],
)
def test_reading_a_changed_json(old, new, text, tmp_path):
    path = tmp_path / "talk.json"
    timeline().save(path)
    path.write_text(path.read_text("utf-8").replace(old, new, 1), "utf-8")
    with pytest.raises(errors.FormatError) as raised:
        formats.read(path)
    assert text in str(raised.value)


def test_reading_a_cut_parquet(tmp_path):
    path = tmp_path / "talk.parquet"
    timeline().save(path)
    content = path.read_bytes()
    for length in (4, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(errors.FormatError):
            formats.read(path)


def test_reading_a_parquet_of_somebody_else(tmp_path):
    pd.DataFrame({"x": [1.0]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(errors.FormatError, match="b'mien' is missing"):
        formats.read(tmp_path / "other.parquet")


def test_numbers_come_back_from_json_bit_for_bit(tmp_path):
    third = frame().assign(face_x=lambda rows: rows["face_x"].where(rows["face_x"].isna(), 1 / 3))
    Timeline(third, metadata()).save(tmp_path / "talk.json")
    again = formats.read(tmp_path / "talk.json").frame["face_x"]
    assert again[0] == 1 / 3
    assert math.isnan(again[4])
