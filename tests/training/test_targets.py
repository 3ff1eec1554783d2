from __future__ import annotations

import torch

from esg.training.targets import sample, target_ids


def test_groups_ask_for_their_own_entities_in_ascending_order() -> None:
    labels = torch.tensor([[[[7, 7, 70_000, 3]]], [[[0, 3, 3, 3]]], [[[0, 0, 0, 0]]]])
    assert target_ids(labels, 1).tolist() == [[3, 7, 70_000], [3, -1, -1], [-1, -1, -1]]
    assert target_ids(labels, 2).tolist() == [[7], [3], [-1]]
    assert target_ids(labels[2:], 1).shape == (1, 0)


def test_the_area_counts_in_all_views_of_a_group() -> None:
    labels = torch.tensor([[[[1, 2]], [[1, 0]]]])  # one group of two views
    assert target_ids(labels, 2).tolist() == [[1]]


def test_balanced_points_fall_on_every_entity_alike() -> None:
    labels = torch.ones(1, 2, 64, 64, dtype=torch.int64)
    labels[0, 0, 10, 20] = 2  # one pixel
    features = torch.stack([labels.float(), -labels.float()], dim=2)  # (1, 2, 2, 64, 64)
    torch.manual_seed(0)
    sampled, at = sample(features, labels, 4000, balanced=1.0)
    first = at[0, 0::2]  # the first view's
    assert 0.45 < (first == 2).float().mean() < 0.55
    assert (at[0, 1::2] == 1).all()
    assert sample(features, labels, 4000, balanced=0.0)[1].eq(2).sum() < 10
    centre = sampled[0, 0, 0::2][first == 2]
    assert centre.min() >= 1.25  # bilinear, and not further than half a pixel from its centre
