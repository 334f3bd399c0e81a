"""What every data set keeps: found by name, its shape, its note, its features and its splits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from tests.synthetic import generate_examples, generate_ratings

from mien.datasets import (
    DATASETS,
    AnyDataSet,
    DataSet,
    Places,
    PublishedFeatures,
)
from mien.datasets.crema_d import CremaD
from mien.datasets.java_sed import JavaSed
from mien.datasets.java_sed_sessions import JavaSedSessions
from mien.datasets.manifest import ManifestDataSet
from mien.datasets.mfn import MfnSequences
from mien.datasets.mosei import CmuMosei
from mien.datasets.msp_improv import MspImprov
from mien.datasets.ravdess import Ravdess, RavdessUnits
from mien.datasets.recola import Recola
from mien.datasets.simulator import RELIABILITY, Simulator
from mien.datasets.ulm_tsst import UlmTsst
from mien.datasets.voices import VOICES, VoicesDataSet
from mien.errors import FormatError, InputError, OptionError, PluginError
from mien.features.extractor import load_extractor
from mien.layers.time import grid_of
from mien.plugins import load_plugin

WRITTEN = TypeAdapter(AnyDataSet)
SETS = [
    RavdessUnits(),
    MfnSequences(corpus="mmmo"),
    MfnSequences(corpus="youtube"),
    CmuMosei(),
    Recola(delay=2.4),
    UlmTsst(dimension="valence"),
    JavaSed(),
    JavaSed(features={"audio": "mfcc", "video": {"name": "face_crops", "colour": True}}),
    Ravdess(features={"audio": {"name": "whisper_tiny_en", "hop": 0.5}}),
    CremaD(labels="soft"),
    MspImprov(),
    ManifestDataSet(label="mood", kind="categories", labels=("tense", "bored")),
    ManifestDataSet(label=("pain",), ranges={"pain": (0, 10)}),
    JavaSedSessions(dimension="arousal"),
    Simulator(),
    VoicesDataSet(),
]


@pytest.mark.parametrize("data", SETS, ids=lambda data: data.name)
def test_synthetic_examples_have_the_shape_of_the_data_set(data):
    shape = data.shape()
    assert shape.task == data.task()
    for example in generate_examples(shape):
        for name, sequence in example.signals.items():
            assert tuple(sequence.values.shape[2:]) == tuple(shape.modalities[name])
            assert sequence.hop == shape.hops[name]
        size = () if shape.task.kind == "categories" else (len(shape.task.names),)
        frames = (grid_of(example.signals.values())[1],) if shape.task.per == "frame" else ()
        assert tuple(example.target.shape) == (*frames, *size)
        assert data.pieces(example)
    assert data.note.endswith(".")


@pytest.mark.parametrize("data", SETS, ids=lambda data: data.name)
def test_a_data_set_says_how_its_features_are_made(data):
    shape = data.shape()
    extractors = data.extractors()
    assert {n: e.shape for n, e in extractors.items()} == {
        n: (shape.sizes[n],) if isinstance(extractors[n], PublishedFeatures) else size
        for n, size in shape.modalities.items()
    }
    for name, extractor in extractors.items():
        assert extractor.hop == shape.hops[name]
        assert load_extractor(extractor.spec()) == extractor


@pytest.mark.parametrize("data", SETS, ids=lambda data: data.name)
def test_a_data_set_reads_what_it_writes(data):
    written = data.model_dump(mode="json")
    assert written["name"] == data.name
    again = WRITTEN.validate_python(written)
    assert again == data
    assert hash(again) == hash(data)


def test_every_registered_name_is_tested_here():
    assert {data.name for data in SETS} == {*DATASETS}


def test_a_name_that_is_not_there_has_a_default():
    assert DATASETS.get("java_sad") is None
    assert DATASETS.get("java_sed", 1) is JavaSed


def test_options_of_features_are_checked_where_they_are_written():
    with pytest.raises(ValidationError, match="no extractor is called 'mffc'; did you mean mfcc"):
        WRITTEN.validate_python({"name": "java_sed", "features": {"audio": "mffc"}})
    with pytest.raises(ValidationError, match=r"no option 'colours'; did you mean colour\?"):
        JavaSed(features={"video": {"name": "face_crops", "colours": True}})
    with pytest.raises(ValidationError, match="takes no count 'many'"):
        JavaSed(features={"audio": {"name": "mfcc", "count": "many"}})
    with pytest.raises(ValidationError, match="an extractor is written as its name"):
        JavaSed(features={"audio": {"hop": 0.1}})
    with pytest.raises(ValidationError, match="at least one modality"):
        JavaSed(features={})
    with pytest.raises(ValidationError, match=r"no data set is called 'java_sad'; .*java_sed"):
        WRITTEN.validate_python("java_sad")
    with pytest.raises(ValidationError, match="sessions need features of one hop"):
        JavaSedSessions(features={"audio": "mfcc", "video": "face_crops"})


PLUGIN = """
import torch
from mien.datasets import DataSet, Example, Fold, PublishedFeatures, Shape, register_dataset
from mien.models import Task
from mien.signals import Sequence, Signals

@register_dataset("{name}")
class Mine(DataSet):
    people: int = 3

    @property
    def note(self):
        return "Mine."

    def shape(self):
        task = Task("categories", ("up", "down"))
        return Shape(task, {{"eeg": (2,)}}, {{"eeg": 0.5}}, {{"eeg": 4}})

    def extractors(self):
        return {{"eeg": PublishedFeatures("mine", 2, 0.5)}}

    def examples(self, places, progress=None, *, strict=False):
        eeg = Sequence(torch.ones(1, 4, 2), torch.ones(1, 4, dtype=torch.bool), 0.5)
        return [
            Example(f"c{{n}}", f"p{{n}}", Signals({{"eeg": eeg}}), torch.tensor(n % 2))
            for n in range(self.people)
        ]

    def split(self, examples):
        return (Fold("one", ("p0",), ("p1",), ("p2",)),)
"""


def test_a_data_set_of_a_users_own_is_one_plugin_file(tmp_path):
    plugin = tmp_path / "mine.py"
    plugin.write_text(PLUGIN.format(name="mine_for_a_test"))
    load_plugin(plugin)
    try:
        data = WRITTEN.validate_python({"name": "mine_for_a_test", "people": 4})
        assert isinstance(data, DataSet)
        assert DATASETS.origin("mine_for_a_test") == str(plugin)
        examples = data.resolve(Places(tmp_path, tmp_path)).examples(Places(tmp_path, tmp_path))
        assert len(examples) == 4
        assert data.split(examples)[0].divide(examples[:3])[2] == [examples[2]]
        with pytest.raises(ValidationError, match=r"no option 'peple'; did you mean people\?"):
            WRITTEN.validate_python({"name": "mine_for_a_test", "peple": 4})
    finally:
        DATASETS._entries.pop("mine_for_a_test")
    (tmp_path / "taken.py").write_text(PLUGIN.format(name="java_sed"))
    with pytest.raises(PluginError, match="two entries are called 'java_sed'"):
        load_plugin(tmp_path / "taken.py")


def test_published_features_say_whose_they_are():
    spec = RavdessUnits().extractors()["audio"].spec()
    assert spec["name"] == "published"
    assert spec["settings"] == {"corpus": "ravdess_units", "features": 259, "hop": 3.6}


def test_the_simulator_is_as_reliable_as_it_says(tmp_path):
    examples = Simulator(people=30, steps=400).examples(Places(tmp_path, tmp_path))
    latent = np.arctanh(np.concatenate([e.target.numpy() for e in examples])) / 0.6
    explained = {}
    for name in RELIABILITY:
        seen = np.concatenate([e.signals[name].values[0].numpy() for e in examples])
        for column, dimension in enumerate(("arousal", "valence")):
            weights, *_ = np.linalg.lstsq(seen, latent[:, column], rcond=None)
            found = np.corrcoef(seen @ weights, latent[:, column])[0, 1]
            explained[name, dimension] = found**2
    assert explained["audio", "arousal"] > explained["physiology", "arousal"]
    assert explained["physiology", "arousal"] > explained["video", "arousal"]
    assert explained["video", "valence"] > explained["audio", "valence"]
    assert explained["audio", "valence"] > explained["physiology", "valence"]


def test_published_features(data_folder, tmp_path):
    places = Places(data_folder, tmp_path)
    units = RavdessUnits()
    examples = units.examples(places)
    assert len(examples) == 1440
    assert [len(part) for part in units.split(examples)[0].divide(examples)] == [960, 240, 240]
    mmmo = MfnSequences(corpus="mmmo")
    parts = mmmo.split(mmmo.examples(places))[0].divide(mmmo.examples(places))
    assert [len(part) for part in parts] == [220, 40, 80]
    targets = torch.cat([e.target for part in parts for e in part])
    assert (float(targets.min()), float(targets.max())) == (-2.0, 2.0)


def test_crema_d_says_how_people_judged_its_clips(data_folder, tmp_path):
    if not (data_folder / "crema_d").is_dir():
        pytest.skip("CREMA-D's tables are not there")
    rated = CremaD().rated(Places(data_folder, tmp_path))
    assert len(rated) == 7442
    one = rated["crema_d/1001_DFA_ANG_XX"]
    assert one.acted == "anger"
    assert set(one.votes) == {"voice", "face", "audio-visual"}
    assert JavaSed().rated(Places(data_folder, tmp_path)) == {}


def test_synthetic_raters_agree_with_synthetic_labels():
    data = CremaD()
    examples = generate_examples(data.shape())
    rated = generate_ratings(examples, data.task())
    assert [rated[e.clip].acted for e in examples] == [
        data.task().names[int(e.target)] for e in examples
    ]


def test_voices_of_four_languages(data_folder, tmp_path):
    places = Places(data_folder, tmp_path)
    data = VoicesDataSet()
    clips = data.clips(places)
    assert len(clips) == 4481 + 1399 + 2474 + 400
    assert all(clip.path.is_file() for clip in clips[::500])
    assert {clip.label for clip in clips} == {*data.task().names}
    assert {clip.person for clip in VoicesDataSet(corpora=("tess",)).clips(places)} == {
        "tess/OAF",
        "tess/YAF",
    }
    assert "ased/01" in {clip.person for clip in clips}  # speakers are words, not numbers
    assert VoicesDataSet(corpora=("urdu",)).task().names == VOICES["urdu"]


def test_voices_with_an_emotion_that_they_do_not_have(tmp_path):
    folder = tmp_path / "voices" / "urdu"
    folder.mkdir(parents=True)
    (folder / "index.csv").write_text("file,speaker,gender,emotion\na.ogg,1,f,fear\n")
    with pytest.raises(FormatError, match="row 2, column emotion: 'fear' is unknown"):
        VoicesDataSet(corpora=("urdu",)).clips(Places(tmp_path, tmp_path))
    with pytest.raises(InputError, match="is not there"):
        VoicesDataSet(corpora=("tess",)).clips(Places(tmp_path, tmp_path))


def test_unknown_conditions_are_answered_with_the_nearest(tmp_path):
    from mien.datasets.degraded import create_degradation

    assert create_degradation("clean", tmp_path) is None
    assert "snr_db=10" in repr(create_degradation("noise_10db", tmp_path))
    with pytest.raises(OptionError, match="did you mean noise_10db"):
        create_degradation("noise_10", tmp_path)
