"""The position of a crop in its photo, and its size for the engine."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..support.checks import check_number, check_whole, is_number
from ..support.errors import InputError

MAX_TARGET = 8192
MAX_MULTIPLE = 256
_SLIMMEST = 2  # maximum aspect ratio of a crop, unless the photo ends there
_CHOICES = 64  # steps of `multiple` in either direction that are tried for the sides of a crop

Slices = tuple[slice, slice]  # rows, columns


@dataclass(frozen=True)
class CropSettings:
    """How much of a photo an engine gets to see, at which size, and how far it may go beyond the mask.

    Attributes:
        target: square root of the crop's area in pixels, for the engine: 512 for Stable Diffusion 1.5, 1024 for SDXL.
            The crop comes as close as its shape allows. 0: the crop keeps the photo's own scale.
        multiple: the crop's sides are multiples of this many pixels: 8, 16, 32 or 64, as the engine requires.
        context: the crop's sides as a multiple of those of the generation mask's box, at least 1; larger values show
            the engine more of the surroundings. The crop ends where the photo ends.
        grow: pixels of the photo by which the generation mask extends beyond the mask.
        feather: pixels of the photo over which the blend mask falls from 1 to 0, at the outer edge of the generation
            mask. All of them lie outside the mask: if this is more than `grow`, the generation mask grows by this.
        fill_holes: whether holes in the mask are generated and shown, too.
        background: soft masks count as 0 up to this value, 0..0.5, and as 1 from 1 minus this value. Some programs
            write black as 1 of 255, and video as 16 of 255; taken literally, the whole photo would be generated.
        width, height: the crop's exact size in pixels, instead of `target` and `multiple`; 0: use those.

    Raises:
        InputError: a value is out of range.

    >>> CropSettings(target=1024, multiple=64).context
    1.5
    """

    target: int = 512
    multiple: int = 8
    context: float = 1.5
    grow: int = 8
    feather: int = 4
    fill_holes: bool = True
    background: float = 0.08
    width: int = 0
    height: int = 0

    def __post_init__(self) -> None:
        check_whole("target", self.target, 0, MAX_TARGET)
        check_whole("multiple", self.multiple, 1, MAX_MULTIPLE)
        if not is_number(self.context) or not 1 <= self.context < math.inf:
            raise InputError(f"The context of a crop must be at least 1 (the mask's own box), not {self.context!r}.")
        check_whole("grow", self.grow, 0)
        check_whole("feather", self.feather, 0)
        check_number("background", self.background, 0, 0.5)
        check_whole("width", self.width, 0, MAX_TARGET)
        check_whole("height", self.height, 0, MAX_TARGET)
        if bool(self.width) != bool(self.height):
            raise InputError("Give both the width and the height of the crop, or neither.")


def frame(needed: Slices, photo_size: tuple[int, int], settings: CropSettings) -> tuple[Slices, tuple[int, int]]:
    """Places a crop.

    Args:
        needed: rows and columns of the photo that must be in it.
        photo_size: height and width.
        settings: only target, multiple and context matter here.

    Returns:
        Rows and columns of the crop's box, which may extend beyond the photo, and the crop's height and width for the
        engine, with exactly the same aspect ratio.
    """
    height, width = (math.ceil(min((s.stop - s.start) * settings.context, end)) for s, end in zip(needed, photo_size))
    height = max(height, min(-(-width // _SLIMMEST), photo_size[0]))
    width = max(width, min(-(-height // _SLIMMEST), photo_size[1]))
    lengths, size = _sides(height, width, settings)
    rows, columns = (_placed(s, length, end) for s, length, end in zip(needed, lengths, photo_size))
    return (rows, columns), size


def _placed(needed: slice, length: int, end: int) -> slice:
    """`length` pixels around the needed ones, inside the photo if they fit."""
    start = (needed.start + needed.stop - length) // 2
    start = min(max(start, 0), end - length) if length <= end else (end - length) // 2
    return slice(start, start + length)


def _sides(height: int, width: int, settings: CropSettings) -> tuple[tuple[int, int], tuple[int, int]]:
    """Sides of a box of at least this size, and of a crop with exactly its aspect ratio: (height, width) of both.

    With integers, few boxes have the ratio of a given crop, so of the crops of about the right size, the one with the
    smallest sufficient box is chosen.
    """
    multiple, target = settings.multiple, settings.target
    if settings.width:
        exact = settings.height, settings.width
        unit = math.gcd(*exact)
        repeats = max(-(-height * unit // exact[0]), -(-width * unit // exact[1]))
        return (exact[0] // unit * repeats, exact[1] // unit * repeats), exact
    if not target:
        sides = -(-height // multiple) * multiple, -(-width // multiple) * multiple
        return sides, sides
    steps = target / multiple
    down = _around(steps * math.sqrt(height / width))[:, None]
    across = _around(steps * math.sqrt(width / height))[None]
    common = np.gcd(down, across)
    times = np.maximum(-(-height * common // down), -(-width * common // across))  # box = times * ratio in lowest terms
    waste = np.log(times**2 * (down // common) * (across // common) / (height * width))
    off_target = np.abs(np.log(down * across / steps**2))
    row, column = np.unravel_index(np.argmin(waste + off_target / 2), waste.shape)
    ratio = np.array([down[row, 0], across[0, column]])
    box = ratio // common[row, column] * times[row, column]
    return (int(box[0]), int(box[1])), (int(ratio[0]) * multiple, int(ratio[1]) * multiple)


def _around(wanted: float) -> np.ndarray:
    """Whole numbers around this value, at least 1."""
    spread = min(wanted / 4, _CHOICES)
    return np.arange(max(1, math.floor(wanted - spread)), math.ceil(wanted + spread) + 1)


def in_photo(box: Slices, photo_size: tuple[int, int]) -> Slices:
    """The part of a box inside the photo."""
    rows, columns = (slice(max(s.start, 0), min(s.stop, end)) for s, end in zip(box, photo_size))
    return rows, columns
