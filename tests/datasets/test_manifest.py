"""A manifest: what it may say, and that what it must not say is named before anything is read."""

from __future__ import annotations

import pytest
import torch
import yaml
from pydantic import TypeAdapter, ValidationError
from tests.datasets.manifest_material import MOODS, STRETCHES, write

from mien.datasets import AnyDataSet, Places
from mien.datasets.manifest import ManifestDataSet, manifest_template, read_manifest
from mien.errors import FormatError, InputError, MienError, OptionError


def test_categories_of_any_words(folder):
    manifest = read_manifest(write(folder, MOODS), "mood")
    assert manifest.task.kind == "categories"
    assert manifest.task.names == ("tense", "very calm")
    assert [clip.label for clip in manifest.clips][-2:] == ["very calm", None]
    first = manifest.clips[0]
    assert (first.person, first.corpus) == ("mine/anna", "mine")
    assert first.full_name == "mine/clips/a.wav"
    assert manifest.rows == (2, 3, 4, 5, 6)
    assert manifest.notices == ()


def test_emotions_are_in_the_order_of_the_vocabulary(folder):
    text = MOODS.replace("mood", "emotion").replace("tense", "anger").replace("very calm", "calm")
    assert read_manifest(write(folder, text)).task.names == ("calm", "anger")
    fixed = read_manifest(write(folder, text), labels=("sadness", "anger", "calm"))
    assert fixed.task.names == ("sadness", "anger", "calm")
    assert fixed.notices == ("No row has sadness; the table has anger, calm.",)


def test_several_dimensions_with_their_ranges(folder):
    text = (
        "path,person,arousal,pain\nclips/a.wav,anna,-0.5,3\nclips/b.wav,ben,,7\n"
        "clips/c.wav,cleo,0.5,\nclips/d.wav,anna,,\n"
    )
    manifest = read_manifest(write(folder, text), ["arousal", "pain"], ranges={"pain": (0, 10)})
    assert manifest.task.ranges == {"arousal": (-0.5, 0.5), "pain": (0.0, 10.0)}
    data = ManifestDataSet(path=manifest.path, label=("pain", "arousal"))
    targets = [data.target(clip) for clip in data.clips()]
    assert targets[3] is None
    assert targets[0].tolist() == [3.0, -0.5]
    assert targets[1][0] == 7
    assert torch.isnan(targets[1][1])
    with pytest.raises(FormatError, match="row 3, column pain: pain is 7, its range is 0 to 5"):
        read_manifest(manifest.path, "pain", kind="dimensions", ranges={"pain": (0, 5)})
    trained = read_manifest(manifest.path, ["pain"], labels=("pain",), ranges={"pain": (0, 5)})
    assert trained.notices == ("pain goes from 3 to 7, beyond 0 to 5.",)


def test_whole_numbers_are_not_guessed_at(folder):
    path = write(folder, MOODS.replace("tense", "1").replace("very calm", "2"))
    with pytest.raises(OptionError, match="are they categories, or a dimension"):
        read_manifest(path, "mood")
    assert read_manifest(path, "mood", kind="categories").task.names == ("1", "2")
    assert read_manifest(path, "mood", kind="dimensions").task.ranges == {"mood": (1.0, 2.0)}
    decimal = write(folder, MOODS.replace("tense", "1.5").replace("very calm", "2"))
    assert read_manifest(decimal, "mood").task.kind == "dimensions"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("person,", "persn,", "has no column person, only path, persn, mood; did you mean persn?"),
        ("path,", "file,", "has no column path"),
        (",mood", ",feeling", "has no column mood, only path, person, feeling"),
        ("clips/c.wav", "clips/x.wav", "row 4, column path: there is no file 'clips/x.wav'"),
        ("clips/c.wav", "", "row 4, column path: no file is named; name the recording or a file"),
        ("ben", " ", "row 3, column person: nobody is named"),
        ("cleo", "unknown", "row 4, column person: 'unknown' says not who it is"),
        ("cleo", "Anna", "row 4, column person: 'Anna' and 'anna' of row 2 differ only in case"),
        (
            "cleo,tense",
            "cleo,Tense",
            "row 4, column mood: 'Tense' and 'tense' of row 2 differ only in case",
        ),
        ("cleo,tense", "cleo,tense ", "row 4, column mood: 'tense ' and 'tense' of row 2"),
        (
            "anna,very calm",
            "anna,very  calm",
            "row 5, column mood: 'very  calm' and 'very calm' of row 3",
        ),
        ("cleo,tense", "cleo,odd", "row 2, column mood: 'tense' is in this row only"),
        ("clips/c.wav", "clips/../clips/a.wav", "row 4, column path: a.wav is in row 2 already"),
        ("clips/c.wav,cleo", "clips/c.wav,cl,eo", "row 4 has 4 fields, there are 3 columns"),
        ("path,person,mood", "path,person,person", "a column twice, or one without a name"),
        ("path,person,mood", "path;person;mood", "is separated by semicolons"),
    ],
)
def test_errors_name_row_and_column(folder, old, new, message):
    assert old in MOODS
    path = write(folder, MOODS.replace(old, new, 1))
    with pytest.raises(MienError) as caught:
        read_manifest(path, "mood")
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_table_that_is_no_table(folder):
    with pytest.raises(InputError, match="cannot be read"):
        read_manifest(folder / "none.csv")
    path = write(folder, "path,person,mood\n")
    with pytest.raises(FormatError, match="has no row below the names"):
        read_manifest(path, "mood")
    path.write_bytes(b"path,person\n\xff\xfe,x\n")
    with pytest.raises(FormatError, match="no CSV in UTF-8"):
        read_manifest(path, "mood")
    with pytest.raises(FormatError, match="column mood is empty in every row"):
        read_manifest(write(folder, "path,person,mood\nclips/a.wav,anna,\n"), "mood")
    with pytest.raises(FormatError, match="all rows are 'tense'"):
        read_manifest(write(folder, MOODS.replace("very calm", "tense")), "mood")
    with pytest.raises(FormatError, match="has no column ratings"):
        read_manifest(write(folder, MOODS))


def test_blank_rows_are_counted_as_a_spreadsheet_does(folder):
    text = MOODS.replace("clips/c.wav,cleo", ",,\n\nclips/x.wav,cleo")
    with pytest.raises(InputError, match=r"row 6, column path: there is no file 'clips/x\.wav'"):
        read_manifest(write(folder, text), "mood")


def test_a_category_of_one_person_and_a_column_that_nothing_reads_are_noticed(folder):
    text = MOODS.replace("ben,very calm", "anna,very calm").replace(",mood", ",mood,chanel")
    text = "\n".join(line if n == 0 else f"{line}," for n, line in enumerate(text.split("\n")))
    notices = read_manifest(write(folder, text.rstrip(",")), "mood").notices
    assert notices[0] == "Nothing reads the column chanel; did you mean channel?"
    assert notices[1].startswith("Only anna shows very calm")


def test_labels_of_a_trained_model(folder):
    path = write(folder, MOODS)
    with pytest.raises(
        FormatError, match="row 3, column mood: 'very calm' is not among the labels"
    ):
        read_manifest(path, "mood", labels=("tense", "calm"))
    with pytest.raises(FormatError, match="row 2, column mood: 'tense' is spelled 'Tense'"):
        read_manifest(path, "mood", labels=("Tense", "very calm"))
    with pytest.raises(FormatError, match=r"no column emotion, .*; name the column of the labels"):
        read_manifest(path, kind="categories", labels=("tense", "very calm"))
    data = ManifestDataSet(path=path, label="mood", labels=("very calm", "tense")).resolve()
    assert data.target(data.clips()[0]).item() == 1


FOLDS = """\
path,person,mood,fold
clips/a.wav,anna,tense,one
clips/b.wav,ben,calm,two
clips/c.wav,cleo,calm,three
clips/d.wav,anna,tense,one
"""


def people(fold):
    return [
        {one.removeprefix("mine/") for one in part} for part in (fold.train, fold.dev, fold.test)
    ]


class Named:
    def __init__(self, clip):
        self.person, self.part = clip.person, clip.part


def split(data):
    return data.split([Named(clip) for clip in data.clips()])


def test_every_fold_is_tested_once(folder):
    data = ManifestDataSet(path=write(folder, FOLDS), label="mood")
    folds = split(data)
    assert [fold.name for fold in folds] == ["fold/one", "fold/three", "fold/two"]
    assert [people(fold) for fold in folds] == [
        [{"ben"}, {"cleo"}, {"anna"}],
        [{"anna"}, {"ben"}, {"cleo"}],
        [{"cleo"}, {"anna"}, {"ben"}],
    ]
    without = split(ManifestDataSet(path=data.path, label="mood", dev=0))
    assert people(without[0]) == [{"ben", "cleo"}, set(), {"anna"}]


def test_parts(folder):
    text = FOLDS.replace("fold", "part").replace("one", "train").replace("two", "valid")
    (fold,) = split(
        ManifestDataSet(path=write(folder, text.replace("three", "test")), label="mood")
    )
    assert people(fold) == [{"anna"}, {"ben"}, {"cleo"}]
    untested = read_manifest(write(folder, text.replace("three", "train")), "mood")
    assert any("figures are of valid" in notice for notice in untested.notices)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([("anna,tense,one\n", "anna,tense,two\n")], "row 5, column fold: anna is in one here and"),
        ([("ben,calm,two", "ben,calm,")], "row 3, column fold: is empty"),
        ([("two", "one"), ("three", "one")], "column fold: all rows are in fold one"),
        ([("two", "One")], "row 3, column fold: 'One' and 'one' of row 2 differ only in case"),
        ([("two", "test")], "row 3, column fold: 'test' is a part"),
        ([("fold", "part")], "row 2, column part: 'one' is unknown; one of train, valid, test"),
        (
            [("fold", "part"), *[(x, "train") for x in ("one", "two", "three")]],
            "there is only train",
        ),
    ],
)
def test_folds_that_cannot_be(folder, changes, message):
    text = FOLDS
    for old, new in changes:
        text = text.replace(old, new) if old != "anna,tense,one\n" else text.replace(old, new, 1)
    with pytest.raises(FormatError) as caught:
        read_manifest(write(folder, text), "mood")
    assert message in str(caught.value)


def test_both_fold_and_part(folder):
    lines = FOLDS.splitlines()
    text = "\n".join([lines[0] + ",part", *(f"{line},train" for line in lines[1:])])
    with pytest.raises(FormatError, match="has both fold and part"):
        read_manifest(write(folder, text), "mood")
    empty = text.replace(",train", ",")
    assert read_manifest(write(folder, empty), "mood").division == "fold"


def test_by_default_everybody_is_tested_once_in_five_folds(folder):
    rows = [f"clips/{name}.wav,p{n},{'xy'[n % 2]}" for n, name in enumerate("abcdef")]
    data = ManifestDataSet(path=write(folder, "path,person,mood\n" + "\n".join(rows)), label="mood")
    folds = split(data)
    assert len(folds) == 5
    assert sorted(one for fold in folds for one in fold.test) == [f"mine/p{n}" for n in range(6)]
    assert all(len(fold.dev) == 1 for fold in folds)
    assert [len(fold.test) for fold in split(data.model_copy(update={"count": 3}))] == [2, 2, 2]
    drawn = split(ManifestDataSet(path=data.path, label="mood", split_by="random", count=2))
    assert [len(fold.test) for fold in drawn] == [2, 2]
    few = ManifestDataSet(path=write(folder, MOODS.replace("cleo", "ben")), label="mood")
    with pytest.raises(OptionError, match="2 people cannot be divided into train, dev and test"):
        split(few)
    assert len(split(few.model_copy(update={"dev": 0}))) == 2
    one = MOODS.replace("cleo", "anna").replace("ben", "anna")
    with pytest.raises(OptionError, match="1 people cannot be divided"):
        split(ManifestDataSet(path=write(folder, one), label="mood", dev=0))


def test_stretches_and_channels(folder):
    manifest = read_manifest(write(folder, STRETCHES), "mood")
    assert [(c.start, c.end, c.channel) for c in manifest.clips] == [
        (0.0, 1.0, 1),
        (0.0, 1.0, 2),
        (1.0, None, 1),
        (0.0, 1.5, None),
    ]
    assert [c.name for c in manifest.clips] == [
        "clips/a.wav@0-1#1",
        "clips/a.wav@0-1#2",
        "clips/a.wav@1-#1",
        "clips/b.wav@0-1.5",
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("calm,1,,1", "calm,0.5,,1", "row 4, column start: a.wav from 0.5 s overlaps row 2"),
        ("tense,0,1,1", "tense,1,0.5,1", "row 2, column end: 0.5 s is not after the start at 1 s"),
        ("tense,0,1,1", "tense,-1,1,1", "row 2, column start: -1 s is before the recording"),
        ("tense,,1.5", "tense,,9", "row 5, column end: 9 s, but the recording ends at 2.000 s"),
        ("tense,,1.5", "tense,5,9", "row 5, column start: 5 s, but the recording ends at 2.000"),
        ("tense,,1.5", "tense,soon,1.5", "row 5, column start: 'soon' is no number"),
        ("calm,0,1,2", "calm,0,1,3", "row 3, column channel: 3, but the recording has 2"),
        ("calm,0,1,2", "calm,0,1,0", "row 3, column channel: '0' is none; count channels from 1"),
    ],
)
def test_stretches_that_cannot_be(folder, old, new, message):
    assert old in STRETCHES
    with pytest.raises((FormatError, OptionError)) as caught:
        read_manifest(write(folder, STRETCHES.replace(old, new)), "mood")
    assert message in str(caught.value)


def test_a_path_is_beside_the_yaml_or_in_the_data_folder(folder, tmp_path):
    path = write(folder, MOODS)
    written = TypeAdapter(AnyDataSet)
    said = {"name": "manifest", "path": "mine.csv", "label": "mood"}
    beside = written.validate_python(said, context={"folder": folder})
    assert beside.task().names == ("tense", "very calm")
    data = written.validate_python(said)
    resolved = data.resolve(Places(folder, tmp_path))
    assert resolved.path == path.resolve()
    assert resolved.labels == ("tense", "very calm")
    assert written.validate_python(resolved.model_dump(mode="json")) == resolved
    with pytest.raises(InputError, match="is not there"):
        data.resolve(Places(tmp_path / "clips", tmp_path))
    with pytest.raises(ValidationError, match="the range of pain is 3 to 1"):
        ManifestDataSet(path=path, label=("pain",), ranges={"pain": (3, 1)})


def test_the_template_is_an_experiment_on_a_manifest():
    said = yaml.safe_load(manifest_template())
    data = TypeAdapter(AnyDataSet).validate_python(said["data"])
    assert isinstance(data, ManifestDataSet)
    lines = manifest_template().splitlines()
    options = [
        line.split("#")[1].split(":")[0].strip() for line in lines if line.startswith("  # ")
    ]
    assert {*options} - {"audio", "video"} <= {*ManifestDataSet.model_fields}
