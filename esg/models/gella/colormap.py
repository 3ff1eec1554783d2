"""Colormaps: images in which every entity has its own colour (paper Sec. 4.2, "Colormap Encoder", f_Ψ)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.ndimage import distance_transform_edt

from ...support.errors import InputError

_LEVELS = 16  # per channel: a lattice of 4,096 colours, at least 17 grey levels apart
_BLACK = 0  # the lattice index of black, which means no entity

MOST_ENTITIES = _LEVELS**3 - 1
"""Maximum number of entities in a colormap."""

Assignment = Callable[[np.ndarray, int, int], np.ndarray]


def random_colours(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Random colours, all different, that do not depend on the entities.

    Args:
        labels: unused.
        count: number of entities, at most 4,095.
        seed: the same seed gives the same colours.

    Returns:
        (count + 1, 3) uint8 RGB; entry 0, no entity, is black, and no other entry is.
    """
    drawn = np.random.default_rng(seed).permutation(np.arange(1, _LEVELS**3))[:count]
    return _lattice(np.concatenate(([_BLACK], drawn)))


def location_colours(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Colours that encode where the centre of gravity of an entity is, as in Painter (Table XV b).

    Red grows with x and green with y. Blue is random among the values that make the colour unique.

    Args:
        labels: (H, W) integer, 0 = none, 1..count.
        count: number of entities, at most 4,095.
        seed: random seed for blue.

    Returns:
        (count + 1, 3) uint8 RGB; entry 0, no entity, is black, and no other entry is.
    """
    rng = np.random.default_rng(seed)
    height, width = labels.shape
    flat = labels.ravel()
    areas = np.bincount(flat, minlength=count + 1).clip(1)
    y, x = np.divmod(np.arange(flat.size), width)
    red, green = (
        (np.bincount(flat, place, minlength=count + 1) / areas / extent * _LEVELS).astype(np.int64).clip(0, _LEVELS - 1)
        for place, extent in ((x + 0.5, width), (y + 0.5, height))
    )
    taken = {_BLACK}
    chosen = [_BLACK]
    for base in (red * _LEVELS**2 + green * _LEVELS)[1:].tolist():
        # If all values of blue are taken, use a neighbouring colour of the lattice.
        nearest = (base + step for step in (*rng.permutation(_LEVELS), *range(_LEVELS, _LEVELS**3)))
        colour = next(c % _LEVELS**3 for c in nearest if c % _LEVELS**3 not in taken)
        taken.add(colour)
        chosen.append(colour)
    return _lattice(np.array(chosen))


COLOURS: dict[str, Assignment] = {"random": random_colours, "location": location_colours}


def colormap(labels: np.ndarray, *, colours: str = "random", seed: int = 0) -> np.ndarray:
    """The colormap M_c of a label map.

    Args:
        labels: (H, W) integer, 0 = none.
        colours: method that assigns the colours, a key of `COLOURS`.
        seed: random seed for that method.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        InputError: there are more than `MOST_ENTITIES` entities.
    """
    count = int(labels.max(initial=0))
    if count > MOST_ENTITIES:
        raise InputError(f"A colormap has {MOST_ENTITIES} colours for {count} entities; leave out the smallest ones.")
    return COLOURS[colours](labels, count, seed)[labels]


def _lattice(numbers: np.ndarray) -> np.ndarray:
    """Lattice indices 0..4,095 → colours (N, 3) uint8 RGB; 0 is black."""
    digits = np.stack((numbers // _LEVELS**2, numbers // _LEVELS % _LEVELS, numbers % _LEVELS), axis=1)
    return (digits * (255 // (_LEVELS - 1))).astype(np.uint8)


def without_gaps(labels: np.ndarray, reach: float) -> np.ndarray:
    """Grows masks into the gaps between them: segmenters leave small gaps, but the masks in training had none.

    Args:
        labels: (H, W) integer, 0 = none.
        reach: pixels without an entity take the label of the nearest one within this distance, in pixels.

    Returns:
        (H, W) of the same dtype; no entity loses a pixel.
    """
    if reach <= 0 or not labels.any():
        return labels
    distance, (y, x) = distance_transform_edt(labels == 0, return_indices=True)
    return np.where(distance <= reach, labels[y, x], labels)
