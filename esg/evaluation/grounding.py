"""Metrics of grounding: average recall of narratives (PNG), and cIoU and gIoU of referring expressions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Overlap:
    """Pixel counts of two masks, one predicted and one true.

    Attributes:
        both: number of pixels in both masks.
        either: number of pixels in at least one of the masks.
    """

    both: int
    either: int

    @classmethod
    def of(cls, predicted: np.ndarray, true: np.ndarray, ignored: np.ndarray | None = None) -> Overlap:
        """The overlap of two (H, W) bool masks; pixels in the mask `ignored` count in neither."""
        if ignored is not None:
            predicted, true = predicted & ~ignored, true & ~ignored
        return cls(int((predicted & true).sum()), int((predicted | true).sum()))

    @property
    def iou(self) -> float:
        """0..1; 1 if both masks are empty, as in ReasonSeg."""
        return self.both / self.either if self.either else 1.0


@dataclass(frozen=True)
class Judged:
    """A noun of a narrative and how it was grounded.

    Attributes:
        iou: IoU of the union of the predicted entities with the union of the true ones.
        found: whether it was extracted from the caption with exactly its span; if not, its IoU is 0.
        kind: "thing" or "stuff", None if both or unknown.
        plural: whether it refers to more than one entity.
    """

    iou: float
    found: bool
    kind: str | None
    plural: bool


def average_recall(judged: Sequence[Judged]) -> dict[str, float]:
    """Average recall over all IoU thresholds, as in Panoptic Narrative Grounding (González et al., ICCV 2021).

    The area under the curve of recall over thresholds from 0 to 1 equals the mean IoU, which is what this computes.

    Returns:
        Fractions `AR`, `AR_things`, `AR_stuff`, `AR_singular`, `AR_plural`, `acc50` (share with an IoU of at least 0.5)
        and `noun_recall` (share that was extracted); nan if there is nothing to average.
    """
    groups = {
        "AR": judged,
        "AR_things": [one for one in judged if one.kind == "thing"],
        "AR_stuff": [one for one in judged if one.kind == "stuff"],
        "AR_singular": [one for one in judged if not one.plural],
        "AR_plural": [one for one in judged if one.plural],
    }
    figures = {name: _mean(one.iou for one in group) for name, group in groups.items()}
    figures["acc50"] = _mean(one.iou >= 0.5 for one in judged)
    figures["noun_recall"] = _mean(one.found for one in judged)
    return figures


def referring_iou(overlaps: Sequence[Overlap]) -> dict[str, float]:
    """Computes `cIoU` (summed intersections divided by summed unions) and `gIoU` (mean IoU) of referring expressions.

    Returns:
        These and `P50`, the share with an IoU of at least 0.5, as fractions; nan if there are no expressions.
    """
    either = sum(one.either for one in overlaps)
    return {
        "cIoU": sum(one.both for one in overlaps) / either if either else float("nan"),
        "gIoU": _mean(one.iou for one in overlaps),
        "P50": _mean(one.iou >= 0.5 for one in overlaps),
    }


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return float(np.mean(found)) if found else float("nan")
