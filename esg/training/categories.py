"""An auxiliary loss that teaches a CropFormer the categories of entities, for photos that have them.

Entities have no classes, and the trained model does not keep this readout. But a small model that sees few photos
learns sooner that a jacket and a face belong together if its features must tell a person from a dog.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..models.cropformer.config import CropFormerConfig
from ..models.cropformer.model import CropFormer, Output
from .targets import sample

READOUT = "readout."  # prefix of the names of its weights
_POINTS = 256  # per view


class CropFormerInTraining(CropFormer):
    """A CropFormer in training, with a linear readout of the category at every pixel of its finest context features.

    Args:
        config: configuration of the model.
        categories: number of categories; 0 for no readout.
    """

    def __init__(self, config: CropFormerConfig, categories: int) -> None:
        super().__init__(config)
        self.readout = nn.Conv2d(config.width, categories, 1) if categories else None

    def forward(  # type: ignore[override]
        self, pixels: Tensor, frames: Tensor, *, batch_level: bool = True
    ) -> tuple[Output, Tensor | None]:
        """The output of `CropFormer.forward`, and logits (B, T, K, H/8, W/8) of the categories."""
        output = super().forward(pixels, frames, batch_level=batch_level)
        if self.readout is None:
            return output, None
        finest = output.levels[-1]  # (B, T, C, h, w)
        return output, self.readout(finest.flatten(0, 1)).unflatten(0, finest.shape[:2])


def category_loss(logits: Tensor, labels: Tensor, kinds: Tensor) -> Tensor:
    """Cross-entropy at random points whose category is known; 0 if there is no such point.

    Args:
        logits: (B, T, K, h, w).
        labels: (B, T, H, W) integer label maps.
        kinds: (B, N), entry k is the category of entity k + 1, -1 if unknown.
    """
    found, at = sample(logits.float().flatten(0, 1)[:, None], labels.flatten(0, 1)[:, None], _POINTS, 0.5)
    rows = kinds.repeat_interleave(logits.shape[1], 0)  # (B·T, N)
    wanted = torch.where(at > 0, rows.gather(1, (at - 1).clamp(0, rows.shape[1] - 1)), -1)  # (B·T, S)
    wanted = wanted.masked_fill(at > rows.shape[1], -1)
    known = (wanted >= 0).sum().clamp(min=1)
    return F.cross_entropy(found, wanted, ignore_index=-1, reduction="sum") / known
