"""A manifest: what it may say, and that what it must not say is named before anything is read."""

from __future__ import annotations

import wave

import numpy as np
import pytest
import torch
import yaml
from pydantic import TypeAdapter, ValidationError

from mien.datasets import AnyDataSet, Places
from mien.datasets.manifest import ManifestDataSet, manifest_template, read_manifest
from mien.errors import FormatError, InputError, MienError, OptionError
from mien.features.files import FeatureFile

SECONDS = 2.0


@pytest.fixture
def folder(tmp_path):
    """Six recordings of two seconds, two channels each."""
    (tmp_path / "clips").mkdir()
    chance = np.random.default_rng(0)
    for name in ("a", "b", "c", "d", "e", "f"):
        with wave.open(str(tmp_path / "clips" / f"{name}.wav"), "wb") as file:
            file.setnchannels(2)
            file.setsampwidth(2)
            file.setframerate(16_000)
            noise = chance.normal(scale=3000, size=(int(16_000 * SECONDS), 2))
            file.writeframes(noise.astype("<i2").tobytes())
    return tmp_path


def write(folder, text, name="mine.csv"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def features(folder, name, columns=("x", "y"), hop=0.5, steps=4):
    lines = [",".join(("time", *columns))]
    lines += [
        ",".join([f"{i * hop:g}", *(f"{i + n}" for n in range(len(columns)))]) for i in range(steps)
    ]
    return write(folder, "\n".join(lines), name)


MOODS = """\
path,person,mood
clips/a.wav,anna,tense
clips/b.wav,ben,very calm
clips/c.wav,cleo,tense
clips/d.wav,anna,very calm
clips/e.wav,ben,
"""


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


STRETCHES = """\
path,person,mood,start,end,channel
clips/a.wav,anna,tense,0,1,1
clips/a.wav,ben,calm,0,1,2
clips/a.wav,anna,calm,1,,1
clips/b.wav,cleo,tense,,1.5,
"""


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


def heart(folder, extra=""):
    for name in "abc":
        features(folder, f"{name}.csv")
    return write(
        folder,
        "person,mood,heart_features\nanna,tense,a.csv\nben,calm,b.csv\ncleo,tense,c.csv\n"
        "anna,calm,d.csv\n" + extra,
    )


def test_files_of_features_need_no_recording(folder):
    features(folder, "d.csv")
    manifest = read_manifest(heart(folder), "mood")
    assert manifest.files == {"heart": FeatureFile(columns=("x", "y"), hop=0.5)}
    data = ManifestDataSet(path=manifest.path, label="mood").resolve()
    assert data.shape().modalities == {"heart": (2,)}
    progress = []
    examples = data.examples(
        Places(folder, folder / "cache"), lambda done, of: progress.append((done, of))
    )
    assert progress == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert examples.unreadable == ()
    assert [e.clip for e in examples] == [f"mine/{name}.csv" for name in "abcd"]
    assert examples[0].signals["heart"].values[0, :, 1].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert [int(e.target) for e in examples] == [1, 0, 1, 0]


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"columns": ("x", "z")}, "row 5, column heart_features: d.csv has other columns"),
        ({"hop": 0.25}, "row 5, column heart_features: d.csv has steps of 0.25 s, row 2 has 0.5 s"),
        (None, "row 5, column heart_features: there is no file 'd.csv'"),
    ],
)
def test_files_of_features_that_are_not_alike(folder, made, message):
    if made is not None:
        features(folder, "d.csv", **made)
    with pytest.raises((FormatError, InputError)) as caught:
        read_manifest(heart(folder), "mood")
    assert message in str(caught.value)


def test_features_without_times_need_a_hop(folder):
    for name in "ab":
        np.savez(folder / f"{name}.npz", features=np.ones((4, 2), dtype=np.float32))
    text = "person,mood,eeg_features\nanna,x,a.npz\nben,y,b.npz\nanna,y,a.npz\nben,x,b.npz\n"
    path = write(folder, text.replace("anna,y,a.npz\nben,x,b.npz\n", ""))
    rows = path.read_text() + "cleo,x,c.npz\ncleo,y,d.npz\n"
    for name in "cd":
        np.savez(folder / f"{name}.npz", features=np.ones((4, 2), dtype=np.float32))
    path = write(folder, rows)
    with pytest.raises(FormatError, match=r"row 2, column eeg_features: a\.npz has no times"):
        read_manifest(path, "mood")
    data = ManifestDataSet(path=path, label="mood", hops={"eeg": 0.1}).resolve()
    assert data.extractors()["eeg"].hop == 0.1


def test_a_model_that_reads_files_needs_them(folder):
    asked = {"heart": {"name": "file", "columns": ["x", "y"], "hop": 0.5}}
    data = ManifestDataSet(path=write(folder, MOODS), label="mood", features=asked)
    with pytest.raises(OptionError, match=r"no file of heart features; .* column heart_features"):
        data.resolve()
    features(folder, "d.csv")
    assert ManifestDataSet(path=heart(folder), label="mood", features=asked).resolve()
    other = {"heart": {"name": "file", "columns": ["x", "q"], "hop": 0.5}}
    with pytest.raises(FormatError, match=r"row 2, column heart_features: a\.csv has other"):
        ManifestDataSet(path=heart(folder), label="mood", features=other).resolve()
    with pytest.raises(FormatError, match="row 2, column path: is empty, but audio is read"):
        ManifestDataSet(path=heart(folder), label="mood", features={"audio": "mfcc"}).resolve()


def test_recordings_and_files_of_features_together(folder):
    features(folder, "h.csv")
    rows = MOODS.splitlines()
    text = "\n".join(
        [rows[0] + ",video_features,heart_features", *(r + ",,h.csv" for r in rows[1:])]
    )
    data = ManifestDataSet(path=write(folder, text), label="mood")
    assert {n: e.name for n, e in data.extractors().items()} == {
        "audio": "whisper_tiny_en",
        "video": "face_ferplus",
        "heart": "file",
    }
    again = ManifestDataSet.model_validate(
        {k: v for k, v in data.model_dump().items() if k != "name"}
    )
    assert again.resolve().extractors() == data.resolve().extractors()


def test_what_is_asked_is_computed_though_there_are_files_of_it(folder):
    features(folder, "h.csv")
    rows = MOODS.splitlines()
    table = write(
        folder, "\n".join([rows[0] + ",audio_features", *(r + ",h.csv" for r in rows[1:])])
    )
    data = ManifestDataSet(path=table, label="mood", features={"audio": "mfcc"}).resolve()
    examples = data.examples(Places(folder, folder / "cache"))
    assert len(examples) == 4
    assert examples[0].signals["audio"].values.shape[-1] == data.extractors()["audio"].shape[0]


def test_a_recording_in_which_nothing_was_observed_is_told(folder):
    table = heart(folder)
    write(folder, "time,x,y\n0,,\n0.5,,\n1,,\n", "d.csv")
    examples = (
        ManifestDataSet(path=table, label="mood")
        .resolve()
        .examples(Places(folder, folder / "cache"))
    )
    assert len(examples) == 3
    assert [path.name for path in examples.unobserved] == ["d.csv"]
    assert not examples.unreadable


def test_recordings_are_read_from_their_stretch_and_channel(folder):
    data = ManifestDataSet(
        path=write(folder, STRETCHES),
        label="mood",
        features={"audio": {"name": "mfcc", "hop": 0.1}},
    ).resolve()
    examples = data.examples(Places(folder, folder / "cache"))
    audio = [e.signals["audio"] for e in examples]
    assert [a.valid.shape[1] for a in audio] == [10, 10, 10, 15]
    assert not torch.equal(audio[0].values, audio[1].values)


def test_what_cannot_be_read_is_listed_and_skipped(folder):
    (folder / "clips" / "b.wav").write_bytes(b"nothing of the kind")
    data = ManifestDataSet(path=write(folder, MOODS), label="mood", features={"audio": "mfcc"})
    places = Places(folder, folder / "cache")
    examples = data.resolve(places).examples(places)
    assert [e.clip for e in examples] == [f"mine/clips/{name}.wav" for name in "acd"]
    (bad,) = examples.unreadable
    assert bad.path.name == "b.wav"
    assert isinstance(bad.error, FormatError)
    with pytest.raises(FormatError, match=r"b\.wav"):
        data.resolve(places).examples(places, strict=True)
    for name in "acd":
        (folder / "clips" / f"{name}.wav").write_bytes(b"neither")
    with pytest.raises(InputError, match=r"none of 4 recordings can be read; the first: .*a\.wav"):
        data.resolve(places).examples(places)


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
