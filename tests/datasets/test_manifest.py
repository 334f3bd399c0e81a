import pytest

from mien.datasets import official
from mien.datasets.manifest import manifest_clips
from mien.errors import FormatError, InputError


@pytest.fixture
def table(tmp_path):
    (tmp_path / "clips").mkdir()
    for name in ("a.mp4", "b, late.mp4", "c.wav"):
        (tmp_path / "clips" / name).touch()
    return tmp_path / "mine.csv"


WHOLE = """\
path,person,emotion,arousal,part
clips/a.mp4,anna,anger,0.7,train
"clips/b, late.mp4",ben,,,valid
clips/c.wav,anna,calm,-1,train
"""


def test_a_manifest_says_who_and_what(table):
    table.write_text(WHOLE, encoding="utf-8-sig")
    first, second, third = manifest_clips(table)
    assert (first.person, first.label, first.corpus) == ("mine/anna", "anger", "mine")
    assert first.path == table.parent / "clips" / "a.mp4"
    assert first.values == {"arousal": 0.7}
    assert (second.label, second.values, second.part) == (None, {}, "valid")
    assert third.values == {"arousal": -1.0}
    assert official([first, second, third]).dev == ("mine/ben",)


def test_path_and_person_are_enough(table):
    table.write_text("person,path\r\nanna,clips/a.mp4\r\n")
    (clip,) = manifest_clips(table)
    assert (clip.label, clip.part, dict(clip.values)) == (None, "", {})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("person,", "who,", "has no column person"),
        ("clips/c.wav", "clips/d.wav", "row 4, column path: there is no file 'clips/d.wav'"),
        ("clips/c.wav", "", "row 4, column path: there is no file ''"),
        ("ben", " ", "row 3, column person: nobody is named"),
        ("calm", "bored", "row 4, column emotion: 'bored' is unknown; one of neutral"),
        ("0.7", "high", "row 2, column arousal: 'high' is no number"),
        ("0.7", "nan", "row 2, column arousal: 'nan' is no number"),
        ("valid", "dev", "row 3, column part: 'dev' is unknown; one of train"),
        ("clips/c.wav", "clips/../clips/a.mp4", "row 4, column path: a.mp4 is in row 2 already"),
        ('"clips/b, late.mp4"', "clips/b, late.mp4", "row 3 has more or fewer fields"),
        (",valid", "", "row 3 has more or fewer fields"),
        ("arousal", "person", "a column twice"),
        ("clips/c.wav,anna,calm,-1,train\n", '"clips', "is no CSV in UTF-8"),
    ],
)
def test_errors_name_row_and_column(table, old, new, message):
    assert old in WHOLE
    table.write_text(WHOLE.replace(old, new, 1))
    with pytest.raises((FormatError, InputError)) as caught:
        manifest_clips(table)
    assert message in str(caught.value)
    assert str(table) in str(caught.value)


def test_a_column_that_is_asked_has_to_be_there_and_told(table):
    table.write_text(WHOLE)
    assert len(manifest_clips(table, ("emotion", "arousal", "part"))) == 3
    with pytest.raises(FormatError) as caught:
        manifest_clips(table, ("arousal", "fatigue"))
    assert "has no column fatigue, only path, person, emotion, arousal, part" in str(caught.value)
    assert str(table) in str(caught.value)
    table.write_text("path,person,emotion,arousal\nclips/a.mp4,anna,,\nclips/c.wav,ben,,1\n")
    assert len(manifest_clips(table, ("arousal",))) == 2
    with pytest.raises(FormatError, match="column emotion is empty in every row"):
        manifest_clips(table, ("emotion",))


def test_a_table_that_is_no_table(table):
    with pytest.raises(InputError, match="cannot be read"):
        manifest_clips(table)
    table.write_bytes(b"path,person\n\xff\xfe,x\n")
    with pytest.raises(FormatError, match="no CSV in UTF-8"):
        manifest_clips(table)
    table.write_text("path,person\n")
    with pytest.raises(FormatError, match="names no recording"):
        manifest_clips(table)
