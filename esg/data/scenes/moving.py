"""Synthetic clips with exact track ids: a scene that the camera pans over, and things that move in front of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from .draws import Draws
from .synth import Scene, make_scene

MIN_SHARE = 0.001  # of the frame; entities of which less is visible are not labelled there


class _Cutout(NamedTuple):
    """A thing from another scene: pixels (h, w, 3), mask (h, w)."""

    pixels: np.ndarray
    mask: np.ndarray


def moving_scene(
    seed: int, frames: int, height: int, width: int, *, things: int = 4, speed: float = 0.02, pan: float = 0.01
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The frames of a clip: pictures (H, W, 3) uint8, and labels (H, W) int32, whose ids hold for the whole clip.

    Args:
        seed: Non-negative; seeds from `synth.HELD_OUT` on are reserved for evaluation.
        frames: Number of frames.
        height, width: Size in pixels.
        things: Number of things that move straight on in front of the scene, and hide it and one another.
        speed: Their speed, in sides of a square as large as the frame per frame.
        pan: Speed of the camera, in the same unit.

    >>> [(image.shape, labels.shape) for image, labels in moving_scene(3, 2, 60, 80)]
    [((60, 80, 3), (60, 80)), ((60, 80, 3), (60, 80))]
    """
    rng = Draws(seed)
    side = math.sqrt(height * width)
    angle = rng.angle()
    shift = [(number * pan * side * math.sin(angle), number * pan * side * math.cos(angle)) for number in range(frames)]
    reach = math.ceil(pan * side * max(frames - 1, 0))
    behind = make_scene(seed, height + 2 * reach, width + 2 * reach)
    cutouts = _cutouts(seed, things, height, width)
    starts = [(rng.uniform(0.2, 0.8) * height, rng.uniform(0.2, 0.8) * width) for _ in cutouts]
    ways = [rng.angle() for _ in cutouts]
    for number, (down, right) in enumerate(shift):
        top, left = reach + round(down), reach + round(right)
        image = behind.image[top : top + height, left : left + width].copy()
        labels = behind.labels[top : top + height, left : left + width].copy()
        for k, (cutout, (y, x), way) in enumerate(zip(cutouts, starts, ways), start=len(behind.entities) + 1):
            along = number * speed * side
            _paste(image, labels, cutout, round(y + along * math.sin(way)), round(x + along * math.cos(way)), k)
        few = np.flatnonzero(np.bincount(labels.ravel()) < MIN_SHARE * height * width)
        labels[np.isin(labels, few)] = 0
        yield image, labels


def _cutouts(seed: int, count: int, height: int, width: int) -> list[_Cutout]:
    """Whole things of a medium size from other scenes of the same size."""
    found: list[_Cutout] = []
    for attempt in range(1000):
        if len(found) == count:
            break
        scene = make_scene(seed + 7_919 * (attempt + 1), height, width)
        found += _things(scene)[: count - len(found)]
    return found


def _things(scene: Scene) -> list[_Cutout]:
    height, width = scene.labels.shape
    cutouts = []
    for entity in scene.entities:
        x0, y0, x1, y1 = entity.box
        inside = x0 > 0 and y0 > 0 and x1 < width and y1 < height
        if entity.kind == "thing" and inside and 0.01 < entity.area / (height * width) < 0.1:
            mask = scene.labels[y0:y1, x0:x1] == entity.id
            if mask.mean() > 0.4:  # not a thin thing, nor one that others hide
                cutouts.append(_Cutout(scene.image[y0:y1, x0:x1], mask))
    return cutouts


def _paste(image: np.ndarray, labels: np.ndarray, cutout: _Cutout, y: int, x: int, number: int) -> None:
    """Draws a cutout with its centre at (y, x), as far as it is in the picture, in place."""
    (height, width), (h, w) = labels.shape, cutout.mask.shape
    top, left = y - h // 2, x - w // 2
    rows = slice(max(top, 0), max(min(top + h, height), 0))
    columns = slice(max(left, 0), max(min(left + w, width), 0))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    own = slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)
    mask = cutout.mask[own]
    image[rows, columns][mask] = cutout.pixels[own][mask]
    labels[rows, columns][mask] = number
