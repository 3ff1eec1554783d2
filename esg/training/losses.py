"""The training loss of CropFormer (paper Eq. 7) on sampled points.

Both levels share one loss. It works on groups: T views that are answered by the same queries. At image level every
view is a group of its own; at batch level all views of a picture are one group, so that a query has to find its entity
in all of them. Targets are label maps. A mask logit is a product of a query's embedding with the mask features, and
bilinear sampling is linear, so features are sampled once a group instead of once a mask, and no mask is ever made.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from .matching import assign, matching_costs

if TYPE_CHECKING:
    from ..cropformer.model import Output
    from ..modeling.mask_decoder import Prediction


@dataclass(frozen=True)
class LossConfig:
    """Weights and point sampling; the values are the authors'.

    Attributes:
        ce: weight of the entityness cross-entropy, in the loss and in the matching.
        bce: weight of the masks' binary cross-entropy.
        dice: weight of the masks' dice loss.
        no_entity: class weight of "no entity" in the cross-entropy.
        points: points a group on which the matching and the mask losses are computed.
        oversample: candidates drawn for each point of the mask loss.
        smallest: entities of fewer pixels in the views of a group are no targets of it; at stride 4 they are unseen.
        uncertain: share of the points taken where the mask is least certain; the others are uniform.
    """

    ce: float = 2.0
    bce: float = 5.0
    dice: float = 5.0
    no_entity: float = 0.1
    points: int = 12544
    oversample: float = 3.0
    uncertain: float = 0.75
    smallest: int = 1


def cropformer_losses(output: Output, labels: Tensor, config: LossConfig) -> dict[str, Tensor]:
    """All terms of Eq. 7, weighted and summed over the prediction heads; the loss is the sum of the values.

    Args:
        output: of the model for (B, T) views.
        labels: (B, T, H, W) integer label maps, 0 = no entity; an id means the same entity in all views of a picture.

    Returns:
        Scalars `image_ce`, `image_bce`, `image_dice`, `batch_ce`, `batch_bce`, `batch_dice`; those of the batch level
        only for a model with view association.
    """
    features = output.features.float()  # (B, T, C, h, w)
    image = level_losses(features.flatten(0, 1)[:, None], output.image, labels.flatten(0, 1)[:, None], config)
    batch = level_losses(features, output.batch, labels, config) if output.batch else {}
    return {f"image_{k}": v for k, v in image.items()} | {f"batch_{k}": v for k, v in batch.items()}


def level_losses(
    features: Tensor, heads: Sequence[Prediction], labels: Tensor, config: LossConfig, *, match: bool = True
) -> dict[str, Tensor]:
    """The loss terms of one level, summed over its D prediction heads.

    Args:
        features: (G, T, C, h, w) float32, mask features of G groups.
        heads: D predictions with `logits` (G, Q, 2) and `embeddings` (G, Q, C).
        labels: (G, T, H, W) label maps.
        match: False where it is known who answers for whom: query i for the i-th of `target_ids`.

    Returns:
        Scalars `ce`, `bce`, `dice`.
    """
    logits = torch.stack([head.logits for head in heads]).float()  # (D, G, Q, 2)
    embeddings = torch.stack([head.embeddings for head in heads]).unbind(1)  # G × (D, Q, C)
    candidates = math.ceil(config.points * config.oversample)
    hardest = round(config.points * config.uncertain)
    points, at = _sample(features, labels, candidates + config.points - hardest)  # (G, C, S), (G, S)
    # Under autocast the masks are products in half precision, like all others; what is made of them is float32.
    sampled = points.to(embeddings[0].dtype).unbind()  # G × (C, S)

    classes = torch.ones(logits.shape[:3], dtype=torch.int64, device=logits.device)  # 1 = no entity
    bce = dice = features.sum() * 0  # without any entity the features still have a gradient, of zero
    targets = 0
    for g, group in enumerate(labels):
        ids = target_ids(group, config)
        targets += len(ids)
        if not len(ids):
            continue
        inside = (at[g] == ids[:, None]).float()  # (N, S)
        queries = entities = torch.arange(len(ids), device=ids.device).expand(len(heads), -1)  # (D, M)
        if match:
            with torch.no_grad():
                costs = matching_costs(
                    logits[:, g].softmax(-1)[..., 0],
                    (embeddings[g] @ sampled[g][:, : config.points]).float(),
                    inside[:, : config.points],
                    ce=config.ce,
                    bce=config.bce,
                    dice=config.dice,
                )
                queries, entities = assign(costs)
        classes[:, g].scatter_(1, queries, 0)
        matched = embeddings[g].gather(1, queries[..., None].expand(-1, -1, embeddings[g].shape[-1]))  # (D, M, C)
        mask, truth = (matched @ sampled[g]).float(), inside[entities]  # (D, M, S)
        hard = mask.detach()[..., :candidates].abs().topk(hardest, largest=False, sorted=False).indices
        mask, truth = (torch.cat([x.gather(2, hard), x[..., candidates:]], 2) for x in (mask, truth))  # (D, M, P)
        bce = bce + F.binary_cross_entropy_with_logits(mask, truth, reduction="none").mean(-1).sum()
        dice = dice + dice_loss(mask, truth).sum()

    weight = logits.new_tensor([1.0, config.no_entity])
    pairs = zip(logits.flatten(1, 2), classes.flatten(1), strict=True)
    ce = torch.stack([F.cross_entropy(head, target, weight) for head, target in pairs]).sum()
    count = mean_over_devices(features.new_tensor(float(targets))).clamp(min=1)
    return {"ce": config.ce * ce, "bce": config.bce * bce / count, "dice": config.dice * dice / count}


def target_ids(group: Tensor, config: LossConfig) -> Tensor:
    """The entities that a group has to find: ids (N,) in its label maps (T, H, W), ascending."""
    ids, areas = group.unique(return_counts=True)
    return ids[(ids > 0) & (areas >= config.smallest)]


def dice_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """1 - (2·overlap + 1) / (areas + 1) over the last dimension: logits and targets (..., P) to (...)."""
    probability = logits.sigmoid()
    return 1 - (2 * (probability * targets).sum(-1) + 1) / (probability.sum(-1) + targets.sum(-1) + 1)


def _sample(features: Tensor, labels: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Features and labels at `count` uniform points of every group, which lie in its views by turns.

    Labels are read at the pixel in which a point lies. The authors sample masks bilinearly, which differs only within a
    pixel of a border and cannot be done on label maps.

    Returns:
        (G, C, S) float32 and (G, S).
    """
    groups, views, height, width = labels.shape
    points = torch.rand(groups * views, -(-count // views), 2, device=features.device)  # x, y in [0, 1)
    sampled = F.grid_sample(
        features.flatten(0, 1), points[:, None] * 2 - 1, padding_mode="border", align_corners=False
    )  # (G·T, C, 1, S / T)
    x, y = (points[..., i].mul(side).long().clamp(max=side - 1) for i, side in ((0, width), (1, height)))
    at = labels.flatten(0, 1).flatten(1).gather(1, y * width + x)  # (G·T, S / T)
    sampled, at = (by_view.unflatten(0, (groups, views)) for by_view in (sampled.squeeze(2), at))
    return sampled.permute(0, 2, 3, 1).flatten(2)[..., :count], at.transpose(1, 2).flatten(1)[:, :count]


def mean_over_devices(value: Tensor) -> Tensor:
    """The mean of a scalar over the devices of a distributed run; on a single one, the scalar."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(value)
        value = value / torch.distributed.get_world_size()
    return value
