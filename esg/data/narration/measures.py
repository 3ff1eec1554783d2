"""Measures position, shape and roughness of the entities of a label map.

Everything is counted over pixels with a few `bincount` calls, so that a picture takes a few milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Measures:
    """Measures of N entities, one row each.

    Attributes:
        areas: (N,) int64, pixels.
        shares: (N,) float64, areas relative to the picture.
        boxes: (N, 4) int64, x0, y0, x1, y1, x1 and y1 exclusive.
        centroids: (N, 2) float64, mean x and y of the pixels' centres.
        elongation: (N,) float64 >= 1, extent along the longest direction divided by that across it.
        compactness: (N,) float64, area divided by the squared length of the outline, about 0.6 for a disc and less for
            anything ragged.
        roughness: (N,) float64, in grey levels: deviation of the lightness from a smooth course over some pixels.
    """

    areas: np.ndarray
    shares: np.ndarray
    boxes: np.ndarray
    centroids: np.ndarray
    elongation: np.ndarray
    compactness: np.ndarray
    roughness: np.ndarray


def compacted(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ids (N,) int64 in a label map (H, W), ascending and without 0, and the map renumbered to 1..N, int64."""
    labels = labels.astype(np.intp, copy=False)
    areas = np.bincount(labels.ravel())
    areas[:1] = 0
    ids = np.flatnonzero(areas)
    rows = np.zeros(max(len(areas), 1), np.intp)
    rows[ids] = np.arange(1, len(ids) + 1)
    return ids, rows[labels]


def measure(image: np.ndarray, labels: np.ndarray, count: int) -> Measures:
    """Measures the entities of a picture.

    Args:
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) int64, `compacted`: entities 1..count, each with at least one pixel, and 0 for none.
        count: number of entities, and of rows of the result.
    """
    height, width = labels.shape
    n = count + 1
    # Number of pixels of each entity in each row and column: (n, H) and (n, W).
    rows = np.bincount((labels * height + np.arange(height)[:, None]).ravel(), minlength=n * height).reshape(n, height)
    columns = np.bincount((labels * width + np.arange(width)).ravel(), minlength=n * width).reshape(n, width)
    rows, columns = rows[1:], columns[1:]
    areas = rows.sum(1)
    x0, y0 = (columns > 0).argmax(1), (rows > 0).argmax(1)
    x1, y1 = width - (columns[:, ::-1] > 0).argmax(1), height - (rows[:, ::-1] > 0).argmax(1)
    xs, ys = np.arange(width) + 0.5, np.arange(height) + 0.5
    x, y = columns @ xs / areas, rows @ ys / areas
    weights = (xs[None] * ys[:, None]).ravel()
    xy = np.bincount(labels.ravel(), weights=weights, minlength=n)[1:] / areas - x * y
    # A pixel counts as a square with an extent, so that thin entities have one as well.
    xx = columns @ xs**2 / areas - x * x + 1 / 12
    yy = rows @ ys**2 / areas - y * y + 1 / 12
    middle, spread = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    return Measures(
        areas=areas,
        shares=areas / (height * width),
        boxes=np.stack((x0, y0, x1, y1), 1),
        centroids=np.stack((x, y), 1),
        elongation=np.sqrt((middle + spread) / np.maximum(middle - spread, 1 / 12)),
        compactness=4 * np.pi * areas / _outlines(labels, n)[1:] ** 2,
        roughness=_roughness(image, labels, n)[1:],
    )


def _outlines(labels: np.ndarray, n: int) -> np.ndarray:
    """Length (n,) of every label's outline in pixel edges, the picture's border included."""
    total = np.zeros(n, np.int64)
    for a, b in ((labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1])):
        edge = a != b
        total += np.bincount(a[edge], minlength=n) + np.bincount(b[edge], minlength=n)
    for side in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        total += np.bincount(side, minlength=n)
    return np.maximum(total, 1)


def _roughness(image: np.ndarray, labels: np.ndarray, n: int) -> np.ndarray:
    """The roughness of each label (n,): mean absolute second difference of the lightness over six pixels each way.

    Second differences ignore even shading, and means of 2 x 2 pixels suppress most of a sensor's noise. Entities that
    are too small count as neither rough nor smooth.
    """
    height, width = (side // 2 * 2 for side in labels.shape)
    luma = image[:height, :width] @ np.array([0.299, 0.587, 0.114], np.float32)
    luma = luma.reshape(height // 2, 2, width // 2, 2).mean((1, 3))
    cells = labels[:height:2, :width:2]
    pure = (
        (cells == labels[1:height:2, :width:2])
        & (cells == labels[:height:2, 1:width:2])
        & (cells == labels[1:height:2, 1:width:2])
    )
    cells = np.where(pure, cells, 0)
    total, count = np.zeros(n), np.zeros(n)
    for light, cell in ((luma, cells), (luma.T, cells.T)):
        near = cell[3:-3]
        inside = (near == cell[6:]) & (near == cell[:-6]) & (near > 0)
        change = np.abs(light[3:-3] - (light[6:] + light[:-6]) / 2)
        total += np.bincount(near[inside], weights=change[inside], minlength=n)
        count += np.bincount(near[inside], minlength=n)
    unknown = 6.5  # between the limits of "smooth" and "rough"
    return np.where(count >= 20, total / np.maximum(count, 1), unknown)
