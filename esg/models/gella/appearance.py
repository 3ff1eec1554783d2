"""Appearance features of entities: backbone features averaged under their masks.

A small model sees too few photos to learn what things are called. A backbone pretrained on ImageNet tells things apart
well, but that information is lost on the way through grid, colormap and queries. This module adds it directly to the
entity embeddings. Mask pooling is from FC-CLIP (Yu et al., NeurIPS 2023, Sec. 3.4); GELLA's paper has no such module.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers.linear import Linear

_DROPPED = 0.4  # dropout rate: the features are many, and the training photos few


class Appearance(nn.Module):
    """Maps feature maps and masks to one embedding per mask; outputs zero before training.

    Args:
        channels: channels of each feature map.
        width: channels of the embeddings.
    """

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(count) for count in channels)
        self.dropout = nn.Dropout(_DROPPED)
        self.project = Linear(sum(channels), width)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    def forward(self, maps: Sequence[Tensor], masks: Tensor) -> Tensor:
        """Averages every map under every mask and projects the means.

        Args:
            maps: (N, C_i, h_i, w_i) each, all of the same images.
            masks: (N, Q, h, w) of the same images, 0..1; h and w may differ from those of the maps.

        Returns:
            (N, Q, width).
        """
        return self.embedded(self.pooled(maps, masks))

    def pooled(self, maps: Sequence[Tensor], masks: Tensor) -> list[Tensor]:
        """The mean of every map under every mask, (N, Q, C_i) each; has no learnt weights."""
        return [mask_pooled(features, masks) for features in maps]

    def embedded(self, pooled: Sequence[Tensor]) -> Tensor:
        """Projects means (…, C_i) to embeddings (…, width)."""
        normed = [norm(features) for norm, features in zip(self.norms, pooled, strict=True)]
        return self.project(self.dropout(torch.cat(normed, -1)))


def mask_pooled(features: Tensor, masks: Tensor) -> Tensor:
    """The mean of features (N, C, h, w) under each of the masks (N, Q, H, W), 0..1 → (N, Q, C).

    The mean under an empty mask is about 0 or the mean over nearly the whole map; callers do not use it.
    """
    height, width = features.shape[-2:]
    shares = F.adaptive_avg_pool2d(masks, (height, width)).flatten(2)
    shares = shares / shares.sum(2, keepdim=True).clamp(min=1e-4)
    return shares.to(features.dtype) @ features.flatten(2).mT


def masks_of(labels: Tensor, count: int) -> Tensor:
    """The masks of entities 1..count of a label map (H, W), (count, H, W) float32, 0 or 1."""
    ids = torch.arange(1, count + 1, device=labels.device)
    return (labels == ids[:, None, None]).float()
