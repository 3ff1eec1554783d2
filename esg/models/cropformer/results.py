"""The results of a prediction other than entities: segments with classes, and masks that may overlap."""

from __future__ import annotations

from ...entities.categories import Categories
from ...entities.entity_map import EntityMap
from ...entities.scored_masks import ScoredMask
from ...support.progress import Progress
from .config import Preset
from .overlapping import Overlapping, overlapping
from .predicted import Predicted
from .segments import Segments, panoptic, semantic
from .stability import stability


def with_classes(
    predicted: Predicted, preset: Preset, categories: Categories, progress: Progress | None = None
) -> EntityMap:
    """The segments of a class-aware model, without overlap.

    Args:
        predicted: the prediction.
        preset: the model's task and options.
        categories: the model's classes.
        progress: called while masks are merged.
    """
    geometry, names = predicted.geometry, categories.names
    if preset.task == "instance":
        found = _overlapping(predicted, preset, preset.keep, progress)
        return EntityMap.from_masks(
            [one.rle for one in found],
            [one.score for one in found],
            size=geometry.image_size,
            names=[names[one.kind] for one in found],
        )
    masks, probabilities = predicted.masks(), predicted.probabilities
    segments: Segments
    if preset.task == "panoptic":
        segments = panoptic(masks, probabilities, geometry, categories.things, progress=progress)
    else:
        segments = semantic(masks, probabilities, geometry, progress=progress)
    return EntityMap.from_labels(segments.labels, segments.scores, [names[kind] for kind in segments.kinds])


def scored_masks(
    predicted: Predicted,
    preset: Preset,
    categories: Categories | None,
    *,
    keep: int | None = None,
    min_score: float = 0.0,
    progress: Progress | None = None,
) -> list[ScoredMask]:
    """The masks that may overlap, by descending score; those of a panoptic model are its things.

    Args:
        predicted, preset, progress: as for `with_classes`.
        categories: the model's classes; None for a model without.
        keep: maximum number of masks; None: the preset's.
        min_score: minimum score of a mask.
    """
    masks = [
        one
        for one in _overlapping(predicted, preset, preset.keep if keep is None else keep, progress)
        if one.score >= min_score
    ]
    if categories is None:
        return [ScoredMask(one.rle, one.score) for one in masks]
    return [
        ScoredMask(one.rle, one.score, categories.names[one.kind], categories.ids[one.kind])
        for one in masks
        if preset.task != "panoptic" or categories.things[one.kind]
    ]


def _overlapping(
    predicted: Predicted, preset: Preset, keep: int | None, progress: Progress | None
) -> list[Overlapping]:
    masks, scores = predicted.masks(), predicted.class_scores.cpu()
    if preset.stability:
        scores = scores * stability(masks, predicted.geometry)[:, None]
    second_sigmoid = preset.task == "entity"
    return overlapping(masks, scores, predicted.geometry, keep=keep, second_sigmoid=second_sigmoid, progress=progress)
