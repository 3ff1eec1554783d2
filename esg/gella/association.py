"""Which entities a noun means (paper Sec. 4.2, "Association Module"), and which query stands for which entity."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

LEAST_IOU = 0.5


class Association(nn.Module):
    """FC(E_vl) · FC(E_vc)ᵀ of Eq. 16.

    Args:
        language, entity: widths of the two embeddings.
        width: that both are projected to.
    """

    def __init__(self, language: int, entity: int, width: int) -> None:
        super().__init__()
        self.language = nn.Linear(language, width)
        self.entity = nn.Linear(entity, width)

    def forward(self, nouns: Tensor, entities: Tensor) -> Tensor:
        """E_vl (…, v, C_l) and E_vc (…, q, C) → logits (…, v, q); their sigmoid is the score."""
        return self.language(nouns) @ self.entity(entities).mT


@dataclass(frozen=True)
class Ties:
    """Which query stands for which given entity.

    Attributes:
        queries: (N,) int64, entry k is the query of entity k + 1; -1 if no mask overlaps it.
        matched: (N,) bool, whether that query reconstructs the entity at IoU ≥ 0.5 and no other one. Entities that are
            not matched share the query whose mask overlaps them best.
    """

    queries: Tensor
    matched: Tensor


def at_stride(labels: Tensor, side: int) -> Tensor:
    """Labels (…, M, M) at the middle of every cell of a grid → (…, side, side); M is a multiple of side."""
    step = labels.shape[-1] // side
    return labels[..., step // 2 :: step, step // 2 :: step]


def overlaps(masks: Tensor, labels: Tensor, count: int) -> Tensor:
    """IoU of reconstructed masks with the entities of a label map.

    Args:
        masks: (Q, P) bool.
        labels: (P,) integer, 0 = none, 1..count.
        count: N, the number of entities.

    Returns:
        (Q, N) float32; 0 for entities without any pixel.
    """
    entities = torch.zeros(count + 1, len(labels), device=labels.device)
    entities.scatter_(0, labels[None].long(), 1.0)
    entities = entities[1:]
    inside = masks.float()
    with torch.autocast(labels.device.type, enabled=False):  # half precision cannot count
        both = inside @ entities.mT
    return both / (inside.sum(1)[:, None] + entities.sum(1) - both).clamp(min=1)


def tie(iou: Tensor) -> Ties:
    """One query for every entity: one-to-one by the largest sum of IoUs, where both fit at IoU ≥ 0.5.

    Args:
        iou: (Q, N), see `overlaps`.
    """
    queries = torch.where(iou.amax(0) > 0, iou.argmax(0), -1)
    matched = torch.zeros(iou.shape[1], dtype=torch.bool, device=iou.device)
    fitting = torch.where(iou >= LEAST_IOU, iou, 0.0).cpu().numpy()
    for query, entity in zip(*linear_sum_assignment(fitting, maximize=True)):
        if fitting[query, entity] > 0:
            queries[entity] = int(query)
            matched[entity] = True
    return Ties(queries, matched)
