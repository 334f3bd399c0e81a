import json
from dataclasses import replace

import pytest

from mien.errors import OptionError
from mien.models import Task

DIMENSIONS = Task("dimensions", ("arousal", "mood"), "frame", ranges={"mood": (1, 7)})


@pytest.mark.parametrize(
    "task",
    [
        Task("categories", ("schön", "b", "not so good")),
        Task.emotions(("anger", "calm"), "frame"),
        Task("dimensions", ("x",), low=0.0, high=5.0),
        DIMENSIONS,
    ],
)
def test_a_task_survives_json(task):
    again = Task.from_dict(json.loads(json.dumps(task.as_dict())))
    assert again == task
    assert hash(again) == hash(task)
    assert replace(task, per="clip").names == task.names


def test_ranges_by_dimension():
    assert DIMENSIONS.ranges == {"arousal": (-1.0, 1.0), "mood": (1.0, 7.0)}
    assert (DIMENSIONS.low, DIMENSIONS.high) == (-1.0, 7.0)


def test_emotions_have_the_order_of_the_vocabulary_and_other_words_their_own():
    assert Task.emotions(("anger", "neutral")).names == ("neutral", "anger")
    assert Task("categories", ["zen", "anger"]).names == ("zen", "anger")
    with pytest.raises(OptionError, match=r"'angry' is not .* did you mean anger"):
        Task.emotions(("angry",))
    with pytest.raises(OptionError, match="twice"):
        Task.emotions(("anger", "anger"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("category", ("a",)), "kind is not 'category'; did you mean categories"),
        (("categories", ("a",), "frames"), "per is not 'frames'; did you mean frame"),
        (("categories", ()), "no names"),
        (("categories", "anger"), "give a list"),
        (("categories", ("a", "")), "cannot name ''"),
        (("categories", ("a", " b")), "cannot name ' b'"),
        (("categories", ("a", 3)), "cannot name 3"),
        (("categories", ("a", "b", "a")), "'a' twice"),
        (("categories", ("a",), "clip", 0.0), "no range"),
        (("dimensions", ("a",), "clip", 1.0, 1.0), "cannot be in the range"),
        (("dimensions", ("a",), "clip", 0.0, float("inf")), "finite"),
        (("dimensions", ("a",), "clip", -1.0, 1.0, {"b": (0, 1)}), "no option 'b'"),
        (("dimensions", ("a",), "clip", -1.0, 1.0, {"a": 3}), "range 3"),
        (("dimensions", ("a",), "clip", -1.0, 1.0, {"a": ("0", "1")}), "two finite numbers"),
    ],
)
def test_tasks_that_make_no_sense(arguments, words):
    with pytest.raises(OptionError, match=words):
        Task(*arguments)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"naems": ["a"]}, "no option 'naems'; did you mean names"),
        ({"per": None}, "per is not None"),
        ({"names": None}, "give a list"),
        ({"ranges": {"arousal": [0, 1]}}, "no range for mood"),
        ({"ranges": [1]}, "no dictionary"),
        ({"ranges": {}}, "no range for arousal, mood"),
        ({"kind": "categories"}, "no option 'ranges'"),
    ],
)
def test_reading_a_task_is_strict(changes, words):
    with pytest.raises(OptionError, match=words):
        Task.from_dict({**DIMENSIONS.as_dict(), **changes})


@pytest.mark.parametrize("lacking", ["kind", "names", "per", "ranges"])
def test_reading_a_task_wants_every_key(lacking):
    plain = DIMENSIONS.as_dict()
    del plain[lacking]
    with pytest.raises(OptionError, match=lacking):
        Task.from_dict(plain)


def test_only_a_dictionary_is_a_task():
    with pytest.raises(OptionError, match="no list"):
        Task.from_dict([])
