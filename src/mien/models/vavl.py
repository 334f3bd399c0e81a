"""VAVL: conformers per modality, conformers that both share, and a head for whatever is there.

Goncalves, Leem, Lin, Sisman and Busso, "Versatile audio-visual learning for emotion recognition"
(arXiv 2305.07216; section, equation and algorithm numbers are those of that text). For modality M
of features x, with C a 1-D temporal convolution (section 3.1) and S the shared conformers (3.2):

    e = Conformer_M(C_M(x))     h = LayerNorm(S(e) + e)     z = mean of h over time
    pred_M = MLP_M(z_M)         Rec_M = MLP'_M(z_M)         pred_av = MLP_av([z_a; z_v])
    L = L_pred(y, pred) + alpha L_MSE(x_pool, Rec_M)                                  (equation 1)

with L_pred cross-entropy (equation 2), one minus concordance (3) or absolute error (4), which
the paper takes for sentiment and here is a `Model.criterion` to set.

A missing modality: an item that has one modality is answered by that modality's own head, one that
has both by the audio-visual layer (Algorithm 1, lines 17-21). Each item of a batch by itself.

Training (Algorithm 1, lines 3-15). The audio terms move the audio and shared weights, the video
terms the video and shared weights, and the audio-visual term only the audio-visual layer, over the
items that have what the term needs; a batch may be all audio, all video, paired or mixed.
`Vavl.loss` is the sum of these terms, and in training the audio-visual layer sees its input
detached, so one backward pass gives each weight the sum of the gradients that it gets in the
algorithm. To alternate as the algorithm is written, step ``parts()[M]`` and ``parts()["shared"]``
by ``loss_terms(…)[M]`` of a forward pass of its own for audio, then for video, then
``parts()["audio_visual"]`` by its term; or hide one modality of a batch at a time.

Where the released code departs from the paper, we follow the paper:

- Its conformers run over the batch axis, so that nothing is modelled over time; ours run over time.
- Its temporal convolution has kernel 1 and no neighbours. Ours has 5: the paper wants each step to
  know its neighbours and counts 650 k weights; 5 steps of 50 outputs for 1,024 + 1,408 features
  without bias are 608,000, the nearest odd size.
- It means over padding, divides attention scores by the root of 512 instead of 64, and has no
  activation after a head's second layer ("ReLU as the activation function").

Parameters at the paper's sizes (1,024 and 1,408 features, six classes): 54,371,218, with
``projection_kernel=1`` 53,884,818. The released code has 60,979,602 on the paths that are run (and
395,526 in a head that is never called); 7,094,784 of these are three convolutional subsamplings
inside its conformers that are constructed but never called, which leaves our 53,884,818. The
paper's 86 M with 34 M a branch is five layers, not its three, with such dead weights.

Where the paper is silent:

- alpha: 1 for dimensions and 2 for categories, as in the released code.
- LayerNorm after the shared residual, and a 512 to 512 map into the shared blocks: released code.
- Kernel 31 of the depthwise convolution, expansion 4: Gulati et al. (2020).
- Per frame: h of each step goes to the heads in place of z; a step at which one modality has a hole
  is answered by the other's head, as section 5.2 finds better; x_pool and Rec_M stay per clip.
- A third modality (its outlook): the joint layer answers where all are there, else the mean of the
  heads.
- The unimodal baseline's head ("two fully connected layers") is VAVL's own, two hidden layers, so
  that only the encoders differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien.errors import OptionError
from mien.layers.conformer import ConformerEncoder
from mien.layers.dropout import Dropout
from mien.layers.losses import criterion
from mien.layers.masked import masked_mean
from mien.models import _official_conformer  # noqa: F401, registers the official blocks
from mien.models._base import Prediction
from mien.models._branches import (
    Branches,
    BranchPrediction,
    Encoded,
    average_scores,
    find_answering,
)
from mien.models._registry import register_model
from mien.models._task import Task
from mien.signals import Signals


@dataclass(frozen=True)
class VavlPrediction(BranchPrediction):
    """A prediction with what the auxiliary terms of the loss need.

    Attributes:
        pooled: by modality ``(batch, features)``, x_pool of equation 1.
        reconstructed: by modality the same from the shared layers, Rec_M of equation 1; empty
            without reconstruction.
        present: by modality ``(batch,)`` bool: for whom the two mean anything.
    """

    pooled: Mapping[str, Tensor] = field(default_factory=dict)
    reconstructed: Mapping[str, Tensor] = field(default_factory=dict)
    present: Mapping[str, Tensor] = field(default_factory=dict)


class _BranchEncoder(nn.Module):
    """A temporal convolution to few features, then conformers over time."""

    def __init__(self, project: nn.Conv1d, conformer: ConformerEncoder) -> None:
        super().__init__()
        self.project = project
        self.conformer = conformer

    def forward(self, values: Tensor, valid: Tensor) -> Tensor:
        projected = self.project(values.transpose(1, 2)).transpose(1, 2)
        frames: Tensor = self.conformer(projected, valid)
        return frames


def _encoders(
    modalities: Mapping[str, int],
    projected: int,
    kernel: int,
    stack: Callable[[], ConformerEncoder],
) -> nn.ModuleDict:
    """One encoder by modality; section 3.1."""

    def project(features: int) -> nn.Conv1d:
        return nn.Conv1d(features, projected, kernel, padding="same", bias=False)

    return nn.ModuleDict(
        {m: _BranchEncoder(project(size), stack()) for m, size in modalities.items()}
    )


def _mlp(features: int, out: int, *, hidden: tuple[int, int], dropout: float) -> nn.Sequential:
    """Section 4.3: two hidden layers with ReLU and dropout, then a linear one."""
    first, second = hidden
    return nn.Sequential(
        nn.Linear(features, first),
        nn.ReLU(),
        Dropout(dropout),
        nn.Linear(first, second),
        nn.ReLU(),
        Dropout(dropout),
        nn.Linear(second, out),
    )


@register_model("vavl", paper="Goncalves et al. 2023", missing="the head of the other one")
class Vavl(Branches):
    """See the module docstring. Times of several modalities: see `mien.models._branches`.

    Args:
        task: categories or dimensions, per clip or per frame.
        modalities: feature size of each; with a single one there is no audio-visual layer.
        width: of the conformers.
        heads: of their attention.
        layers: conformer blocks of each modality.
        shared_layers: conformer blocks that all modalities share.
        kernel_size: of the depthwise convolutions, in steps.
        projected: outputs of the temporal convolution.
        projection_kernel: of the temporal convolution, in steps; 1 in the released code.
        hidden: of the prediction and reconstruction heads.
        dropout: in the conformers.
        head_dropout: in the heads.
        residual: over the shared layers (False: ablation 1).
        reconstruction: of the pooled input (False: ablation 2).
        audio_visual_layer: or the mean of the unimodal answers (False: ablation 3).
        alpha: weight of the reconstruction; None: 1 for dimensions, 2 for categories.

    Raises:
        OptionError: sizes that do not go together.
    """

    def __init__(  # noqa: PLR0913, each is a quantity of the paper
        self,
        task: Task,
        modalities: Mapping[str, int],
        *,
        width: int = 512,
        heads: int = 8,
        layers: int = 3,
        shared_layers: int = 2,
        kernel_size: int = 31,
        projected: int = 50,
        projection_kernel: int = 5,
        hidden: tuple[int, int] = (512, 256),
        dropout: float = 0.1,
        head_dropout: float = 0.2,
        residual: bool = True,
        reconstruction: bool = True,
        audio_visual_layer: bool = True,
        alpha: float | None = None,
    ) -> None:
        super().__init__(task, modalities)
        if task.kind == "dimensions":  # equation 3
            self.criterion = criterion("ccc", over="batch")
        self.residual = residual
        usual = 1.0 if task.kind == "dimensions" else 2.0
        self.alpha = usual if alpha is None else alpha
        conformer = partial(
            ConformerEncoder, width=width, heads=heads, kernel_size=kernel_size, dropout=dropout
        )
        mlp = partial(_mlp, hidden=hidden, dropout=head_dropout)
        stack = partial(conformer, projected, layers=layers)
        self.encoders = _encoders(self.modalities, projected, projection_kernel, stack)
        self.shared = conformer(width, layers=shared_layers)
        self.shared_norm = nn.LayerNorm(width)
        self.heads = nn.ModuleDict({m: mlp(width, len(task.names)) for m in self.modalities})
        rebuilt = self.modalities.items() if reconstruction else ()
        self.reconstructions = nn.ModuleDict({m: mlp(width, size) for m, size in rebuilt})
        several = len(self.modalities)
        joint = audio_visual_layer and several > 1
        self.joint = mlp(several * width, len(task.names)) if joint else None

    def encode(self, modality: str, values: Tensor, valid: Tensor) -> Encoded:
        """Encode one modality by its own and the shared layers; see `Branches.encode`."""
        own = self.encoders[modality](values, valid)
        shared = self.shared(own, valid)
        frames = self.shared_norm(shared + own if self.residual else shared)
        return Encoded(frames, {"input": masked_mean(values, valid)})

    def forward(self, signals: Signals) -> VavlPrediction:
        """Answer from whatever is observed; see `Model.forward`.

        Returns:
            Scores, each modality's own in ``by_modality``, and the pooled output of the shared
            layers in ``embeddings``, ``(batch, width)`` by modality.
        """
        found = self.represent(signals)
        by_modality = self.score_by_modality(found)
        answering = find_answering(found)
        scores = average_scores(by_modality, answering)
        if self.joint is not None and len(found) == len(self.modalities):
            together = torch.cat([found[m].values for m in self.modalities], dim=-1)
            together = together.detach() if self.training else together
            everything = torch.stack(list(answering.values())).all(dim=0)
            scores = torch.where(everything.unsqueeze(-1), self.joint(together), scores)
        return VavlPrediction(
            scores,
            by_modality=by_modality,
            embeddings={m: r.pooled for m, r in found.items()},
            observed={m: r.observed for m, r in found.items()},
            pooled={m: r.extras["input"] for m, r in found.items()},
            reconstructed={
                m: self.reconstructions[m](found[m].pooled) for m in self._list_rebuilt(found)
            },
            present={m: r.present for m, r in found.items()},
        )

    def _list_rebuilt(self, found: Mapping[str, object]) -> list[str]:
        return [m for m in found if m in self.reconstructions]

    def loss_terms(self, prediction: Prediction, target: Tensor) -> dict[str, Tensor]:
        """Compute the terms of Algorithm 1: by modality (lines 5, 9) and ``audio_visual`` (14).

        Args:
            prediction: what `forward` returned.
            target: as in `Model.loss`. Per frame, steps that nobody observed do not count.

        Returns:
            Scalars; a term that no item of the batch has is left out.

        Raises:
            OptionError: the prediction is another model's.
        """
        if not isinstance(prediction, VavlPrediction):
            raise OptionError("this is no prediction of VAVL")
        terms = self.compute_own_terms(prediction, target)
        for name, rebuilt in prediction.reconstructed.items():
            who = prediction.present[name]
            error = F.mse_loss(rebuilt[who], prediction.pooled[name][who])
            terms[name] = terms[name] + self.alpha * error if name in terms else self.alpha * error
        everywhere = torch.stack(list(prediction.observed.values())).all(dim=0)
        complete = len(prediction.observed) == len(self.modalities) and bool(everywhere.any())
        if self.joint is not None and complete:
            terms["audio_visual"] = self.criterion(prediction.scores, target, everywhere)
        return terms

    def loss(self, prediction: Prediction, target: Tensor) -> Tensor:
        """Sum `loss_terms`, equation 1 over all branches; see the module docstring."""
        terms = self.loss_terms(prediction, target)
        return sum(terms.values(), start=0 * prediction.scores.sum())

    def parts(self) -> dict[str, list[nn.Parameter]]:
        """Collect the weights of Algorithm 1: by modality, ``shared`` and ``audio_visual``."""
        out = {}
        for name in self.modalities:
            own = [self.encoders[name], self.heads[name]]
            own += [self.reconstructions[name]] if name in self.reconstructions else []
            out[name] = [p for module in own for p in module.parameters()]
        out["shared"] = [*self.shared.parameters(), *self.shared_norm.parameters()]
        out["audio_visual"] = [] if self.joint is None else list(self.joint.parameters())
        return out


@register_model(
    "unimodal_conformer",
    paper="Goncalves et al. 2023, baseline",
    missing="the network of the other one",
)
class UnimodalConformer(Branches):
    """VAVL's sixth baseline: five conformer blocks, mean over time, fully connected layers.

    With several modalities these are as many networks that share nothing, each trained by its own
    loss as if it were alone. The paper only ever asks one of them; where an item has more, their
    scores are averaged.

    Args:
        task: categories or dimensions, per clip or per frame.
        modalities: feature size of each.
        width: of the conformers.
        heads: of their attention.
        layers: conformer blocks.
        kernel_size: of the depthwise convolutions, in steps.
        projected: outputs of the temporal convolution.
        projection_kernel: of the temporal convolution, in steps.
        hidden: of the prediction head.
        dropout: in the conformers.
        head_dropout: in the head.

    Raises:
        OptionError: sizes that do not go together.
    """

    def __init__(  # noqa: PLR0913, each is a quantity of the paper
        self,
        task: Task,
        modalities: Mapping[str, int],
        *,
        width: int = 512,
        heads: int = 8,
        layers: int = 5,
        kernel_size: int = 31,
        projected: int = 50,
        projection_kernel: int = 5,
        hidden: tuple[int, int] = (512, 256),
        dropout: float = 0.1,
        head_dropout: float = 0.2,
    ) -> None:
        super().__init__(task, modalities)
        if task.kind == "dimensions":  # equation 3
            self.criterion = criterion("ccc", over="batch")
        stack = partial(
            ConformerEncoder,
            projected,
            width,
            layers=layers,
            heads=heads,
            kernel_size=kernel_size,
            dropout=dropout,
        )
        self.encoders = _encoders(self.modalities, projected, projection_kernel, stack)
        mlp = partial(_mlp, hidden=hidden, dropout=head_dropout)
        self.heads = nn.ModuleDict({m: mlp(width, len(task.names)) for m in self.modalities})

    def encode(self, modality: str, values: Tensor, valid: Tensor) -> Encoded:
        """Encode one modality by its conformers; see `Branches.encode`."""
        return Encoded(self.encoders[modality](values, valid))

    def forward(self, signals: Signals) -> BranchPrediction:
        """Answer by the network of what is observed; see `Model.forward`."""
        found = self.represent(signals)
        by_modality = self.score_by_modality(found)
        return BranchPrediction(
            average_scores(by_modality, find_answering(found)),
            by_modality=by_modality,
            embeddings={m: r.pooled for m, r in found.items()},
            observed={m: r.observed for m, r in found.items()},
        )

    def loss(self, prediction: Prediction, target: Tensor) -> Tensor:
        """Sum the networks' own losses, each over the items that have its modality.

        Raises:
            OptionError: the prediction is another model's.
        """
        if not isinstance(prediction, BranchPrediction):
            raise OptionError("this is no prediction of the unimodal conformers")
        terms = self.compute_own_terms(prediction, target)
        return sum(terms.values(), start=0 * prediction.scores.sum())
