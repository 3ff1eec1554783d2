"""Pictures of entities: distinct colours, an overlay with contours and numbers, a map of flat colours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from ..entities.entity_map import EntityMap
from ..entities.label_arrays import look_up
from ..support.checks import check_number
from ..support.errors import InputError
from ..support.strips import strips

_GOLDEN = 0.618033988749895  # multiples of it, modulo 1, are as far from all earlier ones as possible

# B. Ottosson, "A perceptual color space for image processing", 2020.
_CONE_OF_OKLAB = np.array(
    [[1, 0.3963377774, 0.2158037573], [1, -0.1055613458, -0.0638541728], [1, -0.0894841775, -1.2914855480]]
)
_RGB_OF_CONE = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


def palette(n: int, seed: int = 0) -> np.ndarray:
    """Distinct, equally vivid colours for ids 1..n, (n, 3) uint8 RGB; an id's colour does not depend on n.

    In OKLCH, where equal steps look equal, hues advance by the golden ratio, and lightness and chroma alternate between
    a few steps; `seed` gives another series.

    >>> palette(3).shape
    (3, 3)
    """
    k = np.arange(n) + seed * 1000
    hue = 2 * np.pi * np.modf(0.71 + k * _GOLDEN)[0]  # id 1 is blue
    # Yellow only looks yellow when it is light, and blue is strongest when it is darker.
    lightness = 0.61 + 0.24 * np.modf(0.3 + k * 0.83)[0] + 0.07 * np.cos(hue - 1.9)
    chroma = np.where(k % 2, 0.165, 0.125)  # a search found that this and the 0.83 separate similar hues best
    return _oklab_to_srgb(np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], axis=1))


def _oklab_to_srgb(oklab: np.ndarray) -> np.ndarray:
    cone = oklab @ _CONE_OF_OKLAB.T
    linear = cone**3 @ _RGB_OF_CONE.T
    linear = np.clip(linear, 0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.round(255 * srgb).astype(np.uint8)


def label_colours(entities: EntityMap, *, seed: int = 0) -> np.ndarray:
    """Every entity in its colour of `palette`, background in black, (H, W, 3) uint8 RGB.

    >>> entities = EntityMap.from_labels(np.array([[1, 0, 2]]))
    >>> label_colours(entities)[0, 1].tolist()  # background
    [0, 0, 0]
    """
    black = np.zeros((1, 3), np.uint8)
    return look_up(np.concatenate([black, palette(len(entities), seed)]), entities.labels)


def overlay(
    image: np.ndarray,
    entities: EntityMap,
    *,
    alpha: float = 0.5,
    contours: bool = True,
    numbers: bool = False,
    shown_as: Sequence[int] | np.ndarray | None = None,
    texts: Sequence[str] | None = None,
) -> np.ndarray:
    """Draws the entities' colours over their picture; background stays unchanged.

    Args:
        image: (H, W, 3) uint8 RGB, the picture of the map.
        alpha: weight of the colours, 0 (photo only) to 1 (colours only).
        contours: whether to draw the borders of the entities, thicker on larger pictures.
        numbers: whether to write each id into its entity, if it fits.
        shown_as: (N,) numbers of 1 or more that give colours and numbers instead of the ids; with track ids, an entity
            looks the same in all frames of a clip.
        texts: (N,) texts to write instead of numbers, even if `numbers` is off; an empty text keeps the number.

    Returns:
        (H, W, 3) uint8 RGB, a new array.

    Raises:
        InputError: the picture does not belong to the map, `alpha` or `shown_as` is invalid, or there is not one text
            for every entity.

    >>> photo = np.zeros((2, 4, 3), np.uint8)
    >>> entities = EntityMap.from_labels(np.array([[1, 1, 2, 2], [1, 1, 2, 2]]))
    >>> overlay(photo, entities, alpha=0.5).shape
    (2, 4, 3)
    """
    entities.check_image(image)
    check_number("alpha", alpha)
    names = _names(entities, shown_as)
    colours = np.concatenate([np.zeros((1, 3), np.uint8), palette(names.max(initial=0))[names - 1]])
    weight = round(256 * min(max(alpha, 0.0), 1.0))
    weights = np.full((len(colours), 1), weight, np.uint16)
    weights[0] = 0
    tint = colours * weights
    edge_colours = (colours * np.float32(0.35) + 255 * np.float32(0.65)).astype(np.uint8)
    thickness = max(1, round(max(entities.labels.shape) / 700))

    out = np.empty_like(image)
    for rows in strips(entities.height, entities.width):
        labels = entities.labels[rows]
        out[rows] = (image[rows] * (256 - weights)[labels] + tint[labels]) >> 8
        if contours:
            edge = edges(entities.labels, rows, thickness) & (labels > 0)
            out[rows][edge] = edge_colours[labels[edge]]
    written = [str(name) if numbers else "" for name in names]
    if texts is not None:
        if len(texts) != len(entities):
            raise InputError(f"There must be {len(entities)} texts, one for every entity, not {len(texts)}.")
        written = [text or number for text, number in zip(texts, written)]
    _write_texts(out, entities, written)
    return out


def _names(entities: EntityMap, shown_as: Sequence[int] | np.ndarray | None) -> np.ndarray:
    if shown_as is None:
        return np.arange(1, len(entities) + 1)
    names = np.asarray(shown_as)
    if names.shape != (len(entities),) or (names.size and (names.dtype.kind not in "iu" or names.min() < 1)):
        raise InputError(f"shown_as must be {len(entities)} whole numbers of 1 or more, one for every entity.")
    return names.astype(np.int64)


def edges(labels: np.ndarray, rows: slice, thickness: int) -> np.ndarray:
    """Pixels of these rows within `thickness` / 2 of another label, (h, W) bool."""
    reach = thickness // 2
    above = min(rows.start, reach + 1)
    block = labels[rows.start - above : rows.stop + reach + 1]
    edge = np.zeros(block.shape, bool)
    across = block[:, 1:] != block[:, :-1]
    down = block[1:] != block[:-1]
    edge[:, :-1] |= across
    edge[:-1] |= down
    if thickness > 1:
        edge[:, 1:] |= across
        edge[1:] |= down
        edge = ndimage.binary_dilation(edge, iterations=reach - 1) if reach > 1 else edge
    return edge[above : above + rows.stop - rows.start]


def _write_texts(picture: np.ndarray, entities: EntityMap, texts: Sequence[str]) -> None:
    """Writes each entity's text into the picture, as large as the entity allows, if it fits."""
    longest = max(picture.shape[:2])
    smallest, largest = max(11.0, longest / 64), max(13.0, longest / 32)
    for number in range(len(entities), 0, -1):  # the best entities last, so that their numbers are not covered
        text = texts[number - 1]
        if not text:
            continue
        x, y, radius = interior_point(entities, number)
        size = 2 * radius / np.hypot(0.62 * len(text), 0.8)
        if size < 0.7 * smallest:
            continue
        _write(picture, text, x, y, float(np.clip(size, smallest, largest)))


def interior_point(entities: EntityMap, number: int) -> tuple[int, int, float]:
    """The pixel x, y of an entity farthest from its border, to about 1/100 of its extent, and that distance.

    Raises:
        InputError: there is no entity of that number.

    >>> labels = np.zeros((5, 7), int)
    >>> labels[:, 2:] = 1
    >>> x, y, *_ = interior_point(EntityMap.from_labels(labels), 1)
    >>> int(x), int(y)
    (4, 2)
    """
    entities.checked_ids([number])
    x0, y0, x1, y1 = entities.boxes[number - 1]
    step = -(-max(x1 - x0, y1 - y0) // 96)
    inside = entities.labels[y0:y1, x0:x1][step // 2 :: step, step // 2 :: step] == number
    if not inside.any():  # thinner than the steps
        y, x = np.argwhere(entities.labels[y0:y1, x0:x1] == number)[0]
        return int(x0 + x), int(y0 + y), 0.5
    distance = ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
    row, column = np.unravel_index(distance.argmax(), distance.shape)
    x, y = x0 + step // 2 + step * column, y0 + step // 2 + step * row
    return int(x), int(y), float(step * (distance[row, column] - 0.5))


def _write(picture: np.ndarray, text: str, x: int, y: int, size: float) -> None:
    font = ImageFont.load_default(size)
    stroke = max(1, round(size / 9))
    half_width, half_height = round(0.4 * size * len(text)) + 2 * stroke, round(0.7 * size) + 2 * stroke
    left, top = max(x - half_width, 0), max(y - half_height, 0)
    patch = picture[top : y + half_height, left : x + half_width]
    canvas = Image.fromarray(patch)
    place = (x - left, y - top)
    ImageDraw.Draw(canvas).text(
        place, text, fill="white", font=font, anchor="mm", stroke_width=stroke, stroke_fill="black"
    )
    patch[...] = np.asarray(canvas)
