"""Random changes to pictures with labels, for training. Everything that moves pixels also moves labels."""

from __future__ import annotations

import io
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from PIL import Image, ImageFilter


@dataclass(frozen=True)
class AugmentConfig:
    """Strength of the changes that `augment` makes.

    Attributes:
        flip: share of pictures that are mirrored left to right.
        rotation: largest angle, in degrees, that pictures are turned by; what is left without empty corners is used.
        area: minimum and maximum fraction of the picture's area that a crop keeps.
        aspect: minimum and maximum change of its aspect ratio.
        brightness, contrast, saturation: largest relative change.
        hue: largest rotation of the colours, in turns.
        grey: share of pictures turned grey.
        degraded: share of pictures that are blurred, made noisy or compressed, see `degrade`.
    """

    flip: float = 0.5
    area: tuple[float, float] = (0.4, 1.0)
    aspect: tuple[float, float] = (0.7, 1.4)
    brightness: float = 0.35
    contrast: float = 0.35
    saturation: float = 0.4
    hue: float = 0.06
    grey: float = 0.05
    degraded: float = 0.5
    rotation: float = 0.0

    @property
    def whole(self) -> bool:
        """Whether all pictures keep their whole area and their aspect ratio."""
        return self.area == self.aspect == (1.0, 1.0) and not self.rotation

    @property
    def recoloured(self) -> bool:
        """Whether any colours change."""
        return any((self.brightness, self.contrast, self.saturation, self.hue, self.grey))


DEFAULT = AugmentConfig()
FLIPPED = AugmentConfig(
    area=(1.0, 1.0),
    aspect=(1.0, 1.0),
    brightness=0.0,
    contrast=0.0,
    saturation=0.0,
    hue=0.0,
    grey=0.0,
    degraded=0.0,
)
"""Pictures are mirrored and not changed otherwise."""


def augment(
    image: np.ndarray,
    labels: np.ndarray,
    rng: np.random.Generator,
    config: AugmentConfig = DEFAULT,
    size: tuple[int, int] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """A random view of a picture with labels, under different light and through a different camera.

    Args:
        image: (H, W, 3) uint8.
        labels: (H, W) int32; ids stay as they are, and some may be missing from the result.
        rng: random generator.
        config: strength of the changes.
        size: height and width of the result; the picture's own by default.

    Returns:
        The image (h, w, 3) uint8 and the labels (h, w) int32.
    """
    size = size or (labels.shape[0], labels.shape[1])
    if config.rotation:
        image, labels = rotate(image, labels, rng.uniform(-config.rotation, config.rotation))
    if not config.whole or size != labels.shape:
        image, labels = _crop(image, labels, rng, config, size)
    if rng.random() < config.flip:
        image, labels = image[:, ::-1], np.ascontiguousarray(labels[:, ::-1])
    if config.recoloured:
        image = jitter_colours(image, rng, config)
    if rng.random() < config.degraded:
        image = degrade(image, rng)
    return image, labels


def rotate(image: np.ndarray, labels: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """Turns a picture about its centre and cuts off the empty corners; what is left has the same aspect ratio.

    Args:
        image: (H, W, 3) uint8.
        labels: (H, W) int32.
        degrees: angle, counter-clockwise, from -90 to 90.

    Returns:
        The image (h, w, 3) uint8, interpolated bilinearly, and the labels (h, w) int32 at the nearest pixels.
    """
    height, width = labels.shape
    cos, sin = math.cos(math.radians(degrees)), abs(math.sin(math.radians(degrees)))
    # The corners of the part that is left touch the edges of the turned picture.
    share = min(width / (width * cos + height * sin), height / (width * sin + height * cos))
    h, w = max(1, math.floor(share * height)), max(1, math.floor(share * width))
    top, left = (height - h) // 2, (width - w) // 2
    inner = (slice(top, top + h), slice(left, left + w))
    turned = np.asarray(Image.fromarray(image).rotate(degrees, Image.Resampling.BILINEAR))
    ids = np.asarray(Image.fromarray(labels.astype(np.int32)).rotate(degrees, Image.Resampling.NEAREST))
    return turned[inner], np.ascontiguousarray(ids[inner])


def _crop(
    image: np.ndarray, labels: np.ndarray, rng: np.random.Generator, config: AugmentConfig, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """A random crop, resized: the image bilinearly, the labels by nearest neighbour on the same sampling points."""
    height, width = labels.shape
    area = rng.uniform(*config.area) * height * width
    # The crop's shape is the result's, changed by the drawn ratio.
    ratio = size[1] / size[0] * math.exp(rng.uniform(math.log(config.aspect[0]), math.log(config.aspect[1])))
    w = max(1, min(round(math.sqrt(area * ratio)), width))
    h = max(1, min(round(math.sqrt(area / ratio)), height))
    x, y = int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1))
    box, target = (x, y, x + w, y + h), (size[1], size[0])
    out = Image.fromarray(image).resize(target, Image.Resampling.BILINEAR, box=box)
    # Pillow's nearest neighbour takes pixel floor((i + 0.5) * scale): the one under the centre, as bilinear does.
    ids = Image.fromarray(labels.astype(np.int32)).resize(target, Image.Resampling.NEAREST, box=box)
    return np.asarray(out), np.array(ids, np.int32)


def jitter_colours(image: np.ndarray, rng: np.random.Generator, config: AugmentConfig = DEFAULT) -> np.ndarray:
    """Changes brightness, contrast, saturation and hue of an image (H, W, 3) uint8, or turns it grey."""
    brightness, contrast, saturation = (
        1 + rng.uniform(-s, s) for s in (config.brightness, config.contrast, config.saturation)
    )
    turn = 2 * math.pi * rng.uniform(-config.hue, config.hue)
    if rng.random() < config.grey:
        saturation = 0.0
    # All four are linear in RGB: one 3x3 matrix and an offset. Hue rotates the colour about the grey axis.
    luma = np.tile([0.299, 0.587, 0.114], (3, 1))
    c, s = math.cos(turn), math.sin(turn) / math.sqrt(3)
    rotation = c * np.eye(3) + (1 - c) / 3 + s * np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])
    matrix = brightness * contrast * ((1 - saturation) * luma + saturation * rotation)
    grey = float((image[::4, ::4].reshape(-1, 3).mean(0) @ luma[0]) * brightness)
    return _apply(image, matrix, grey * (1 - contrast))


def _apply(image: np.ndarray, matrix: np.ndarray, offset: float) -> np.ndarray:
    rows = np.concatenate((matrix, np.full((3, 1), offset)), 1)
    return np.asarray(Image.fromarray(image).convert("RGB", tuple(rows.ravel().tolist())))


def degrade(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Simulates a worse camera on an image (H, W, 3) uint8: any of blur, noise, lower resolution, JPEG compression."""
    height, width = image.shape[:2]
    if rng.random() < 0.35:
        radius = rng.uniform(0.3, 1.6)
        image = np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))
    if rng.random() < 0.15:
        factor = rng.uniform(0.5, 0.9)
        small = (max(1, round(width * factor)), max(1, round(height * factor)))
        picture = Image.fromarray(image).resize(small, Image.Resampling.BILINEAR)
        image = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))
    if rng.random() < 0.4:
        # Integer noise from random positions of a small table is several times cheaper than a draw for every value.
        table = np.round(rng.normal(0, rng.uniform(1, 10), 1 << 14)).astype(np.int16)
        noise = table[rng.integers(0, len(table), image.size, np.int32)].reshape(image.shape)
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.6:
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, "JPEG", quality=int(rng.integers(25, 96)))
        image = np.asarray(Image.open(stream))
    return np.ascontiguousarray(image)


def copy_paste(
    image: np.ndarray,
    labels: np.ndarray,
    other_image: np.ndarray,
    other_labels: np.ndarray,
    rng: np.random.Generator,
    allowed: Collection[int] | None = None,
) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Pastes one to three entities of another picture onto this one (Ghiasi et al., CVPR 2021, arXiv:2012.07177).

    Entities of up to 30 % of the other picture are scaled by 0.4..1.6, sometimes mirrored, and placed anywhere, also
    partly outside. Their edges are softened by about a pixel; a label changes if a pasted entity covers more than half
    of the pixel.

    Args:
        image, labels: (H, W, 3) uint8 and (H, W) int32; they are not changed.
        other_image, other_labels: the picture that entities are taken from, of any size.
        rng: random generator.
        allowed: ids in `other_labels` that may be pasted; None allows all.

    Returns:
        The new image; the new labels, in which pasted entities have the ids after the largest of `labels`; and the ids
        of the pasted entities in `other_labels`, in the same order.
    """
    areas = np.bincount(np.maximum(other_labels, 0).ravel())
    areas[0] = 0
    candidates = np.flatnonzero((areas >= 30) & (areas <= 0.3 * other_labels.size))
    if allowed is not None:
        candidates = np.intersect1d(candidates, list(allowed))
    image, labels = image.copy(), labels.copy()
    if len(candidates) == 0:
        return image, labels, []
    height, width = labels.shape
    picks = rng.choice(candidates, min(len(candidates), int(rng.integers(1, 4))), replace=False)
    for number, pick in enumerate(picks.tolist(), int(labels.max()) + 1):
        mask = other_labels == pick
        ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        # A margin of two pixels, so that the softened edge is not cut off.
        top, bottom, left, right = max(ys[0] - 2, 0), ys[-1] + 3, max(xs[0] - 2, 0), xs[-1] + 3
        patch = Image.fromarray(other_image[top:bottom, left:right])
        alpha = Image.fromarray(mask[top:bottom, left:right] * np.uint8(255))
        scale = math.exp(rng.uniform(math.log(0.4), math.log(1.6)))
        size = (max(1, round(patch.width * scale)), max(1, round(patch.height * scale)))
        patch, alpha = patch.resize(size, Image.Resampling.BILINEAR), alpha.resize(size, Image.Resampling.BILINEAR)
        alpha = alpha.filter(ImageFilter.GaussianBlur(0.5))
        if rng.random() < 0.5:
            patch, alpha = (p.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for p in (patch, alpha))
        # The patch's centre is inside the picture.
        x, y = int(rng.integers(0, width)) - size[0] // 2, int(rng.integers(0, height)) - size[1] // 2
        x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + size[0], width), min(y + size[1], height)
        if x0 >= x1 or y0 >= y1:
            continue
        inner = (slice(y0 - y, y1 - y), slice(x0 - x, x1 - x))
        cover = np.asarray(alpha)[inner]
        light = np.asarray(patch)[inner]
        weight = cover[..., None].astype(np.float32) / 255
        target = image[y0:y1, x0:x1]
        target[...] = np.round(target + weight * (light.astype(np.float32) - target)).astype(np.uint8)
        labels[y0:y1, x0:x1][cover >= 128] = number
    return image, labels, picks.tolist()


def mosaic_boxes(size: tuple[int, int], rng: np.random.Generator) -> list[tuple[int, int, int, int]]:
    """Two or four rectangles (x0, y0, x1, y1) that together cover a picture of `size` (height, width).

    The lines between them are drawn from the middle third of each side. A picture of less than 64 pixels is not split
    along that side.
    """
    height, width = size
    split = [rng.random() < 0.75 for _ in size]
    if not any(split):
        split[int(rng.integers(2))] = True
    rows, columns = (
        [0, round(side * rng.uniform(1 / 3, 2 / 3)), side] if cut and side >= 64 else [0, side]
        for side, cut in zip((height, width), split, strict=True)
    )
    return [(x0, y0, x1, y1) for y0, y1 in pairwise(rows) for x0, x1 in pairwise(columns)]


def mosaic(
    pictures: Sequence[tuple[np.ndarray, np.ndarray]], boxes: Sequence[tuple[int, int, int, int]]
) -> tuple[np.ndarray, np.ndarray]:
    """Puts pictures side by side (Bochkovskiy et al., YOLOv4, 2020, arXiv:2004.10934, Sec. 3.3).

    A small data set has few arrangements of things; a mosaic makes new ones, in which everything is smaller.

    Args:
        pictures: images (h, w, 3) uint8 and labels (h, w) int32, resized to their rectangles.
        boxes: where they go, (x0, y0, x1, y1) in pixels; together they cover the result.

    Returns:
        The image (H, W, 3) uint8 and the labels (H, W) int32. The ids of a picture follow the largest of the one
        before; 0 and -1 stay as they are.
    """
    width, height = (max(box[side] for box in boxes) for side in (2, 3))
    image, labels = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.int32)
    before = 0
    for (own, ids), (x0, y0, x1, y1) in zip(pictures, boxes, strict=True):
        size = (x1 - x0, y1 - y0)
        image[y0:y1, x0:x1] = np.asarray(Image.fromarray(own).resize(size, Image.Resampling.BILINEAR))
        resized = np.asarray(Image.fromarray(ids).resize(size, Image.Resampling.NEAREST))
        labels[y0:y1, x0:x1] = np.where(resized > 0, resized + before, resized)
        before += max(0, int(ids.max()))
    return image, labels
