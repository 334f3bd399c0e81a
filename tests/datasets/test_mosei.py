import sys

import numpy as np
import pytest

from mien.datasets import Places, official
from mien.datasets.mosei import MOSEI_NAMES, CmuMosei, mosei_examples
from mien.errors import FormatError, InputError, OptionError
from mien.experiments.loading import load_shipped
from mien.experiments.runner import attempt, plan_runs

FOLDS = "standard_train_fold=['aa', 'zz']\nstandard_valid_fold=['bb']\nstandard_test_fold=['cc']\n"


def write(path, videos):
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        for video, (features, intervals) in videos.items():
            group = file.create_group(f"Any Name/data/{video}")
            group["features"], group["intervals"] = features, intervals


def readings(hz, seconds, width, value=1.0):
    start = np.arange(round(hz * seconds)) / hz
    features = np.repeat(np.floor(start + 1e-9)[:, None] + value, width, axis=1)
    return features, np.stack([start, start + 1 / hz], axis=1)


@pytest.fixture
def corpus(tmp_path):
    tmp_path = tmp_path / "cmu_mosei"
    tmp_path.mkdir()
    labels = np.arange(14, dtype=np.float64).reshape(2, 7) / 10
    sentences = (labels, np.array([[2.0, 4.0], [0.0, 1.5]]))
    videos = dict.fromkeys(("aa", "bb", "cc"), sentences)
    write(tmp_path / "CMU_MOSEI_Labels.csd", videos)
    write(tmp_path / "COVAREP.csd", {v: readings(100, 4, 74) for v in videos})
    faces = {v: readings(30, 4, 35) for v in ("aa", "cc")}
    write(tmp_path / "CMU_MOSEI_VisualFacet42.csd", faces)
    (tmp_path / "cmu_mosei_std_folds.py").write_text(FOLDS)
    return tmp_path


def test_every_labelled_sentence_is_cut_out(corpus):
    examples = mosei_examples(corpus, hop=0.5)
    assert [e.clip for e in examples[:2]] == ["mosei/aa/0.000", "mosei/aa/2.000"]
    assert [e.part for e in examples] == ["train"] * 2 + ["valid"] * 2 + ["test"] * 2
    first, second = examples[:2]
    assert [round(float(e.target), 3) for e in (first, second)] == [0.7, 0.0]
    for modality, width in (("audio", 74), ("video", 35)):
        assert first.signals[modality].values.shape == (1, 3, width)
        # Readings are the second they begin in, plus one.
        assert first.signals[modality].values[0, :, 0].tolist() == [1.0, 1.0, 2.0]
        assert second.signals[modality].values[0, :, 0].tolist() == [3.0, 3.0, 4.0, 4.0]
        assert first.signals[modality].valid.all()
    assert official(examples).test == ("mosei/cc",)


def test_a_video_without_faces_has_none_observed(corpus):
    example = mosei_examples(corpus)[2]
    assert example.person == "mosei/bb"
    assert example.signals["video"].values.shape == (1, 5, 35)
    assert not example.signals["video"].valid.any()
    assert example.signals["audio"].valid.all()


def test_readings_that_are_no_numbers_do_not_enter_a_mean(corpus):
    features, intervals = readings(100, 4, 74)
    features[:50, 3] = -np.inf
    features[100:120] = 0
    write(corpus / "COVAREP.csd", dict.fromkeys(("aa", "bb", "cc"), (features, intervals)))
    audio = mosei_examples(corpus, hop=0.5)[0].signals["audio"]
    assert audio.valid.tolist() == [[False, True, True]]
    assert audio.values[0, :, 3].tolist() == [0.0, 1.0, 2.0]


def test_other_labels_are_chosen_by_name(corpus):
    example = mosei_examples(corpus, names=("fear", "happiness"))[1]
    assert example.target.tolist() == pytest.approx([0.6, 0.1])
    assert len(MOSEI_NAMES) == 7
    with pytest.raises(OptionError, match="give names out of sentiment"):
        mosei_examples(corpus, names=("joy",))


def test_the_list_of_folds_is_never_run(corpus):
    folds = corpus / "cmu_mosei_std_folds.py"
    folds.write_text("raise SystemExit\n" + FOLDS)
    assert len(mosei_examples(corpus)) == 6
    folds.write_text(FOLDS.replace("['bb']", "list('bb')"))
    with pytest.raises(FormatError, match="no list of folds"):
        mosei_examples(corpus)
    folds.write_text(FOLDS.splitlines()[0])
    with pytest.raises(FormatError, match="lacks one of standard_train_fold"):
        mosei_examples(corpus)


def test_what_is_no_computational_sequence_is_named(corpus):
    covarep = corpus / "COVAREP.csd"
    covarep.write_bytes(b"no hdf5")
    with pytest.raises(FormatError, match=r"COVAREP.csd: is no HDF5 file"):
        mosei_examples(corpus)
    write(covarep, {"aa": (np.zeros((3, 74)), np.zeros((2, 2)))})
    with pytest.raises(FormatError, match="aa has features"):
        mosei_examples(corpus)
    write(covarep, {})
    with pytest.raises(FormatError, match="holds no computational sequence"):
        mosei_examples(corpus)
    covarep.unlink()
    with pytest.raises(InputError, match=r"holds no CMU_MOSEI_COVAREP.csd or COVAREP.csd.*SDK"):
        mosei_examples(corpus)


def test_the_list_of_folds_is_said_to_be_in_the_sdk(corpus):
    (corpus / "cmu_mosei_std_folds.py").unlink()
    with pytest.raises(
        InputError, match=r"std_folds.py: is not there.*standard_datasets/CMU_MOSEI"
    ):
        mosei_examples(corpus)


def test_the_source_gives_the_standard_parts_of_what_was_observed(corpus):
    folds = corpus / "cmu_mosei_std_folds.py"
    folds.write_text(FOLDS.replace("['cc']", "['dd']"))
    unlisted = readings(100, 4, 74)
    silent = (np.zeros_like(unlisted[0]), unlisted[1])
    voices = {"aa": unlisted, "bb": silent, "cc": unlisted, "dd": unlisted}
    write(corpus / "COVAREP.csd", voices)
    sentence = (np.full((1, 7), -1.5), np.array([[0.0, 4.0]]))
    write(corpus / "CMU_MOSEI_Labels.csd", dict.fromkeys(voices, sentence))
    source = CmuMosei()
    examples = source.examples(Places(corpus.parent, corpus.parent))
    # Nothing was observed of bb, and cc is in no part.
    assert [e.person for e in examples] == ["mosei/aa", "mosei/dd"]
    folds.write_text(FOLDS)
    write(corpus / "COVAREP.csd", dict.fromkeys(voices, unlisted))
    examples = source.examples(Places(corpus.parent, corpus.parent))
    shape = source.shape()
    for example in examples:
        assert example.target.tolist() == [-1.5]
        for name, sequence in example.signals.items():
            assert tuple(sequence.values.shape[2:]) == tuple(shape.modalities[name])
            assert sequence.hop == shape.hops[name]
    (fold,) = source.split(examples)
    assert (fold.train, fold.dev, fold.test) == (("mosei/aa",), ("mosei/bb",), ("mosei/cc",))
    assert (shape.task.names, shape.task.low, shape.task.high) == (("sentiment",), -3.0, 3.0)


def test_the_source_names_the_folder_and_where_to_get_the_corpus(tmp_path):
    with pytest.raises(InputError, match=r"cmu_mosei: holds no .*COVAREP.csd.*MultimodalSDK"):
        CmuMosei().examples(Places(tmp_path, tmp_path))


@pytest.mark.parametrize("name", ["sfav_table2_mosei", "sfav_table3_mosei", "vavl_table1_mosei"])
def test_the_tables_of_the_papers_run_from_the_published_files(corpus, name, tmp_path):
    experiment = load_shipped(name).shrink()
    entry = experiment.models[0].model_copy(update={"treatments": None})
    training = experiment.training.model_copy(update={"epochs": 1, "batch_size": 2})
    experiment = experiment.model_copy(
        update={
            "models": (entry,),
            "treatments": experiment.treatments[:1],
            "training": training,
            "reported": (),
            "comparisons": (),
        }
    )
    places = Places(corpus.parent, tmp_path)
    runs = plan_runs(experiment.resolve(places), places, tmp_path / "runs")
    assert len(runs) == 1
    assert attempt(runs[0]) is None
    table = runs[0].folder.read_results()
    mae = table[(table["condition"] == "everything") & (table["metric"] == "mae")]
    # Sentiment goes from -3 to 3, and so do the answers.
    assert 0 <= float(mae["value"].iloc[0]) < 6


def test_without_h5py_the_error_says_so(tmp_path, monkeypatch):
    for name in ("COVAREP.csd", "FACET 4.2.csd", "All Labels.csd"):
        (tmp_path / name).touch()
    (tmp_path / "cmu_mosei_std_folds.py").write_text(FOLDS)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(InputError, match="pip install h5py"):
        mosei_examples(tmp_path)
