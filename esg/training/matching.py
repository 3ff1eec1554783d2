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
        entityness: (D, Q) probability that a query is an entity, for each of D prediction heads.
        logits: (D, Q, P) mask logits at P points.
        targets: (N, P) float, 1 where a point lies in the entity.

    Returns:
        (D, Q, N) costs.
    """
    # Binary cross-entropy is softplus(x) - x·t, so all pairs cost one matrix product.
    inside = logits @ targets.T  # (D, Q, N)
    mask = (F.softplus(logits).sum(-1, keepdim=True) - inside) / logits.shape[-1]
    probability = logits.sigmoid()
    overlap = 2 * (probability @ targets.T) + 1
    union = probability.sum(-1, keepdim=True) + targets.sum(-1) + 1
    return bce * mask + dice * (1 - overlap / union) - ce * entityness[..., None]


def assign(costs: Tensor) -> tuple[Tensor, Tensor]:
    """The cheapest one-to-one assignment in each of D cost matrices.

    Args:
        costs: (D, Q, N).

    Returns:
        Indices of queries and of the entities given to them, both (D, min(Q, N)) int64, on the device of `costs`.
    """
    # A diverged head must not end a long run here: the loop skips steps whose gradient is not finite.
    matrices = torch.nan_to_num(costs, nan=1e6, posinf=1e6, neginf=-1e6).cpu().numpy()
    pairs = np.stack([np.stack(linear_sum_assignment(matrix)) for matrix in matrices])  # (D, 2, min(Q, N))
    queries, entities = torch.from_numpy(pairs).to(costs.device, torch.int64).unbind(1)
    return queries, entities
