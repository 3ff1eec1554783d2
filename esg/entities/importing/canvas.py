"""A picture on which the masks of a file are drawn one by one; a mask that cannot be used does not stop the others."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ...support.errors import InputError
from ..polygons import box_of, fill_polygons
from ..rle import Rle, area, encode_mask, read_counts, union
from .fields import Unusable, points
from .stack import MAX_DRAWN

NO_PIXEL = "has no pixel in the picture"
FRACTIONS = "has coordinates from 0 to 1, which are fractions and not pixels"
_CROSSING = 50  # pixels that can be filled while an edge crosses one row
_SMOOTHER = 0.7  # fraction of the other rim below which the right height of a mask's columns is certain
_CORNERS = 360  # at most, of the polygon drawn for an ellipse


def _rows_crossed(corners: np.ndarray, height: int) -> int:
    """The number of times that the edges of a polygon cross a row of the picture."""
    y = np.clip(corners[:, 1], 0, height)
    return int(np.abs(y - np.roll(y, 1)).sum())


def _are_fractions(polygons: Iterable[np.ndarray]) -> bool:
    """Whether polygons lie within the first pixel, which masks never do, and not only at its corners."""
    corners = np.concatenate(list(polygons))
    return bool(((corners >= 0) & (corners <= 1)).all() and (corners % 1 != 0).any())


def _is_smoother(counts: np.ndarray, height: int, *, than: int) -> bool:
    """Whether the mask of some run lengths has a clearly shorter rim if its columns have one height than another.

    With the wrong height, a mask is sheared, and hardly any pixel is beside one of the next column.
    """
    inside = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    rims = [int((inside[side:] != inside[:-side]).sum()) for side in (height, than)]
    return rims[0] < _SMOOTHER * rims[1]


class Canvas:
    """Draws masks of one size, and stops before they take too long in total.

    Attributes:
        size: height, width.
        source: the file of the masks.
        fractions: whether polygons are in fractions of the picture instead of pixels.
    """

    def __init__(self, size: tuple[int, int], source: str, *, fractions: bool = False) -> None:
        self.size, self.source, self.fractions = size, source, fractions
        self.dropped: list[str] = []  # for each unusable piece of the last mask, why it is unusable
        self.corner = (0.0, 0.0)  # the largest x and y of all polygons
        self._drawn = 0

    def polygons(self, polygons: Iterable[Any], holes: Iterable[Any] = ()) -> Rle:
        """The union of polygons without the holes, each in a notation that `fields.points` accepts.

        Pieces that cannot be used are dropped.

        Raises:
            Unusable: none of them is a polygon, or no pixel is inside.
            InputError: too much was drawn.
        """
        sound = self._sound(polygons)
        if not sound:
            raise Unusable(self.dropped[0] if self.dropped else "has fewer than three points")
        cut = self._sound(holes)
        if self.fractions:
            sound, cut = ([one * self.size[::-1] for one in outlines] for outlines in (sound, cut))
        elif max(self.size) > 1 and _are_fractions(sound):
            raise Unusable(FRACTIONS)
        farthest = np.concatenate(sound).max(axis=0)
        self.corner = (max(self.corner[0], float(farthest[0])), max(self.corner[1], float(farthest[1])))
        left, top, right, bottom = box_of(sound, *self.size)
        self.count((right - left) * (bottom - top) * (len(sound) + len(cut)))
        self.count(_CROSSING * sum(_rows_crossed(corners, self.size[0]) for corners in (*sound, *cut)))
        mask = fill_polygons(sound, *self.size, holes=cut, packed=False)
        if not area(mask):
            raise Unusable(NO_PIXEL)
        return mask

    def _sound(self, polygons: Iterable[Any]) -> list[np.ndarray]:
        found = []
        for polygon in polygons:
            try:
                corners = points(polygon)
                if len(corners) < 3:
                    raise Unusable("has fewer than three points")
                found.append(corners)
            except Unusable as error:
                self.dropped.append(str(error))
        return found

    def rectangle(self, x0: float, y0: float, x1: float, y1: float) -> Rle:
        """The pixels with centres between two corners."""
        return self.polygons([np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float64)])

    def ellipse(self, x: float, y: float, rx: float, ry: float, turned: float = 0.0) -> Rle:
        """An ellipse, by its centre, its two radii in pixels, and its clockwise rotation in degrees."""
        corners = min(_CORNERS, 16 + int(2 * max(abs(rx), abs(ry))))
        angles = np.arange(corners) * (2 * np.pi / corners)
        along, across = rx * np.cos(angles), ry * np.sin(angles)
        cosine, sine = math.cos(math.radians(turned)), math.sin(math.radians(turned))
        return self.polygons([np.stack([x + along * cosine - across * sine, y + along * sine + across * cosine], 1)])

    def rle(self, rle: Rle) -> Rle:
        """An RLE of this size, checked.

        Raises:
            Unusable: it is malformed, or its size differs.
            InputError: too much was drawn.
        """
        try:
            counts = read_counts(rle)
        except InputError as error:
            reason = str(error).rstrip(".").removeprefix("A mask is not a COCO RLE: ").removeprefix("A mask's RLE ")
            raise Unusable(f"is damaged ({reason})") from None
        height, width = (int(side) for side in rle["size"])
        if (width, height) == self.size != (height, width):
            self.count(height * width)
            if _is_smoother(counts, width, than=height):
                height, width = self.size  # its columns are as long as those of the picture: only the size is swapped
        if (height, width) != self.size:
            swapped = "; COCO's size is [height, width]" if (width, height) == self.size else ""
            raise Unusable(
                f"is {width}x{height} pixels large, but its picture has {self.size[1]}x{self.size[0]}{swapped}"
            )
        self.count(int(counts[1::2].sum()))
        return {"size": [height, width], "counts": counts}

    def patch(self, mask: np.ndarray, left: int, top: int) -> Rle:
        """An (h, w) bool mask whose upper left pixel is at left, top; parts beyond the picture are cut off."""
        self.count(mask.size)
        height, width = self.size
        rows = slice(max(-top, 0), max(min(mask.shape[0], height - top), 0))
        columns = slice(max(-left, 0), max(min(mask.shape[1], width - left), 0))
        inside = mask[rows, columns]
        if not inside.any():
            raise Unusable(NO_PIXEL)
        return encode_mask(inside, corner=(max(left, 0), max(top, 0)), size=self.size, packed=False)

    def count(self, pixels: int) -> None:
        """Adds to the number of pixels drawn so far; raises InputError if they are too many."""
        self._drawn += pixels
        if self._drawn > MAX_DRAWN:
            raise InputError(
                f"The masks in {self.source} have more than {MAX_DRAWN:,} pixels in total; use fewer or smaller ones."
            )


def draw_all(pieces: Sequence[Callable[[Canvas], Rle]], canvas: Canvas) -> Rle:
    """The union of the pieces of one mask; unusable pieces are dropped.

    Raises:
        Unusable: none of them can be used.
        InputError: too much was drawn.
    """
    masks, reasons = [], []
    for draw in pieces:
        try:
            masks.append(draw(canvas))
        except Unusable as error:
            reasons.append(str(error))
    if not masks:
        raise Unusable(reasons[0])
    canvas.dropped += reasons
    return union(masks)
