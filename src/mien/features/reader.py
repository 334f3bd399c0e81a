"""Reading recordings: every extractor sees one decoded stream, each medium in its own thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType

import cv2
import torch

from mien._closing import Closing
from mien.errors import NothingPresent, OptionError
from mien.features.activity import ActivityNetwork
from mien.features.extractor import Extractor, FaceExtractor, SoundExtractor
from mien.features.face_detector import FaceDetector
from mien.features.face_encoder import FaceFerPlus
from mien.features.files import FileExtractor
from mien.features.hearing import Hearing
from mien.features.looking import Looking, load_detector
from mien.features.observation import Observation
from mien.features.series import Medium
from mien.features.whisper import WhisperTinyEn
from mien.media import Decoder, Frame, Limits, Probe, Samples
from mien.registry import nearest
from mien.schema import AUDIO, MODALITIES, VIDEO
from mien.stream import SAMPLE_RATE_HZ

__all__ = ["DEFAULT_EXTRACTORS", "Observation", "Reader", "Stage"]

# What training and analysis read unless they are told otherwise.
DEFAULT_EXTRACTORS: Mapping[str, Extractor] = MappingProxyType(
    {AUDIO: WhisperTinyEn(hop=0.2), VIDEO: FaceFerPlus(hop=0.2)}
)
_SHORTEST_FRAME_S = 0.001
_QUEUE = 4  # items that may wait for a thread
_NOTICED_S = 1.0  # a file of features that is so much longer or shorter deserves a warning

# What decoded frames and samples pass before they are read, as a degradation of
# `mien.missing.raw` with its seed filled in.
Stage = Callable[[Iterator[Frame | Samples]], Iterator[Frame | Samples]]
Progress = Callable[[float], None]


def _silent(seconds: float) -> None:
    """No progress is shown."""


class Reader(Closing):
    """Reads recordings; networks and the decoder's process are shared by all of them.

    Faces are looked for at the smallest hop of the face extractors; one with a longer hop takes the
    first face of each person in each of its steps. What no extractor needs is neither decoded nor
    loaded; the voice activity detector runs wherever sound is read. Where only files of features
    are read, the recording is not opened.

    Args:
        extractors: by modality; `DEFAULT_EXTRACTORS` where None.
        limits: what the decoder may use.

    Attributes:
        extractors: by modality.
        decoder: the decoder, with its child process.

    Raises:
        OptionError: there is no extractor.
    """

    def __init__(
        self,
        extractors: Mapping[str, Extractor] | None = None,
        *,
        limits: Limits | None = None,
    ) -> None:
        self.extractors = dict(DEFAULT_EXTRACTORS if extractors is None else extractors)
        if not self.extractors:
            raise OptionError("there is nothing to extract", advice="give at least one extractor")
        self.decoder = Decoder(limits=limits)

    def close(self) -> None:
        """End the decoder's process."""
        self.decoder.close()

    @property
    def file_modalities(self) -> set[str]:
        """Modalities that are read from files of features."""
        return self._of(FileExtractor)

    @property
    def face_hop(self) -> float | None:
        """Seconds between two looks for faces; None where no extractor reads any."""
        hops = [e.hop for e in self.extractors.values() if isinstance(e, FaceExtractor)]
        return min(hops, default=None)

    def observe(
        self,
        path: str | Path,
        *,
        without: Collection[str] = (),
        channel: int | None = None,
        through: Stage | None = None,
        files: Mapping[str, str | Path] | None = None,
        progress: Progress = _silent,
    ) -> Observation:
        """Decode a recording and let the extractors read it.

        Args:
            path: the recording; one of the files of features where there is none.
            without: modalities that are not read; ``audio`` and ``video`` also keep sound and
                pictures from being decoded for anything else.
            channel: of the sound, counted from 1; the mean of all channels where None.
            through: what decoded frames and samples pass before they are read. The duration is that
                of what went in.
            files: files of features, for modalities whose extractor reads such.
            progress: called with the seconds that were decoded so far.

        Returns:
            The observation; close it when done.

        Raises:
            OptionError: an option makes no sense, or the sound has no such channel.
            NothingPresent: the recording has nothing of what is to be read.
            MienError: the recording cannot be used; `mien.media` says which kinds there are.
        """
        for name in without:
            if name not in self.extractors and name not in MODALITIES:
                known = {*self.extractors, *MODALITIES}
                raise OptionError(f"no modality is called {name!r}", advice=nearest(name, known))
        sound, faces = self._of(SoundExtractor), self._of(FaceExtractor)
        hear = AUDIO not in without and bool(sound - {*without} if sound else faces)
        unwanted = {*without} | (sound if AUDIO in without else set())
        unwanted |= faces if VIDEO in without else set()
        names = [name for name in self.extractors if name not in unwanted]
        if Path(path) in {Path(file) for file in (files or {}).values()}:  # there is no recording
            names, hear = [name for name in names if name in (files or {})], False
        seen = self._observe(Path(path), names, hear, channel, through, files or {}, progress)
        try:
            _require_anything(seen)
        except NothingPresent:
            seen.close()
            raise
        return seen

    def read_media(
        self,
        path: str | Path,
        modalities: Collection[str],
        *,
        channel: int | None = None,
        through: Stage | None = None,
        files: Mapping[str, str | Path] | None = None,
    ) -> dict[str, Medium | None]:
        """Read some modalities and nothing else, each to the end of its own medium.

        Args:
            path: the recording.
            modalities: names of extractors.
            channel: as of `observe`.
            through: as of `observe`.
            files: as of `observe`.

        Returns:
            By modality; None where the recording has no track or file of it.

        Raises:
            MienError: as of `observe`, but for what is not there.
        """
        names = [name for name in self.extractors if name in modalities]
        hear = bool({*names} & self._of(SoundExtractor))
        with self._observe(Path(path), names, hear, channel, through, files or {}, _silent) as seen:
            media = seen.media()
        return {name: media.get(name) for name in names}

    def _of(self, kind: type[Extractor]) -> set[str]:
        return {name for name, one in self.extractors.items() if isinstance(one, kind)}

    def _observe(
        self,
        path: Path,
        names: Collection[str],
        hear: bool,
        channel: int | None,
        through: Stage | None,
        files: Mapping[str, str | Path],
        progress: Progress,
    ) -> Observation:
        with _one_thread_each(), ExitStack() as undo:
            seen = undo.enter_context(Observation(path, self.extractors, names))
            self._read_files(seen, names, files)
            ends = {AUDIO: 0.0, VIDEO: 0.0}
            if hear or seen.seen:
                hop = self.face_hop or 1.0
                stream = self.decoder.stream(
                    path,
                    video_hz=1 / hop,
                    audio=hear,
                    video=bool(seen.seen),
                    channel=channel if hear else None,
                )
                with stream, closing(self._collector(seen, stream.probe, hear)) as collector:
                    seen.probe = stream.probe
                    items = _watch_time(stream, stream.probe, hop, ends, progress)
                    for item in items if through is None else through(items):
                        collector.take(item)
                    collector.finish()
                seen.warnings += stream.warnings
            seen.settle(ends[AUDIO], ends[VIDEO])
            _compare_lengths(seen)
            undo.pop_all()
        return seen

    def _read_files(
        self, seen: Observation, names: Collection[str], files: Mapping[str, str | Path]
    ) -> None:
        for name, file in files.items():
            extractor = self.extractors.get(name)
            if not isinstance(extractor, FileExtractor):
                raise OptionError(
                    f"{name} is not read from a file of features",
                    path=file,
                    advice="give its extractor as `file`",
                )
            if name in names:
                series = extractor.read(file)
                seen.files[name] = Medium(series, len(series) * series.hop, follows=True)

    def _collector(self, seen: Observation, probe: Probe, hear: bool) -> _Collector:
        hearing = looking = None
        if hear and probe.audio:
            listeners = [heard.listener() for heard in seen.heard.values()]
            hearing = Hearing([seen.voice.listener(self._activity), *listeners])
        if seen.seen and probe.video:
            looking = Looking(self._detector, seen.seen)
            seen.tracks = looking.tracks
        return _Collector(hearing, looking)

    @cached_property
    def _detector(self) -> FaceDetector:
        return load_detector()

    @cached_property
    def _activity(self) -> ActivityNetwork:
        return ActivityNetwork.pretrained()


class _Lane:
    """Runs a function over items in a thread of its own, in order, a few items behind at most."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._pending: deque[Future[None]] = deque()

    def submit(self, work: Callable[[], None]) -> None:
        self._pending.append(self._pool.submit(work))
        while len(self._pending) > _QUEUE:
            self._pending.popleft().result()

    def drain(self) -> None:
        while self._pending:
            self._pending.popleft().result()

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


class _Collector:
    """Hands decoded items to those who read sound and pictures, each in a thread of its own."""

    def __init__(self, hearing: Hearing | None, looking: Looking | None) -> None:
        self._hearing, self._looking = hearing, looking
        self._sound, self._pictures = _Lane("sound"), _Lane("pictures")

    def take(self, item: Frame | Samples) -> None:
        if isinstance(item, Frame) and self._looking is not None:
            self._pictures.submit(partial(self._looking.push, item))
        elif isinstance(item, Samples) and self._hearing is not None:
            self._sound.submit(partial(self._hearing.push, item))

    def finish(self) -> None:
        if self._looking is not None:
            self._pictures.submit(self._looking.finish)
        if self._hearing is not None:
            self._sound.submit(self._hearing.finish)
        self._pictures.drain()
        self._sound.drain()

    def close(self) -> None:
        self._pictures.close()
        self._sound.close()


def _watch_time(
    items: Iterator[Frame | Samples],
    probe: Probe,
    face_hop: float,
    ends: dict[str, float],
    progress: Progress,
) -> Iterator[Frame | Samples]:
    """Pass the items on; on the way the ends of sound and pictures grow."""
    for item in items:
        kind = VIDEO if isinstance(item, Frame) else AUDIO
        ends[kind] = max(ends[kind], _end(item, probe, face_hop))
        progress(max(ends.values()))
        yield item


def _end(item: Frame | Samples, probe: Probe, face_hop: float) -> float:
    """When an item ends; a frame lasts until the next look or the end, and never 0 s."""
    if isinstance(item, Samples):
        return item.time + len(item.values) / SAMPLE_RATE_HZ
    tick = item.time + face_hop
    if probe.duration is None:
        return tick
    return max(item.time + _SHORTEST_FRAME_S, min(tick, probe.duration))


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """One thread for each operation: faces, voice and decoding run beside each other anyhow."""
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


def _require_anything(seen: Observation) -> None:
    """Raise where nothing that was asked for is there."""
    if seen.modalities:
        return
    tracks = {} if seen.probe is None else {AUDIO: seen.probe.audio, VIDEO: seen.probe.video}
    held = " and ".join(name for name, track in tracks.items() if track)
    problem = f"holds only {held}, which is withheld or not read" if held else "nothing is read"
    raise NothingPresent(problem, path=seen.path, advice="withhold nothing that it has")


def _compare_lengths(seen: Observation) -> None:
    """Warn of files of features that are of another length than the recording."""
    for name, medium in seen.files.items():
        off = abs(medium.end - seen.duration)
        if len(medium.series) > 1 and off > _NOTICED_S:
            seen.warnings.append(
                f"the file of {name} features ends at {medium.end:.1f} s, the recording at "
                f"{seen.duration:.1f} s"
            )
