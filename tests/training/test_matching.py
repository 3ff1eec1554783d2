"""Matching on examples whose best assignment is known."""

from __future__ import annotations

import pytest
import torch

from esg.training.matching import assign, matching_costs

TARGETS = torch.tensor([[1.0, 1, 0, 0], [0, 0, 1, 0]])  # two entities at four points


def matched(costs: torch.Tensor) -> list[list[int]]:
    """For D cost matrices (D, Q, N): the query of each entity."""
    return assign(costs[:, None], torch.tensor([costs.shape[2]]))[:, 0].tolist()


def costs_of(entityness: torch.Tensor, logits: torch.Tensor, targets: torch.Tensor, **weights: float) -> torch.Tensor:
    """The costs of one group: (D, Q), (D, Q, P) and (N, P) → (D, Q, N)."""
    return matching_costs(entityness[:, None, :, None], logits[:, None], targets[None], **weights)[:, 0]


def test_each_entity_gets_the_query_that_shows_it() -> None:
    right = 20 * TARGETS - 10
    logits = torch.stack([torch.full((4,), -10.0), right[1], right[0]])[None]  # (1, 3, 4)
    assert matched(costs_of(torch.full((1, 3), 0.5), logits, TARGETS)) == [[2, 1]]


def test_costs_are_the_weighted_terms() -> None:
    logits = torch.tensor([[[2.0, -1.0, 0.5, 0.0]]])
    entityness = torch.tensor([[0.7]])
    costs = costs_of(entityness, logits, TARGETS, ce=2, bce=5, dice=3)
    for n, target in enumerate(TARGETS):
        p = logits[0, 0].sigmoid()
        bce = -(target * p.log() + (1 - target) * (1 - p).log()).mean()
        dice = 1 - (2 * (p * target).sum() + 1) / (p.sum() + target.sum() + 1)
        assert costs[0, 0, n] == pytest.approx(float(5 * bce + 3 * dice - 2 * 0.7), rel=1e-5)


def test_entityness_decides_between_equal_masks() -> None:
    logits = (20 * TARGETS[:1] - 10).expand(3, 4)[None]
    assert matched(costs_of(torch.tensor([[0.2, 0.9, 0.4]]), logits, TARGETS[:1])) == [[1]]


def test_heads_are_matched_independently() -> None:
    right = 20 * TARGETS - 10
    logits = torch.stack([right, right.flip(0)])  # (2, 2, 4)
    assert matched(costs_of(torch.full((2, 2), 0.5), logits, TARGETS)) == [[0, 1], [1, 0]]


def test_more_entities_than_queries_leaves_the_dearest_out() -> None:
    assert matched(torch.tensor([[[3.0, 1.0, 2.0]]])) == [[-1, 0, -1]]  # one query, three entities


def test_costs_that_are_not_finite_do_not_raise() -> None:
    assert matched(torch.tensor([[[float("nan"), 1.0], [2.0, float("inf")]]])) == [[1, 0]]


def test_groups_have_their_own_numbers_of_entities() -> None:
    costs = torch.tensor([[1.0, 5.0, 0.0], [5.0, 1.0, 0.0]]).expand(1, 3, 2, 3)
    assert assign(costs, torch.tensor([2, 1, 0])).tolist() == [[[0, 1, -1], [0, -1, -1], [-1, -1, -1]]]
