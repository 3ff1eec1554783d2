"""Scores whose threshold means something: how much better a phrase fits an entity than what could be said instead."""

from __future__ import annotations

import numpy as np
from scipy.special import expit


def relevance(similarities: np.ndarray, rivals: np.ndarray, scale: float) -> np.ndarray:
    """The relevancy score of LERF (Kerr et al., 2023), with rivals of each phrase's own and CLIP's own temperature.

    CLIP's similarities have no common zero: what they are at for a phrase that fits differs from phrase to phrase. So
    a phrase is set against each of its rivals, and the smallest of the probabilities that CLIP gives it counts. Above
    0.5 it fits the entity better than every rival. Several entities can be meant by one phrase, or none.

    Args:
        similarities: (T, N) float, cosine of T texts with N entities; the first v texts are the phrases.
        rivals: (v, T) bool, see `wordings.rivals`.
        scale: of the cosines in CLIP's softmax, exp(logit_scale), 100 in the published models.

    Returns:
        (v, N) float32 in 0..1; 1 for a phrase without rivals.
    """
    scores = np.ones((len(rivals), similarities.shape[1]), np.float32)
    for own, score, others in zip(similarities, scores, rivals):
        if others.any():
            score[:] = expit(scale * (own - similarities[others].max(axis=0)))
    return scores
