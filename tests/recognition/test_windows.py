from pathlib import Path

import numpy as np
import pytest

from mien.errors import OptionError
from mien.features.observation import FACE_FEATURES, FaceTrack, Observation
from mien.features.voice import VOICE_FEATURES, VOICE_HOP, VoiceSegment
from mien.recognition.windows import Grid, face_steps, main_role, roles, window_signals

GRID = Grid(window=3.0, hop=0.5, face_hz=5.0)


def recording(
    duration: float,
    *,
    voiced: list[tuple[float, float]] = (),
    faces: dict[int, list[float]] | None = None,
) -> Observation:
    """A recording whose voice features are the step's number and whose faces are their time."""
    seen = Observation(Path("made.mp4"))
    seen.duration = duration
    steps = round(duration / VOICE_HOP)
    mask = np.zeros(steps, dtype=bool)
    for start, end in voiced:
        mask[round(start / VOICE_HOP) : round(end / VOICE_HOP)] = True
    values = np.repeat(np.arange(steps, dtype=np.float32)[:, None], VOICE_FEATURES, axis=1)
    seen.add_voice([VoiceSegment(0, values, mask)])
    for person, times in (faces or {}).items():
        track = seen.tracks.setdefault(person, FaceTrack())
        for time in times:
            track.times.append(time)
            track.rows.append(seen.faces.rows)
            track.boxes.append((0.1 * person, 0.2, 0.3, 0.4))
            track.quality.append(0.5)
            row = np.full((1, FACE_FEATURES), time, dtype=np.float32)
            seen.faces.write(seen.faces.rows, row)
    return seen


def ticks(start: float, end: float) -> list[float]:
    return [round(t, 3) for t in np.arange(start, end - 1e-9, 0.2)]


@pytest.mark.parametrize(("duration", "steps"), [(0, 0), (0.1, 1), (0.5, 1), (0.51, 2), (60, 120)])
def test_steps_cover_a_recording(duration, steps):
    assert GRID.steps(duration) == steps


@pytest.mark.parametrize(
    "options", [{"hop": 0}, {"window": 0.1}, {"face_hz": -1}, {"hop": float("nan")}]
)
def test_senseless_grids_are_refused(options):
    with pytest.raises(OptionError, match="give a number"):
        Grid(**options)


def test_one_face_owns_the_whole_recording_and_its_voice():
    seen = recording(4.0, voiced=[(1.0, 2.0)], faces={1: ticks(0, 1.0)})
    (role,) = roles(seen, GRID)
    assert role.person == "1"
    assert role.video.tolist() == [True, True, False, False, False, False, False, False]
    assert role.audio.tolist() == [False, False, True, True, False, False, False, False]


def test_a_voice_without_any_face_is_person_one():
    (role,) = roles(recording(1.0, voiced=[(0.0, 1.0)]), GRID)
    assert (role.person, role.track) == ("1", None)
    assert role.audio.all()


def test_a_scrap_of_voice_is_none():
    (role,) = roles(recording(1.0, voiced=[(0.0, 0.08), (0.5, 0.6)]), GRID)
    assert role.audio.tolist() == [False, True]


def test_a_voice_belongs_to_the_only_face_that_is_visible():
    seen = recording(3.0, voiced=[(0.0, 3.0)], faces={1: ticks(0, 2.0), 2: ticks(1.0, 2.0)})
    cast = {role.person: role for role in roles(seen, GRID)}
    assert cast["1"].audio.tolist() == [True, True, False, False]
    assert cast["2"].audio.tolist() == [False, False]
    assert cast["voice"].steps.tolist() == [2, 3, 4, 5]
    assert main_role(list(cast.values())).person == "1"


def test_people_who_are_seen_but_never_heard_leave_no_voice():
    seen = recording(1.0, faces={1: ticks(0, 1.0), 2: ticks(0, 1.0)})
    assert [role.person for role in roles(seen, GRID)] == ["1", "2"]


def test_a_window_is_centred_on_its_step():
    seen = recording(10.0, voiced=[(0, 10)], faces={1: ticks(0, 10)})
    (role,) = roles(seen, GRID)
    signals = window_signals(seen, role, GRID, slice(10, 11))
    voice, face = signals["audio"], signals["video"]
    # step 10 is 5.0 to 5.5 s, so the window reaches from 3.75 to 6.75 s
    assert voice.values[0, [0, -1], 0].tolist() == [188, 337]
    assert voice.valid.all()
    assert face.values[0, 0, 0].item() == pytest.approx(3.8, abs=2e-3)
    assert face.values.shape == (1, 15, FACE_FEATURES)


def test_beyond_the_ends_nothing_is_observed():
    seen = recording(1.0, voiced=[(0, 1)], faces={1: ticks(0, 1)})
    (role,) = roles(seen, GRID)
    signals = window_signals(seen, role, GRID, slice(0, 2))
    assert signals["audio"].valid.sum(dim=1).tolist() == [50, 50]
    assert signals["video"].valid.sum(dim=1).tolist() == [5, 5]


def test_a_modality_that_is_not_in_the_step_is_not_in_its_window():
    seen = recording(2.0, voiced=[(0.0, 0.5)], faces={1: ticks(0.5, 2.0)})
    (role,) = roles(seen, GRID)
    signals = window_signals(seen, role, GRID, slice(0, 2))
    assert signals["audio"].present.tolist() == [True, False]
    assert signals["video"].present.tolist() == [False, True]


def test_a_batch_of_windows_equals_single_ones():
    seen = recording(9.0, voiced=[(1, 3), (5, 9)], faces={1: ticks(2, 8)})
    (role,) = roles(seen, GRID)
    together = window_signals(seen, role, GRID, slice(0, 18))
    for row in range(18):
        alone = window_signals(seen, role, GRID, slice(row, row + 1))
        for modality in ("audio", "video"):
            assert (together[modality].valid[row] == alone[modality].valid[0]).all()
            mask = alone[modality].valid[0]
            assert (together[modality].values[row][mask] == alone[modality].values[0][mask]).all()


def test_boxes_and_quality_are_means_over_the_step():
    seen = recording(1.0, faces={1: [0.0, 0.2]})
    seen.tracks[1].boxes[1] = (0.3, 0.2, 0.3, 0.4)
    (role,) = roles(seen, GRID)
    boxes, quality = face_steps(role, GRID)
    assert boxes[0].tolist() == pytest.approx([0.2, 0.2, 0.3, 0.4])
    assert quality[0] == 0.5
    assert np.isnan(boxes[1]).all()


def test_faces_that_flicker_up_are_dropped_and_the_rest_renumbered():
    seen = recording(5.0, faces={1: [0.0], 2: ticks(1.0, 3.0)})
    seen.settle()
    assert list(seen.tracks) == [1]
    assert seen.tracks[1].times[0] == 1.0


def test_a_single_frame_keeps_its_face():
    seen = recording(0.2, faces={1: [0.0]})
    seen.settle()
    assert list(seen.tracks) == [1]


@pytest.mark.parametrize(
    ("start", "stop"), [(-7, -2), (-3, 4), (0, 50), (10, 20), (45, 60), (60, 70)]
)
def test_some_steps_of_the_voice_are_false_outside_the_recording(start, stop):
    seen = recording(1.0, voiced=[(0.0, 0.1), (0.9, 1.0)])
    whole = dict(enumerate(seen.voiced.tolist()))
    expected = [whole.get(step, False) for step in range(start, stop)]
    assert seen.voiced_between(start, stop).tolist() == expected
