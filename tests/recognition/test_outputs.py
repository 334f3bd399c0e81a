from pathlib import Path

import pandas as pd
import pytest

from mien.errors import OutputError
from mien.recognition.outputs import OutputFolder
from timelines import dimension_timeline, timeline, wordy_timeline


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_each_format_gets_a_file_of_the_recording_s_stem(tmp_path):
    written = OutputFolder(tmp_path).write(timeline(), Path("in/talk.mp4"), ["csv", "json"])
    assert written == [tmp_path / "talk.csv", tmp_path / "talk.json"]
    assert all(path.stat().st_size for path in written)


def test_two_recordings_of_one_stem_never_overwrite_each_other(tmp_path):
    folder = OutputFolder(tmp_path)
    first = folder.write(timeline(), Path("a/talk.mp4"), ["csv"])
    second = folder.write(timeline(), Path("b/talk.mp4"), ["csv"])
    third = folder.write(timeline(), Path("a/talk.wav"), ["csv"])
    assert [p.name for p in (*first, *second, *third)] == ["talk.csv", "talk-2.csv", "talk-3.csv"]


def test_nor_in_a_later_call(tmp_path):
    OutputFolder(tmp_path).write(timeline(), Path("a/talk.mp4"), ["csv"])
    OutputFolder(tmp_path).write(timeline(), Path("b/talk.mp4"), ["csv"])
    assert names(tmp_path) == ["talk-2.csv", "talk.csv"]


def test_the_same_recording_again_replaces_its_own_results(tmp_path):
    for _ in range(2):
        OutputFolder(tmp_path).write(timeline(), Path("a/talk.mp4"), ["csv"])
    assert names(tmp_path) == ["talk.csv"]


def test_a_file_that_mien_did_not_write_is_left_alone(tmp_path):
    (tmp_path / "talk.csv").write_text("my own notes")
    OutputFolder(tmp_path).write(timeline(), Path("talk.mp4"), ["csv"])
    assert (tmp_path / "talk.csv").read_text() == "my own notes"
    assert names(tmp_path) == ["talk-2.csv", "talk.csv"]


def test_nor_in_a_format_that_was_not_asked_for_before(tmp_path):
    OutputFolder(tmp_path).write(timeline(), Path("talk.mp4"), ["csv"])
    (tmp_path / "talk.json").write_text("my own notes")
    OutputFolder(tmp_path).write(timeline(), Path("talk.mp4"), ["csv", "json"])
    assert (tmp_path / "talk.json").read_text() == "my own notes"
    assert names(tmp_path) == ["talk-2.csv", "talk-2.json", "talk.csv", "talk.json"]


def test_the_recording_itself_is_never_overwritten(tmp_path):
    recording = tmp_path / "talk.json"
    recording.write_text("a recording with a strange suffix")
    OutputFolder(tmp_path).write(timeline(), recording, ["json"])
    assert recording.read_text() == "a recording with a strange suffix"


def test_a_recording_called_summary_leaves_the_summary_alone(tmp_path):
    folder = OutputFolder(tmp_path)
    folder.write(timeline(), Path("summary.mp4"), ["csv"])
    folder.write_summary(timeline().summary())
    assert names(tmp_path) == ["summary-2.csv", "summary.csv"]
    assert "video_seconds" in pd.read_csv(tmp_path / "summary.csv").columns


def test_a_summary_keeps_the_rows_of_other_files(tmp_path):
    OutputFolder(tmp_path).write_summary(timeline("a.mp4").summary())
    OutputFolder(tmp_path).write_summary(timeline("b.mp4").summary())
    OutputFolder(tmp_path).write_summary(timeline("a.mp4").summary())
    table = pd.read_csv(tmp_path / "summary.csv")
    assert table["file"].tolist() == ["b.mp4", "b.mp4", "a.mp4", "a.mp4"]


def test_somebody_else_s_summary_is_left_alone(tmp_path):
    (tmp_path / "summary.csv").write_text("mine")
    path = OutputFolder(tmp_path).write_summary(timeline().summary())
    assert (path.name, (tmp_path / "summary.csv").read_text()) == ("summary-2.csv", "mine")


def test_a_folder_that_cannot_be_made_is_a_typed_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="--out"):
        OutputFolder(tmp_path / "file" / "results")


def test_a_damaged_summary_is_a_typed_error(tmp_path):
    path = OutputFolder(tmp_path).write_summary(timeline().summary())
    path.write_bytes(b"\xff\x00 no table")
    with pytest.raises(OutputError, match="move it out of the way"):
        OutputFolder(tmp_path).write_summary(timeline().summary())
    assert path.read_bytes() == b"\xff\x00 no table"


@pytest.mark.parametrize("content", ["{", "[]", '{"talk": 3}'])
def test_a_damaged_index_is_a_typed_error(tmp_path, content):
    (tmp_path / ".mien.json").write_text(content)
    with pytest.raises(OutputError, match="remove it"):
        OutputFolder(tmp_path)


def test_a_summary_takes_models_of_both_kinds_and_any_words(tmp_path):
    rows = wordy_timeline("NA").summary().assign(emotion="01", person="nan")
    for summary in (rows, dimension_timeline("b.mp4").summary(), timeline("c.mp4").summary()):
        OutputFolder(tmp_path).write_summary(summary)
    text = (tmp_path / "summary.csv").read_text("utf-8").splitlines()
    assert text[1].startswith("NA,nan,0.000,4.000,01,")
    table = pd.read_csv(tmp_path / "summary.csv", keep_default_na=False, na_values=[""])
    assert table["file"].tolist() == ["NA", "b.mp4", "c.mp4", "c.mp4"]
    assert table["dominance"].notna().tolist() == [False, True, False, False]
    assert table["p_wide awake"].notna().tolist() == [True, False, False, False]
