"""How the speech encoder's features drift with the position in its input, whatever is said.

Whisper adds absolute positions to its input, and its blocks carry them along: the same word sounds
different to it at 1 s and at 8 s. Averaged over much speech at random offsets, only the position is
left; `mien.features.whisper.WhisperEncoder.encode_steadily` takes that average off.

    python -m tools.voice_drift             # about 5 minutes on one core
    python -m tools.voice_drift --measure   # what it is worth, into docs/results; 4 minutes

Reads the voices of RAVDESS, so that no speaker on whom the models are tested has a part in it, in
random order, in windows of 30 s that overlap by half; writes the low-rank table ``voice_drift``
(0.13 MB) into the package.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from rich.progress import track
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from mien import weights
from mien.datasets import Clip
from mien.datasets.java_sed import java_sed_voices
from mien.datasets.ravdess import ravdess_voices
from mien.features.mel import whisper_log_mel
from mien.features.whisper import (
    BLOCKS,
    CHUNK_STEPS,
    DRIFT_RANK,
    MAX_STEPS,
    STEP_SAMPLES,
    WIDTH,
    WhisperEncoder,
    WhisperStream,
)
from mien.formats import write_table, write_text
from mien.media import Decoder, Samples
from tools.common import DATA, RESULTS, publish

TAKES = ("02", "03")
WINDOW_SAMPLES = 30 * 16_000


def sound_of(clips: Sequence[Clip]) -> list[NDArray[np.float32]]:
    """Decode the waveforms of some clips, 16 kHz."""
    waveforms = []
    with Decoder() as decoder:
        for clip in track(clips, description="decode"):
            stream = decoder.stream(clip.path, video=False)
            pieces = [item.values for item in stream if isinstance(item, Samples)]
            waveforms.append(np.concatenate(pieces))
    return waveforms


@torch.inference_mode()
def average_by_position(speech: NDArray[np.float32]) -> Tensor:
    """``(1500, 3 * 384)``: what the three blocks give at each position, on average."""
    encoder = WhisperEncoder()
    encoder.load_state_dict(weights.load("whisper_tiny_en"), strict=False)
    total = torch.zeros(MAX_STEPS, BLOCKS * WIDTH, dtype=torch.float64)
    begins = range(0, len(speech) - WINDOW_SAMPLES + 1, WINDOW_SAMPLES // 2)
    for begin in track(begins, description="encode"):
        log_mel = torch.from_numpy(whisper_log_mel(speech[begin : begin + WINDOW_SAMPLES]))
        total += encoder(log_mel.unsqueeze(0), blocks=(1, 2, 3))[0]
    return total / len(begins)


def publish_drift() -> None:
    """Estimate the drift and put it into the package."""
    clips = ravdess_voices(DATA / "ravdess_audio")
    order = np.random.default_rng(0).permutation(len(clips))
    average = average_by_position(np.concatenate(sound_of([clips[i] for i in order])))
    drift = average - average[:CHUNK_STEPS].mean(dim=0)
    left, strength, right = torch.linalg.svd(drift, full_matrices=False)
    root = strength[:DRIFT_RANK].sqrt()
    tensors = {
        "drift_over_time": left[:, :DRIFT_RANK] * root,
        "drift_over_features": root[:, None] * right[:DRIFT_RANK],
    }
    fraction = (strength[:DRIFT_RANK] ** 2).sum() / (strength**2).sum()
    print(f"{DRIFT_RANK} components hold {fraction:.3f} of the drift's energy")
    publish(
        "voice_drift",
        tensors,
        licence="Apache-2.0; averages over RAVDESS speech (CC BY-NC-SA 4.0): research use",
        card="voice_drift.md",
    )


def read_voice(encoder: WhisperEncoder, sound: NDArray[np.float32]) -> NDArray[np.float32]:
    """Encode an unbroken stretch of sound; ``(steps, 768)``."""
    stream = WhisperStream(encoder, (2, 3))
    return np.concatenate([stream.push(sound), stream.finish()])


def pooled(steps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean and standard deviation over some steps."""
    return np.concatenate([steps.mean(axis=0), steps.std(axis=0)])


def both_ways(
    encoder: WhisperEncoder, waveforms: list[NDArray[np.float32]]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Descriptions of clips read alone, and of the same clips inside one long recording."""
    whole_steps = [wave[: len(wave) // STEP_SAMPLES * STEP_SAMPLES] for wave in waveforms]
    alone = []
    for wave in track(whole_steps, description="alone"):
        alone.append(pooled(read_voice(encoder, wave)))
    order = np.random.default_rng(0).permutation(len(whole_steps))
    joined = np.concatenate([whole_steps[i] for i in order])
    read = read_voice(encoder, joined)
    inside: dict[int, NDArray[np.float32]] = {}
    begin = 0
    for i in order:
        end = begin + len(whole_steps[i]) // STEP_SAMPLES
        inside[i] = pooled(read[begin:end])
        begin = end
    return np.array(alone), np.array([inside[i] for i in range(len(inside))])


def measure() -> None:
    """Train on clips alone, test on clips alone and inside a long recording; write the table."""
    clips = [c for c in java_sed_voices(DATA / "java_sed_voice") if c.path.stem[-2:] in TAKES]
    waveforms = sound_of(clips)
    person = np.array([clip.person for clip in clips])
    emotion = np.array([clip.label for clip in clips])
    plain = WhisperEncoder.pretrained()
    plain.drift_over_time.zero_()
    rows = []
    encoders = {"as it is": plain, "drift taken off": WhisperEncoder.pretrained()}
    for name, encoder in encoders.items():
        alone, inside = both_ways(encoder, waveforms)
        for actor in np.unique(person):
            rest, own = person != actor, person == actor
            head = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300))
            head.fit(alone[rest], emotion[rest])
            scores = {
                "clips_alone": head.score(alone[own], emotion[own]),
                "inside_a_long_recording": head.score(inside[own], emotion[own]),
            }
            rows.append({"encoder": name, "actor": actor, **scores})
    table = pd.DataFrame(rows)
    write_table(table, RESULTS / "voice_drift.csv")
    write_text(RESULTS / "voice_drift.md", as_markdown(table, len(clips)))


def as_markdown(table: pd.DataFrame, clips: int) -> str:
    """Mean and standard deviation over actors, with what they are."""
    lines = [
        "# What positions do to the voice features",
        "",
        f"Written by `python -m tools.voice_drift --measure`. {clips} voice takes of "
        f"Java-SED (takes {' and '.join(TAKES)}), six emotions. Logistic regression (C = 0.01) on "
        "mean and standard deviation over all steps, trained on takes read alone; accuracy on the "
        "actor left out, mean ± standard deviation (population) over 8 actors. The long recording "
        "is all takes in one random order (seed 0). The drift was estimated on RAVDESS.",
        "",
        "| encoder | takes alone | inside a long recording |",
        "|---|---|---|",
    ]
    for name, part in table.groupby("encoder", sort=False):
        cells = [
            f"{part[column].mean():.3f} ± {part[column].std(ddof=0):.3f}"
            for column in ("clips_alone", "inside_a_long_recording")
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Estimate the drift, or measure what it is worth."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measure", action="store_true", help="write the table only")
    torch.set_num_threads(1)
    if parser.parse_args().measure:
        measure()
    else:
        publish_drift()


if __name__ == "__main__":
    main()
