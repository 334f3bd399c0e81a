"""From a recording to the `Signals` that a model takes: the same numbers that training saw."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch

from mien.errors import OptionError
from mien.features.extractor import Extractor, create_extractor, load_extractor
from mien.features.reader import Reader
from mien.features.series import Series
from mien.signals import Sequence, Signals


def extract(
    path: str | Path,
    extractors: Mapping[str, Extractor | str | Mapping[str, Any]] | None = None,
    *,
    start: float = 0.0,
    end: float | None = None,
    channel: int | None = None,
    without: Collection[str] = (),
    files: Mapping[str, str | Path] | None = None,
) -> Signals:
    """Extract the features of a recording, or of a stretch of it.

    Faces are those of the person whose face is seen most often; all sound is taken for theirs.

    Args:
        path: the recording.
        extractors: by modality, as `mien.TrainedModel.extractors`, or by name, or as
            ``{"name": "mfcc", "count": 13}``; mien's default where None.
        start: seconds at which the stretch begins.
        end: seconds at which it ends; the end of the recording where None.
        channel: of the sound, counted from 1; the mean of all channels where None.
        without: modalities to leave out.
        files: files of features, for modalities whose extractor reads such.

    Returns:
        Signals of batch one: ``(1, steps, *feature)`` for each modality that the recording has;
        zero and not valid where nothing was observed.

    Raises:
        OptionError: an option makes no sense, or the stretch is not within the recording.
        ModelFileError: an extractor is not installed, or of another version.
        MienError: the recording cannot be used.

    Example:
        >>> import mien
        >>> signals = mien.extract("clip.mp4")  # doctest: +SKIP
        >>> signals  # doctest: +SKIP
        Signals(audio=(1, 19, 768), video=(1, 19, 264))
    """
    if not 0 <= start < (float("inf") if end is None else end):
        raise OptionError(
            f"a stretch from {start} to {end} s makes no sense", advice="start before the end"
        )
    with (
        Reader(_load(extractors)) as reader,
        reader.observe(path, without=without, channel=channel, files=files) as seen,
    ):
        series = seen.main_series()
        if start >= seen.duration:
            raise OptionError(
                f"the stretch begins at {start:g} s, the recording ends at {seen.duration:g} s",
                advice="begin earlier",
            )
    return to_signals({name: one.cut(start, end) for name, one in series.items()})


def _load(
    extractors: Mapping[str, Extractor | str | Mapping[str, Any]] | None,
) -> dict[str, Extractor] | None:
    if extractors is None:
        return None
    return {name: _load_one(one) for name, one in extractors.items()}


def _load_one(given: Extractor | str | Mapping[str, Any]) -> Extractor:
    """Load an extractor: as it is, by name, by name and settings, or of `Extractor.spec`."""
    if isinstance(given, Extractor):
        return given
    if isinstance(given, str):
        return create_extractor(given)
    if "version" in given:
        return load_extractor(given)
    settings = {key: value for key, value in given.items() if key != "name"}
    return create_extractor(str(given.get("name")), **settings)


def to_signals(series: Mapping[str, Series]) -> Signals:
    """Turn the modalities of one recording into Signals of batch one."""
    return Signals(
        {
            name: Sequence(
                torch.from_numpy(one.values.copy())[None],
                torch.from_numpy(one.valid.copy())[None],
                one.hop,
            )
            for name, one in series.items()
        }
    )
