import pickle

import pytest

from mien import errors


def kinds() -> list[type[errors.MienError]]:
    return [errors.MienError, *errors.MienError.__subclasses__()]


@pytest.mark.parametrize("kind", kinds())
def test_an_error_says_which_file_what_and_what_to_do(kind):
    error = kind("is empty", path="a.mp4", advice="record it again")
    assert str(error) == "a.mp4: is empty; record it again"


@pytest.mark.parametrize("kind", kinds())
def test_an_error_crosses_processes_whole(kind):
    error = pickle.loads(pickle.dumps(kind("is empty", path="a.mp4", advice="record it again")))
    assert type(error) is kind
    assert (error.problem, error.path, error.advice) == ("is empty", "a.mp4", "record it again")


def test_path_and_advice_may_be_missing():
    assert str(errors.OptionError("no such model")) == "no such model"
