"""Training targets of a group of views: its entities, and the points at which masks are compared with them.

A group consists of T views that share their queries, see `losses`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def target_ids(labels: Tensor, smallest: int) -> Tensor:
    """The entities that each group must find.

    Args:
        labels: (G, T, H, W) integer label maps, 0 = no entity, -1 = unknown.
        smallest: entities with fewer pixels in the views of a group are left out.

    Returns:
        (G, N) ids, ascending; groups with fewer entities than the largest group are padded with -1.
    """
    ids, areas, _ = _areas(labels.flatten(1))
    wanted = (areas >= smallest) & (ids > 0)  # (G, K)
    # A stable sort moves the wanted ids to the front and keeps their order.
    order = wanted.int().argsort(dim=1, descending=True, stable=True)[:, : int(wanted.sum(1).max())]
    return torch.where(wanted.gather(1, order), ids[order], -1)


def sample(features: Tensor, labels: Tensor, count: int, balanced: float) -> tuple[Tensor, Tensor]:
    """Features and labels at random points of every group, alternating between its views.

    Labels are read at the pixel that contains a point. The authors sample masks bilinearly, which differs only within a
    pixel of a border and is not possible on label maps.

    Args:
        features: (G, T, C, h, w) float32.
        labels: (G, T, H, W).
        count: S, points per group.
        balanced: share of the points that are drawn entity by entity instead of anywhere in the view.

    Returns:
        (G, C, S) float32 and (G, S).
    """
    groups, views, height, width = labels.shape
    flat = labels.flatten(0, 1).flatten(1)  # (G·T, H·W)
    each = -(-count // views)
    points = torch.rand(len(flat), each, 2, device=features.device)  # x, y in [0, 1)
    drawn = (torch.rand(each) < balanced).nonzero()[:, 0].to(features.device)
    if len(drawn):
        _, areas, which = _areas(flat)
        pixel = torch.multinomial(1 / areas.gather(1, which), len(drawn), replacement=True)  # (G·T, drawn)
        corner = torch.stack((pixel % width, pixel.div(width, rounding_mode="floor")), dim=-1)
        points[:, drawn] = (points[:, drawn] + corner) / points.new_tensor((width, height))
    sampled = F.grid_sample(
        features.flatten(0, 1), points[:, None] * 2 - 1, padding_mode="border", align_corners=False
    )  # (G·T, C, 1, S / T)
    x, y = (points[..., i].mul(side).long().clamp(max=side - 1) for i, side in ((0, width), (1, height)))
    at = flat.gather(1, y * width + x)  # (G·T, S / T)
    sampled, at = (by_view.unflatten(0, (groups, views)) for by_view in (sampled.squeeze(2), at))
    return sampled.permute(0, 2, 3, 1).flatten(2)[..., :count], at.transpose(1, 2).flatten(1)[:, :count]


def _areas(labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Label maps (N, P) → ids (K,), their areas in each map (N, K) float32, the index of every pixel's id (N, P)."""
    ids, which = labels.unique(return_inverse=True)
    areas = torch.zeros(len(labels), len(ids), device=labels.device)
    return ids, areas.scatter_add_(1, which, torch.ones_like(which, dtype=torch.float32)), which
