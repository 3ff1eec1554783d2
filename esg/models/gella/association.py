"""Scores which entities a noun refers to (paper Sec. 4.2, "Association Module"), and matches queries to entities."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from ...support.device import computing_in
from ..layers.linear import Linear

LEAST_IOU = 0.5
LEAST_GUESS = 0.2


class Association(nn.Module):
    """Association scores, FC(E_vl) · FC(E_vc)ᵀ of Eq. 16.

    Args:
        language, entity: channels of the two embeddings.
        width: channels that both are projected to.
        layers: fully connected layers on each side: 1, or 2 with a ReLU between them (Table XXIII).
    """

    def __init__(self, language: int, entity: int, width: int, layers: int = 1) -> None:
        super().__init__()
        self.language = _projection(language, width, layers)
        self.entity = _projection(entity, width, layers)

    def forward(self, nouns: Tensor, entities: Tensor) -> Tensor:
        """Logits (…, v, q) from E_vl (…, v, C_l) and E_vc (…, q, C); their sigmoid is the score."""
        return self.language(nouns) @ self.entity(entities).mT


def _projection(channels: int, width: int, layers: int) -> nn.Module:
    if layers == 1:
        return Linear(channels, width)
    return nn.Sequential(Linear(channels, width), nn.ReLU(), Linear(width, width))


@dataclass(frozen=True)
class QueryMatching:
    """The query that represents each entity.

    Attributes:
        queries: (N,) int64, entry k is the query of entity k + 1; no two entities share one. -1: the entity has none.
        matched: (N,) bool, whether that query reconstructs the entity at IoU ≥ 0.5. An entity that is not matched gets
            the query that overlaps it best, at IoU ≥ 0.2, among the queries that match no entity; the queries that
            match one represent that entity only.
    """

    queries: Tensor
    matched: Tensor


def at_stride(labels: Tensor, side: int) -> Tensor:
    """Samples labels (…, M, M) at the centre of every grid cell → (…, side, side); M is a multiple of side."""
    step = labels.shape[-1] // side
    return labels[..., step // 2 :: step, step // 2 :: step]


def overlaps(masks: Tensor, labels: Tensor, count: int) -> Tensor:
    """IoU of reconstructed masks with the entities of a label map.

    Args:
        masks: (Q, P) bool.
        labels: (P,) integer, 0 = none, 1..count.
        count: N, the number of entities.

    Returns:
        (Q, N) float32; 0 for entities without pixels.
    """
    entities = torch.zeros(count + 1, len(labels), device=labels.device)
    entities.scatter_(0, labels[None].long(), 1.0)
    entities = entities[1:]
    inside = masks.float()
    with computing_in(torch.float32, labels.device):  # half precision cannot count pixels exactly
        both = inside @ entities.mT
    return both / (inside.sum(1)[:, None] + entities.sum(1) - both).clamp(min=1)


def tie(iou: Tensor) -> QueryMatching:
    """Assigns a query to every entity, one-to-one, by the largest sum of IoUs; pairs with IoU ≥ 0.5 come first.

    Args:
        iou: (Q, N), see `overlaps`.
    """
    queries = _one_to_one(torch.where(iou >= LEAST_IOU, iou, 0.0))
    matched = queries >= 0
    left = torch.where(iou >= LEAST_GUESS, iou, 0.0)
    left[queries[matched]] = 0.0
    left[:, matched] = 0.0
    return QueryMatching(torch.where(matched, queries, _one_to_one(left)), matched)


def _one_to_one(iou: Tensor) -> Tensor:
    """The query of every entity (N,) int64 from IoUs (Q, N); -1 for entities that get no query with an IoU above 0."""
    values = iou.cpu().numpy()
    chosen = torch.full(iou.shape[1:], -1)
    for query, entity in zip(*linear_sum_assignment(values, maximize=True)):
        if values[query, entity] > 0:
            chosen[entity] = int(query)
    return chosen.to(iou.device)
