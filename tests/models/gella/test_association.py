"""Association of nouns with entities, and matching of entities with queries."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from esg.models.gella.association import LEAST_GUESS, LEAST_IOU, Association, at_stride, overlaps, tie


@st.composite
def ious(draw: st.DrawFn) -> Tensor:
    shape = draw(st.integers(1, 4)), draw(st.integers(0, 3))
    values = st.lists(st.integers(0, 20), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1])
    return torch.tensor(draw(values), dtype=torch.float32).view(shape) / 20


def test_logits_are_products_of_both_sides() -> None:
    association = Association(2, 3, 2)
    with torch.no_grad():
        association.language.weight.copy_(torch.eye(2))
        association.language.bias.copy_(torch.tensor([0.0, 1.0]))
        association.entity.weight.copy_(torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 2.0]]))
        association.entity.bias.zero_()
    nouns = torch.tensor([[1.0, 0.0], [3.0, 1.0]])  # → (1, 1), (3, 2)
    entities = torch.tensor([[1.0, 9.0, 0.0], [0.0, 9.0, 1.0], [-1.0, 9.0, 1.0]])  # → (1, 0), (0, 2), (-1, 2)
    assert association(nouns, entities).tolist() == [[1.0, 2.0, 1.0], [3.0, 4.0, 1.0]]
    assert association(nouns[:0], entities).shape == (0, 3)


def test_two_layers_have_a_relu_between_them() -> None:
    """FC + ReLU + FC of Table XXIII."""
    association = Association(1, 1, 2, layers=2)
    with torch.no_grad():
        for side in (association.language, association.entity):
            first, _, second = side
            first.weight.copy_(torch.tensor([[1.0], [-1.0]]))
            second.weight.copy_(torch.eye(2))
            first.bias.zero_()
            second.bias.zero_()
    # Positive and negative numbers end in different channels: only equal signs give a product.
    assert association(torch.tensor([[2.0], [-3.0]]), torch.tensor([[5.0], [-7.0]])).tolist() == [[10, 0], [0, 21]]


@given(queries=st.integers(1, 4), count=st.integers(0, 5), pixels=st.integers(1, 30), seed=st.integers(0, 999))
def test_overlaps_are_ious(queries: int, count: int, pixels: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    masks, labels = rng.random((queries, pixels)) < 0.5, rng.integers(0, count + 1, pixels)
    found = overlaps(torch.from_numpy(masks), torch.from_numpy(labels), count)
    assert found.shape == (queries, count)
    for query, entity in itertools.product(range(queries), range(count)):
        inside = labels == entity + 1
        union = (masks[query] | inside).sum()
        expected = (masks[query] & inside).sum() / union if union else 0.0
        assert found[query, entity].item() == pytest.approx(expected, abs=1e-6)


def test_overlaps_are_counted_in_full_precision() -> None:
    pixels = 4099  # bf16 would make 4,096 of it
    labels = torch.ones(pixels, dtype=torch.int32)
    with torch.autocast("cpu", torch.bfloat16):
        assert overlaps(torch.ones(1, pixels, dtype=torch.bool), labels, 1).item() == 1


def test_one_to_one_beats_first_come() -> None:
    ties = tie(torch.tensor([[0.9, 0.8], [0.8, 0.1]]))  # 0.8 + 0.8 > 0.9
    assert ties.queries.tolist() == [1, 0]
    assert ties.matched.tolist() == [True, True]


def test_half_is_enough_and_less_is_not() -> None:
    ties = tie(torch.tensor([[LEAST_IOU, 0.0], [0.0, 0.49], [0.0, 0.2]]))
    assert ties.queries.tolist() == [0, 1]
    assert ties.matched.tolist() == [True, False]


def test_an_entity_without_a_match_has_a_query_that_matches_no_other() -> None:
    ties = tie(torch.tensor([[0.6, 0.55, 0.0], [0.1, 0.2, 0.0], [0.0, 0.3, 0.1]]))
    assert ties.queries.tolist() == [0, 2, -1]
    assert ties.matched.tolist() == [True, False, False]


def test_masks_reconstructed_in_another_order_find_their_entities() -> None:
    labels = torch.tensor([0, 1, 1, 2, 3, 3, 3, 4])
    order = torch.tensor([2, 0, 3, 1])  # of the queries' entities
    masks = labels == order[:, None] + 1
    ties = tie(overlaps(masks, labels, 4))
    assert order[ties.queries].tolist() == [0, 1, 2, 3]
    assert ties.matched.all()


@given(iou=ious())
def test_ties_are_the_best_one_to_one(iou: Tensor) -> None:
    ties = tie(iou)
    entities = torch.arange(iou.shape[1])
    chosen = torch.where(ties.queries >= 0, iou[ties.queries, entities], 0.0)
    given = ties.queries[ties.queries >= 0].tolist()
    assert ties.queries.dtype == torch.int64
    assert len(set(given)) == len(given)
    assert (chosen[ties.matched] >= LEAST_IOU).all()
    assert (chosen[ties.queries >= 0] >= LEAST_GUESS).all()
    # Queries for entities; further rows, that fit nothing, stand for "no query".
    fitting = torch.cat((torch.where(iou >= LEAST_IOU, iou, 0.0), torch.zeros(iou.shape[1], iou.shape[1])))
    sums = (fitting[list(rows), entities].sum() for rows in itertools.permutations(range(len(fitting)), iou.shape[1]))
    assert chosen[ties.matched].sum().item() == pytest.approx(max(sums).item(), abs=1e-5)


def test_more_entities_than_queries_or_no_entities_at_all() -> None:
    ties = tie(torch.tensor([[0.9, 0.7, 0.0]]))
    assert ties.queries.tolist() == [0, -1, -1]
    assert ties.matched.tolist() == [True, False, False]
    ties = tie(torch.zeros(3, 0))
    assert (ties.queries.tolist(), ties.matched.tolist()) == ([], [])


def test_an_entity_that_no_mask_overlaps_has_no_query() -> None:
    ties = tie(torch.tensor([[0.9, 0.0], [0.2, 0.0]]))
    assert ties.queries.tolist() == [0, -1]
    assert ties.matched.tolist() == [True, False]


def test_labels_are_read_at_the_middle_of_cells() -> None:
    labels = torch.arange(64).view(8, 8)
    assert at_stride(labels, 2).tolist() == [[18, 22], [50, 54]]
    assert at_stride(labels[None], 8).tolist() == [labels.tolist()]
