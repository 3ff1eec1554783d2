"""The loss on predictions made by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from esg.models.layers.mask_decoder import Prediction
from esg.training.losses import LossConfig, cropformer_losses, dice_loss, level_losses

CONFIG = LossConfig(points=64)


@pytest.fixture(autouse=True)
def points_are_the_same_in_every_run() -> None:
    """A point so near to a corner of three entities that none makes up half of its features would cost a lot."""
    torch.manual_seed(0)


def labels_of(*rows: str) -> Tensor:
    """Digits to a label map, every cell 8 × 8 pixels: (1, 1, H, W)."""
    small = torch.tensor([[int(digit) for digit in row] for row in rows])
    return small.repeat_interleave(8, 0).repeat_interleave(8, 1)[None, None]


def perfect(labels: Tensor, queries: int, order: list[int]) -> tuple[Tensor, Any]:
    """Features that are one-hot in the label, and a head in which query order[i] answers for entity i + 1."""
    features = torch.nn.functional.one_hot(labels, queries + 1).permute(0, 1, 4, 2, 3).float()  # (G, T, Q + 1, H, W)
    # So steep that hardly a point on a border, where features of both sides are mixed, is undecided.
    embeddings = torch.full((1, queries, queries + 1), -1e5)
    logits = torch.tensor([-15.0, 15.0]).repeat(1, queries, 1)
    for entity, query in enumerate(order, start=1):
        embeddings[0, query, entity] = 1e5
        logits[0, query] = torch.tensor([15.0, -15.0])
    return features, SimpleNamespace(logits=logits, embeddings=embeddings)


def total(losses: dict[str, Tensor]) -> float:
    return float(torch.stack([*losses.values()]).sum())


@pytest.mark.parametrize("order", [[0, 1, 2], [4, 0, 2]])
def test_perfect_predictions_cost_nothing_in_any_order(order: list[int]) -> None:
    labels = labels_of("1122", "1133")
    features, head = perfect(labels, 5, order)
    assert total(level_losses(features, [head, head], labels, CONFIG)) < 1e-3


def test_ids_have_no_meaning() -> None:
    labels = labels_of("1122", "1133")
    features, head = perfect(labels, 5, [0, 1, 2])
    renamed = torch.tensor([0, 70_000, 5, 9])[labels]
    torch.manual_seed(0)
    expected = level_losses(features, [head], labels, CONFIG)
    torch.manual_seed(0)
    result = level_losses(features, [head], renamed, CONFIG)
    assert {k: float(v) for k, v in result.items()} == pytest.approx({k: float(v) for k, v in expected.items()})


def test_order_of_queries_has_no_meaning() -> None:
    torch.manual_seed(1)
    labels = labels_of("0122", "1133")
    features = torch.randn(1, 1, 4, 8, 16)
    head = SimpleNamespace(logits=torch.randn(1, 6, 2), embeddings=torch.randn(1, 6, 4))
    turn = torch.randperm(6)
    turned = SimpleNamespace(logits=head.logits[:, turn], embeddings=head.embeddings[:, turn])
    results = []
    for prediction in (head, turned):
        torch.manual_seed(2)
        results.append({k: float(v) for k, v in level_losses(features, [prediction], labels, CONFIG).items()})
    assert results[0] == pytest.approx(results[1], rel=1e-5)


def test_terms_of_one_undecided_query_are_known() -> None:
    labels = labels_of("1")
    head = SimpleNamespace(logits=torch.zeros(1, 1, 2), embeddings=torch.zeros(1, 1, 3))
    losses = level_losses(torch.zeros(1, 1, 3, 4, 4), [head], labels, CONFIG)
    points = 64
    assert float(losses["ce"]) == pytest.approx(2 * math.log(2))
    assert float(losses["bce"]) == pytest.approx(5 * math.log(2))
    assert float(losses["dice"]) == pytest.approx(5 * (1 - (points + 1) / (1.5 * points + 1)))


def test_no_entity_weighs_a_tenth() -> None:
    labels = labels_of("1")
    features, head = perfect(labels, 2, [0])
    head.logits[0, 1] = torch.tensor([0.0, 0.0])  # the query without an entity is undecided
    losses = level_losses(features, [head], labels, CONFIG)
    assert float(losses["ce"]) == pytest.approx(2 * 0.1 * math.log(2) / 1.1, rel=1e-4)


def test_mask_terms_are_means_over_all_entities_and_sums_over_heads() -> None:
    """Two groups with one and three entities: an error in one mask counts a quarter; two heads count twice."""
    labels = torch.cat([labels_of("11", "11"), labels_of("12", "13")])
    head = SimpleNamespace(logits=torch.zeros(2, 4, 2), embeddings=torch.zeros(2, 4, 3))
    one = level_losses(torch.zeros(2, 1, 3, 4, 4), [head], labels, CONFIG)
    two = level_losses(torch.zeros(2, 1, 3, 4, 4), [head, head], labels, CONFIG)
    assert float(one["bce"]) == pytest.approx(5 * math.log(2))
    assert {k: float(v) for k, v in two.items()} == pytest.approx({k: 2 * float(v) for k, v in one.items()}, rel=0.2)
    assert float(two["bce"]) == pytest.approx(2 * float(one["bce"]))


def test_an_entity_that_only_the_crop_shows_is_a_target_of_the_batch_level() -> None:
    full, crop = labels_of("11", "11"), labels_of("11", "22")
    labels = torch.cat([full, crop], 1)  # (1, 2, 16, 16)
    features, both = perfect(labels, 3, [0, 1])
    assert float(level_losses(features, [both], labels, CONFIG)["ce"]) < 1e-6
    _, one = perfect(labels, 3, [0])
    assert float(level_losses(features, [one], labels, CONFIG)["ce"]) > 5  # the second entity is taken for nothing
    # At image level the full view has one target and the crop two.
    image = SimpleNamespace(
        logits=torch.cat([one.logits, both.logits]), embeddings=torch.cat([one.embeddings, both.embeddings])
    )
    assert float(level_losses(features[0][:, None], [image], labels[0][:, None], CONFIG)["ce"]) < 1e-6


def test_batch_level_matches_one_query_for_all_views() -> None:
    labels = torch.cat([labels_of("11", "00"), labels_of("00", "11")], 1)
    features, same = perfect(labels, 2, [0])
    split = SimpleNamespace(logits=same.logits, embeddings=same.embeddings)
    by_view = features.clone()
    by_view[:, 1, [1, 2]] = by_view[:, 1, [2, 1]]  # in the crop the entity looks like another query's
    torch.manual_seed(0)
    expected = level_losses(features, [same], labels, CONFIG)
    torch.manual_seed(0)
    assert level_losses(by_view, [split], labels, CONFIG)["bce"] > expected["bce"] + 10


def test_pictures_without_entities_train_entityness_alone() -> None:
    labels = torch.zeros(1, 2, 16, 16, dtype=torch.long)
    features = torch.randn(1, 2, 4, 4, 4, requires_grad=True)
    head = SimpleNamespace(logits=torch.zeros(1, 3, 2, requires_grad=True), embeddings=torch.randn(1, 3, 4))
    losses = level_losses(features, [head], labels, CONFIG)
    assert losses["ce"].item() == pytest.approx(2 * math.log(2))
    assert losses["bce"] == losses["dice"] == 0
    torch.stack([*losses.values()]).sum().backward()
    assert head.logits.grad is not None
    assert head.logits.grad.abs().sum() > 0


def test_gradients_reach_features_embeddings_and_classes_of_both_levels() -> None:
    torch.manual_seed(0)
    labels = labels_of("12", "13").repeat(2, 2, 1, 1)  # (2, 2, 16, 16)
    features = torch.randn(2, 2, 4, 4, 4, requires_grad=True)
    leaves = [features]

    def head(groups: int) -> Any:
        parts = torch.randn(groups, 5, 2, requires_grad=True), torch.randn(groups, 5, 4, requires_grad=True)
        leaves.extend(parts)
        return SimpleNamespace(logits=parts[0], embeddings=parts[1])

    output: Any = SimpleNamespace(features=features, image=[head(4), head(4)], batch=[head(2), head(2)], anchors=None)
    losses = cropformer_losses(output, labels, CONFIG)
    assert list(losses) == ["image_ce", "image_bce", "image_dice", "batch_ce", "batch_bce", "batch_dice"]
    torch.stack([*losses.values()]).sum().backward()
    assert all(leaf.grad is not None and leaf.grad.abs().sum() > 0 and leaf.grad.isfinite().all() for leaf in leaves)


def test_descending_the_loss_finds_the_masks() -> None:
    torch.manual_seed(0)
    labels = labels_of("1122", "1133")
    features = torch.nn.functional.one_hot(labels, 4).permute(0, 1, 4, 2, 3).float()
    logits, embeddings = torch.zeros(1, 6, 2, requires_grad=True), (torch.randn(1, 6, 4) / 10).requires_grad_()
    optimizer = torch.optim.Adam([logits, embeddings], lr=0.3)
    for _ in range(60):
        head = SimpleNamespace(logits=logits, embeddings=embeddings)
        loss = torch.stack([*level_losses(features, [head], labels, CONFIG).values()]).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found = logits[0].softmax(-1)[:, 0] > 0.5
    masks = torch.einsum("qc,chw->qhw", embeddings[0, found], features[0, 0]) > 0
    expected = {tuple((labels[0, 0] == i).flatten().tolist()) for i in (1, 2, 3)}
    assert {tuple(mask.flatten().tolist()) for mask in masks} == expected


def test_dice_loss_of_known_masks() -> None:
    targets = torch.tensor([1.0, 1, 0, 0])
    assert float(dice_loss(40 * targets - 20, targets)) == pytest.approx(0, abs=1e-6)
    assert float(dice_loss(20 - 40 * targets, targets)) == pytest.approx(1 - 1 / 5)


def test_queries_that_know_their_entity_may_share_it_and_are_not_matched() -> None:
    labels = labels_of("1122", "1133")
    features, head = perfect(labels, 4, [0, 1, 2])
    head.embeddings[0, 3] = head.embeddings[0, 0]  # a second query for entity 1
    right, wrong = torch.tensor([[1, 2, 3, 1]]), torch.tensor([[2, 1, 3, 1]])
    mask_terms = {
        name: losses["bce"] + losses["dice"]
        for name, answers in (("right", right), ("wrong", wrong), ("nothing asked", torch.tensor([[0, 0, 0, 9]])))
        for losses in [level_losses(features, [head], labels, CONFIG, answers=answers)]
    }
    assert mask_terms["right"] < 1e-3
    assert mask_terms["wrong"] > 1
    assert mask_terms["nothing asked"] == 0


def test_every_anchor_answers_for_what_lies_under_it_and_queries_are_matched() -> None:
    labels = labels_of("1122", "1133")  # anchors of a 2 × 2 grid lie on 1, 2, 1 and 3
    features, anchors = perfect(labels, 4, [0, 1, 3])
    anchors.embeddings[0, 2] = anchors.embeddings[0, 0]
    _, queries = perfect(labels, 4, [3, 1, 0])
    output: Any = SimpleNamespace(features=features, image=[queries, queries], batch=[], anchors=prediction(anchors))
    losses = cropformer_losses(output, labels, CONFIG)
    assert set(losses) == {"anchor_bce", "anchor_dice", "image_ce", "image_bce", "image_dice"}
    assert total(losses) < 1e-3
    output.anchors = prediction(queries)  # right for a matching, wrong for the anchors
    assert cropformer_losses(output, labels, CONFIG)["anchor_dice"] > 1


def prediction(head: Any) -> Prediction:
    return Prediction(head.logits, head.embeddings)


def test_of_ranked_queries_that_fit_alike_the_first_is_matched() -> None:
    labels = labels_of("1122", "1133")
    features, head = perfect(labels, 6, [3, 1, 2])
    head.embeddings[0, 5] = head.embeddings[0, 3]  # a double of the query of entity 1, further down the ranks
    head.logits = torch.zeros(1, 6, 2, requires_grad=True)
    level_losses(features, [head], labels, CONFIG, ranked=True)["ce"].backward()
    found = head.logits.grad[0, :, 0] < 0  # the loss pulls matched queries towards "entity"
    assert found.tolist() == [False, True, True, True, False, False]


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_queries_on_unknown_area_are_ignored(precision: torch.dtype) -> None:
    labels = labels_of("1122", "1133")
    features, head = perfect(labels, 5, [0, 1, 2])
    head.embeddings = head.embeddings.to(precision)
    partly = torch.where(labels == 3, -1, labels)  # the third is there, but nobody has labelled it
    assert total(level_losses(features, [head], partly, CONFIG)) < 1e-3
    as_background = torch.where(labels == 3, 0, labels)
    assert total(level_losses(features, [head], as_background, CONFIG)) > 1
    head.logits[0, 3] = torch.tensor([15.0, -15.0])  # a query of which nothing is seen claims to be an entity
    head.embeddings[0, 3] = torch.tensor([-1e5, -1e5, -1e5, -1e5, -1e5, -1e5])
    assert total(level_losses(features, [head], partly, CONFIG)) > 1


def test_photos_of_which_nothing_is_known_cost_nothing() -> None:
    labels = labels_of("1122", "1133")
    features, head = perfect(labels, 5, [0, 1, 2])
    head.logits[0, 3:] = torch.tensor([15.0, -15.0])
    head.embeddings[0, 3:] = head.embeddings[0, :2]
    losses = level_losses(features, [head], torch.full_like(labels, -1), CONFIG)
    assert total(losses) == 0


def test_views_of_the_batch_level_are_compared_one_by_one_or_as_one_picture() -> None:
    """One entity that fills the first of two views; its query is right there, and undecided in the other view."""
    labels = torch.zeros(1, 2, 16, 16, dtype=torch.int64)
    labels[:, 0] = 1
    features = torch.zeros(1, 2, 2, 16, 16)
    features[:, 0, 0] = 100.0
    head = Prediction(torch.tensor([[[30.0, -30.0]]]), torch.tensor([[[1.0, 0.0]]]))
    config = LossConfig(points=64, bce=1, dice=1)
    undecided = 64 * 0.5
    each = level_losses(features, [head], labels, config)
    assert float(each["bce"]) == pytest.approx(math.log(2), abs=1e-4)
    assert float(each["dice"]) == pytest.approx(1 - 1 / (undecided + 1), abs=1e-4)
    config = LossConfig(points=64, per_view=False, bce=1, dice=1, uncertain=0.0)
    together = level_losses(features, [head], labels, config)
    assert float(together["bce"]) == pytest.approx(math.log(2) / 2, abs=1e-4)
    assert float(together["dice"]) == pytest.approx(1 - (2 * 32 + 1) / (32 + 16 + 32 + 1), abs=1e-4)


def test_entities_have_the_classes_of_their_ids() -> None:
    """Three entities: of class 2, of class 0, and of an unknown class; the fourth query shows nothing."""
    labels = labels_of("1122", "1133")
    features, head = perfect(labels, 4, [0, 1, 2])
    kinds = torch.tensor([[2, 0, -1]])
    logits = torch.full((1, 4, 4), -15.0)
    for query, column in enumerate((2, 0, 1, 3)):
        logits[0, query, column] = 15.0
    right = SimpleNamespace(logits=logits, embeddings=head.embeddings)
    assert float(level_losses(features, [right], labels, CONFIG, kinds=kinds)["ce"]) < 1e-3
    wrong = SimpleNamespace(logits=logits.clone(), embeddings=head.embeddings)
    wrong.logits[0, 0] = torch.tensor([-15.0, 15.0, -15.0, -15.0])  # class 1 instead of 2
    # Of the weights 1, 1 and 0.1 of the known ones and of "no entity", one costs 30.
    cost = level_losses(features, [wrong], labels, CONFIG, kinds=kinds)["ce"]
    assert float(cost) == pytest.approx(CONFIG.ce * 30 / 2.1, rel=1e-3)
    wrong.logits[0, 0] = logits[0, 0]
    wrong.logits[0, 2] = torch.tensor([15.0, -15.0, -15.0, -15.0])  # any class is right where it is unknown
    assert float(level_losses(features, [wrong], labels, CONFIG, kinds=kinds)["ce"]) < 1e-3


def test_equal_masks_are_matched_by_their_classes() -> None:
    labels = labels_of("11", "11")
    features, head = perfect(labels, 2, [0])
    embeddings = head.embeddings[:, :1].expand(-1, 2, -1)
    logits = torch.tensor([[[5.0, -5.0, 0.0], [-5.0, 5.0, 0.0]]], requires_grad=True)
    both = SimpleNamespace(logits=logits, embeddings=embeddings)
    level_losses(features, [both], labels, CONFIG, kinds=torch.tensor([[1]]))["ce"].backward()
    assert logits.grad is not None
    assert float(logits.grad[0, 1, 1]) < 0  # the second query is drawn to class 1
    assert float(logits.grad[0, 0, 2]) < 0  # and the first one to "no entity"
