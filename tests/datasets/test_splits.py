import pytest

from mien.datasets import (
    Clip,
    Fold,
    avec2016,
    folds_of_people,
    mater_folds,
    muse,
    official,
    sfav_folds,
    vavl_partitions,
)
from mien.errors import OptionError

ACTORS = [f"ravdess/{number:02d}" for number in range(1, 25)]


def numbers(persons):
    return [int(person.split("/")[1]) for person in persons]


def clip(person, part="", tmp="x.mp4"):
    return Clip(tmp, person, None, "any", part=part)


def test_a_fold_with_somebody_in_two_parts_is_refused():
    with pytest.raises(OptionError, match="anna in train and in test"):
        Fold("mine", ("anna", "ben"), (), ("anna",))


@pytest.mark.parametrize("parts", [((), ("a",), ("b",)), (("a",), (), ())])
def test_a_fold_needs_someone_to_train_on_and_someone_to_judge(parts):
    with pytest.raises(OptionError, match="people to train on"):
        Fold("mine", *parts)


def test_a_fold_divides_clips_and_refuses_strangers():
    fold = Fold("mine", ("a",), ("b",), ("c",))
    clips = [clip(person) for person in "cabca"]
    train, dev, test = fold.divide(clips)
    assert [[c.person for c in part] for part in (train, dev, test)] == [
        ["a", "a"],
        ["b"],
        ["c", "c"],
    ]
    with pytest.raises(OptionError, match="where d belongs"):
        fold.divide([clip("d")])


def test_the_folds_of_sfav_are_those_of_the_authors():
    folds = sfav_folds()
    assert [numbers(fold.test)[0] for fold in folds] == [1, 5, 9, 13, 17]
    assert [numbers(fold.dev) for fold in folds] == [
        list(range(first, first + 4)) for first in (5, 9, 13, 17, 21)
    ]
    assert [len(fold.train) for fold in folds] == [16] * 5
    assert numbers(folds[2].train) == [*range(1, 9), *range(17, 25)]
    for fold in folds:
        assert sorted(fold.train + fold.dev + fold.test) == ACTORS


def test_everybody_is_tested_once_by_mater():
    ravdess = mater_folds(reversed(ACTORS), 12)
    assert [numbers(fold.test) for fold in ravdess[:2]] == [[1, 2], [3, 4]]
    crema = mater_folds((f"crema_d/{number}" for number in range(1001, 1092)), 10)
    assert sorted(len(fold.test) for fold in crema) == [9] * 9 + [10]
    for folds, count in ((ravdess, 24), (crema, 91)):
        tested = [person for fold in folds for person in fold.test]
        assert len(tested) == len(set(tested)) == count
    with pytest.raises(OptionError, match="25 folds of 24 people"):
        mater_folds(ACTORS, 25)


def test_partitions_of_vavl_follow_from_their_seed():
    persons = [f"crema_d/{number}" for number in range(1001, 1092)]
    partitions = vavl_partitions(persons)
    assert [(len(p.train), len(p.dev), len(p.test)) for p in partitions] == [(63, 14, 14)] * 5
    assert len({p.test for p in partitions}) == 5
    assert vavl_partitions(reversed(persons)) == partitions
    assert vavl_partitions(persons, seed=1)[0].test == partitions[1].test


def test_people_run_out():
    with pytest.raises(OptionError, match="leave nobody of 24"):
        folds_of_people(ACTORS, test=20, dev=4, seed=0)


def test_avec_measures_on_nine_people_of_dev():
    fold = avec2016()
    assert (len(fold.train), len(fold.dev), fold.test) == (9, 9, ())


def test_ulm_tsst_gives_ten_of_its_labelled_people_to_test():
    train, dev = [f"ulm_tsst/{i}" for i in range(41)], [f"ulm_tsst/{i}" for i in range(41, 55)]
    clips = [clip(p, "train") for p in train] + [clip(p, "valid") for p in dev]
    fold = muse(clips, seed=3)
    assert (len(fold.train), len(fold.dev), len(fold.test)) == (35, 10, 10)
    assert len(set(fold.test) & set(train)) == 6
    assert fold == muse(reversed(clips), seed=3)
    assert fold.test != muse(clips, seed=4).test
    with pytest.raises(OptionError, match="not 40 and 14"):
        muse(clips[1:])


def test_the_official_split_is_read_from_the_parts():
    clips = [clip("a", "train"), clip("b", "test"), clip("a", "train"), clip("c", "valid")]
    assert official(clips) == Fold("official", ("a",), ("c",), ("b",))
    with pytest.raises(OptionError, match="'' is no official part of d"):
        official([*clips, clip("d")])
    with pytest.raises(OptionError, match="a in train and in test"):
        official([*clips, clip("a", "test")])
