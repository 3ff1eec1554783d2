"""Soft edges: the alpha of a mask, from the colours of the photo around its contour.

A guided filter (K. He, J. Sun, X. Tang, "Guided Image Filtering", TPAMI 2013) makes alpha a linear function of colour
in every window, so that it steps where the photo does and fades where the photo fades. It is applied twice: in wide
windows, whose result at one half moves the contour onto the photo's edge, and in narrow ones, which soften that
contour. It is implemented here with SciPy's box filter, whose time does not grow with the window: kornia's took ten
times as long, pymatting requires numba (200 MB, bounds on NumPy, a minute of compilation), and OpenCV has the filter
only in its contrib build.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image
from scipy import ndimage

from ..pictures.resizing import resize
from ..support.checks import is_number, is_whole, type_name
from ..support.errors import InputError
from ..support.progress import Progress, Stage

_TILE = 64  # pixels per side; only tiles along the contour are computed, and small ones follow it closely
_FULL_RADIUS = 8  # from twice this radius on, the filter's coefficients are computed on fewer pixels


def soft_alpha(
    image: np.ndarray,
    mask: np.ndarray,
    *,
    width: int = 8,
    contrast: float = 0.03,
    progress: Progress | None = None,
) -> np.ndarray:
    """The fraction of every pixel that belongs to a mask.

    Parts of a mask that are thinner than `width` and do not differ in colour from their surroundings fade away.

    Args:
        image: (H, W, 3) uint8 RGB, the photo of the mask.
        mask: (H, W) bool.
        width: pixels on both sides of the contour in which to look for the edge, 0..128; 0 leaves the mask unchanged.
            Pixels deeper inside stay 1, pixels farther outside stay 0. Use about three times the error of the mask.
        contrast: colour differences well below this do not count as an edge; a fraction of the range from black to
            white, above 0 and up to 1. Higher values give smoother edges.
        progress: called as `progress(done, total, Stage.EDGES)`; an exception from it ends the call.

    Returns:
        (H, W) float32, 0..1.

    Raises:
        InputError: photo or mask is invalid, their sizes differ, or an option is out of range.

    >>> photo = np.full((20, 20, 3), 200, np.uint8)
    >>> photo[:, :10] = 30
    >>> inside = np.zeros((20, 20), bool)
    >>> inside[:, :10] = True
    >>> alpha = soft_alpha(photo, inside, width=4)
    >>> float(alpha[10, 1]), float(alpha[10, 18])
    (1.0, 0.0)
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise InputError(f"The photo must be (height, width, 3) uint8, not {type_name(image)}.")
    if not isinstance(mask, np.ndarray) or mask.dtype != bool or mask.shape != image.shape[:2]:
        raise InputError(f"The mask must be {image.shape[:2]} bool, like the photo, not {type_name(mask)}.")
    in_range = is_whole(width) and is_number(contrast) and 0 <= width <= 128 and 0 < contrast <= 1
    if not in_range:
        raise InputError(
            "The width must be a whole number from 0 to 128 pixels and the contrast above 0 and up to 1, "
            f"not {width!r} and {contrast!r}."
        )
    alpha = mask.astype(np.float32)
    if width == 0:
        return alpha
    step = _step(width)
    halo = 2 * (width + max(1, width // 3)) + 1  # two filters, each of which looks at windows around windows
    pieces = list(_along_contour(mask, width))
    for done, (rows, columns) in enumerate(pieces):
        if progress is not None:
            progress(done, len(pieces), Stage.EDGES)
        y0, x0 = (max(s.start - halo, 0) // step * step for s in (rows, columns))
        around = np.s_[y0 : rows.stop + halo, x0 : columns.stop + halo]
        refined = _refine(image[around], mask[around], width, contrast)
        alpha[rows, columns] = refined[rows.start - y0 : rows.stop - y0, columns.start - x0 : columns.stop - x0]
    if progress is not None:
        progress(max(1, len(pieces)), max(1, len(pieces)), Stage.EDGES)  # also for a mask without a contour
    return alpha


def _along_contour(mask: np.ndarray, width: int) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of disjoint tiles that cover everything within `width` of the contour."""
    height, across = mask.shape
    edge = np.zeros(mask.shape, bool)  # the last pixels before a change, downwards and to the right
    np.not_equal(mask[1:], mask[:-1], out=edge[:-1])
    edge[:, :-1] |= mask[:, 1:] != mask[:, :-1]
    for top in range(0, height, _TILE):
        low = max(top - width - 1, 0)
        band = edge[low : top + _TILE + width]
        if not band.any():
            continue
        for left in range(0, across, _TILE):
            first = max(left - width - 1, 0)
            near = band[:, first : left + _TILE + width]
            y, x = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
            if len(y):
                yield (
                    slice(max(top, low + y[0] - width), min(top + _TILE, low + y[-1] + width + 2, height)),
                    slice(max(left, first + x[0] - width), min(left + _TILE, first + x[-1] + width + 2, across)),
                )


def _refine(image: np.ndarray, inside: np.ndarray, width: int, contrast: float) -> np.ndarray:
    """Alpha of a tile, (h, w) float32; near the tile's border it differs from that of the whole picture."""
    near = ndimage.distance_transform_edt(inside) + ndimage.distance_transform_edt(~inside) <= width
    coarse = _filter(image, inside, width, contrast**2)
    on_edge = np.where(near, coarse > 0.5, inside)
    fine = _filter(image, on_edge, max(1, width // 3), contrast**2)
    return np.where(near, np.clip(fine, 0, 1), inside)


def _filter(guide: np.ndarray, signal: np.ndarray, radius: int, eps: float) -> np.ndarray:
    """The guided filter with guide (h, w, 3) uint8 and signal (h, w) bool, (h, w) float32."""
    step = _step(radius)
    side = 2 * (radius // step) + 1
    colours = guide / 255  # float64: in a grey photo the colours' covariance is nearly singular
    small = [_shrunk(colours[..., channel], step) for channel in range(3)]
    levels = _shrunk(signal.astype(np.float64), step)

    def mean(values: np.ndarray) -> np.ndarray:
        return ndimage.uniform_filter(values, side, mode="nearest")

    means, level = [mean(one) for one in small], mean(levels)
    # The covariance of the colours, and that of each colour with the signal.
    pairs = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
    rr, rg, rb, gg, gb, bb = (mean(small[i] * small[j]) - means[i] * means[j] for i, j in pairs)
    rr, gg, bb = rr + eps, gg + eps, bb + eps
    r, g, b = (mean(one * levels) - of_one * level for one, of_one in zip(small, means))
    # Its inverse by cofactors: for millions of 3×3 matrices, a solver would take most of the time.
    c_rr, c_rg, c_rb = gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg
    c_gg, c_gb, c_bb = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
    determinant = rr * c_rr + rg * c_rg + rb * c_rb
    slopes = [
        (c_rr * r + c_rg * g + c_rb * b) / determinant,
        (c_rg * r + c_gg * g + c_gb * b) / determinant,
        (c_rb * r + c_gb * g + c_bb * b) / determinant,
    ]
    offset = level - sum(slope * of_one for slope, of_one in zip(slopes, means))
    height, width = signal.shape
    whole = levels.shape[0] * step, levels.shape[1] * step

    def large(values: np.ndarray) -> np.ndarray:
        return resize(mean(values).astype(np.float32), whole, Image.Resampling.BILINEAR)[:height, :width]

    filtered = large(offset)
    for channel, slope in enumerate(slopes):
        filtered = filtered + large(slope) * colours[..., channel].astype(np.float32)
    return filtered


def _shrunk(values: np.ndarray, step: int) -> np.ndarray:
    """The means over squares of `step` × `step` pixels, of (h, w) float64; the border is repeated at the end."""
    if step == 1:
        return values
    height, width = values.shape
    padded = np.pad(values, ((0, -height % step), (0, -width % step)), mode="edge")
    return padded.reshape(padded.shape[0] // step, step, -1, step).mean(axis=(1, 3))


def _step(radius: int) -> int:
    """The spacing of the filter's coefficients in pixels, a power of two (He and Sun, "Fast Guided Filter")."""
    return 1 << max(0, (radius // _FULL_RADIUS).bit_length() - 1)
