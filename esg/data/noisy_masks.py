"""Perturbs true masks as a segmenter might, and transfers statements about the true masks to them.

A cheap stand-in for a segmenter in training, two milliseconds per picture. The mistakes are those of segmenters:
entities are merged with a neighbour, split or missed, and boundaries are off.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

_MERGED, _SPLIT, _MISSED = 0.12, 0.12, 0.1  # probabilities per entity
_CELLS = 8  # rows and columns of the field that displaces boundaries
_DISPLACED = 0.015  # standard deviation of the displacement, as a fraction of the picture's long side
_LEAST_IOU = 0.5


def perturbed_masks(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Adds a segmenter's mistakes to entities.

    Args:
        labels: (H, W) integer, 0 = none.
        rng: random generator.

    Returns:
        (H, W) int32, 1..K in random order, 0 = none. If the picture has entities, at least one is left.
    """
    count = int(labels.max(initial=0))
    merged = _merged(labels, count, rng)[labels]
    displaced = merged[_displaced(labels.shape, rng)]
    split = _split(displaced, count, rng)
    areas = np.bincount(split.ravel(), minlength=2 * count + 1)
    areas[0] = 0
    kept = (areas > 0) & (rng.random(len(areas)) >= _MISSED)
    kept[areas.argmax()] = areas.any()  # at least one
    numbers = np.zeros(len(areas), np.int32)
    numbers[kept] = rng.permutation(int(kept.sum())) + 1
    return numbers[split]


def _merged(labels: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """The new label of every label, (count + 1,): itself, or for a few of them a neighbour."""
    wide = labels.astype(np.int64)
    pairs = [wide[:, 1:] * (count + 1) + wide[:, :-1], wide[1:] * (count + 1) + wide[:-1]]
    touching = np.bincount(np.concatenate([pair.ravel() for pair in pairs]), minlength=(count + 1) ** 2) > 0
    touching = touching.reshape(count + 1, count + 1)
    touching |= touching.T
    np.fill_diagonal(touching, False)
    touching[:, 0] = False
    becomes = np.arange(count + 1)
    chosen = np.flatnonzero(touching.any(1) & (rng.random(count + 1) < _MERGED))
    for label in chosen[chosen > 0]:
        becomes[label] = becomes[rng.choice(np.flatnonzero(touching[label]))]
    return becomes


def _displaced(shape: tuple[int, ...], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The row and column from which each pixel takes its label: a smooth random field."""
    height, width = shape
    fields = rng.normal(0, _DISPLACED * max(height, width), (2, _CELLS, _CELLS)).astype(np.float32)
    down, right = (
        np.asarray(Image.fromarray(field).resize((width, height), Image.Resampling.BICUBIC)) for field in fields
    )
    rows = np.arange(height)[:, None] + np.rint(down).astype(np.int64)
    columns = np.arange(width) + np.rint(right).astype(np.int64)
    return rows.clip(0, height - 1), columns.clip(0, width - 1)


def _split(labels: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Cuts some entities in two along a line through their centre; the part beyond it gets label + count."""
    height, width = labels.shape
    flat = labels.ravel()
    areas = np.bincount(flat, minlength=count + 1).clip(1)
    rows, columns = np.indices((height, width))
    middle_row, middle_column = (np.bincount(flat, at.ravel(), minlength=count + 1) / areas for at in (rows, columns))
    angle = rng.uniform(0, 2 * np.pi, count + 1)
    cut = rng.random(count + 1) < _SPLIT
    cut[0] = False
    beyond = (rows - middle_row[labels]) * np.sin(angle)[labels] + (columns - middle_column[labels]) * np.cos(angle)[
        labels
    ]
    return labels + count * (cut[labels] & (beyond > 0))


@dataclass(frozen=True)
class Carried:
    """How K given entities overlap with N true ones.

    Attributes:
        inside: (K, N) float32, the share of each given entity that lies in each true one.
        same: (K,) int64, the true entity that a given one matches, with an IoU of at least 0.5; 0 if there is none.
    """

    inside: np.ndarray
    same: np.ndarray

    def meant(self, truth: np.ndarray) -> np.ndarray:
        """Transfers (v, N) bool from true to given entities, to those mostly inside the true ones: (v, K)."""
        return truth.astype(np.float32) @ self.inside.T > 0.5


def carry(given: np.ndarray, true: np.ndarray) -> Carried:
    """Compares two label maps (H, W) of one picture, 0 = none."""
    k, n = int(given.max(initial=0)), int(true.max(initial=0))
    both = np.bincount((given.astype(np.int64) * (n + 1) + true).ravel(), minlength=(k + 1) * (n + 1))
    both = both.reshape(k + 1, n + 1)
    of_given, of_true = both.sum(1), both.sum(0)
    shared = both[1:, 1:]
    iou = shared / (of_given[1:, None] + of_true[1:] - shared).clip(1)
    same = np.where(iou.max(1, initial=0) >= _LEAST_IOU, iou.argmax(1) + 1, 0) if n else np.zeros(k, np.int64)
    return Carried((shared / of_given[1:, None].clip(1)).astype(np.float32), same)
