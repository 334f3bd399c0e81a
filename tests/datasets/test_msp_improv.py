import pytest

from mien.datasets.msp_improv import msp_improv_clips
from mien.errors import FormatError, InputError

LABELS = """\
UTD-IMPROV-S01A-F01-P-FM01.avi; A; A:2.000000; V:1.500000; D:NaN ; N:3.000000;
W1; Angry; Angry,Frustrated; A:2.000000; V:1.000000; D:4.000000; N:3.000000;
W2; Angry; Other (sour; bitter); A:2.000000; V:2.000000; D:4.000000; N:3.000000;
W2; Angry; Other (sour; bitter); A:2.000000; V:2.000000; D:4.000000; N:3.000000;
W3; Neutral; ; A:2.000000; V:1.500000; D:4.000000; N:3.000000;
W4; Other; Bored; A:2.000000; V:1.500000; D:4.000000; N:3.000000;

UTD-IMPROV-S01A-M02-S-MF03.avi; X; A:5.000000; V:3.000000; D:5.000000 ; N:3.000000;
W1; Other; Bored; A:5.000000; V:3.000000; D:5.000000; N:3.000000;
"""


@pytest.fixture
def corpus(tmp_path):
    (tmp_path / "Evalution.txt").write_text(LABELS)
    for session, name in (("session1", "S01A-F01-P-FM01"), ("session2", "S01A-M02-S-MF03")):
        folder = tmp_path / session / "S01A" / name[9]
        folder.mkdir(parents=True)
        for suffix in ("avi", "wav"):
            (folder / f"MSP-IMPROV-{name}.{suffix}").touch()
    return tmp_path


def test_clips_have_a_consensus_soft_labels_and_dimensions(corpus):
    first, second = msp_improv_clips(corpus)
    assert (first.person, first.label, first.path.suffix) == ("msp_improv/F01", "anger", ".avi")
    # Rated 2 of 1 (active) to 5 (calm): nearly as active as can be.
    assert first.values == pytest.approx({"arousal": 0.75, "valence": 0.125})
    assert first.soft_label == pytest.approx(
        {"anger": 2 / 3, "happiness": 0, "sadness": 0, "neutral": 1 / 3}
    )
    assert (second.person, second.label, second.soft_label) == ("msp_improv/M02", None, {})
    assert second.values == pytest.approx({"arousal": 0.0, "valence": 0.5, "dominance": 1.0})


def test_reading_twice_gives_the_same_arousal(corpus):
    once = [clip.values for clip in msp_improv_clips(corpus)]
    assert once == [clip.values for clip in msp_improv_clips(corpus)]
    assert {clip.path.suffix for clip in msp_improv_clips(corpus)} == {".avi"}


def test_what_is_missing_or_wrong_is_named(corpus):
    stray = corpus / "session1" / "MSP-IMPROV-S02A-F01-P-FM01.avi"
    stray.touch()
    with pytest.raises(InputError, match="has no line among the labels"):
        msp_improv_clips(corpus)
    stray.unlink()
    labels = corpus / "Evalution.txt"
    labels.write_text(LABELS.replace("; X; A:", "; Q; A:"))
    with pytest.raises(FormatError, match="line 8 is not as published"):
        msp_improv_clips(corpus)
    labels.unlink()
    with pytest.raises(InputError, match=r"no Evalution.txt or Evaluation.txt.*utdallas"):
        msp_improv_clips(corpus)
