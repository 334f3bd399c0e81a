import numpy as np
import pytest
import torch
from fake_observation import FACE_HOP, FILE, FacesAt, Loud, observation, ticks

from mien.errors import OptionError
from mien.features.extract import to_signals
from mien.features.series import Series
from mien.recognition.windows import (
    Grid,
    average_faces,
    cut_whole,
    cut_windows,
    find_people,
    main_person,
)

GRID = Grid(window=3.0, hop=0.5)


def body(valid, hop=0.25):
    values = np.arange(2 * len(valid), dtype=np.float32).reshape(-1, 2)
    there = np.array(valid, dtype=np.bool_)
    return Series(np.where(there[:, None], values, 0).astype(np.float32), there, hop)


@pytest.mark.parametrize(("duration", "steps"), [(0, 0), (0.1, 1), (0.5, 1), (0.51, 2), (60, 120)])
def test_steps_cover_a_recording(duration, steps):
    assert GRID.steps(duration) == steps


@pytest.mark.parametrize(
    "options", [{"hop": 0}, {"window": 0.1}, {"window": 601}, {"hop": float("nan")}]
)
def test_senseless_grids_are_refused(options):
    with pytest.raises(OptionError, match="give a number"):
        Grid(**options)


def test_one_face_owns_the_whole_recording_and_its_voice():
    with observation(4.0, voiced=[(1.0, 2.0)], faces={1: ticks(0, 1.0)}) as seen:
        (person,) = find_people(seen, GRID)
    assert (person.name, person.alone) == ("1", True)
    assert person.observed["video"].tolist() == [True, True] + 6 * [False]
    assert person.observed["audio"].tolist() == [False, False, True, True] + 4 * [False]
    assert person.anything.tolist() == 4 * [True] + 4 * [False]


def test_a_voice_without_any_face_is_person_one():
    with observation(1.0, voiced=[(0.0, 1.0)]) as seen:
        (person,) = find_people(seen, GRID)
        assert (person.name, person.track) == ("1", None)
        assert person.observed["audio"].all()
        assert not cut_whole(seen, person, GRID)["video"].valid.any()


def test_a_scrap_of_voice_is_none():
    with observation(1.0, voiced=[(0.0, 0.08), (0.5, 0.6)]) as seen:
        (person,) = find_people(seen, GRID)
    assert person.observed["audio"].tolist() == [False, True]


def test_a_voice_belongs_to_the_only_face_that_is_visible():
    faces = {1: ticks(0, 2.0), 2: ticks(1.0, 2.0)}
    with observation(3.0, voiced=[(0.0, 3.0)], faces=faces) as seen:
        cast = {person.name: person for person in find_people(seen, GRID)}
        assert list(cast) == ["1", "2", "voice"]
        assert cast["1"].observed["audio"].tolist() == [True, True, False, False]
        assert cast["2"].observed["audio"].tolist() == [False, False]
        assert cast["voice"].steps.tolist() == [2, 3, 4, 5]
        assert not cast["voice"].observed["video"].any()
        assert main_person(seen, list(cast.values())) is cast["1"]


def test_of_two_faces_seen_equally_often_the_first_is_the_main_one():
    with observation(2.0, faces={1: ticks(0, 1.0), 2: ticks(1.0, 2.0)}) as seen:
        people = find_people(seen, GRID)
        assert main_person(seen, people) is people[0]


def test_people_who_are_seen_but_never_heard_leave_no_voice():
    with observation(1.0, faces={1: ticks(0, 1.0), 2: ticks(0, 1.0)}) as seen:
        assert [person.name for person in find_people(seen, GRID)] == ["1", "2"]


def test_a_file_of_features_is_the_main_person_s():
    faces = {1: ticks(0, 1.0), 2: ticks(0, 2.0)}
    with observation(2.0, faces=faces, file=body(4 * [True] + 4 * [False])) as seen:
        cast = {person.name: person for person in find_people(seen, GRID)}
        assert cast["2"].observed["body"].tolist() == [True, True, False, False]
        assert not cast["1"].observed["body"].any()
        whole = {name: cut_whole(seen, person, GRID)["body"] for name, person in cast.items()}
        assert whole["2"].valid.sum() == 4
        assert not whole["1"].valid.any()


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (body([True, False, True]), [True, True, False, False, True, True]),  # 1 s each
        (body([True]), 6 * [True]),  # one row is for the whole recording
    ],
)
def test_a_step_of_a_file_spans_several_of_the_timeline(file, expected):
    file = Series(file.values, file.valid, 1.0)
    extractors = {"body": type(FILE)(columns=FILE.columns, hop=1.0), "video": FacesAt()}
    with observation(3.0, file=file, extractors=extractors) as seen:
        (person,) = find_people(seen, GRID)
        assert person.observed["body"].tolist() == expected


def test_a_modality_called_as_one_likes_is_what_its_extractor_reads():
    extractors = {"tone": Loud(), "look": FacesAt()}
    made = observation(1.0, voiced=[(0, 0.5)], faces={1: ticks(0, 1.0)}, extractors=extractors)
    with made as seen:
        (person,) = find_people(seen, GRID)
    assert {n: m.tolist() for n, m in person.observed.items()} == {
        "tone": [True, False],
        "look": [True, True],
    }


def test_a_window_is_centred_on_its_step():
    with observation(10.0, voiced=[(0, 10)], faces={1: ticks(0, 10)}) as seen:
        (person,) = find_people(seen, GRID)
        signals = cut_windows(seen, person, GRID, slice(10, 11))
    voice, face = signals["audio"], signals["video"]
    # step 10 is 5.0 to 5.5 s, so the window reaches from 3.75 to 6.75 s
    assert voice.values[0, [0, -1], 0].tolist() == [188, 337]
    assert voice.valid.all()
    assert face.values[0, 0, 0].item() == pytest.approx(3.8)
    assert face.values.shape == (1, 15, 2)


def test_beyond_the_ends_nothing_is_observed():
    with observation(1.0, voiced=[(0, 1)], faces={1: ticks(0, 1)}) as seen:
        (person,) = find_people(seen, GRID)
        signals = cut_windows(seen, person, GRID, slice(0, 2))
    assert signals["audio"].valid.sum(dim=1).tolist() == [50, 50]
    assert signals["video"].valid.sum(dim=1).tolist() == [5, 5]


def test_a_modality_that_is_not_in_the_step_is_not_in_its_window():
    with observation(2.0, voiced=[(0.0, 0.5)], faces={1: ticks(0.5, 2.0)}) as seen:
        (person,) = find_people(seen, GRID)
        signals = cut_windows(seen, person, GRID, slice(0, 2))
    assert signals["audio"].present.tolist() == [True, False]
    assert signals["video"].present.tolist() == [False, True]


def test_what_the_recording_does_not_have_is_not_in_its_signals():
    with observation(1.0, faces={1: ticks(0, 1.0)}, sound=False) as seen:
        (person,) = find_people(seen, GRID)
        assert list(cut_windows(seen, person, GRID, slice(0, 2))) == ["video"]
        assert list(cut_whole(seen, person, GRID)) == ["video"]


def test_a_batch_of_windows_equals_single_ones():
    file = body(18 * [True, False])
    made = observation(9.0, voiced=[(1, 3), (5, 9)], faces={1: ticks(2, 8)}, file=file)
    with made as seen:
        (person,) = find_people(seen, GRID)
        together = cut_windows(seen, person, GRID, slice(0, 18))
        alone = [cut_windows(seen, person, GRID, slice(row, row + 1)) for row in range(18)]
    for name, sequence in together.items():
        assert sequence.hop == seen.extractors[name].hop
        assert torch.equal(sequence.valid, torch.cat([one[name].valid for one in alone]))
        assert torch.equal(sequence.values, torch.cat([one[name].values for one in alone]))


def test_windows_are_slices_of_the_whole_which_is_what_training_sees():
    file = body(24 * [True, False, True])
    made = observation(9.0, voiced=[(0, 9)], faces={1: ticks(2, 8)}, file=file)
    with made as seen:
        (person,) = find_people(seen, GRID)
        whole, trained = cut_whole(seen, person, GRID), to_signals(seen.main_series())
        windows = cut_windows(seen, person, GRID, slice(7, 8))  # from 2.25 to 5.25 s
    for name, first, last in (("audio", 112, 262), ("video", 11, 26), ("body", 9, 21)):
        assert torch.equal(whole[name].values, trained[name].values)
        assert torch.equal(whole[name].valid, trained[name].valid)
        assert torch.equal(windows[name].values, whole[name].values[:, first:last])
        assert torch.equal(windows[name].valid, whole[name].valid[:, first:last])


def test_of_several_people_only_the_own_steps_of_sound_count():
    faces = {1: ticks(0, 2.0), 2: ticks(1.0, 3.0)}
    with observation(3.0, voiced=[(0, 3)], faces=faces) as seen:
        cast = {person.name: person for person in find_people(seen, GRID)}
        whole = {name: cut_whole(seen, person, GRID) for name, person in cast.items()}
    heard = {name: s["audio"].valid[0].nonzero().flatten() * 0.02 for name, s in whole.items()}
    spans = [float(end) for times in heard.values() for end in (times.min(), times.max())]
    assert spans == pytest.approx([0.0, 0.98, 2.0, 2.98, 1.0, 1.98])
    assert whole["1"]["video"].valid.sum() == whole["2"]["video"].valid.sum() == 10
    assert not whole["voice"]["video"].valid.any()


def test_boxes_and_quality_are_averages_over_the_step():
    with observation(1.0, faces={1: [0.0, FACE_HOP]}) as seen:
        seen.tracks[1].boxes[1] = (0.3, 0.2, 0.3, 0.4)
        (person,) = find_people(seen, GRID)
        boxes, quality = average_faces(person, GRID)
    assert boxes[0].tolist() == pytest.approx([0.2, 0.2, 0.3, 0.4])
    assert quality[0] == 0.5
    assert np.isnan(boxes[1]).all()
