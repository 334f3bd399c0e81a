"""What was seen and heard in one recording: features by modality, faces by person."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien._closing import Closing
from mien.features.extractor import Extractor, FaceExtractor, SoundExtractor
from mien.features.hearing import HeardFeatures, Voiced
from mien.features.looking import SeenFeatures
from mien.features.series import Medium, Series, count_steps, fit
from mien.features.tracks import FaceTrack, settle_tracks
from mien.media import Probe

Floats = NDArray[np.float32]


class Observation(Closing):
    """What was observed in one recording. A context manager: its features lie in temporary files.

    Get one from `mien.features.reader.Reader.observe`.

    Args:
        path: the recording.
        extractors: what was asked for, by modality.
        read: the modalities that are read in this recording; all where None.

    Attributes:
        path: the recording.
        extractors: by modality.
        probe: what the recording's header says; None where it was not opened.
        duration: seconds up to the end of what could be decoded.
        warnings: what was wrong with the recording though it could be used.
        tracks: faces by number of the person, from 1 in order of appearance.
    """

    def __init__(
        self,
        path: Path,
        extractors: Mapping[str, Extractor],
        read: Collection[str] | None = None,
    ) -> None:
        self.path = path
        self.extractors = dict(extractors)
        self.probe: Probe | None = None
        self.duration = 0.0
        self.warnings: list[str] = []
        self.tracks: dict[int, FaceTrack] = {}
        self.voice = Voiced()
        self.heard: dict[str, HeardFeatures] = {}
        self.seen: dict[str, SeenFeatures] = {}
        self.files: dict[str, Medium] = {}
        self._fitted: dict[str, Series] = {}
        self._extent = 0.0
        for name in extractors if read is None else read:
            extractor = extractors[name]
            if isinstance(extractor, SoundExtractor):
                self.heard[name] = HeardFeatures(extractor)
            elif isinstance(extractor, FaceExtractor):
                self.seen[name] = SeenFeatures(name, extractor)

    def close(self) -> None:
        """Remove the temporary files."""
        for heard in self.heard.values():
            heard.close()
        for seen in self.seen.values():
            seen.close()

    @property
    def voiced(self) -> NDArray[np.bool_]:
        """``(steps,)``: was there voice, in steps of 20 ms from the start of the recording."""
        return self.voice.between(0, len(self.voice))

    @property
    def main_track(self) -> FaceTrack | None:
        """The face that was seen most often, of equals the first; None where none was seen."""
        return max(self.tracks.values(), key=lambda track: len(track.times), default=None)

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities that were read and that the recording has a track or a file of."""
        sound = self.probe is not None and self.probe.audio is not None
        picture = self.probe is not None and self.probe.video is not None
        return tuple(
            name
            for name in self.extractors
            if (name in self.heard and sound)
            or (name in self.seen and picture)
            or name in self.files
        )

    def steps(self, modality: str) -> int:
        """Count the steps of a modality that cover what was read of the recording."""
        return count_steps(self._extent, self.extractors[modality].hop)

    def read(
        self, modality: str, track: FaceTrack | None, start: int, stop: int
    ) -> tuple[Floats, NDArray[np.bool_]]:
        """Read some steps of a modality.

        Args:
            modality: one of the extractors' names.
            track: whose face; sound and files are everybody's.
            start: first step; may be negative.
            stop: the step after the last; may lie beyond the end.

        Returns:
            Values ``(stop - start, *feature)`` and what was observed ``(stop - start,)``; zeros
            and False outside the recording and where nothing was observed.
        """
        if modality in self.heard:
            return self.heard[modality].read(start, stop)
        if modality in self.seen:
            return self.seen[modality].read(track, start, stop)
        values = np.zeros((stop - start, *self.extractors[modality].shape), dtype=np.float32)
        valid = np.zeros(stop - start, dtype=np.bool_)
        if modality in self._fitted:
            series = self._fitted[modality]
            first, last = max(start, 0), min(stop, len(series))
            if last > first:
                values[first - start : last - start] = series.values[first:last]
                valid[first - start : last - start] = series.valid[first:last]
        return values, valid

    def series(self, modality: str, track: FaceTrack | None) -> Series:
        """Read a modality over the whole recording; see `read`."""
        values, valid = self.read(modality, track, 0, self.steps(modality))
        return Series(values, valid, self.extractors[modality].hop)

    def main_series(self) -> dict[str, Series]:
        """Collect what training sees: every modality that is there, of the main person."""
        return {name: self.series(name, self.main_track) for name in self.modalities}

    def media(self) -> dict[str, Medium]:
        """Read as `main_series`, each modality only up to the end of its own medium."""
        out = {}
        for name in self.modalities:
            if name in self.heard:
                out[name] = self.heard[name].medium()
            elif name in self.seen:
                out[name] = self.seen[name].medium(self.main_track)
            else:
                out[name] = self.files[name]
        return out

    def settle(self, sound_end: float, picture_end: float) -> None:
        """Bring what was read into its steps; the recording is over.

        Args:
            sound_end: seconds at which the sound ended.
            picture_end: seconds at which the pictures ended.
        """
        self.tracks = settle_tracks(self.tracks)
        for heard in self.heard.values():
            heard.settle(sound_end, self.voice)
        for seen in self.seen.values():
            seen.settle(picture_end)
        there = self.modalities
        ends = [sound_end] if {*there} & {*self.heard} else []
        ends += [picture_end] if {*there} & {*self.seen} else []
        lengths = [medium.end for medium in self.files.values()]
        self._extent = max(ends or lengths, default=0.0)
        self.duration = max(sound_end, picture_end) or self._extent
        self._fitted = {name: fit(medium, self._extent) for name, medium in self.files.items()}
