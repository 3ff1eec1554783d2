"""Soft edges: the alpha of a mask, from the colours of the photo around its contour.

A guided filter (K. He, J. Sun, X. Tang, "Guided Image Filtering", TPAMI 2013) makes alpha a linear function of colour
in every window, so that it steps where the photo does and fades where the photo fades. It is applied twice: once in
wide windows, whose result at one half is the contour laid onto the photo's edge, and once in narrow ones, which make
that contour soft. The filter is kornia's: that is in every ComfyUI, while pymatting brings numba (200 MB, bounds on
NumPy, a minute of compilation) and OpenCV has the filter only in its contrib build.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import ndimage

from .checks import is_number, is_whole, kind_of
from .errors import EsgError, InputError

_TILE = 256  # pixels a side; memory is that of one tile and its surroundings, however large the photo
_FULL_RADIUS = 8  # from twice this on, the coefficients of the filter are computed on fewer pixels


def soft_alpha(
    image: np.ndarray,
    mask: np.ndarray,
    *,
    width: int = 8,
    contrast: float = 0.03,
    progress: Callable[[int, int, str], None] | None = None,
) -> np.ndarray:
    """How much of every pixel belongs to a mask.

    Parts of a mask that are thinner than `width`, and that do not differ in colour from what is around them, fade away.

    Args:
        image: (H, W, 3) uint8 RGB, the photo of the mask.
        mask: (H, W) bool.
        width: pixels on both sides of the contour in which the edge is sought, 0..128; 0 leaves the mask as it is. What
            lies deeper inside stays 1, what lies farther outside stays 0. About three times as much as the mask is off.
        contrast: differences in colour well below this make no edge, as a part of the range from black to white, above
            0 and up to 1; more gives smoother edges.
        progress: called as `progress(done, total, "edges")`; what it raises ends the call.

    Returns:
        (H, W) float32, 0..1.

    Raises:
        InputError: photo and mask are none or differ in size, or an option is out of range.
        EsgError: kornia is not installed.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise InputError(f"The photo must be (height, width, 3) uint8, not {kind_of(image)}.")
    if not isinstance(mask, np.ndarray) or mask.dtype != bool or mask.shape != image.shape[:2]:
        raise InputError(f"The mask must be {image.shape[:2]} bool, as the photo, not {kind_of(mask)}.")
    in_range = is_whole(width) and is_number(contrast) and 0 <= width <= 128 and 0 < contrast <= 1
    if not in_range:
        raise InputError(
            "The width is a whole number from 0 to 128 pixels and the contrast above 0 and up to 1, "
            f"unlike {width!r} and {contrast!r}."
        )
    alpha = mask.astype(np.float32)
    if width == 0:
        return alpha
    step = _step(width)
    halo = 2 * (width + max(1, width // 3)) + 1  # two filters, each of which looks at windows around windows
    halo += -halo % step
    corners = [(top, left) for top in range(0, mask.shape[0], _TILE) for left in range(0, mask.shape[1], _TILE)]
    for done, (top, left) in enumerate(corners):
        if progress is not None:
            progress(done, len(corners), "edges")
        y0, x0 = max(top - halo, 0), max(left - halo, 0)
        around = np.s_[y0 : top + _TILE + halo, x0 : left + _TILE + halo]
        if mask[around].all() or not mask[around].any():
            continue
        refined = _refine(image[around], mask[around], width, contrast)
        tile = alpha[top : top + _TILE, left : left + _TILE]
        tile[...] = refined[top - y0 :, left - x0 :][: tile.shape[0], : tile.shape[1]]
    if progress is not None:
        progress(len(corners), len(corners), "edges")
    return alpha


def _refine(image: np.ndarray, inside: np.ndarray, width: int, contrast: float) -> np.ndarray:
    """Alpha of a piece of a picture, (h, w) float32; near the border of the piece it is not that of the whole."""
    near = ndimage.distance_transform_edt(inside) + ndimage.distance_transform_edt(~inside) <= width
    coarse = _filter(image, inside, width, contrast**2)
    on_edge = np.where(near, coarse > 0.5, inside)
    fine = _filter(image, on_edge, max(1, width // 3), contrast**2)
    return np.where(near, np.clip(fine, 0, 1), inside)


def _filter(guide: np.ndarray, signal: np.ndarray, radius: int, eps: float) -> np.ndarray:
    """The guided filter with guide (h, w, 3) uint8 and signal (h, w) bool, (h, w) float32."""
    guided_blur, torch = _libraries()
    height, width = signal.shape
    step = _step(radius)
    more = ((0, -height % step), (0, -width % step))  # kornia takes whole steps only
    colours = np.pad(guide, (*more, (0, 0)), mode="edge").astype(np.float32) / 255
    levels = np.pad(signal, more, mode="edge").astype(np.float32)
    side = 2 * (radius // step * step) + 1
    filtered = guided_blur(
        torch.from_numpy(colours).permute(2, 0, 1)[None],
        torch.from_numpy(levels)[None, None],
        side,
        eps,
        "replicate",
        step,
    )
    return filtered[0, 0, :height, :width].numpy()


def _step(radius: int) -> int:
    """Every how many pixels the filter computes its coefficients, a power of two (He and Sun, "Fast Guided Filter")."""
    return 1 << max(0, (radius // _FULL_RADIUS).bit_length() - 1)


def _libraries() -> tuple[Any, Any]:
    try:
        from kornia.filters import guided_blur
    except ImportError:
        raise EsgError("Soft edges need kornia: pip install kornia (or the extra esg[edges]).") from None
    import torch

    return guided_blur, torch
