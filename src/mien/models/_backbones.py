"""Networks that look at face crops, for SFAV to begin with: EfficientFace or mien's encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import Tensor, nn

from mien.errors import OptionError
from mien.features.face_encoder import CROP_PX, EMBEDDING, FaceEncoder
from mien.models.efficientface import EfficientFace
from mien.schema import VIDEO

EFFICIENTFACE_PX = 224
Name = Literal["efficientface", "face_encoder"]


class FaceTrunk(nn.Module):
    """mien's trained face encoder without its classifier, for further training.

    Attributes:
        features: numbers that describe a face.
        crop: shape of a crop: one grey channel of 48 px.

    Raises:
        WeightError: its weights are not in the package.
    """

    features = EMBEDDING
    crop = (1, CROP_PX, CROP_PX)

    def __init__(self) -> None:
        super().__init__()
        self.encoder = FaceEncoder.pretrained()
        self.encoder.classifier = nn.Identity()  # type: ignore[assignment]
        self.encoder.dropout = nn.Identity()  # type: ignore[assignment]

    def describe(self, images: Tensor) -> Tensor:
        """Describe grey crops: ``(batch, 1, 48, 48)`` to ``(batch, 256)``."""
        found: Tensor = self.encoder(images).embedding
        return found


Backbone = EfficientFace | FaceTrunk


def backbone(chosen: Name | Backbone | None, modalities: Mapping[str, int]) -> Backbone | None:
    """Build the network that a model begins with.

    Args:
        chosen: by name, or as it is; None for none.
        modalities: sizes of the model's modalities; that of video must be the network's features.

    Raises:
        OptionError: it has no such name, or does not fit the modalities.
        WeightError: its weights are not in the package.
    """
    if chosen is None:
        return None
    if isinstance(chosen, str):
        if chosen not in ("efficientface", "face_encoder"):
            raise OptionError(
                f"no backbone is called {chosen}", advice="take efficientface or face_encoder"
            )
        chosen = EfficientFace(classes=None) if chosen == "efficientface" else FaceTrunk()
    if modalities.get(VIDEO) != chosen.features:
        raise OptionError(
            f"video has {modalities.get(VIDEO, 0)} features, the backbone {chosen.features}",
            advice=f"give modalities with video: {chosen.features}",
        )
    return chosen


def black(network: Backbone, like: Tensor) -> Tensor:
    """Describe a black crop, ``(1, features)``, by running statistics so that it enters none."""
    training = network.training
    network.eval()
    shape = network.crop if isinstance(network, FaceTrunk) else (3, *[EFFICIENTFACE_PX] * 2)
    features = network.describe(like.new_zeros(1, *shape))
    network.train(training)
    return features
