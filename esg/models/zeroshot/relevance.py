"""Scores with a meaningful threshold: how much better a phrase fits an entity than alternative phrases."""

from __future__ import annotations

import numpy as np
from scipy.special import expit


def relevance(similarities: np.ndarray, rivals: np.ndarray, scale: float) -> np.ndarray:
    """The relevancy score of LERF (Kerr et al., 2023), with separate rivals per phrase and CLIP's own temperature.

    CLIP's similarities do not have a common zero: the value for a fitting phrase differs from phrase to phrase. So a
    phrase competes with each of its rivals, and its score is the smallest of the probabilities that CLIP gives it.
    Above 0.5, it fits the entity better than every rival. A phrase can refer to several entities, or none.

    Args:
        similarities: (T, N) float, cosine of T texts with N entities; the first v texts are the phrases.
        rivals: (v, T) bool, see `wordings.rivals`.
        scale: scale of the cosines in CLIP's softmax, exp(logit_scale), 100 in the published models.

    Returns:
        (v, N) float32 in 0..1; 1 for a phrase without rivals.
    """
    scores = np.ones((len(rivals), similarities.shape[1]), np.float32)
    for own, score, others in zip(similarities, scores, rivals):
        if others.any():
            score[:] = expit(scale * (own - similarities[others].max(axis=0)))
    return scores
