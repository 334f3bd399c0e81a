"""The functions of the package's front: one call for one wish."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from mien.recognition.recognizer import Recognizer
from mien.timeline import Timeline


def analyze(
    recordings: str | Path | Sequence[str | Path],
    *,
    without: Collection[str] = (),
    model: str = "linear_probe",
    baseline: bool = False,
    window: float = 3.0,
    hop: float = 0.5,
    face_hz: float = 5.0,
) -> Timeline:
    """Read emotion from one or more recordings.

    For many files, for progress, or to go on past bad ones, use `mien.Recognizer.analyze_all`.

    Args:
        recordings: one path, or several that end up in one timeline.
        without: modalities to pretend missing, as ``("audio",)``.
        model: name of a trained model.
        baseline: standardise the person by their own recordings; all are taken as of one person.
        window: seconds around each step that the model sees.
        hop: seconds from one step to the next.
        face_hz: frames a second in which faces are looked for.

    Returns:
        One row per file, person and step.

    Raises:
        MienError: a recording cannot be used, or an option makes no sense; nothing is returned.

    Example:
        >>> timeline = mien.analyze("clip.mp4", without=("audio",))  # doctest: +SKIP
        >>> timeline.save("clip.parquet")  # doctest: +SKIP
    """
    paths = [recordings] if isinstance(recordings, str | Path) else list(dict.fromkeys(recordings))
    timelines = []
    with Recognizer(model, baseline=baseline, window=window, hop=hop, face_hz=face_hz) as reader:
        for result in reader.analyze_all(paths, without=without):
            if result.timeline is None:
                raise result.error or AssertionError("no timeline without an error")
            timelines.append(result.timeline)
    return Timeline.concat(timelines)
