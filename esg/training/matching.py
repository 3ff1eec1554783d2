"""Which query answers for which entity: one-to-one matching by lowest cost (Hungarian matching)."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor


def matching_costs(
    entityness: Tensor, logits: Tensor, targets: Tensor, *, ce: float = 2.0, bce: float = 5.0, dice: float = 5.0
) -> Tensor:
    """The cost of giving an entity to a query: a weighted sum of the terms of the loss, on sampled points.

    Args:
        entityness: (D, G, Q) probability that a query is an entity, for each of D prediction heads and G groups.
        logits: (D, G, Q, P) mask logits at P points of each group.
        targets: (G, N, P) float, 1 where a point lies in the entity.

    Returns:
        (D, G, Q, N) costs.
    """
    # Binary cross-entropy is softplus(x) - x·t, so all pairs cost one matrix product.
    inside = _overlap(logits, targets)  # (D, G, Q, N)
    mask = (F.softplus(logits).sum(-1, keepdim=True) - inside) / logits.shape[-1]
    probability = logits.sigmoid()
    overlap = 2 * _overlap(probability, targets) + 1
    union = probability.sum(-1, keepdim=True) + targets.sum(-1)[:, None] + 1
    return bce * mask + dice * (1 - overlap / union) - ce * entityness[..., None]


def _overlap(values: Tensor, targets: Tensor) -> Tensor:
    """(D, G, Q, P) with (G, N, P) → (D, G, Q, N); a broadcast product would copy the targets for every head."""
    return torch.einsum("dgqp,gnp->dgqn", values, targets)


def assign(costs: Tensor, counts: Tensor) -> Tensor:
    """The cheapest one-to-one assignment in each of D · G cost matrices.

    Args:
        costs: (D, G, Q, N).
        counts: (G,) how many of the N entities a group really has.

    Returns:
        The query that each entity got, (D, G, N) int64; -1 where there is no entity, or no query was left for it.
    """
    # A diverged head must not end a long run here: the loop skips steps whose gradient is not finite.
    matrices = torch.nan_to_num(costs, nan=1e6, posinf=1e6, neginf=-1e6).cpu().numpy()
    found = np.full((*costs.shape[:2], costs.shape[3]), -1, np.int64)
    for group, count in enumerate(counts.tolist()):
        for head in range(len(matrices)):
            queries, entities = linear_sum_assignment(matrices[head, group, :, :count])
            found[head, group, entities] = queries
    return torch.from_numpy(found).to(costs.device)
