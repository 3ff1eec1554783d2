from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from esg.models.zeroshot.relevance import relevance


def test_known_scores() -> None:
    """Two phrases and two generic texts; the first phrase means two entities, the second one, and the last has none."""
    similarities = np.array(
        [
            [0.30, 0.27, 0.20, 0.20],
            [0.24, 0.25, 0.29, 0.20],
            [0.25, 0.25, 0.25, 0.25],
            [0.20, 0.26, 0.21, 0.22],
        ],
        np.float32,
    )
    rivals = np.array([[0, 1, 1, 1], [1, 0, 1, 1]], bool)
    scores = relevance(similarities, rivals, 100.0)
    expected = 1 / (1 + np.exp(-np.array([[5.0, 1.0, -9.0, -5.0], [-6.0, -2.0, 4.0, -5.0]])))
    assert scores.dtype == np.float32
    assert np.allclose(scores, expected, atol=1e-5)
    assert ((scores >= 0.5) == [[True, True, False, False], [False, False, True, False]]).all()


def test_the_score_is_the_smallest_probability_against_one_rival() -> None:
    rng = np.random.default_rng(0)
    similarities = rng.uniform(0.1, 0.4, (6, 5)).astype(np.float32)
    rivals = ~np.eye(3, 6, dtype=bool)
    powers = np.exp(30 * similarities.astype(np.float64))
    pairs = powers[:3, None] / (powers[:3, None] + powers[None])  # (phrase, other, entity)
    pairs[np.arange(3), np.arange(3)] = 1
    assert np.allclose(relevance(similarities, rivals, 30.0), pairs.min(axis=1), atol=1e-6)


def test_no_phrases_no_entities_no_rivals() -> None:
    assert relevance(np.zeros((4, 3), np.float32), np.zeros((0, 4), bool), 100.0).shape == (0, 3)
    assert relevance(np.zeros((4, 0), np.float32), np.ones((2, 4), bool), 100.0).shape == (2, 0)
    assert (relevance(np.zeros((1, 2), np.float32), np.zeros((1, 1), bool), 100.0) == 1).all()


@given(
    arrays(np.float32, (5, 4), elements=st.floats(-1, 1, width=32)),
    arrays(bool, (3, 5)),
    st.floats(1, 100),
    st.floats(-0.5, 0.5),
)
def test_scores_are_fractions_and_a_common_offset_changes_nothing(
    similarities: np.ndarray, rivals: np.ndarray, scale: float, offset: float
) -> None:
    scores = relevance(similarities, rivals, scale)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert np.allclose(relevance(similarities + np.float32(offset), rivals, scale), scores, atol=1e-3)
    best = np.array([similarities[others].max(axis=0, initial=-np.inf) for others in rivals])
    clear = np.abs(similarities[:3] - best) > 1e-6
    assert np.array_equal((scores > 0.5)[clear], (similarities[:3] > best)[clear])
