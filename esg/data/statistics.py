"""Statistics of a data set's annotations: CropFormer paper, Table 2 and Fig. 3; GELLA paper, Table I."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from scipy.spatial import ConvexHull

from ..entities import rle
from ..support.errors import EsgError
from ..support.progress import ItemProgress
from .annotated import AnnotatedPhoto, AnnotatedPhotos, Segment
from .problems import Problems

PAPER = {
    "COCO": (522.5, 11.2, 95, 0.758, 0.581, 0.891),
    "ADE20K": (461.3, 13.6, 255, 0.802, 0.606, 0.914),
    "EntitySeg": (2700.7, 18.1, 236, 0.719, 0.538, 0.999),
}
"""The rows of the papers' tables, in the order of `DatasetStatistics.row`."""


@dataclass(frozen=True)
class PhotoStatistics:
    """The statistics of one photo.

    Attributes:
        resolution: √(H·W) in pixels.
        entities: number of segments, crowds not counted.
        convexities: per segment, its area divided by that of its convex hull, 0..1.
        simplicities: per segment, √(4π·area) divided by its perimeter, about 1 for a disc and smaller for other shapes.
        valid: share of pixels that belong to a segment.
        source: the folder in its file name, "" if there is none.
    """

    resolution: float
    entities: int
    convexities: tuple[float, ...]
    simplicities: tuple[float, ...]
    valid: float
    source: str = ""


@dataclass(frozen=True)
class DatasetStatistics:
    """The statistics of a data set.

    Attributes:
        photos: those of each photo.
        problems: photos and annotations that were left out.
    """

    photos: tuple[PhotoStatistics, ...]
    problems: Problems

    @property
    def row(self) -> dict[str, float]:
        """The columns of the papers' tables; means over photos, but of complexity and simplicity over segments."""
        convexities = [value for one in self.photos for value in one.convexities]
        simplicities = [value for one in self.photos for value in one.simplicities]
        return {
            "image_resolution": _mean([one.resolution for one in self.photos]),
            "entities_mean": _mean([one.entities for one in self.photos]),
            "entities_max": max((one.entities for one in self.photos), default=0),
            "complexity": _mean(convexities),
            "simplicity": _mean(simplicities),
            "valid_area": _mean([one.valid for one in self.photos]),
        }

    @property
    def sources(self) -> dict[str, int]:
        """The number of photos by source, most first."""
        return dict(Counter(one.source for one in self.photos).most_common())


def dataset_statistics(
    photos: AnnotatedPhotos, count: int | None = None, *, progress: ItemProgress | None = None
) -> DatasetStatistics:
    """Measures the annotations of a data set; the photos themselves are not read.

    The papers leave two things open. Their "ImageRes" is taken as the mean of √(H·W), and "complexity" and "simplicity"
    as convexity and simplicity in Y. Zhu et al., "Semantic Amodal Segmentation", CVPR 2017, which they cite. Segments
    in several pieces are measured as one.

    Args:
        photos: the data set.
        count: number of photos, evenly spread over the data set; None: all.
        progress: called as `progress(photos done, all photos)` after each photo.

    Returns:
        The statistics; photos whose annotations cannot be read are among its problems.
    """
    total = len(photos) if count is None else min(count, len(photos))
    problems = Problems()
    problems.update(photos.problems)
    found = []
    for number in range(total):
        try:
            photo = photos[number * len(photos) // total]
        except EsgError as error:
            problems.add("photos whose annotations cannot be read", str(error).rstrip("."))
            continue
        problems.update(photo.problems)
        found.append(photo_statistics(photo))
        if progress is not None:
            progress(number + 1, total)
    return DatasetStatistics(tuple(found), problems)


def photo_statistics(photo: AnnotatedPhoto) -> PhotoStatistics:
    """Measures the annotations of a photo."""
    height, width = photo.size
    segments = [one for one in photo.segments if not one.crowd]
    shapes = [shape_of(one) for one in segments]
    covered = rle.area(rle.union([one.mask for one in segments])) if segments else 0
    source = str(PurePosixPath(photo.name).parent)
    return PhotoStatistics(
        (height * width) ** 0.5,
        len(segments),
        tuple(convexity for convexity, _ in shapes),
        tuple(simplicity for _, simplicity in shapes),
        covered / (height * width),
        "" if source == "." else source,
    )


def shape_of(segment: Segment) -> tuple[float, float]:
    """Convexity and simplicity of a segment, see `PhotoStatistics`."""
    height, _ = rle.size_of(segment.mask)
    edges = np.cumsum(rle.read_counts(segment.mask))
    starts, stops = edges[:-1:2], edges[1::2]
    first, last = int(starts[0]) // height, (int(stops[-1]) - 1) // height
    mask = rle.decode_mask(segment.mask)[:, first : last + 1]
    rows = np.flatnonzero(mask.any(axis=1))
    mask = mask[rows[0] : rows[-1] + 1]
    area = float(mask.sum())
    return area / _hull_area(mask), (4 * np.pi * area) ** 0.5 / perimeter(mask)


def _hull_area(mask: np.ndarray) -> float:
    """The area of the convex hull of a mask's pixels, which are squares."""
    columns = np.flatnonzero(mask.any(axis=0))
    top = mask.argmax(axis=0)[columns]
    bottom = mask.shape[0] - mask[::-1].argmax(axis=0)[columns]
    left, right = columns, columns + 1
    points = np.concatenate([np.stack([x, y], axis=1) for x in (left, right) for y in (top, bottom)])
    return float(ConvexHull(points).volume)  # in two dimensions, the "volume" is the area


def perimeter(mask: np.ndarray) -> float:
    """The length of a mask's outline, holes included, by Crofton's formula in four directions.

    Unlike the length of the pixels' edges, it hardly depends on how a shape is aligned with the grid.
    """
    padded = np.pad(mask, 1).astype(np.int8)
    across = np.count_nonzero(np.diff(padded, axis=1)) + np.count_nonzero(np.diff(padded, axis=0))
    falling = np.count_nonzero(padded[1:, 1:] != padded[:-1, :-1])
    rising = np.count_nonzero(padded[1:, :-1] != padded[:-1, 1:])
    return float(np.pi / 8 * (across + (falling + rising) / np.sqrt(2)))


def _mean(values: list[float] | list[int]) -> float:
    return float(np.mean(values)) if values else float("nan")
