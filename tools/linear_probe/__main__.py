"""Train and measure the linear probe.

    python -m tools.linear_probe           # tables into docs/results
    python -m tools.linear_probe --keep    # and the weights into the package

Needs the data folder (``MIEN_DATA``). About 15 minutes on two cores the first time, six after that:
features are kept in ``--out`` and taken from there while encoders and clips are the same.
Expected: accuracy of 0.65 to 0.70 for audio and video together, leave one actor out.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import pandas as pd
import torch

from tools.common import DATA, publish
from tools.linear_probe.data import EMOTIONS, load_sources, training_rows
from tools.linear_probe.evaluate import evaluate, write_results
from tools.linear_probe.heads import fit_probe


def main() -> None:
    """Measure, and with ``--keep`` train on everybody and keep the weights."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--out", type=Path, default=Path("runs/linear_probe"))
    parser.add_argument("--keep", action="store_true", help="weights into the package")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)

    sources = load_sources(arguments.data, arguments.out)
    own = sources.standardised_by_person()
    write_results(pd.concat([evaluate(sources, baseline=False), evaluate(own, baseline=True)]))
    if arguments.keep:
        for name, chosen in (("linear_probe", sources), ("linear_probe_baseline", own)):
            probe = fit_probe(training_rows(chosen), EMOTIONS)
            card = {
                "architecture": "linear_probe",
                "kind": "categories",
                "names": EMOTIONS,
                "per": "clip",
                "modalities": probe.modalities,
            }
            publish(
                name,
                probe.state_dict(),
                licence="Apache-2.0; trained on Java-SED (MIT), RAVDESS (CC BY-NC-SA 4.0) and "
                "FER+ (images for research use): research use",
                card="linear_probe.md",
                metadata={"model": json.dumps(card)},
            )


if __name__ == "__main__":
    main()
