"""Extracted features on disk: computed once for each recording, modality and way of extracting.

A recording is known by its content, not by its name; a way of extracting by a text that names the
extractor, its settings and version, the channel and the degradation. Each modality of a recording
has one file::

    FOLDER/<digest of the text>/version.txt             the text, for people
    FOLDER/<digest of the text>/<content>.safetensors   <content>: SHA-256 of the recording

A file holds ``values`` in the type that the extractor keeps and ``valid``; its metadata the text,
the content's digest, where the modality's own medium ends, and a SHA-256 over all. A recording
without the modality has a file that says so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from mien.errors import DamagedError, InputError, NothingPresent, OptionError
from mien.features.extractor import Extractor
from mien.features.files import FeatureFile
from mien.features.reader import Reader, Stage
from mien.features.series import Medium, Series, align_ends
from mien.features.store import pack, unpack
from mien.formats.atomic import make_folder, write_atomically, write_text
from mien.media.paths import plain_file
from mien.registry import nearest
from mien.schema import AUDIO, VIDEO

_FORMAT = 1  # raise it when the same text comes to mean other numbers
_MEDIA = {"sound": AUDIO, "face": VIDEO}


class FeatureCache:
    """Features that were extracted before, and those that are asked for now.

    Several processes may share a folder: files appear whole, and of two writers of one file either
    may win, for both write the same.

    Args:
        folder: where the files are; made when the first is written.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def get(
        self,
        path: str | Path,
        reader: Reader,
        *,
        modalities: Collection[str] | None = None,
        channel: int | None = None,
        through: tuple[str, Stage] | None = None,
        files: Mapping[str, str | Path] | None = None,
    ) -> dict[str, Series]:
        """Get the features of a recording's main person, extracting what is not there yet.

        The same numbers as of `mien.features.observation.Observation.main_series`, whichever of
        them were there before. A file that is damaged is replaced. A degradation that tells that it
        changes one medium only (an attribute ``modality``) leaves the features of the other alone.

        Args:
            path: the recording; one of the files of features where there is none.
            reader: extracts.
            modalities: which of the reader's; all where None.
            channel: of the sound, counted from 1; the mean of all channels where None.
            through: what the decoded stream suffers before it is read: a text that tells it, with
                its seed, from every other, and the function.
            files: files of features, for modalities whose extractor reads such.

        Returns:
            By modality, in the reader's order; without those that the recording has not.

        Raises:
            NothingPresent: it has none of them.
            MienError: the recording cannot be used.
            OutputError: the folder does not take the features.
        """
        given = {name: Path(file) for name, file in (files or {}).items()}
        names = _names(Path(path), reader, modalities, given)
        entries = {
            name: self._entry(name, Path(path), reader, channel, through, given) for name in names
        }
        media = {name: entry.load() for name, entry in entries.items()}
        lacking = [name for name, medium in media.items() if medium is _UNKNOWN]
        if lacking:
            stage = None if through is None else through[1]
            own = {name: file for name, file in given.items() if name in lacking}
            read = reader.read_media(path, lacking, channel=channel, through=stage, files=own)
            for name, medium in read.items():
                media[name] = entries[name].keep(medium)
        there = {name: medium for name, medium in media.items() if isinstance(medium, Medium)}
        if not there:
            raise NothingPresent(f"holds no {' and no '.join(names)}", path=path)
        return align_ends(there)

    def _entry(
        self,
        name: str,
        path: Path,
        reader: Reader,
        channel: int | None,
        through: tuple[str, Stage] | None,
        files: Mapping[str, Path],
    ) -> _Entry:
        extractor = reader.extractors[name]
        told: dict[str, object] = {"format": _FORMAT, **_identity(extractor)}
        if extractor.source == "sound" and channel is not None:
            told["channel"] = channel
        if extractor.source == "face":
            told["face_hop"] = reader.face_hop
        if through is not None and _MEDIA.get(extractor.source) in find_touched(through[1]):
            told["through"] = through[0]
        content = content_digest(files.get(name, path))
        return _Entry(self.folder, json.dumps(told, sort_keys=True), content, extractor)


def find_touched(stage: Stage) -> frozenset[str]:
    """Tell which media a degradation changes: of ``audio`` and ``video`` those it names, or both.

    Args:
        stage: an operation of `mien.missing.raw`, or a `functools.partial` of one.
    """
    operation = stage.func if isinstance(stage, partial) else stage
    named = getattr(operation, "modality", None)
    return frozenset((named,)) if isinstance(named, str) else frozenset((AUDIO, VIDEO))


def content_digest(path: str | Path) -> str:
    """Compute the SHA-256 of a file's content, in hexadecimal.

    A file of the same place, size and time of change is read once only.

    Raises:
        InputError: the file cannot be read.
    """
    name = plain_file(path)
    status = Path(name).stat()
    return _digest(name, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=100_000)
def _digest(name: str, size_bytes: int, changed_ns: int) -> str:
    try:
        with Path(name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(
            f"cannot be read: {error.strerror}", path=name, advice="check the file"
        ) from error


def _identity(extractor: Extractor) -> dict[str, object]:
    spec = extractor.spec()
    return {key: spec[key] for key in ("name", "settings", "version")}


def _may_have(extractor: Extractor, given: bool) -> bool:
    """Whether a recording may have a modality: one from a file only where the file is given."""
    return given or not isinstance(extractor, FeatureFile)


def _names(
    path: Path, reader: Reader, modalities: Collection[str] | None, files: Mapping[str, Path]
) -> list[str]:
    """List the modalities that are wanted and may be there, in the reader's order."""
    for name in modalities or ():
        if name not in reader.extractors:
            raise OptionError(
                f"no modality is called {name!r}", advice=nearest(name, reader.extractors)
            )
    return [
        name
        for name, extractor in reader.extractors.items()
        if (modalities is None or name in modalities)
        and (name in files if path in files.values() else _may_have(extractor, name in files))
    ]


class _Unknown:
    """Stands for a modality that is not on disk."""


_UNKNOWN = _Unknown()


class _Entry:
    """Where one modality of one recording lies.

    Args:
        folder: of the cache.
        text: the way of extracting.
        content: digest of the recording.
        extractor: of the modality.
    """

    def __init__(self, folder: Path, text: str, content: str, extractor: Extractor) -> None:
        self._folder = folder / hashlib.sha256(text.encode()).hexdigest()[:16]
        self._path = self._folder / f"{content}.safetensors"
        self._told = {"version": text, "content": content}
        self._text, self._extractor = text, extractor

    def load(self) -> Medium | _Unknown | None:
        """Look up what is there; None where the recording is known not to have the modality."""
        try:
            return self._load() if self._path.is_file() else _UNKNOWN
        except DamagedError:
            return _UNKNOWN

    def keep(self, medium: Medium | None) -> Medium | None:
        """Write a modality; gives it as it will be read back."""
        arrays = self._arrays(medium)
        told = dict(self._told)
        if medium is not None:
            told |= {"end": repr(medium.end), "follows": str(int(medium.follows))}
        told["sha256"] = _digest_of(arrays, told)
        self._make_folder()
        content = save(arrays, metadata=told)
        write_atomically(self._path, lambda file: file.write(content))
        return self._medium(arrays, told)

    def _load(self) -> Medium | None:
        """Read the file.

        Raises:
            DamagedError: it is not what was written.
        """
        try:
            with safe_open(self._path, framework="np") as file:
                told = dict(file.metadata() or {})
                arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            digest = told.pop("sha256")
            fits = self._told.items() <= told.items() and digest == _digest_of(arrays, told)
            if fits:
                return self._medium(arrays, told)
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            raise DamagedError(f"cannot be read: {error}", path=self._path) from error
        raise DamagedError("is not what was written", path=self._path)

    def _arrays(self, medium: Medium | None) -> dict[str, NDArray[Any]]:
        if medium is None:
            return {"valid": np.empty(0, dtype=np.bool_)}
        series = medium.series
        return {"values": pack(series.values, self._extractor.dtype), "valid": series.valid}

    def _medium(self, arrays: Mapping[str, NDArray[Any]], told: Mapping[str, str]) -> Medium | None:
        if "values" not in arrays:
            return None
        series = Series(unpack(arrays["values"]), arrays["valid"], self._extractor.hop)
        return Medium(series, float(told["end"]), told["follows"] == "1")

    def _make_folder(self) -> None:
        make_folder(self._folder)
        note = self._folder / "version.txt"
        if not note.is_file():
            write_text(note, self._text + "\n")


def _digest_of(arrays: Mapping[str, NDArray[Any]], told: Mapping[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(dict(sorted(told.items()))).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
