"""Train the face encoder on FER+ vote distributions.

    python -m tools.face_encoder            # train, or go on after an interruption
    python -m tools.face_encoder --keep     # put the trained weights into the package

Expected: about 83 % majority-vote accuracy on FER+ valid after 30 epochs, 1 to 2 minutes an epoch
on two CPU cores with bfloat16 arithmetic. Interrupt it whenever you like: the same command goes on
at the last finished epoch. The weights that are kept are the moving average of the last epoch;
FER+ valid is only ever measured, it selects nothing.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from mien.datasets.ferplus import ferplus_faces
from mien.features.face_encoder import CROP_PX, FaceEncoder
from mien.formats import write_table
from tools.common import DATA, RESULTS, publish


@dataclass(frozen=True)
class Recipe:
    """Every number that the training depends on."""

    epochs: int = 30
    batch: int = 128
    peak_lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup_epochs: int = 2
    average_decay: float = 0.998
    seed: int = 0
    rotation_deg: float = 20.0
    scale: float = 0.18
    shift: float = 0.10
    erase_share: float = 0.4


def augment(faces: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Mirror, turn, scale, shift, relight, blur, coarsen, add noise to and partly cover crops.

    Real crops differ from FER+ in alignment, size and sharpness; each of those is drawn here.

    Args:
        faces: ``(batch, 1, 48, 48)`` in [0, 1].
        recipe: how much of each.
        generator: draws it.
    """
    n = len(faces)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(*(shape or (n,)), generator=generator) * (high - low) + low

    angle = uniform(-1, 1) * math.radians(recipe.rotation_deg)
    zoom = 1 + uniform(-recipe.scale, recipe.scale)
    mirror = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    aspect = 1 + uniform(-0.08, 0.08)
    shift = uniform(-2 * recipe.shift, 2 * recipe.shift, n, 2)
    row_x = torch.stack([mirror * zoom * aspect * angle.cos(), -zoom * angle.sin(), shift[:, 0]], 1)
    row_y = torch.stack([mirror * zoom * angle.sin(), zoom * angle.cos(), shift[:, 1]], 1)
    grid = F.affine_grid(torch.stack([row_x, row_y], 1), list(faces.shape), align_corners=False)
    out = F.grid_sample(faces, grid, padding_mode="border", align_corners=False)

    small = F.interpolate(F.avg_pool2d(out, 2), size=CROP_PX, mode="bilinear")
    blurred = F.avg_pool2d(F.pad(out, (1, 1, 1, 1), mode="replicate"), 3, 1)
    kind = uniform(0, 1)[:, None, None, None]
    out = torch.where(kind < 0.12, small, torch.where(kind < 0.27, blurred, out))

    gamma = torch.exp(uniform(-0.5, 0.5))[:, None, None, None]
    slope = uniform(-0.4, 0.4, n, 2)[:, :, None, None]
    ramp = torch.linspace(-1, 1, CROP_PX)
    light = 1 + slope[:, :1] * ramp[None, None, None, :] + slope[:, 1:] * ramp[None, None, :, None]
    out = out.clamp(0, 1).pow(gamma) * light
    loud = uniform(0, 0.05)[:, None, None, None]
    out = out + loud * torch.randn(out.shape, generator=generator)
    return _erase(out, recipe, generator)


def _erase(faces: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    n = len(faces)
    draw = torch.rand(n, 5, generator=generator)
    height, width = (6 + draw[:, 0] * 16), (6 + draw[:, 1] * 16)
    top, left = draw[:, 2] * (CROP_PX - height), draw[:, 3] * (CROP_PX - width)
    line = torch.arange(CROP_PX)
    rows = (line >= top[:, None]) & (line < (top + height)[:, None])
    columns = (line >= left[:, None]) & (line < (left + width)[:, None])
    hidden = (rows[:, :, None] & columns[:, None, :])[:, None]
    hidden &= (draw[:, 4] < recipe.erase_share)[:, None, None, None]
    return torch.where(hidden, faces.mean(dim=(1, 2, 3), keepdim=True), faces)


@torch.inference_mode()
def measure(encoder: FaceEncoder, faces: Tensor, proportions: Tensor) -> dict[str, float]:
    """Majority-vote accuracy, unweighted average recall and cross-entropy to the votes."""
    encoder.eval()
    logits = torch.cat([encoder(part.float() / 255).logits for part in faces.split(256)])
    truth, said = proportions.argmax(1), logits.argmax(1)
    recalls = [(said[truth == k] == k).float().mean() for k in truth.unique()]
    return {
        "accuracy": float((truth == said).float().mean()),
        "unweighted_average_recall": float(torch.stack(recalls).mean()),
        "cross_entropy": float(F.cross_entropy(logits, proportions)),
    }


class Run:
    """The state of a training run: what a checkpoint holds."""

    def __init__(self, recipe: Recipe, steps_per_epoch: int, folder: Path) -> None:
        self.recipe, self.folder, self.epoch = recipe, folder, 0
        self.log: list[dict[str, float]] = []
        torch.manual_seed(recipe.seed)
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.encoder = FaceEncoder().to(memory_format=torch.channels_last)
        self.average = torch.optim.swa_utils.AveragedModel(
            self.encoder,
            multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(recipe.average_decay),
            use_buffers=True,
        )
        decayed = [p for p in self.encoder.parameters() if p.ndim > 1]
        plain = [p for p in self.encoder.parameters() if p.ndim <= 1]
        groups = [
            {"params": decayed, "weight_decay": recipe.weight_decay},
            {"params": plain, "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.SGD(
            groups, lr=recipe.peak_lr, momentum=recipe.momentum, nesterov=True
        )
        total, warm = recipe.epochs * steps_per_epoch, recipe.warmup_epochs * steps_per_epoch
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer,
            lambda step: min((step + 1) / warm, 0.5 + 0.5 * math.cos(math.pi * step / total)),
        )

    def _parts(self) -> dict[str, Any]:
        return {
            "encoder": self.encoder,
            "average": self.average,
            "optimizer": self.optimizer,
            "schedule": self.schedule,
        }

    def resume(self) -> None:
        """Take up the checkpoint of the folder, if there is one."""
        path = self.folder / "checkpoint.pt"
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.generator.set_state(state["generator"])
        torch.set_rng_state(state["dropout_generator"])
        self.epoch, self.log = state["epoch"], state["log"]
        print(f"going on after epoch {self.epoch}")

    def save(self) -> None:
        """Write the checkpoint, then the log as a table."""
        state = {name: part.state_dict() for name, part in self._parts().items()}
        state |= {"generator": self.generator.get_state(), "epoch": self.epoch, "log": self.log}
        state["dropout_generator"] = torch.get_rng_state()
        temporary = self.folder / "checkpoint.tmp"
        torch.save(state, temporary)
        temporary.replace(self.folder / "checkpoint.pt")
        write_table(pd.DataFrame(self.log), self.folder / "log.csv")

    def train_epoch(self, faces: Tensor, proportions: Tensor) -> float:
        """One pass; returns the mean training loss (cross-entropy to the vote distribution)."""
        self.encoder.train()
        order = torch.randperm(len(faces), generator=self.generator)
        batches = order.split(self.recipe.batch)[: len(faces) // self.recipe.batch]
        total = 0.0
        for chosen in batches:
            crops = augment(faces[chosen].float() / 255, self.recipe, self.generator)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = self.encoder(crops).logits
            loss = F.cross_entropy(logits.float(), proportions[chosen])
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            self.schedule.step()
            self.average.update_parameters(self.encoder)
            total += loss.item()
        return total / len(batches)


def keep(run: Run) -> None:
    """Put the averaged weights into the package, and the log beside the other results."""
    publish(
        "face_encoder",
        run.average.module.state_dict(),
        licence="Apache-2.0; trained on FER2013 images (research use) with FER+ votes (MIT)",
        card="face_encoder.md",
    )
    write_table(pd.DataFrame(run.log), RESULTS / "face_encoder.csv")


def main() -> None:
    """Train up to the last epoch of the recipe."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--out", type=Path, default=Path("runs/face_encoder"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--keep", action="store_true", help="weights into the package")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.out.mkdir(parents=True, exist_ok=True)

    recipe = Recipe()
    faces, proportions = ferplus_faces(arguments.data / "ferplus", "train")
    held_faces, held_shares = ferplus_faces(arguments.data / "ferplus", "valid")
    run = Run(recipe, len(faces) // recipe.batch, arguments.out)
    run.resume()
    while run.epoch < recipe.epochs and not arguments.keep:
        started = time.monotonic()
        loss = run.train_epoch(faces, proportions)
        run.epoch += 1
        scores = measure(run.average.module, held_faces, held_shares)
        seconds = round(time.monotonic() - started)
        run.log.append({"epoch": run.epoch, "train_loss": loss, **scores, "seconds": seconds})
        run.save()
        print({k: round(v, 4) for k, v in run.log[-1].items()}, flush=True)
    if arguments.keep:
        keep(run)


if __name__ == "__main__":
    main()
