"""Spectrogram CNN: the audio network of cross-attentional fusion.

Praveen, Granger and Cardinal (2021), "Cross attentional audio-visual fusion for dimensional emotion
recognition", IEEE FG, Section III-B, Table I and Section IV-B. A spectrogram of one sub-sequence,
``1 x 128 x 129``, becomes 1024 features:

====== ================================================================= ==============
block  layers                                                            output
====== ================================================================= ==============
1      conv 64, 5x5, stride 1x2; max pool 4x4                            64 x 31 x 15
2      conv 128, 5x5, stride 1x2; conv 256, 3x3; max pool 2x2            256 x 15 x 4
3      conv 512, 5x5; conv 1024, 3x3; average pool 13x2                  1024 x 1 x 1
4      linear 1024 to 256                                                256
5      linear 256 to 1                                                   1
====== ================================================================= ==============

Every convolution has a bias and is followed by batch normalisation and ReLU, as the caption says:
8,765,313 parameters with one output, 8,502,656 of them in the convolutions. The released code
normalises only after two of them.

Where the paper is silent or of two minds:

- Padding: none in the first convolution, one on each side in all others, and the second max pool
  rounds up; with these, and no others that we found, the table's output sizes come out.
- Block 4 has a sigmoid (caption of Table I), though the text has ReLU after all linear layers: the
  caption speaks of this very layer.
- Dropout of 0.5 "after the last linear layer" is taken as before block 5: dropping the prediction
  itself would make no sense.
- "Normal distribution" of the first weights is He's, variance 2 / fan-in, made for ReLU.
- The average pool covers whatever is left of the map, which at the paper's size is 13x2; so other
  sizes of spectrograms work too.
- The axes: 128 and 129 fit 128 mel bands by 129 frames (centred windows) as well as 128 windows of
  40 ms by 129 bins. The network does not care, its weights do: be consistent.
"""

from __future__ import annotations

from torch import Tensor, nn

from mien.errors import OptionError
from mien.layers.dropout import Dropout

FEATURES = 1024
SMALLEST = (32, 91)  # below it the last pool but one leaves less than a kernel


class SpectrogramCNN(nn.Module):
    """Features, or outputs, of spectrograms; see the module docstring.

    Args:
        outputs: number of outputs of block 5; None stops after block 3, with the features.
        dropout: before block 5.

    Attributes:
        features: width of the features, 1024.
    """

    features = FEATURES

    def __init__(self, outputs: int | None = None, *, dropout: float = 0.5) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            *_convolution(1, 64, 5, stride=(1, 2), padding=0),
            nn.MaxPool2d(4),
            *_convolution(64, 128, 5, stride=(1, 2)),
            *_convolution(128, 256, 3),
            nn.MaxPool2d(2, ceil_mode=True),
            *_convolution(256, 512, 5),
            *_convolution(512, FEATURES, 3),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.head = nn.Identity() if outputs is None else _head(outputs, dropout)
        self.apply(_start)

    def forward(self, spectrograms: Tensor) -> Tensor:
        """Describe spectrograms.

        Args:
            spectrograms: ``(batch, 128, 129)`` or ``(batch, 1, 128, 129)``; log power in dB,
                normalised to mean zero and variance one. Other sizes from ``32 x 91`` on work.

        Returns:
            ``(batch, 1024)`` features, or ``(batch, outputs)``.

        Raises:
            OptionError: the input has other axes, or is too small for the network.
        """
        if spectrograms.ndim == 3:
            spectrograms = spectrograms.unsqueeze(1)
        shape = spectrograms.shape
        small = any(size < least for size, least in zip(shape[2:], SMALLEST, strict=False))
        if len(shape) != 4 or shape[1] != 1 or small:
            raise OptionError(
                f"not a batch of spectrograms for this network: {tuple(shape)}",
                advice="give (batch, 1, 128, 129)",
            )
        outputs: Tensor = self.head(self.blocks(spectrograms))
        return outputs


def _convolution(
    channels: int, filters: int, kernel: int, stride: tuple[int, int] = (1, 1), padding: int = 1
) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(channels, filters, kernel, stride, padding),
        nn.BatchNorm2d(filters),
        nn.ReLU(inplace=True),
    )


def _head(outputs: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(FEATURES, 256), nn.Sigmoid(), Dropout(dropout), nn.Linear(256, outputs)
    )


def _start(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
