"""How the entities of a picture look: what a backbone sees, averaged under their masks.

A small model learns from too few photos what things are called. The features of a backbone that knows ImageNet tell
them apart well, but are lost on the way through grid, colormap and queries; here they reach the entity embeddings
directly. Mask pooling is from FC-CLIP (Yu et al., NeurIPS 2023, Sec. 3.4); GELLA's paper has nothing like it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_DROPPED = 0.4  # of the features in training: there are many of them, and few photos


class Appearance(nn.Module):
    """Feature maps and masks of pictures → an embedding for every mask; zero before training.

    Args:
        channels: of each of the feature maps.
        width: of the embeddings.
    """

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(count) for count in channels)
        self.dropout = nn.Dropout(_DROPPED)
        self.project = nn.Linear(sum(channels), width)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    def forward(self, maps: Sequence[Tensor], masks: Tensor) -> Tensor:
        """Averages every map under every mask.

        Args:
            maps: (N, C_i, h_i, w_i) each, all of the same pictures.
            masks: (N, Q, h, w) of the same pictures, 0..1; h and w need not be those of the maps.

        Returns:
            (N, Q, width).
        """
        return self.embedded(self.pooled(maps, masks))

    def pooled(self, maps: Sequence[Tensor], masks: Tensor) -> list[Tensor]:
        """The mean of every map under every mask, (N, Q, C_i) each; nothing of it is learnt."""
        return [mask_pooled(features, masks) for features in maps]

    def embedded(self, pooled: Sequence[Tensor]) -> Tensor:
        """Means (…, C_i) → (…, width)."""
        normed = [norm(features) for norm, features in zip(self.norms, pooled, strict=True)]
        return self.project(self.dropout(torch.cat(normed, -1)))


def mask_pooled(features: Tensor, masks: Tensor) -> Tensor:
    """The mean of features (N, C, h, w) under each of the masks (N, Q, H, W), 0..1 → (N, Q, C).

    An empty mask has the mean of the features nearly everywhere or 0; nothing is made of it.
    """
    height, width = features.shape[-2:]
    shares = F.adaptive_avg_pool2d(masks, (height, width)).flatten(2)
    shares = shares / shares.sum(2, keepdim=True).clamp(min=1e-4)
    return shares.to(features.dtype) @ features.flatten(2).mT


def masks_of(labels: Tensor, count: int) -> Tensor:
    """The masks of entities 1..count of a label map (H, W), (count, H, W) float32, 0 or 1."""
    ids = torch.arange(1, count + 1, device=labels.device)
    return (labels == ids[:, None, None]).float()
