"""Everyday names of colours in pictures.

Names are defined in OKLCh (B. Ottosson, "A perceptual color space for image processing", 2020): lightness L in 0..1,
chroma C in 0..0.33, hue in degrees. People disagree at the borders between names; therefore a colour has one best name
and a set of names that *fit*: the names of all colours that differ slightly. Captions use the best name; a caption is
judged to be true if its name fits.

Every pixel's name is looked up in a table of colours with 5 bits per channel, which is computed on first use.
"""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np

COLOURS = (
    "black", "grey", "white", "brown", "red", "orange", "yellow", "green", "turquoise", "blue", "purple", "pink",
)  # fmt: skip
"""The names of colours, the same as in `textures.colour_name`."""

TONES = ("dark", "light")

_DARK, _LIGHT = 0.42, 0.78  # limits of lightness for the two tones
_MARGIN = 0.05  # change of lightness within which the name is debatable
_BITS = 5


def oklab(rgb: np.ndarray) -> np.ndarray:
    """OKLab coordinates (..., 3) float64 of sRGB colours (..., 3) in 0..1."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((np.maximum(rgb, 0) + 0.055) / 1.055) ** 2.4)
    cones = np.cbrt(
        linear
        @ np.array(
            [
                [0.4122214708, 0.2119034982, 0.0883024619],
                [0.5363325363, 0.6806995451, 0.2817188376],
                [0.0514459929, 0.1073969566, 0.6299787005],
            ]
        )
    )
    return cones @ np.array(
        [
            [0.2104542553, 1.9779984951, 0.0259040371],
            [0.7936177850, -2.4285922050, 0.7827717662],
            [-0.0040720468, 0.4505937099, -0.8086757660],
        ]
    )


def best_names(lab: np.ndarray) -> np.ndarray:
    """The best name of OKLab colours (..., 3), as indices (...) uint8 into `COLOURS`."""
    light, a, b = np.moveaxis(lab, -1, 0)
    chroma, hue = np.hypot(a, b), np.degrees(np.arctan2(b, a)) % 360
    # Between yellow and turquoise, a faint hue is seen as grey more often than elsewhere.
    faint = chroma < np.where((hue > 85) & (hue < 200), 0.042, 0.03)
    # The first rule that holds gives the name.
    rules = (
        ("black", (light < 0.2) | ((light < 0.31) & (faint | (chroma < 0.04)))),
        ("white", (light > 0.87) & faint | (light > 0.92) & (chroma < 0.045)),
        ("grey", faint),
        # reds
        ("pink", ((hue < 42) | (hue >= 350)) & (light > 0.72)),
        ("pink", ((hue < 15) | (hue >= 340)) & ((light > 0.62) | (chroma > 0.19) & (light > 0.5))),
        ("brown", (hue >= 15) & (hue < 42) & ((chroma < 0.08) | (light < 0.35) & (chroma < 0.1))),
        ("red", ((hue < 42) | (hue >= 352)) & (chroma >= 0.08)),
        ("pink", (hue < 15) | (hue >= 352)),
        # from orange to yellow, and duller colours
        ("orange", (hue < 76) & (chroma > 0.125) & (light > 0.6)),
        ("yellow", (hue >= 76) & (hue < 95) & (light > 0.7) & (chroma > 0.11)),
        ("brown", hue < 95),
        ("yellow", (hue < 112) & (light > 0.68) & (chroma > 0.075)),
        ("brown", (hue < 104) & (chroma < 0.08)),
        # the cold half
        ("green", hue < 168),
        ("turquoise", hue < 212),
        ("blue", hue < 285),
        ("pink", (hue >= 318) & (light > 0.75) | (hue >= 332) & (light > 0.55)),
        ("purple", np.ones(light.shape, bool)),
    )
    index = [np.uint8(COLOURS.index(name)) for name, _ in rules]
    return np.select([rule for _, rule in rules], index)


def _fitting(lab: np.ndarray) -> np.ndarray:
    """Whether each name fits OKLab colours (N, 3), as (N, 12) bool."""
    fits = np.zeros((len(lab), len(COLOURS)), bool)
    rows = np.arange(len(lab))
    # Vivid colours can change more before they look different.
    reach = 0.012 + 0.1 * np.hypot(lab[:, 1], lab[:, 2])
    for up, right, down in product((-1, 0, 1), repeat=3):
        near = lab + np.stack((np.full(len(lab), up * _MARGIN), right * reach, down * reach), 1)
        fits[rows, best_names(near)] = True
    return fits


@cache
def _table() -> tuple[np.ndarray, np.ndarray]:
    """Codes (32768,) int16 of quantised colours, and the meaning of each code: (codes, 12 + 12 + 4) float32 of 0 and 1.

    Columns: the best name, the names that fit, `TONES` clearly, `TONES` arguably. There are only some hundred codes, so
    counting codes per entity is much cheaper than counting colours.
    """
    levels = (np.arange(1 << _BITS) + 0.5) / (1 << _BITS)
    lab = oklab(np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(-1, 3))
    best = np.eye(len(COLOURS), dtype=bool)[best_names(lab)]
    light = lab[:, :1]
    tones = np.concatenate(
        (light < _DARK, light > _LIGHT, light < _DARK + 1.5 * _MARGIN, light > _LIGHT - 1.5 * _MARGIN), 1
    )
    meanings, codes = np.unique(np.concatenate((best, _fitting(lab), tones), 1), axis=0, return_inverse=True)
    return codes.reshape(-1).astype(np.int16), meanings.astype(np.float32)


def colour_shares(image: np.ndarray, labels: np.ndarray, count: int) -> tuple[np.ndarray, ...]:
    """The share of every entity that has each colour.

    Args:
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) integer, values 0..count - 1.
        count: number of rows of the result.

    Returns:
        Four arrays of shares in 0..1 (all zero for a value without pixels): (count, 12) of the pixels whose best name
        this is, (count, 12) of those that the name fits, (count, 2) of those that clearly have the tone, and (count, 2)
        of those that arguably have it.
    """
    codes, meanings = _table()
    shift = 8 - _BITS
    q = (image >> shift).astype(np.intp)
    pixels = codes[(q[..., 0] << 2 * _BITS) | (q[..., 1] << _BITS) | q[..., 2]]
    seen = np.bincount(
        (labels.astype(np.intp, copy=False) * len(meanings) + pixels).ravel(), minlength=count * len(meanings)
    )
    shares = seen.reshape(count, len(meanings)) @ meanings
    shares /= np.maximum(seen.reshape(count, -1).sum(1, keepdims=True), 1)
    names = len(COLOURS)
    return tuple(np.split(shares, (names, 2 * names, 2 * names + len(TONES)), 1))
