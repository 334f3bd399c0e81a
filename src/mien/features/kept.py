"""Extracted features on disk: computed once for each recording and each way of extracting them.

A recording is known by its content, not by its name, and a way of extracting by its version: a text
that names weights, settings and degradation. Each recording has one Parquet file::

    FOLDER/<digest of the version>/version.txt          the version, for people
    FOLDER/<digest of the version>/<recording>.parquet  <recording>: SHA-256 of the content

A file has one row for each modality: ``modality``, ``hop`` (seconds), ``feature`` (sizes of the
feature axes), ``valid`` (steps) and ``values`` (steps × features, half precision, zero where
nothing was observed). Its metadata hold the version, the recording and a SHA-256 over all rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from mien.errors import DamagedError, InputError, OutputError
from mien.formats.atomic import write_atomically, write_text
from mien.media.paths import plain_file
from mien.signals import Sequence, Signals

_SCHEMA = pa.schema(
    [
        pa.field("modality", pa.string(), nullable=False),
        pa.field("hop", pa.float64(), nullable=False),
        pa.field("feature", pa.list_(pa.int64()), nullable=False),
        pa.field("valid", pa.list_(pa.bool_()), nullable=False),
        pa.field("values", pa.list_(pa.float16()), nullable=False),
    ]
)
_VERSION, _RECORDING, _ROWS = b"mien.version", b"mien.recording", b"mien.rows"


class Extractor(Protocol):
    """A way from a recording to features, as `mien.features.sequences.SequenceExtractor`."""

    @property
    def version(self) -> str:
        """What the features depend on besides the recording; another text, other features."""

    def __call__(self, path: Path) -> Signals:
        """The features of a recording, batch of one.

        Raises:
            MienError: the recording cannot be used.
        """


class FeatureStore:
    """Features that were extracted before, and those that are asked for now.

    Values are kept in half precision, so that it makes no difference whether they were kept before.
    Several processes may share a folder: files appear whole, and of two writers of one file either
    may win, for both write the same.

    Args:
        folder: where the files are; made when the first is written.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def get(self, path: str | Path, extractor: Extractor) -> Signals:
        """The features of a recording, extracted and kept if they are not yet.

        A kept file that is damaged is replaced.

        Args:
            path: the recording.
            extractor: how to get features where there are none.

        Returns:
            Signals of batch one; values that were not observed are zero.

        Raises:
            MienError: the recording cannot be used.
            OutputError: the folder does not take the features.
        """
        digest = content_digest(path)
        kept = self._find(digest, extractor.version)
        if kept is None:
            kept = [_Row.of(modality, s) for modality, s in extractor(Path(path)).items()]
            self._keep(kept, digest, extractor.version)
        return Signals({row.modality: row.sequence() for row in kept})

    def _find(self, digest: str, version: str) -> list[_Row] | None:
        place = self._place(digest, version)
        try:
            return _read(place, digest, version) if place.is_file() else None
        except DamagedError:
            return None

    def _place(self, digest: str, version: str) -> Path:
        return self._folder_of(version) / f"{digest}.parquet"

    def _folder_of(self, version: str) -> Path:
        return self.folder / hashlib.sha256(version.encode()).hexdigest()[:16]

    def _keep(self, rows: list[_Row], digest: str, version: str) -> None:
        folder = self._folder_of(version)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot be made: {error.strerror}", path=folder, advice="choose another folder"
            ) from error
        note = folder / "version.txt"
        if not note.is_file():
            write_text(note, version + "\n")
        metadata = {_VERSION: version, _RECORDING: digest, _ROWS: _digest_of(rows)}
        write_atomically(self._place(digest, version), partial(_write, rows, metadata))


def content_digest(path: str | Path) -> str:
    """SHA-256 of a recording's content, in hexadecimal.

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


class _Row(NamedTuple):
    """One modality as it lies in a file."""

    modality: str
    hop: float
    feature: tuple[int, ...]
    valid: NDArray[np.bool_]
    values: NDArray[np.float16]

    @classmethod
    def of(cls, modality: str, sequence: Sequence) -> Self:
        """The only recording of a batch; what was not observed becomes zero."""
        if len(sequence.valid) != 1:
            raise ValueError(f"one recording at a time is kept, not {len(sequence.valid)}")
        valid = sequence.valid[0].cpu().numpy()
        given = sequence.values[0].detach().cpu().numpy()
        values = np.zeros(given.shape, dtype=np.float16)
        with np.errstate(over="ignore"):  # what does not fit is refused below
            values[valid] = given[valid]
        if not np.isfinite(values).all():
            raise ValueError(f"{modality} features must be finite and within 65,504")
        return cls(modality, sequence.hop, values.shape[1:], valid, values.ravel())

    def sequence(self) -> Sequence:
        """The row as a batch of one."""
        shape = (1, len(self.valid), *self.feature)
        values = torch.from_numpy(self.values.astype(np.float32)).reshape(shape)
        return Sequence(values, torch.from_numpy(self.valid.copy())[None], self.hop)


def _digest_of(rows: Iterable[_Row]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(f"{row.modality} {row.hop!r} {row.feature}".encode())
        digest.update(row.valid.tobytes())
        digest.update(row.values.tobytes())
    return digest.hexdigest()


def _write(rows: Iterable[_Row], metadata: Mapping[bytes, str], file: BinaryIO) -> None:
    table = pa.Table.from_pylist(
        [row._asdict() for row in rows], schema=_SCHEMA.with_metadata(dict(metadata))
    )
    pq.write_table(table, file, compression="zstd", use_dictionary=False)


def _read(place: Path, recording: str, version: str) -> list[_Row]:
    """Read a kept file.

    Raises:
        DamagedError: it is not what was written.
    """
    try:
        table = pq.ParquetFile(place).read()
        rows = [_row(table, index) for index in range(table.num_rows)]
        known = table.schema.metadata or {}
    # pyarrow's errors about damaged files have no base of their own, and some are OSErrors.
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedError(f"cannot be read: {error}", path=place) from error
    expected = {_VERSION: version, _RECORDING: recording, _ROWS: _digest_of(rows)}
    if any(known.get(key) != text.encode() for key, text in expected.items()):
        raise DamagedError("is not what was written", path=place)
    return rows


def _row(table: pa.Table, index: int) -> _Row:
    valid, values = (
        table[name][index].values.to_numpy(zero_copy_only=False) for name in ("valid", "values")
    )
    return _Row(
        table["modality"][index].as_py(),
        table["hop"][index].as_py(),
        tuple(table["feature"][index].as_py()),
        valid.astype(np.bool_),
        values.astype(np.float16),
    )
