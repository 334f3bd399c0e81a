import errno
import os
import stat
from pathlib import Path

import pytest

from mien import errors, formats
from timelines import timeline


def full(*_arguments):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("name", tuple(formats.FORMATS))
def test_a_full_disk_leaves_the_old_file_and_nothing_else(name, tmp_path, monkeypatch):
    path = tmp_path / "talk"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(errors.OutputError, match="No space left on device; free some space"):
        timeline().save(path, format=name)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_fills_up_while_writing_leaves_nothing(tmp_path):
    def writer(file):
        file.write(b"half")
        full()

    with pytest.raises(errors.OutputError, match="No space left"):
        formats.write_atomically(tmp_path / "talk.csv", writer)
    assert list(tmp_path.iterdir()) == []


def test_any_other_failure_leaves_nothing_and_comes_through(tmp_path):
    def writer(file):
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        formats.write_atomically(tmp_path / "talk.csv", writer)
    assert list(tmp_path.iterdir()) == []


def test_places_that_are_no_file_are_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(errors.OutputError, match="is a folder; give the name of a file"):
        timeline().save(tmp_path, format="csv")
    with pytest.raises(errors.OutputError, match="a part of the path is a file"):
        timeline().save(tmp_path / "file" / "talk.csv")
    with pytest.raises(errors.OutputError, match="create the folder first"):
        timeline().save(tmp_path / "missing" / "talk.csv")
    with pytest.raises(errors.OutputError, match="choose a shorter name"):
        timeline().save(tmp_path / ("x" * 300 + ".csv"))
    assert (tmp_path / "file").read_text() == "x"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_device_is_never_replaced():
    with pytest.raises(errors.OutputError, match="is no regular file"):
        timeline().save("/dev/full", format="csv")
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)


def test_no_permission_is_said(tmp_path, monkeypatch):
    def refuse(*_arguments, **_options):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(errors.OutputError, match="Permission denied; choose a folder that you may"):
        timeline().save(tmp_path / "talk.csv")


def test_a_link_is_followed(tmp_path):
    (tmp_path / "real.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    timeline().save(tmp_path / "link.csv")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_text("utf-8").startswith("file,person")


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_new_files_have_the_usual_mode(tmp_path):
    (tmp_path / "usual").write_text("x")
    timeline().save(tmp_path / "talk.csv")
    assert (tmp_path / "talk.csv").stat().st_mode == (tmp_path / "usual").stat().st_mode
