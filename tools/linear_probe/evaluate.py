"""Leave one actor out on Java-SED: accuracy, recall and calibration by what was observed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from rich.progress import track

from mien.formats import write_table, write_text
from mien.models import LinearProbe
from mien.models.linear_probe import Description
from mien.schema import AUDIO, MODALITIES, VIDEO
from tools.common import RESULTS
from tools.linear_probe.data import EMOTIONS, Sources, training_rows
from tools.linear_probe.heads import fit_probe

COMMAND = "python -m tools.linear_probe"
CONDITIONS: Mapping[str, tuple[str, ...]] = {
    "audio + video": (AUDIO, VIDEO),
    "audio": (AUDIO,),
    "video": (VIDEO,),
}


def evaluate(sources: Sources, *, baseline: bool) -> pd.DataFrame:
    """One row for each actor and condition; nothing about the actor is known to the model.

    With a baseline the actor's own features are standardised by that actor's own 24 clips, whose
    labels stay unknown.

    Args:
        sources: features, already standardised by person if ``baseline``.
        baseline: goes into the table.
    """
    rows = training_rows(sources)
    judged = sources.target & sources.features.whole
    results = []
    actors = np.unique(sources.person[judged])
    for actor in track(actors, description="leave one actor out"):
        kept = {m: [part.without({str(actor)}) for part in parts] for m, parts in rows.items()}
        probe = fit_probe(kept, EMOTIONS)
        chosen = judged & (sources.person == actor)
        truth = np.array(
            [EMOTIONS.index(sources.clips[i].emotion) for i in sources.features.clip[chosen]]
        )
        for condition, modalities in CONDITIONS.items():
            said, there = predict(probe, sources, chosen, modalities)
            scores = measures(said[there], truth[there])
            setting = {"condition": condition, "baseline": baseline, "actor": str(actor)}
            results.append({**setting, "clips": int(there.sum()), **scores})
    return pd.DataFrame(results)


def predict(
    probe: LinearProbe, sources: Sources, chosen: NDArray[np.bool_], modalities: tuple[str, ...]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Probabilities of the chosen rows from some modalities, and who has any of those."""
    descriptions = {
        m: Description(
            torch.from_numpy(sources.features.values[m][chosen]),
            torch.from_numpy(sources.features.present[m][chosen] & (m in modalities)),
        )
        for m in MODALITIES
    }
    with torch.inference_mode():
        said = probe.fuse(descriptions).probabilities().double().numpy()
    there = torch.stack([d.present for d in descriptions.values()]).any(dim=0).numpy()
    return said, there


def measures(said: NDArray[np.float64], truth: NDArray[np.int64]) -> dict[str, float]:
    """Accuracy, unweighted average recall, mean log loss in nats, and mean confidence."""
    best = said.argmax(axis=1)
    recalls = [(best[truth == k] == k).mean() for k in np.unique(truth)]
    return {
        "accuracy": float((best == truth).mean()),
        "unweighted_average_recall": float(np.mean(recalls)),
        "log_loss": float(-np.log(said[np.arange(len(truth)), truth]).mean()),
        "confidence": float(said.max(axis=1).mean()),
    }


def write_results(by_actor: pd.DataFrame) -> None:
    """The table by actor as CSV, and means and deviations over actors as Markdown."""
    write_table(by_actor, RESULTS / "java_sed.csv")
    lines = [
        "# Java-SED, leave one actor out",
        "",
        f"Written by `{COMMAND}`. Model `linear_probe`: seven emotions, of which Java-SED has six "
        "(always choosing one of the six would be right once in six). 8 actors with 24 clips each; "
        "a fold trains on the other 7 (clips and voice takes), on RAVDESS voices and FER+ stills, "
        "chooses regularisation, weight of the stills, temperature and fusion weights by "
        "leaving out one training actor at a time, and is tested on the actor's 24 whole clips. "
        "Mean ± standard deviation (population) over actors; the fit is deterministic, there is no "
        "seed to average over.",
        "",
        "| observed | personal baseline | clips | accuracy | unweighted average recall | log loss "
        "(nats) | mean confidence |",
        "|---|---|---|---|---|---|---|",
    ]
    for (baseline, condition), part in by_actor.groupby(["baseline", "condition"], sort=False):
        cells = [str(condition), "yes" if baseline else "no", str(part["clips"].sum())]
        for name in ("accuracy", "unweighted_average_recall", "log_loss", "confidence"):
            cells.append(f"{part[name].mean():.3f} ± {part[name].std(ddof=0):.3f}")
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "The personal baseline standardises an actor's features by that actor's own 24 clips, "
        "labels unseen. These are balanced over the emotions, which a user's recordings are not: "
        "take its gain as an upper bound.",
        "",
        "By actor: `java_sed.csv`.",
        "",
    ]
    write_text(RESULTS / "java_sed.md", "\n".join(lines))
