"""What experiments share: where the data is, where results go, how weights enter the package."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from mien.formats import write_atomically, write_text
from mien.weights.fetch import sha256_of
from mien.weights.registry import TRAINED

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("MIEN_DATA") or ROOT / "../shared/data")
RESULTS = ROOT / "docs" / "results"


def publish(
    name: str,
    tensors: Mapping[str, Tensor],
    *,
    licence: str,
    card: str,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Put weights into the package, in half precision, and note their hash in its index.

    Args:
        name: what the code calls them.
        tensors: the state of a module; integers stay as they are.
        licence: a sentence that names data and licences.
        card: file name of the model card beside them, written by hand.
        metadata: strings for the header of the file.
    """
    half = {
        key: (t.half() if t.is_floating_point() else t).contiguous() for key, t in tensors.items()
    }
    path = TRAINED / f"{name}.safetensors"
    path.parent.mkdir(exist_ok=True)
    content = save(half, metadata=dict(metadata or {}))
    write_atomically(path, lambda file: file.write(content))
    note_in_index(path, licence=licence, card=card)


def note_in_index(path: Path, *, licence: str, card: str) -> None:
    """Note the hash of a file of weights in the package's index.

    Args:
        path: of the file, in the folder of weights.
        licence: a sentence that names data and licences.
        card: file name of the model card beside it.
    """
    index = TRAINED / "index.json"
    entries = json.loads(index.read_text()) if index.exists() else []
    entry = {"name": path.stem, "file": path.name, "sha256": sha256_of(path)}
    entry |= {"licence": licence, "card": card}
    others = [known for known in entries if known["name"] != path.stem]
    entries = sorted([*others, entry], key=lambda known: str(known["name"]))
    write_text(index, json.dumps(entries, indent=2) + "\n")
    print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB")
