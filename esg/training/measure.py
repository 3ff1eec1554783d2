"""Measures AP^e of a model in training on held-out photos or scenes, with the views and fusion of inference."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..data.labelled import UNKNOWN, LabelledPhoto
from ..data.scenes.synth import HELD_OUT, make_scene
from ..entities.entity_map import EntityMap
from ..evaluation.average_precision import average_precision
from ..models.cropformer.fusion import FUSIONS, fuse, fusion_views
from ..models.cropformer.views import make_views
from ..support.errors import NoNumbers

if TYPE_CHECKING:
    from ..models.cropformer.model import Output


@dataclass(frozen=True)
class MeasureConfig:
    """Settings of the measurement.

    Attributes:
        photos: folders of labelled photos to measure on; empty: the photos that are held out of the training
            (`SampleConfig.held_out`), or scenes if no photos are held out.
        photo_limit: maximum number of photos.
        scenes: number of held-out scenes; the first of those reserved for evaluation are used.
        height, width: size of the scenes in pixels.
        short, longest: working size of the views in pixels.
        crops: number of crops, 4 or 8, if a fusion uses them.
        crop_ratio: side of a crop as a share of the picture's.
        fusions: see `cropformer.fusion.FUSIONS`; a model without batch level is measured at image level only.
    """

    photos: tuple[str, ...] = ()
    photo_limit: int = 50
    scenes: int = 32
    height: int = 448
    width: int = 576
    short: int = 256
    longest: int = 448
    crops: int = 4
    crop_ratio: float = 0.7
    fusions: tuple[str, ...] = ("io", "boc")


def measure(
    predict: Callable[[Tensor, Tensor], Output],
    config: MeasureConfig,
    device: torch.device,
    *,
    stable: bool = False,
    photos: Iterable[LabelledPhoto] | None = None,
) -> dict[str, float]:
    """AP and AP50 (fractions) for every fusion, named `AP_boc` and so on.

    Entities that are mostly in unlabelled parts of a photo are not counted, because they may be right or wrong.

    Args:
        predict: the model, a function from pixels (1, T, 3, H, W) and frames (1, T, 4) to its output. T is the number
            of crops and the full view; there are no crops if no fusion needs them.
        config: settings of the measurement.
        device: device for the inputs of `predict`.
        stable: whether query scores are multiplied by the stability of their masks (`Preset.stability`).
        photos: photos to measure on; None: scenes.

    Raises:
        NoNumbers: scores are NaN or infinite.
    """
    crops = config.crops if any(FUSIONS[fusion].level == "batch" for fusion in config.fusions) else 0
    found: dict[str, list[EntityMap]] = {fusion: [] for fusion in config.fusions}
    truths = []
    pictures = _scenes(config) if photos is None else ((photo.image, photo.labels) for photo in photos)
    for image, labels in pictures:
        views = make_views(image, crops=crops, short=config.short, longest=config.longest, ratio=config.crop_ratio)
        with torch.inference_mode():
            output = predict(views.pixels[None].to(device), views.geometry.frames[None].to(device))
        for fusion in config.fusions:
            chosen = fusion_views(fusion, len(views.geometry))
            heads = output.image if FUSIONS[fusion].level == "image" else output.batch
            if not heads:
                continue
            head = heads[-1]  # entry 0 is the full view at image level, and the whole picture at batch level
            features = output.features[0, chosen].float()  # (T, C, h, w)
            masks = torch.einsum("qc,tchw->qthw", head.embeddings[0].float(), features)
            scores = head.logits[0].float().softmax(-1)[:, :-1].sum(-1)  # of any class
            if not scores.isfinite().all():
                raise NoNumbers("scores")
            result = fuse(masks, scores, views.geometry.select(chosen), stable=stable)
            found[fusion].append(_known(EntityMap.from_labels(result.labels, result.scores), labels))
        truths.append(np.maximum(labels, 0))
    figures = {fusion: average_precision(maps, truths) for fusion, maps in found.items() if maps}
    return {f"{name}_{fusion}": values[name] for fusion, values in figures.items() for name in ("AP", "AP50")}


def _scenes(config: MeasureConfig) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Image and labels of every scene."""
    for index in range(config.scenes):
        scene = make_scene(HELD_OUT + index, config.height, config.width)
        yield scene.image, scene.labels


def _known(entities: EntityMap, labels: np.ndarray) -> EntityMap:
    """Without entities of which more than half is in unlabelled area."""
    unknown = labels == UNKNOWN
    if not unknown.any():
        return entities
    areas, hidden = (
        np.bincount(part.ravel(), minlength=len(entities.scores) + 1)
        for part in (entities.labels, entities.labels[unknown])
    )
    return EntityMap.from_labels(np.where((hidden > areas / 2)[entities.labels], 0, entities.labels), entities.scores)
