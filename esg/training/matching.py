"""Matches queries and entities one to one at the lowest cost (Hungarian matching)."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor


def matching_costs(
    likeness: Tensor, logits: Tensor, targets: Tensor, *, ce: float = 2.0, bce: float = 5.0, dice: float = 5.0
) -> Tensor:
    """The cost of matching a query to an entity: a weighted sum of the loss terms, on sampled points.

    Args:
        likeness: (D, G, Q, N) probability that a query shows something of an entity's class, for each of D prediction
            heads and G groups; without classes, that it shows an entity at all, which may be (D, G, Q, 1).
        logits: (D, G, Q, P) mask logits at P points of each group.
        targets: (G, N, P) float, 1 if a point lies in the entity.

    Returns:
        (D, G, Q, N) costs.
    """
    # Binary cross-entropy is softplus(x) - x·t, so all pairs cost one matrix product.
    inside = _overlap(logits, targets)  # (D, G, Q, N)
    mask = (F.softplus(logits).sum(-1, keepdim=True) - inside) / logits.shape[-1]
    probability = logits.sigmoid()
    overlap = 2 * _overlap(probability, targets) + 1
    union = probability.sum(-1, keepdim=True) + targets.sum(-1)[:, None] + 1
    return bce * mask + dice * (1 - overlap / union) - ce * likeness


def _overlap(values: Tensor, targets: Tensor) -> Tensor:
    """(D, G, Q, P) with (G, N, P) → (D, G, Q, N); einsum, as broadcasting would copy the targets for every head."""
    return torch.einsum("dgqp,gnp->dgqn", values, targets)


def assign(costs: Tensor, counts: Tensor) -> Tensor:
    """The cheapest one-to-one assignment for each of D · G cost matrices.

    Args:
        costs: (D, G, Q, N).
        counts: (G,) number of entities that a group really has, up to N.

    Returns:
        The query of each entity, (D, G, N) int64; -1 if the entity does not exist or no query was left for it.
    """
    # A diverged head must not end a long run here; the loop skips steps whose gradient is not finite.
    matrices = torch.nan_to_num(costs, nan=1e6, posinf=1e6, neginf=-1e6).cpu().numpy()
    found = np.full((*costs.shape[:2], costs.shape[3]), -1, np.int64)
    for group, count in enumerate(counts.tolist()):
        for head in range(len(matrices)):
            queries, entities = linear_sum_assignment(matrices[head, group, :, :count])
            found[head, group, entities] = queries
    return torch.from_numpy(found).to(costs.device)
