"""The functions of the package's front: one call for one wish."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from mien.recognition.recognizer import Recognizer
from mien.timeline import Timeline
from mien.trained import TrainedModel


def analyze(
    recordings: str | Path | Sequence[str | Path],
    *,
    without: Collection[str] = (),
    model: TrainedModel | str | Path | None = None,
    baseline: bool = False,
    window: float | None = None,
    hop: float = 0.5,
    features: Mapping[str, str | Path] | None = None,
) -> Timeline:
    """Read emotion from one or more recordings.

    For many files, for progress, or to go on past bad ones, use `mien.Recognizer.analyze_all`.

    Args:
        recordings: one path, or several that end up in one timeline.
        without: modalities to pretend missing, as ``("audio",)``.
        model: a `mien.TrainedModel`, the name of a shipped one, or the path of a file; None for the
            default.
        baseline: take all recordings as of one person, whose offset is taken off by all of them.
        window: seconds around each step that a model per clip sees; None for the model's own.
        hop: seconds from one step to the next.
        features: files of features by modality, for a model that was trained on such; see
            `mien.Recognizer`.

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
    with Recognizer(
        model, baseline=baseline, window=window, hop=hop, features=features
    ) as recognizer:
        for analysis in recognizer.analyze_all(paths, without=without):
            if analysis.timeline is None:
                raise analysis.error or AssertionError("no timeline without an error")
            timelines.append(analysis.timeline)
    return Timeline.concat(timelines)
