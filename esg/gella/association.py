"""Which entities a noun means (paper Sec. 4.2, "Association Module"), and which query stands for which entity."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from ..device import computing_in

LEAST_IOU = 0.5
LEAST_GUESS = 0.2


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
        queries: (N,) int64, entry k is the query of entity k + 1, which no other one has; -1 if there is none.
        matched: (N,) bool, whether that query reconstructs the entity at IoU ≥ 0.5. Entities that are not matched have
            what overlaps them best, at IoU ≥ 0.2, of the queries that match no entity: those that do speak of others.
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
    with computing_in(torch.float32, labels.device):  # half precision cannot count
        both = inside @ entities.mT
    return both / (inside.sum(1)[:, None] + entities.sum(1) - both).clamp(min=1)


def tie(iou: Tensor) -> Ties:
    """A query for every entity: one-to-one by the largest sum of IoUs, first where both fit at IoU ≥ 0.5.

    Args:
        iou: (Q, N), see `overlaps`.
    """
    queries = _one_to_one(torch.where(iou >= LEAST_IOU, iou, 0.0))
    matched = queries >= 0
    left = torch.where(iou >= LEAST_GUESS, iou, 0.0)
    left[queries[matched]] = 0.0
    left[:, matched] = 0.0
    return Ties(torch.where(matched, queries, _one_to_one(left)), matched)


def _one_to_one(iou: Tensor) -> Tensor:
    """(Q, N) → the query of every entity (N,) int64; -1 for those that get none with an IoU above 0."""
    values = iou.cpu().numpy()
    chosen = torch.full(iou.shape[1:], -1)
    for query, entity in zip(*linear_sum_assignment(values, maximize=True)):
        if values[query, entity] > 0:
            chosen[entity] = int(query)
    return chosen.to(iou.device)
