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
    candidates = math.ceil(config.points * config.oversample)
    hardest = round(config.points * config.uncertain)
    parts = features.shape[1] if config.per_view else 1
    count_of_points = parts * (candidates + config.points - hardest)
    sampled, at = sample(features, labels, count_of_points, config.balanced)  # (G, C, S), (G, S)
    # Under autocast, masks are half-precision products like all others; everything computed from them is float32.
    sampled = sampled.to(embeddings.dtype)
    ids = target_ids(labels, config.smallest)  # (G, N)
    inside = (at[:, None] == ids[:, :, None]).float()  # (G, N, S)
    wanted = _kinds_of(ids, kinds)  # (G, N)

    unknown = (at == UNKNOWN)[:, :, None].float()  # (G, S, 1)
    # Pairs of a query and its target at the points; pairs without `asked` do not exist. All groups have the same M.
    if answers is None:
        with torch.no_grad():
            costs = matching_costs(
                _likeness(logits, wanted),
                _masks(embeddings, sampled[..., : parts * config.points]),
                inside[..., : parts * config.points],
                ce=config.ce,
                bce=config.bce,
                dice=config.dice,
            )  # (D, G, Q, N)
            if ranked:
                costs = costs + config.rank * torch.linspace(0, 1, costs.shape[2], device=costs.device)[:, None]
            queries = assign(costs, (ids > 0).sum(1))  # (D, G, N), -1 for entities without a query
        asked, truth, count = queries >= 0, inside, (ids > 0).sum()
    else:
        entities = (answers[:, :, None] == ids[:, None]) & (ids > 0)[:, None]  # (G, Q, N)
        asked = entities.any(-1).expand(len(heads), -1, -1)  # (D, G, Q)
        queries = torch.arange(asked.shape[2], device=asked.device).expand(asked.shape)
        truth = torch.einsum("gqn,gns->gqs", entities.float(), inside).float()  # the row of the entity
        count = asked[0].sum()
    count = mean_over_devices(count.float()).clamp(min=1)

    mask = _masks(_at(embeddings, queries), sampled)  # (D, G, M, S)
    # Points alternate between the views: (D, G, M, V, S / V).
    mask, truth = (x.unflatten(-1, (-1, parts)).transpose(-1, -2) for x in (mask, truth.expand_as(mask)))
    hard = mask.detach()[..., :candidates].abs().topk(hardest, largest=False, sorted=False).indices
    mask, truth = (torch.cat([x.gather(4, hard), x[..., candidates:]], 4) for x in (mask, truth))  # (D, G, M, V, P)
    each = F.binary_cross_entropy_with_logits(mask, truth, reduction="none").mean(-1).sum(-1)  # (D, G, M)
    bce = (each * asked).sum() / count
    dice = (dice_loss(mask, truth).sum(-1) * asked).sum() / count

    # The last class is "no entity"; an extra column collects the pairs that do not exist.
    nothing = logits.shape[3] - 1
    classes = torch.full((*logits.shape[:2], logits.shape[2] + 1), nothing, device=logits.device)
    if unknown.any():
        with torch.no_grad():
            own = _masks(embeddings, sampled).sigmoid()  # (D, G, Q, S)
            classes[..., :-1][(own @ unknown)[..., 0] > 0.5 * own.sum(-1)] = _LEFT_OUT
    own_kinds = wanted.expand_as(queries) if answers is None else torch.zeros_like(queries)
    own_kinds = own_kinds.masked_fill(own_kinds < 0, _LEFT_OUT)
    classes = classes.scatter(2, torch.where(asked, queries, logits.shape[2]), own_kinds)[..., :-1]
    weight = logits.new_tensor([1.0] * nothing + [config.no_entity])
    pairs = zip(logits.flatten(1, 2), classes.flatten(1), strict=True)
    ce = torch.stack([_mean_cross_entropy(head, target, weight) for head, target in pairs]).sum()
    return {"ce": config.ce * ce, "bce": config.bce * bce, "dice": config.dice * dice}


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
