from __future__ import annotations

import cv2
import numpy as np
import pytest
from face_material import clip_frames, detector_or_skip, face_at
from hypothesis import given
from hypothesis import strategies as st

from mien.errors import OptionError
from mien.features.appearance import Look
from mien.features.crops import align
from mien.features.tracking import FaceTracker


def _look(seed: int, noise: float = 0.0, noise_seed: int = 0) -> Look:
    """A look of its own for each seed; noise makes it a little different each time."""
    rng, jitter = np.random.default_rng(seed), np.random.default_rng((seed, noise_seed))
    colour = np.zeros(1536)
    colour[rng.permutation(1536)[:60]] = rng.uniform(0.5, 1, 60)
    colour = np.abs(colour + noise * jitter.normal(size=1536) * (colour > 0))
    structure = rng.normal(size=144) + noise * jitter.normal(size=144)
    structure -= structure.mean()
    return Look(
        (colour / np.linalg.norm(colour)).astype(np.float32),
        (structure / np.linalg.norm(structure)).astype(np.float32),
    )


def _ids(tracker, time, faces, looks=None):
    return [person for person, _ in tracker.update(time, faces, looks)]


def test_people_are_numbered_from_one_in_order_and_keep_their_faces():
    tracker = FaceTracker()
    faces = [face_at(10, 10), face_at(300, 10)]
    assert tracker.update(0.0, faces) == [(1, faces[0]), (2, faces[1])]
    assert _ids(tracker, 0.2, [faces[1], face_at(600, 10), faces[0]]) == [2, 3, 1]
    assert tracker.update(0.4, []) == []


@pytest.mark.parametrize("looks", [False, True])
def test_two_people_cross(looks):
    tracker = FaceTracker()
    for step in range(25):
        time = step * 0.2
        faces = [face_at(100 + 20 * step, 100), face_at(580 - 20 * step, 110)]
        shown = [_look(1, 0.05, step), _look(2, 0.05, step)] if looks else None
        order = [1, 0] if step % 2 else [0, 1]
        faces = [faces[i] for i in order]
        shown = [shown[i] for i in order] if shown else None
        if step == 12:  # one hides the other
            faces, shown = faces[:1], shown[:1] if shown else None
            assert _ids(tracker, time, faces, shown)[0] in (1, 2)
            continue
        assert _ids(tracker, time, faces, shown) == [i + 1 for i in order]


def test_looks_undo_a_swap_of_places_and_without_looks_places_rule():
    left, right = face_at(100, 100), face_at(400, 100)
    one, two = _look(1), _look(2)
    seeing = FaceTracker()
    assert _ids(seeing, 0.0, [left, right], [one, two]) == [1, 2]
    assert _ids(seeing, 0.2, [left, right], [two, one]) == [2, 1]
    blind = FaceTracker()
    assert _ids(blind, 0.0, [left, right]) == [1, 2]
    assert _ids(blind, 0.2, [left, right]) == [1, 2]


@pytest.mark.parametrize("looks", [False, True])
def test_one_second_out_of_sight_is_waited_for(looks):
    tracker = FaceTracker()
    shown = (lambda *people: [_look(p) for p in people]) if looks else (lambda *_: None)
    assert _ids(tracker, 0.0, [face_at(100, 100), face_at(400, 100)], shown(1, 2)) == [1, 2]
    for time in (0.2, 0.4, 0.6, 0.8):
        assert _ids(tracker, time, [face_at(400, 100)], shown(2)) == [2]
    assert _ids(tracker, 1.0, [face_at(110, 95), face_at(400, 100)], shown(1, 2)) == [1, 2]


def test_twenty_seconds_out_of_sight_takes_a_look_to_come_back():
    tracker = FaceTracker()
    assert _ids(tracker, 0.0, [face_at(100, 100)], [_look(1)]) == [1]
    assert _ids(tracker, 20.0, [face_at(500, 200)], [_look(1, 0.05)]) == [1]
    blind = FaceTracker()
    assert _ids(blind, 0.0, [face_at(100, 100)]) == [1]
    assert _ids(blind, 20.0, [face_at(100, 100)]) == [2]


def test_patience_is_an_option():
    patient = FaceTracker(patience=30)
    assert _ids(patient, 0.0, [face_at(100, 100)]) == [1]
    assert _ids(patient, 20.0, [face_at(100, 100)]) == [1]
    with pytest.raises(OptionError, match="patience must not be negative"):
        FaceTracker(patience=-1)


def test_cut_to_somebody_else_in_the_same_place_and_back():
    tracker = FaceTracker()
    place = face_at(100, 100)
    ids = [_ids(tracker, k * 0.2, [place], [_look(p)])[0] for k, p in enumerate([1, 1, 2, 2, 1, 3])]
    assert ids == [1, 1, 2, 2, 1, 3]


def test_change_of_light_alone_makes_nobody_new():
    tracker = FaceTracker()
    lit, relit = _look(1), Look(_look(9).colour, _look(1).structure)
    ids = [
        _ids(tracker, k * 0.2, [face_at(100 + k, 100)], [look])[0]
        for k, look in enumerate([lit, lit, relit, relit])
    ]
    assert ids == [1, 1, 1, 1]


def test_change_of_expression_alone_makes_nobody_new():
    tracker = FaceTracker()
    calm, shouting = _look(1), Look(_look(1).colour, _look(9).structure)
    assert _ids(tracker, 0.0, [face_at(100, 100)], [calm]) == [1]
    assert _ids(tracker, 0.2, [face_at(100, 100)], [shouting]) == [1]


def test_face_out_of_reach_or_of_another_size_is_somebody_new_without_looks():
    tracker = FaceTracker()
    assert _ids(tracker, 0.0, [face_at(100, 100)]) == [1]
    assert _ids(tracker, 0.2, [face_at(400, 100)]) == [2]
    assert _ids(tracker, 0.4, [face_at(370, 70, size=140)]) == [3]


def test_pictures_without_colour_are_followed_but_not_recognised():
    grey = Look(np.zeros(1536, np.float32), _look(1).structure)
    tracker = FaceTracker()
    assert _ids(tracker, 0.0, [face_at(100, 100)], [grey]) == [1]
    assert _ids(tracker, 0.2, [face_at(105, 100)], [grey]) == [1]
    assert _ids(tracker, 20.0, [face_at(105, 100)], [grey]) == [2]


def test_endless_strangers_do_not_pile_up():
    tracker = FaceTracker()
    for k in range(500):
        assert _ids(tracker, 10.0 * k, [face_at(100, 100)]) == [k + 1]
    assert len(tracker._tracks) <= 200


places = st.tuples(st.floats(0, 600), st.floats(0, 400), st.floats(8, 200), st.integers(1, 4))


@given(st.lists(st.lists(places, max_size=5), max_size=8), st.booleans())
def test_numbers_are_unique_in_a_picture_and_start_without_gaps(pictures, with_looks):
    tracker, highest = FaceTracker(), 0
    for k, picture in enumerate(pictures):
        faces = [face_at(x, y, size) for x, y, size, _ in picture]
        looks = [_look(who) for *_, who in picture] if with_looks else None
        ids = _ids(tracker, k * 0.5, faces, looks)
        assert len(set(ids)) == len(faces)
        new = [i for i in ids if i > highest]
        assert new == list(range(highest + 1, highest + 1 + len(new)))
        highest = max([highest, *ids])


def test_look_of_light_and_colour():
    rng = np.random.default_rng(0)
    image = rng.integers(60, 200, (80, 80, 3), dtype=np.uint8)
    crop = rng.integers(60, 190, (48, 48), dtype=np.uint8)
    look = Look.of(image, (10.0, 10.0, 50.0, 60.0), crop)
    assert look.colour.shape == (1536,)
    assert look.structure.shape == (144,)
    assert np.linalg.norm(look.colour) == pytest.approx(1, abs=1e-5)
    assert np.linalg.norm(look.structure) == pytest.approx(1, abs=1e-5)
    assert look.change(look) == pytest.approx(0, abs=1e-5)
    assert look.resembles(look)
    brighter = Look.of(image, (10.0, 10.0, 50.0, 60.0), (crop * 1.3).astype(np.uint8))
    assert float(brighter.structure @ look.structure) > 0.99
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    colourless = Look.of(grey, (10.0, 10.0, 50.0, 60.0), crop)
    assert not colourless.colour.any()
    assert not colourless.resembles(colourless)


def _side_by_side(one, two):
    return np.hstack([one, two])


def _seen(detector, tracker, time, image):
    faces = detector.detect(image)
    looks = [Look.of(image, face.box, align(image, face.landmarks)) for face in faces]
    people = tracker.update(time, faces, looks)
    return [person for person, _ in sorted(people, key=lambda pair: pair[1].box[0])]


def test_two_real_people_side_by_side_swap_places_and_leave(data_folder):
    detector = detector_or_skip()
    one, two, three = (
        clip_frames(data_folder / "java_sed" / f"{actor}-01-01_01.mp4")[:8]
        for actor in ("01", "06", "10")
    )
    black = np.zeros_like(one[0])
    tracker = FaceTracker()
    left, right = _seen(detector, tracker, 0.0, _side_by_side(one[0], two[0]))
    assert {left, right} == {1, 2}
    for k in range(1, 8):
        assert _seen(detector, tracker, k * 0.2, _side_by_side(one[k], two[k])) == [left, right]
    for k in range(8):
        image = _side_by_side(two[k], one[k])
        assert _seen(detector, tracker, 2.0 + k * 0.2, image) == [right, left]
    for k in range(4):
        image = _side_by_side(two[k], black)
        assert _seen(detector, tracker, 4.0 + k * 0.2, image) == [right]
    assert _seen(detector, tracker, 5.0, _side_by_side(two[4], one[4])) == [right, left]
    assert _seen(detector, tracker, 5.2, _side_by_side(three[0], one[5])) == [3, left]
    assert _seen(detector, tracker, 25.0, _side_by_side(one[2], two[2])) == [left, right]


def test_real_clip_is_one_person(java_clip):
    detector, tracker = detector_or_skip(), FaceTracker()
    frames = clip_frames(java_clip)
    assert [_seen(detector, tracker, k * 0.2, f) for k, f in enumerate(frames)] == [[1]] * len(
        frames
    )
