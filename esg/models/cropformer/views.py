"""Views of a photo: the full image and crops of it, each resized to the model's working size.

A view is a rectangle of the photo (paper Sec. 4, "Crop Dataloader"; the crop ratio is δ). Crops are cut out before
anything is resized, so at the same working size they keep 1/δ times the detail of the full view.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from ...support.checks import check_whole, is_number, is_whole, type_name
from ...support.errors import InputError

PIXEL_MEAN = (123.675, 116.28, 103.53)  # RGB, for values 0..255
PIXEL_STD = (58.395, 57.12, 57.375)
PADDING_MULTIPLE = 32  # the coarsest backbone stride
CROP_COUNTS = (0, 4, 8)
BAND_PIXELS = 2**22  # number of photo pixels that are passed to Pillow at a time

Box = tuple[int, int, int, int]  # x0, y0, x1, y1 in photo pixels, x1 and y1 exclusive
Size = tuple[int, int]  # height, width


def view_boxes(height: int, width: int, crops: int = 4, ratio: float = 0.7) -> list[Box]:
    """The rectangles of the views, full view first.

    The order is: full; for 4, the top-left, top-right, bottom-left and bottom-right corners; for 8, these and then the
    midpoints of the top, left, right and bottom sides. A side of a crop is `int(ratio * side)` pixels, at least one.

    Args:
        height: height of the photo in pixels.
        width: width of the photo in pixels.
        crops: 0, 4 or 8 (paper Table 9b).
        ratio: side of a crop as a share of the photo's side, 0 < ratio <= 1 (δ, paper Table 9a).

    Raises:
        InputError: the number of crops is not 0, 4 or 8, the ratio is out of range, or the photo has no pixels.
    """
    check_crops(crops)
    check_ratio(ratio)
    if height < 1 or width < 1:
        raise InputError(f"A photo of {width}×{height} pixels cannot have views; give one of at least 1×1.")
    # In double precision, like the authors: int(0.7 * 90) is 62.
    crop_h, crop_w = max(1, int(ratio * height)), max(1, int(ratio * width))
    right, bottom = width - crop_w, height - crop_h
    corners = [(0, 0), (right, 0), (0, bottom), (right, bottom)]
    sides = [(right // 2, 0), (0, bottom // 2), (right, bottom // 2), (right // 2, bottom)]
    origins = (corners + sides)[:crops]
    return [(0, 0, width, height), *((x, y, x + crop_w, y + crop_h) for x, y in origins)]


def check_crops(crops: object) -> None:
    """Raises InputError unless `crops` is 0, 4 or 8."""
    if not is_whole(crops) or crops not in CROP_COUNTS:
        raise InputError(f"crops is {crops!r}, but must be a whole number, 0, 4 or 8.")


def check_ratio(ratio: object) -> None:
    """Raises InputError unless `ratio` is a number above 0 and at most 1."""
    if not is_number(ratio) or not 0 < ratio <= 1:
        raise InputError(f"The crop ratio is {ratio!r}, but must be above 0 and at most 1.")


def resized_size(height: int, width: int, short: int = 800, longest: int = 1333) -> Size:
    """Working size (h, w) of a view: short side `short`, unless the long side would exceed `longest`; at least 1×1."""
    scale = short / min(height, width)
    h, w = (short, scale * width) if height < width else (scale * height, short)
    if max(h, w) > longest:
        scale = longest / max(h, w)
        h, w = h * scale, w * scale
    return max(1, int(h + 0.5)), max(1, int(w + 0.5))


@dataclass(frozen=True)
class ViewGeometry:
    """The positions of T views in the photo and in the model's input.

    Attributes:
        image_size: (height, width) of the photo.
        boxes: T rectangles (x0, y0, x1, y1) in photo pixels.
        sizes: T sizes (h, w) after resizing, without padding.
        padded_size: (h, w) of the model's input, shared by all views; the padding is at the right and the bottom.
    """

    image_size: Size
    boxes: tuple[Box, ...]
    sizes: tuple[Size, ...]
    padded_size: Size

    @classmethod
    def plan(
        cls, height: int, width: int, *, crops: int = 4, short: int = 800, longest: int = 1333, ratio: float = 0.7
    ) -> ViewGeometry:
        """The geometry for a photo of `height` × `width` pixels; see `make_views` for arguments and errors."""
        check_whole("short", short, 1)
        check_whole("longest", longest, 1)
        boxes = tuple(view_boxes(height, width, crops, ratio))
        sizes = tuple(resized_size(y1 - y0, x1 - x0, short, longest) for x0, y0, x1, y1 in boxes)
        padded = tuple(-(-max(side) // PADDING_MULTIPLE) * PADDING_MULTIPLE for side in zip(*sizes, strict=True))
        return cls((height, width), boxes, sizes, (padded[0], padded[1]))

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def frames(self) -> torch.Tensor:
        """The part of the photo that each view with its padding spans.

        (T, 4) float32, x0, y0, x1, y1 in widths and heights of the photo; x1 and y1 may exceed 1.
        """
        (height, width), (padded_h, padded_w) = self.image_size, self.padded_size
        return torch.tensor(
            [
                (
                    x0 / width,
                    y0 / height,
                    (x0 + (x1 - x0) * padded_w / w) / width,
                    (y0 + (y1 - y0) * padded_h / h) / height,
                )
                for (x0, y0, x1, y1), (h, w) in zip(self.boxes, self.sizes, strict=True)
            ]
        )

    def select(self, indices: Sequence[int]) -> ViewGeometry:
        """The same photo and padded size, but only the views at `indices`."""
        boxes = tuple(self.boxes[i] for i in indices)
        sizes = tuple(self.sizes[i] for i in indices)
        return ViewGeometry(self.image_size, boxes, sizes, self.padded_size)


@dataclass(frozen=True)
class Views:
    """The model's input for one photo.

    Attributes:
        pixels: (T, 3, H, W) float32, RGB normalised by `PIXEL_MEAN` and `PIXEL_STD`, zero padded right and bottom.
        geometry: positions of the T views.
    """

    pixels: torch.Tensor
    geometry: ViewGeometry

    @property
    def boxes(self) -> list[Box]:
        """T rectangles (x0, y0, x1, y1) in photo pixels."""
        return list(self.geometry.boxes)

    @property
    def sizes(self) -> list[Size]:
        """T sizes (h, w) after resizing, without padding."""
        return list(self.geometry.sizes)

    @property
    def image_size(self) -> Size:
        """(height, width) of the photo."""
        return self.geometry.image_size


def cut_view(image: np.ndarray, box: Box, size: Size) -> np.ndarray:
    """Cuts `box` out of `image` (H, W, 3) uint8 and resizes it to (h, w, 3) uint8, identical to Pillow's BILINEAR.

    Pillow resamples along x to uint8 and then along y. Doing the first step in bands of rows keeps Pillow's own copy
    (four bytes per pixel) at a few megabytes, however large the photo is.
    """
    x0, y0, x1, y1 = box
    h, w = size
    rows = max(1, BAND_PIXELS // (x1 - x0))
    narrow = np.empty((y1 - y0, w, 3), np.uint8)
    for y in range(y0, y1, rows):
        band = np.ascontiguousarray(image[y : min(y + rows, y1), x0:x1])
        narrow[y - y0 : y - y0 + rows] = _resize(band, len(band), w)
    return _resize(narrow, h, w)


def _resize(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    return np.array(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))


def make_views(
    image: np.ndarray, *, crops: int = 4, short: int = 800, longest: int = 1333, ratio: float = 0.7
) -> Views:
    """Cuts, resizes, normalises and pads all views of a photo.

    Args:
        image: (H, W, 3) uint8 RGB.
        crops: 0, 4 or 8; the order of the views is that of `view_boxes`.
        short: length of a view's short side in the model's input, in pixels.
        longest: upper limit of its long side, in pixels.
        ratio: side of a crop as a share of the photo's side.

    Raises:
        InputError: `image` has another shape or dtype, or an option is out of range.
    """
    if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(f"Views need an (H, W, 3) uint8 RGB array, but this one is {type_name(image)}.")
    geometry = ViewGeometry.plan(*image.shape[:2], crops=crops, short=short, longest=longest, ratio=ratio)
    mean, std = (torch.tensor(values)[:, None, None] for values in (PIXEL_MEAN, PIXEL_STD))
    pixels = torch.zeros(len(geometry), 3, *geometry.padded_size)
    for view, box, (h, w) in zip(pixels, geometry.boxes, geometry.sizes, strict=True):
        values = torch.from_numpy(cut_view(image, box, (h, w))).permute(2, 0, 1)  # (3, h, w)
        view[:, :h, :w] = (values - mean) / std
    return Views(pixels, geometry)
