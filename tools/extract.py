"""Extract features of corpora, clean and spoiled, into the feature store.

    python -m tools.extract java_sed java_sed_voice ravdess_audio
    python -m tools.extract java_sed --through noise_10db babble_0db

Needs the data folder (``MIEN_DATA``). What was extracted before is not extracted again. A recording
that cannot be used is reported and left out, and the command fails in the end. About 0.2 s for a
clip with face and voice and 0.04 s for a voice alone, on one core.

Later runs read with the same words::

    store = FeatureStore("runs/features")
    with extractor("noise_10db", data) as extract:
        signals = store.get(clip.path, extract)
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import torch
from rich.progress import track

from mien.datasets import Clip, java_sed_clips, java_sed_voices, ravdess_voices
from mien.errors import MienError
from mien.experiments.degraded import CLEAN, CONDITIONS, extractor
from mien.features.kept import FeatureStore
from mien.features.sequences import SequenceExtractor
from tools.common import DATA

CORPORA: Mapping[str, Callable[[Path], list[Clip]]] = MappingProxyType(
    {
        "java_sed": java_sed_clips,
        "java_sed_voice": java_sed_voices,
        "ravdess_audio": ravdess_voices,
    }
)


def fill(store: FeatureStore, clips: Sequence[Clip], extract: SequenceExtractor) -> int:
    """Have the features of clips in the store; returns how many clips could not be used."""
    failed = 0
    for clip in track(clips, description=clips[0].corpus):
        try:
            store.get(clip.path, extract)
        except MienError as error:
            print(error, file=sys.stderr, flush=True)
            failed += 1
    return failed


def main() -> None:
    """Fill the store, corpus by corpus and condition by condition."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpora", nargs="+", choices=CORPORA)
    parser.add_argument("--through", nargs="+", default=[CLEAN], choices=[CLEAN, *CONDITIONS])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--store", type=Path, default=Path("runs/features"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    store, failed = FeatureStore(arguments.store), 0
    for corpus in arguments.corpora:
        clips = CORPORA[corpus](arguments.data / corpus)
        for condition in arguments.through:
            begun = time.monotonic()
            with extractor(condition, arguments.data) as extract:
                bad = fill(store, clips, extract)
            spent = time.monotonic() - begun
            print(
                f"{corpus} {condition}: {len(clips)} clips, {bad} failed, {spent:.0f} s", flush=True
            )
            failed += bad
    if failed:
        sys.exit(f"{failed} recordings could not be used; see above")


if __name__ == "__main__":
    main()
