"""Gives a picture the colours of another one: Reinhard's colour transfer.

E. Reinhard, M. Ashikhmin, B. Gooch and P. Shirley, "Color Transfer between Images", IEEE Computer Graphics and
Applications 21(5), 2001: mean and standard deviation of every channel are matched to those of the other picture, in a
colour space with nearly independent channels. The space here is CIELAB, which E. Reinhard and T. Pouli, "Colour Spaces
for Colour Transfer", 2011, found to be the best choice; unlike the logarithms of the first paper, it does not amplify
small differences in dark areas.
"""

from __future__ import annotations

import numpy as np

_RGB_TO_XYZ = np.array(  # sRGB primaries, D65
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE = _RGB_TO_XYZ.sum(axis=1)
_RGB_TO_SHARE = (_RGB_TO_XYZ.T / _WHITE).astype(np.float32)
_SHARE_TO_RGB = np.linalg.inv(_RGB_TO_XYZ.T / _WHITE).astype(np.float32)
_EDGE = 6 / 29  # below, CIELAB is linear
_NOISE = 1.0  # CIELAB units added to both spreads, because a flat area says nothing about contrast
_MOST = 2.0  # maximum factor by which contrast may rise or fall


def match_colours(picture: np.ndarray, sample: np.ndarray, wanted: np.ndarray, strength: float = 1.0) -> np.ndarray:
    """Shifts and stretches the colours of a picture so that those of `sample` look like `wanted`.

    Args:
        picture: (h, w, 3) float32 sRGB, 0..1.
        sample: (N, 3) float32 sRGB, colours from the picture; N at least 1.
        wanted: (M, 3) float32 sRGB, colours that the sample should have; M at least 1.
        strength: 0..1, fraction of the change to apply.

    Returns:
        (h, w, 3) float32 sRGB, 0..1.
    """
    ours, theirs = to_lab(sample), to_lab(wanted)
    stretch = np.clip((theirs.std(axis=0) + _NOISE) / (ours.std(axis=0) + _NOISE), 1 / _MOST, _MOST)
    matched = (to_lab(picture) - ours.mean(axis=0)) * stretch + theirs.mean(axis=0)
    return (picture + np.float32(strength) * (from_lab(matched) - picture)).astype(np.float32)


def to_lab(colours: np.ndarray) -> np.ndarray:
    """(..., 3) sRGB, 0..1, as CIELAB, float32: L 0..100, a and b around 0."""
    colours = np.clip(colours, 0, 1)
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    share = linear @ _RGB_TO_SHARE
    x, y, z = np.moveaxis(np.where(share > _EDGE**3, np.cbrt(share), share / (3 * _EDGE**2) + 4 / 29), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1).astype(np.float32)


def from_lab(lab: np.ndarray) -> np.ndarray:
    """(..., 3) CIELAB as sRGB, float32, clipped to 0..1."""
    light, a, b = np.moveaxis(lab, -1, 0)
    y = (light + 16) / 116
    root = np.stack([y + a / 500, y, y - b / 200], axis=-1)
    share = np.where(root > _EDGE, root**3, 3 * _EDGE**2 * (root - 4 / 29))
    linear = np.clip(share @ _SHARE_TO_RGB, 0, 1)
    colours = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.clip(colours, 0, 1).astype(np.float32)
