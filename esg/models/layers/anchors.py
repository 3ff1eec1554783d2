"""Queries chosen from the image: our addition to the masked-attention decoder, for small models.

Learned queries have to search for their entities and divide them among themselves; training this from scratch takes a
very long time. A point of the image learns much sooner which entity it belongs to. So every anchor of a grid predicts
the mask of the entity under it, and the decoder continues with queries whose masks represent many anchors and differ
from one another: about one per entity. (Two-stage DETRs choose queries from features, too; choosing them by the overlap
of their masks is ours.)
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...support.device import computing_in
from .linear import Linear


class Anchors(nn.Module):
    """A grid of side × side points over a view; the features under them become the content of queries."""

    def __init__(self, width: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.project = Linear(width, width)

    def forward(self, features: Tensor) -> Tensor:
        """The finest context features (B, C, h, w) → content (B, side², C), row by row."""
        # Keep half a cell from the border; grid_sample's padding "border" does the same but is missing on Apple's GPUs.
        limit = 1 - 1 / torch.tensor([features.shape[3], features.shape[2]], device=features.device)
        grid = (anchor_points(self.side, features.device) * 2 - 1).clamp(-limit, limit).to(features.dtype)
        under = F.grid_sample(features.contiguous(), grid.expand(len(features), 1, -1, -1), align_corners=False)
        return self.project(under.squeeze(2).transpose(1, 2))


def anchor_points(side: int, device: torch.device) -> Tensor:
    """Centres of side × side cells in 0..1, row by row, x before y → (side², 2) float32."""
    centres = (torch.arange(side, device=device) + 0.5) / side
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    return torch.stack((x, y), dim=-1).flatten(0, 1)


def choose_anchors(masks: Tensor, count: int) -> Tensor:
    """Chooses anchors whose masks represent many others and differ from one another.

    Each step takes the anchor with the largest √(sum of its IoUs with all anchors) · (1 - its largest IoU with an
    anchor that was already chosen)².

    Args:
        masks: (B, A, N) bool, the positions in the mask of every anchor.
        count: number of anchors to choose, at most A.

    Returns:
        Indices of the chosen anchors (B, count) int64, the most representative first.
    """
    with computing_in(torch.float32, masks.device):  # half precision cannot count pixels exactly
        inside = masks.float()
        overlap = inside @ inside.mT
    areas = inside.sum(-1)
    iou = overlap / (areas[:, :, None] + areas[:, None] - overlap).clamp(min=1)  # (B, A, A)
    popularity = iou.sum(-1).sqrt()
    distinct = torch.ones_like(popularity)
    taken = torch.zeros_like(popularity, dtype=torch.bool)
    chosen = []
    for _ in range(count):
        best = (popularity * distinct.square()).masked_fill(taken, -1).argmax(-1, keepdim=True)  # (B, 1)
        chosen.append(best)
        taken.scatter_(1, best, True)
        distinct = torch.minimum(distinct, 1 - iou.gather(1, best[..., None].expand(-1, -1, iou.shape[2]))[:, 0])
    return torch.cat(chosen, dim=1)
