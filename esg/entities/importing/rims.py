"""Soft rims between the uniform areas of a label picture, which anti-aliasing or a lossy format leaves."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .panoptic import ids_of_colours

_FEWEST = 8  # colours of rims; fewer may be small entities
_MOST_AREAS = 4096
_REACH = 3  # pixels from the middle of a rim to its end
_OFF = 24  # distance in colour at which a pixel is still a blend of two areas; resampling overshoots that much
_OFF_GREY = 8  # likewise for grey, where everything lies on one line
_APART = 16  # numbers of grey areas differ by this much; ids in a row are never a picture with soft rims
_BLENDS = 0.9  # fraction of the pixels beside uniform areas that are blends, if there are rims
_NOISE = 10  # difference of a channel within a uniform area of a lossy format
_NEAR = 48  # likewise, between two of its areas, which must differ by more
_UNIFORM = 0.5  # fraction of a label picture in a lossy format that lies within uniform areas
_BLOCK = 8  # pixels that noise spreads from a rim, the side of JPEG's blocks
_TINY = 0.0005  # fraction of the picture below which an area of a lossy format is noise


def is_flat(values: np.ndarray) -> np.ndarray:
    """(H, W) bool: whether all neighbours of a pixel, including diagonal ones, have its number."""
    padded = np.pad(values, [(1, 1), (1, 1)] + [(0, 0)] * (values.ndim - 2), mode="edge")
    height, width = values.shape[:2]
    flat = np.ones((height, width), bool)
    for y in range(3):
        for x in range(3):
            same = padded[y : y + height, x : x + width] == values
            flat &= same if same.ndim == 2 else same.all(axis=2)
    return flat


def without_rims(values: np.ndarray) -> np.ndarray | None:
    """A label picture whose soft rims belong to the areas beside them; None if it does not have such rims.

    Areas contain at least 3x3 pixels of one colour. All other colours are rims if there are many of them, and nearly
    every one is a blend of two areas that meet there; otherwise they are small entities.

    Args:
        values: (H, W) uint8 grey, or (H, W, 3) uint8 RGB.
    """
    ids = values if values.ndim == 2 else ids_of_colours(values)
    if len(_numbers(ids)) < _FEWEST + 2:
        return None
    areas = _numbers(ids[is_flat(ids)])
    rim = ~np.isin(ids, areas)
    if not 2 <= len(areas) <= _MOST_AREAS or len(_numbers(ids[rim])) < _FEWEST:
        return None
    if values.ndim == 2 and np.diff(areas).min() < _APART:
        return None
    place = _nearest(rim)
    filled = ids[place]
    low, high = (one(filled, 2 * _REACH + 1)[rim] for one in (ndimage.minimum_filter, ndimage.maximum_filter))
    if values.ndim == 2:
        colours, ends = values[rim][:, None], (low[:, None].astype(np.uint8), high[:, None].astype(np.uint8))
    else:
        colours, ends = values[rim], (_colours_of(low), _colours_of(high))
    off = _OFF if values.ndim == 3 else _OFF_GREY
    part, distance = _as_blend(colours, *ends)
    blends = (low != high) & (distance <= off)
    if blends.mean() < _BLENDS:
        return None
    found = values[place]
    nearer = np.where((part < 0.5)[:, None], ends[0], ends[1])
    found[rim] = np.where(blends[:, None], nearer, found[rim].reshape(nearer.shape)).reshape(found[rim].shape)
    return found


def areas_of_lossy(rgb: np.ndarray) -> np.ndarray | None:
    """The same for a label picture that went through a lossy format: (H, W, 3) uint8; None if it is a photo.

    Most of a label picture lies within a few uniform areas, whose pixels hardly differ, and the rest is near
    their rims.
    """
    spread = ndimage.maximum_filter(rgb, (3, 3, 1)).astype(np.int16) - ndimage.minimum_filter(rgb, (3, 3, 1))
    flat = spread.max(axis=2) <= _NOISE
    if flat.mean() < _UNIFORM:
        return None
    colours, often = np.unique(ids_of_colours(rgb)[flat], return_counts=True)
    found = _colours_of(colours).astype(np.int16)
    result = np.zeros_like(rgb)
    known = np.zeros(flat.shape, bool)
    left = np.ones(len(colours), bool)
    within = total = 0
    for most in np.argsort(-often):
        if not left[most]:
            continue
        off = np.abs(found - found[most]).max(axis=1)
        mine = left & (off <= _NEAR)
        left &= ~mine
        total += int(often[mine].sum())
        within += int(often[mine & (off <= _NOISE)].sum())
        if often[mine].sum() < _TINY * flat.size:
            continue
        here = flat & (np.abs(rgb.astype(np.int16) - found[most]).max(axis=2) <= _NOISE)
        result[here], known = found[most], known | here
        if len(np.unique(ids_of_colours(result[known]))) > _FEWEST * _FEWEST:
            return None
    if within < _BLENDS * total or known.mean() < _UNIFORM:
        return None
    result[result.max(axis=2) <= 2 * _NOISE] = 0
    result = result[_nearest(~known)]
    ids = ids_of_colours(result)
    beside = ndimage.minimum_filter(ids, 2 * _BLOCK + 1) != ndimage.maximum_filter(ids, 2 * _BLOCK + 1)
    return result if known.all() or beside[~known].mean() >= _BLENDS else None


def _numbers(ids: np.ndarray) -> np.ndarray:
    """The different numbers, sorted; counting those of 8 bits is much faster than sorting a large picture."""
    return np.flatnonzero(np.bincount(ids.ravel())) if ids.dtype == np.uint8 else np.unique(ids)


def _nearest(missing: np.ndarray) -> tuple[np.ndarray, ...]:
    """For every pixel, the place of the nearest one that is not missing, as an index."""
    return tuple(ndimage.distance_transform_edt(missing, return_distances=False, return_indices=True))


def _colours_of(ids: np.ndarray) -> np.ndarray:
    """The (N, 3) uint8 colours of N ids; the reverse of `panoptic.ids_of_colours`."""
    return np.stack([ids & 255, ids >> 8 & 255, ids >> 16], axis=1).astype(np.uint8)


def _as_blend(colours: np.ndarray, one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The (N,) fractions of another colour in (N, C) colours, and how far they are from such a mixture."""
    start = one.astype(np.float32)
    along = other.astype(np.float32) - start
    length = np.maximum((along**2).sum(axis=1), 1)
    part = np.clip(((colours - start) * along).sum(axis=1) / length, 0, 1)
    return part, np.sqrt(((colours - start - part[:, None] * along) ** 2).sum(axis=1))
