"""The training loss of CropFormer (paper Eq. 7) on sampled points.

Both levels share one loss. It works on groups of T views that share their queries. At image level, every view is a
group; at batch level, all views of a picture form one group, so that a query must find its entity in all of them.
Targets are label maps. A mask logit is the product of a query's embedding and the mask features, and bilinear sampling
is linear, so features are sampled once per group instead of once per mask, and masks are never computed in full.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from ..data.labelled import UNKNOWN
from ..models.layers.anchors import anchor_points
from ..models.layers.mask_decoder import Prediction
from .devices import mean_over_devices
from .matching import assign, matching_costs
from .targets import sample, target_ids

if TYPE_CHECKING:
    from ..models.cropformer.model import Output


_LEFT_OUT = -100  # the class of a query whose entityness does not enter the loss


@dataclass(frozen=True)
class LossConfig:
    """Loss weights and point sampling. Except for the last four, which are ours, the defaults are the authors'.

    Attributes:
        ce: weight of the entityness cross-entropy, in the loss and in the matching.
        bce: weight of the masks' binary cross-entropy.
        dice: weight of the masks' dice loss.
        no_entity: class weight of "no entity" in the cross-entropy.
        points: number of points per view, or without `per_view` per group, for the matching and the mask losses.
        per_view: whether the mask losses of the batch level are those of each view, added up, as the authors compute
            them; or those of all views as one large picture.
        oversample: number of candidates drawn for each point of the mask loss.
        uncertain: share of the points taken where the mask is least certain; the others are uniform.
        smallest: entities with fewer pixels in the views of a group are not targets; at stride 4 they are invisible.
        balanced: share of the points that are drawn entity by entity, so that small entities get as many as large ones;
            the others are drawn anywhere.
        rank: cost in the matching by which the last query exceeds the first, if queries are ranked.
        anchors: number of anchors per view on which mask losses are computed, for models with anchors.
    """

    ce: float = 2.0
    bce: float = 5.0
    dice: float = 5.0
    no_entity: float = 0.1
    points: int = 12544
    per_view: bool = True
    oversample: float = 3.0
    uncertain: float = 0.75
    smallest: int = 1
    balanced: float = 0.0
    rank: float = 1.0
    anchors: int = 100


def cropformer_losses(
    output: Output, labels: Tensor, config: LossConfig, kinds: Tensor | None = None
) -> dict[str, Tensor]:
    """All terms of Eq. 7, weighted and summed over the prediction heads; the loss is the sum of the values.

    Args:
        output: output of the model for (B, T) views.
        labels: (B, T, H, W) integer label maps, 0 = no entity, -1 = unknown; an id means the same entity in all views
            of a picture.
        config: weights and point sampling.
        kinds: (B, N), entry k is the class of entity k + 1, -1 if unknown; None for a model without classes.

    Returns:
        Scalars `image_ce`, `image_bce`, `image_dice`, `batch_ce`, `batch_bce`, `batch_dice`; those of the batch level
        only if the model computes it. For a model with anchors also `anchor_bce` and `anchor_dice`: every
        anchor must predict the entity under it, however many anchors share it.
    """
    features = output.features.float()  # (B, T, C, h, w)
    views, maps = features.flatten(0, 1)[:, None], labels.flatten(0, 1)[:, None]
    terms = {}
    ranked = output.anchors is not None
    if output.anchors is not None:
        terms = anchor_losses(views, output.anchors, maps, config)
    of_views = None if kinds is None else kinds.repeat_interleave(labels.shape[1], 0)
    image = level_losses(views, output.image, maps, config, ranked=ranked, kinds=of_views)
    terms |= {f"image_{k}": v for k, v in image.items()}
    if output.batch:
        batch = level_losses(features, output.batch, labels, config, ranked=ranked, kinds=kinds)
        terms |= {f"batch_{k}": v for k, v in batch.items()}
    return terms


def anchor_losses(features: Tensor, anchors: Prediction, labels: Tensor, config: LossConfig) -> dict[str, Tensor]:
    """`anchor_bce` and `anchor_dice`: every anchor must predict the entity under it.

    Args:
        features: (G, 1, C, h, w) float32, mask features of G groups of one view.
        anchors: logits (G, A, 2).
        labels: (G, 1, H, W) label maps.
    """
    drawn, under = _drawn_anchors(anchors, labels[:, 0], config)
    terms = level_losses(features, [drawn], labels, config, answers=under)
    return {"anchor_bce": terms["bce"], "anchor_dice": terms["dice"]}


def _drawn_anchors(anchors: Prediction, maps: Tensor, config: LossConfig) -> tuple[Prediction, Tensor]:
    """Random anchors, and the ids under them in label maps (N, H, W) → prediction, (N, anchors)."""
    count = anchors.logits.shape[1]
    points = anchor_points(math.isqrt(count), maps.device)
    x, y = ((points[:, axis] * maps.shape[2 - axis]).long() for axis in (0, 1))
    lot = torch.randperm(count, device=maps.device)[: config.anchors]
    return Prediction(anchors.logits[:, lot], anchors.embeddings[:, lot]), maps[:, y[lot], x[lot]]


def level_losses(
    features: Tensor,
    heads: Sequence[Prediction],
    labels: Tensor,
    config: LossConfig,
    *,
    answers: Tensor | None = None,
    ranked: bool = False,
    kinds: Tensor | None = None,
) -> dict[str, Tensor]:
    """The loss terms of one level, summed over its D prediction heads.

    Args:
        features: (G, T, C, h, w) float32, mask features of G groups.
        heads: D predictions with `logits` (G, Q, K + 1) and `embeddings` (G, Q, C).
        labels: (G, T, H, W) label maps.
        answers: (G, Q), the entity that each query must predict, if known; ids that are not targets are ignored. None
            matches queries and entities one to one.
        ranked: whether queries are ranked; among queries that fit equally, the first one is matched.
        kinds: (G, N), the class of every id, -1 if unknown; None: K = 1, all entities have the same class.

    Returns:
        Scalars `ce`, `bce`, `dice`. A query without a target whose mask lies mostly in unknown area may have found a
        real entity, so it is left out of `ce`.
    """
    logits = torch.stack([head.logits for head in heads]).float()  # (D, G, Q, K + 1)
    embeddings = torch.stack([head.embeddings for head in heads])  # (D, G, Q, C)
    parts = features.shape[1] if config.per_view else 1
    points = parts * (_candidates(config) + config.points - _hardest(config))
    sampled, at = sample(features, labels, points, config.balanced)  # (G, C, S), (G, S)
    # Under autocast, masks are half-precision products like all others; everything computed from them is float32.
    sampled = sampled.to(embeddings.dtype)
    ids = target_ids(labels, config.smallest)  # (G, N)
    inside = (at[:, None] == ids[:, :, None]).float()  # (G, N, S)
    if answers is None:
        classes = _kinds_of(ids, kinds)  # (G, N)
        with torch.no_grad():
            masks = _masks(embeddings, sampled[..., : parts * config.points])
            costs = _costs(logits, masks, inside, classes, config, ranked)
        pairs = _matched(costs, ids, inside, classes)
    else:
        pairs = _answered(answers.expand(len(heads), -1, -1), ids, inside)
    count = mean_over_devices(pairs.count.float()).clamp(min=1)
    bce, dice = _mask_losses(_masks(_at(embeddings, pairs.queries), sampled), pairs, parts, config)
    ce = _class_loss(logits, pairs, _mostly_unknown(embeddings, sampled, at == UNKNOWN), config.no_entity)
    return {"ce": config.ce * ce, "bce": config.bce * (bce / count), "dice": config.dice * (dice / count)}


def _candidates(config: LossConfig) -> int:
    return math.ceil(config.points * config.oversample)


def _hardest(config: LossConfig) -> int:
    return round(config.points * config.uncertain)


@dataclass(frozen=True)
class _Pairs:
    """Pairs of a query and its target; all groups have the same number M of them, but not all are real.

    Attributes:
        queries: (D, G, M) int64, arbitrary where a pair is not real.
        real: (D, G, M) bool.
        inside: (G, M, S) float32, 1 for the points inside the target.
        classes: (D, G, M) int64, the class of the target, -1 if unknown.
        count: number of targets in all groups.
    """

    queries: Tensor
    real: Tensor
    inside: Tensor
    classes: Tensor
    count: Tensor


def _costs(logits: Tensor, masks: Tensor, inside: Tensor, classes: Tensor, config: LossConfig, ranked: bool) -> Tensor:
    """The costs (D, G, Q, N) of matching, on the first points."""
    likeness, inside = _likeness(logits, classes), inside[..., : masks.shape[-1]]
    costs = matching_costs(likeness, masks, inside, ce=config.ce, bce=config.bce, dice=config.dice)
    if ranked:
        costs = costs + config.rank * torch.linspace(0, 1, costs.shape[2], device=costs.device)[:, None]
    return costs


def _matched(costs: Tensor, ids: Tensor, inside: Tensor, classes: Tensor) -> _Pairs:
    """Every entity, with the query that is matched to it."""
    queries = assign(costs, (ids > 0).sum(1))  # (D, G, N), -1 for entities without a query
    return _Pairs(queries, queries >= 0, inside, classes.expand_as(queries), (ids > 0).sum())


def _answered(answers: Tensor, ids: Tensor, inside: Tensor) -> _Pairs:
    """Every query, with the entity (D, G, Q) that it must predict."""
    entities = (answers[0, :, :, None] == ids[:, None]) & (ids > 0)[:, None]  # (G, Q, N)
    real = entities.any(-1).expand(len(answers), -1, -1)
    queries = torch.arange(real.shape[2], device=real.device).expand(real.shape)
    truth = torch.einsum("gqn,gns->gqs", entities.float(), inside).float()  # the row of the entity
    return _Pairs(queries, real, truth, torch.zeros_like(queries), real[0].sum())


def _mask_losses(mask: Tensor, pairs: _Pairs, parts: int, config: LossConfig) -> tuple[Tensor, Tensor]:
    """The sums over real pairs of cross-entropy and dice loss: mask logits (D, G, M, S) → two scalars."""
    candidates = _candidates(config)
    # Points alternate between the views: (D, G, M, V, S / V).
    mask, truth = (x.unflatten(-1, (-1, parts)).transpose(-1, -2) for x in (mask, pairs.inside.expand_as(mask)))
    hard = mask.detach()[..., :candidates].abs().topk(_hardest(config), largest=False, sorted=False).indices
    mask, truth = (torch.cat([x.gather(4, hard), x[..., candidates:]], 4) for x in (mask, truth))  # (D, G, M, V, P)
    each = F.binary_cross_entropy_with_logits(mask, truth, reduction="none").mean(-1).sum(-1)  # (D, G, M)
    return (each * pairs.real).sum(), (dice_loss(mask, truth).sum(-1) * pairs.real).sum()


def _mostly_unknown(embeddings: Tensor, sampled: Tensor, unknown: Tensor) -> Tensor:
    """(D, G, Q) bool: whether a query's mask lies mostly at points (G, S) that are `UNKNOWN`."""
    if not unknown.any():
        return torch.zeros(embeddings.shape[:3], dtype=torch.bool, device=embeddings.device)
    with torch.no_grad():
        masks = _masks(embeddings, sampled).sigmoid()  # (D, G, Q, S)
        return (masks @ unknown[:, :, None].float())[..., 0] > 0.5 * masks.sum(-1)


def _class_loss(logits: Tensor, pairs: _Pairs, left_out: Tensor, no_entity: float) -> Tensor:
    """The cross-entropy of classes, summed over heads: logits (D, G, Q, K + 1), `left_out` (D, G, Q) → scalar."""
    nothing = logits.shape[3] - 1  # the last class, "no entity"
    # An extra column collects the pairs that are not real.
    classes = torch.full((*logits.shape[:2], logits.shape[2] + 1), nothing, device=logits.device)
    classes[..., :-1][left_out] = _LEFT_OUT
    known = pairs.classes.masked_fill(pairs.classes < 0, _LEFT_OUT)
    classes = classes.scatter(2, torch.where(pairs.real, pairs.queries, logits.shape[2]), known)[..., :-1]
    weight = logits.new_tensor([1.0] * nothing + [no_entity])
    heads = zip(logits.flatten(1, 2), classes.flatten(1), strict=True)
    return torch.stack([_mean_cross_entropy(head, target, weight) for head, target in heads]).sum()


def _kinds_of(ids: Tensor, kinds: Tensor | None) -> Tensor:
    """The classes of entities `ids` (G, N), padded with -1 → (G, N); -1 if unknown, 0 without classes."""
    if kinds is None:
        return torch.zeros_like(ids)
    known = (ids > 0) & (ids <= kinds.shape[1])  # pasted entities come after the known ones
    return torch.where(known, kinds.gather(1, (ids - 1).clamp(0, kinds.shape[1] - 1)), -1)


def _likeness(logits: Tensor, wanted: Tensor) -> Tensor:
    """The probabilities (D, G, Q, N) that queries show the classes (G, N); of any class where it is unknown."""
    probabilities = logits.softmax(-1)
    indices = wanted.clamp(min=0)[None, :, None].expand(*logits.shape[:3], -1)
    return torch.where((wanted < 0)[:, None], 1 - probabilities[..., -1:], probabilities.gather(3, indices))


def _mean_cross_entropy(logits: Tensor, classes: Tensor, weight: Tensor) -> Tensor:
    """The weighted mean over classes other than `_LEFT_OUT`; 0 if all are left out."""
    losses = F.cross_entropy(logits, classes, weight, reduction="sum", ignore_index=_LEFT_OUT)
    counted = weight[classes.clamp(min=0)].masked_fill(classes == _LEFT_OUT, 0).sum()
    return losses / counted.clamp(min=1e-6)


def _masks(embeddings: Tensor, sampled: Tensor) -> Tensor:
    """(D, G, M, C) with (G, C, S) → (D, G, M, S) float32; einsum, as broadcasting would copy all features per head."""
    return torch.einsum("dgmc,gcs->dgms", embeddings, sampled).float()


def _at(embeddings: Tensor, queries: Tensor) -> Tensor:
    """(D, G, Q, C) at (D, G, M) → (D, G, M, C); arbitrary values where the index is -1."""
    return embeddings.gather(2, queries.clamp(min=0)[..., None].expand(-1, -1, -1, embeddings.shape[3]))


def dice_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """1 - (2·overlap + 1) / (areas + 1) over the last dimension: logits and targets (..., P) to (...)."""
    probability = logits.sigmoid()
    return 1 - (2 * (probability * targets).sum(-1) + 1) / (probability.sum(-1) + targets.sum(-1) + 1)
