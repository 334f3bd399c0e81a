"""The command line on real files, good and bad; the whole way from argument to table."""

import os
import shutil
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from media import make
from mien import formats
from mien.cli import app

pytestmark = pytest.mark.usefixtures("encoders")


def run(*arguments: str | Path):
    return CliRunner().invoke(app, ["analyze", *map(str, arguments)])


def test_one_clip_gives_a_table_a_page_and_a_line(crema_clips, tmp_path):
    done = run(crema_clips["happiness"], "--out", tmp_path)
    assert done.exit_code == 0, done.output
    stem = crema_clips["happiness"].stem
    table = pd.read_csv(tmp_path / f"{stem}.csv")
    assert (tmp_path / f"{stem}.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert table["audio"].any()
    assert table["video"].any()
    observed = table[table["audio"] | table["video"]]
    scores = observed.filter(like="p_")
    assert scores.sum(axis=1).to_numpy() == pytest.approx(1.0, abs=1e-3)
    assert f"{stem}.flv · person 1 · " in done.output
    assert "(derived)" in done.output
    summary = pd.read_csv(tmp_path / "summary.csv")
    assert len(summary) == 1


def test_the_same_file_twice_gives_the_same_bytes(crema_clips, tmp_path):
    for folder in ("one", "two"):
        assert run(crema_clips["fear"], "--out", tmp_path / folder).exit_code == 0
    first, second = (
        (tmp_path / folder / f"{crema_clips['fear'].stem}.csv").read_bytes()
        for folder in ("one", "two")
    )
    assert first == second


@pytest.mark.parametrize(("withheld", "left"), [("audio", "video"), ("video", "audio")])
def test_withholding_leaves_the_other_modality(crema_clips, tmp_path, withheld, left):
    clip = crema_clips["anger"]
    assert run(clip, "--out", tmp_path, "--without", withheld, "--format", "json").exit_code == 0
    timeline = formats.read(tmp_path / f"{clip.stem}.json")
    assert not timeline.frame[withheld].any()
    assert timeline.frame[left].any()
    assert timeline.metadata.withheld == (withheld,)


def test_several_formats_at_once(crema_clips, tmp_path):
    every = ",".join(formats.FORMATS)
    assert run(crema_clips["sadness"], "--out", tmp_path, "--format", every).exit_code == 0
    suffixes = {path.suffix for path in tmp_path.glob(f"{crema_clips['sadness'].stem}.*")}
    assert len(suffixes) == len(formats.FORMATS)


def test_a_baseline_takes_all_files_as_of_one_person(crema_clips, tmp_path):
    done = run(*crema_clips.values(), "--baseline", "--out", tmp_path, "--format", "json")
    assert done.exit_code == 0, done.output
    timelines = [formats.read(path) for path in sorted(tmp_path.glob("1001*.json"))]
    assert len(timelines) == 6
    assert all(one.metadata.baseline for one in timelines)
    assert len({one.summary()["emotion"][0] for one in timelines}) > 1


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files in which nothing is wrong, but little to see or hear."""
    folder = tmp_path_factory.mktemp("strange")
    silence = make.tone(2.0, 44_100, onset=9.0)
    make.write(folder / "nobody.mp4", make.Picture(make.regular(50)), make.Sound(silence))
    make.write(folder / "one_frame.mp4", make.Picture([0.0]))
    make.write(folder / "short.wav", None, make.Sound(make.tone(0.1, 16_000), 16_000, "pcm_s16le"))
    make.write(folder / "silent.mp4", make.Picture(make.regular(50)))
    eight = make.Sound(make.tone(1.0, 48_000), 48_000, "pcm_s16le", layout="7.1")
    make.write(folder / "eight.wav", None, eight)
    return folder


@pytest.mark.parametrize(
    "name", ["nobody.mp4", "one_frame.mp4", "short.wav", "silent.mp4", "eight.wav"]
)
def test_nothing_observed_is_a_timeline_with_empty_scores(strange, tmp_path, name):
    done = run(strange / name, "--out", tmp_path)
    assert done.exit_code == 0, done.output
    table = pd.read_csv((tmp_path / name).with_suffix(".csv"))
    assert len(table) >= 1
    assert table.filter(like="p_").isna().all(axis=None)
    assert table["emotion"].isna().all()
    assert table[["arousal", "valence"]].isna().all(axis=None)


def test_a_batch_goes_on_past_bad_files_and_says_so(crema_clips, tmp_path):
    good, out = crema_clips["neutral"], tmp_path / "out"
    bad = {
        "missing.mp4": None,
        "empty.mp4": "",
        "text.mp4": "not a recording " * 100,
        "list.mp4": f"ffconcat version 1.0\nfile {good.name}\n",
    }
    for name, content in bad.items():
        if content is not None:
            (tmp_path / name).write_text(content)
    shutil.copy(good, tmp_path / good.name)
    make.bomb(tmp_path / "bomb.mov")
    make.subtitles_only(tmp_path / "words.mkv")
    (tmp_path / "folder.mp4").mkdir()
    files = [*bad, "bomb.mov", "words.mkv", "folder.mp4"]
    done = run(*(tmp_path / name for name in files), tmp_path / good.name, "--out", out)
    assert done.exit_code == 1
    for name in files:
        (line,) = [line for line in done.output.splitlines() if f"{name}: " in line]
        assert line.startswith("failed: "), line
        assert "; " in line, f"no advice: {line}"
    assert f"{len(files)} of {len(files) + 1} failed" in done.output
    assert sorted(path.name for path in out.iterdir()) == [
        ".mien.json",
        f"{good.stem}.csv",
        f"{good.stem}.html",
        "summary.csv",
    ]


def test_half_a_file_gives_half_a_timeline_and_a_note(crema_clips, tmp_path):
    whole = crema_clips["disgust"].read_bytes()
    (tmp_path / "half.flv").write_bytes(whole[: len(whole) // 2])
    done = run(tmp_path / "half.flv", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "note: " in done.output
    assert "ends early" in done.output


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_a_typed_error(crema_clips, tmp_path):
    path = tmp_path / "secret.flv"
    shutil.copy(crema_clips["anger"], path)
    path.chmod(0)
    done = run(path, "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert "secret.flv" in done.output


def test_a_full_disk_loses_nothing_that_was_written(crema_clips, tmp_path, monkeypatch):
    out = tmp_path / "out"
    assert run(crema_clips["anger"], "--out", out).exit_code == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    done = run(crema_clips["fear"], "--out", out)
    assert done.exit_code == 1
    assert "free some space" in done.output
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_withholding_all_that_a_file_has_is_a_typed_error(strange, tmp_path):
    done = run(strange / "short.wav", "--without", "audio", "--out", tmp_path)
    assert done.exit_code == 1
    assert "withheld" in done.output
