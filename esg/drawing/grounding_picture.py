"""A grounding as a picture: each phrase and its entities in one colour, with the caption below the photo."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from ..entities.entity_map import EntityMap
from ..entities.grounding import Grounding
from ..support.errors import InputError
from ..support.strips import strips
from .overlay import edges, palette
from .typesetting import PAPER, Colour, Mark, typeset

LONGEST = 6000  # pixels; larger photos are drawn smaller
NARROWEST = 200  # pixels; narrower photos are padded to make room for the caption


def phrase_colours(grounding: Grounding) -> list[Colour | None]:
    """A colour for every phrase, the same for phrases with the same entities; None for phrases without entities."""
    meanings = [frozenset(phrase.entity_ids) for phrase in grounding.phrases]
    in_order = sorted(zip(grounding.phrases, meanings), key=lambda pair: pair[0].span)  # in reading order
    number = {meaning: k for k, meaning in enumerate(dict.fromkeys(own for _, own in in_order if own))}
    colours = [tuple(colour) for colour in palette(len(number)).tolist()]
    return [colours[number[meaning]] if meaning else None for meaning in meanings]


def entity_colours(grounding: Grounding, count: int) -> list[list[Colour]]:
    """For each of the entities 1..count, the distinct colours of its phrases, in the order of the phrases.

    Raises:
        InputError: a phrase refers to an entity that does not exist.
    """
    found: list[dict[Colour, None]] = [{} for _ in range(count)]
    for phrase, colour in zip(grounding.phrases, phrase_colours(grounding)):
        for number in phrase.entity_ids:
            if number > count:
                raise InputError(f"The phrase {phrase.text!r} refers to entity {number}, but there are only {count}.")
            if colour:
                found[number - 1][colour] = None
    return [list(colours) for colours in found]


def shrunk_size(height: int, width: int, longest: int) -> tuple[int, int]:
    """Height and width of the picture, scaled down so that its long side is at most `longest`."""
    scale = min(1.0, longest / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def shrink(image: np.ndarray, labels: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """Picture (H, W, 3) and labels (H, W), scaled down if their long side exceeds `longest`.

    >>> image, labels = shrink(np.zeros((40, 60, 3), np.uint8), np.ones((40, 60), int), 30)
    >>> image.shape, labels.shape
    ((20, 30, 3), (20, 30))
    """
    height, width = labels.shape
    rows, columns = shrunk_size(height, width, longest)
    if (rows, columns) == (height, width):
        return image, labels
    small = Image.fromarray(image).resize((columns, rows), Image.Resampling.LANCZOS, reducing_gap=2)
    y = ((np.arange(rows) + 0.5) * height / rows).astype(int)
    x = ((np.arange(columns) + 0.5) * width / columns).astype(int)
    return np.asarray(small), np.ascontiguousarray(labels[y[:, None], x])


def draw_grounding(image: np.ndarray, entities: EntityMap, grounding: Grounding) -> np.ndarray:
    """The photo with the caption below; entities have their phrase's colour, everything else is dimmed.

    An entity of several phrases has stripes in their colours, unless the phrases have the same entities and so the same
    colour. Phrases without entities are underlined in grey; if no phrase has entities, the photo stays unchanged.

    Args:
        image: (H, W, 3) uint8 RGB, the picture of the map.
        entities: the map of the picture.
        grounding: a grounding with the map's ids.

    Returns:
        (h, w, 3) uint8 RGB, as large as the photo, scaled down to at most `LONGEST` pixels, and the caption.

    Raises:
        InputError: the picture does not belong to the map, or a phrase refers to an entity that does not exist.

    >>> from esg import Phrase
    >>> photo, entities = np.zeros((400, 600, 3), np.uint8), EntityMap.from_labels(np.ones((400, 600), int))
    >>> grounding = Grounding("A dog.", (Phrase("dog", (2, 5), (1,), (0.9,)),))
    >>> draw_grounding(photo, entities, grounding).shape[:2] == drawn_size(grounding, 400, 600)
    True
    """
    entities.check_image(image)
    image, labels = shrink(image, entities.labels, LONGEST)
    colours = entity_colours(grounding, len(entities))
    height, width = labels.shape
    caption = _caption(grounding, height, width)
    canvas_width = caption.shape[1]

    out = np.empty((height + len(caption), canvas_width, 3), np.uint8)
    out[:height] = PAPER
    left = (canvas_width - width) // 2
    if any(colours):
        _paint(image, labels, colours, out[:height, left : left + width])
    else:
        out[:height, left : left + width] = image
    out[height:] = caption
    return out


def drawn_size(grounding: Grounding, height: int, width: int) -> tuple[int, int]:
    """Height and width of the result of `draw_grounding` for a photo of this size.

    >>> drawn_size(Grounding("A dog."), 400, 600)[1]  # as wide as the photo, and higher by the caption
    600
    """
    height, width = shrunk_size(height, width, LONGEST)
    caption = _caption(grounding, height, width)
    return height + len(caption), caption.shape[1]


def _caption(grounding: Grounding, height: int, width: int) -> np.ndarray:
    """The typeset caption for a photo of this size, (h, w, 3) uint8."""
    width = max(width, NARROWEST)
    size = min(max(13.0, np.sqrt(height * width) / 42), width / 15)
    marks = [Mark(*phrase.span, colour) for phrase, colour in zip(grounding.phrases, phrase_colours(grounding))]
    return typeset(grounding.caption, marks, width, size)


def _paint(image: np.ndarray, labels: np.ndarray, colours: Sequence[Sequence[Colour]], out: np.ndarray) -> None:
    """Writes the coloured and dimmed photo into `out`, (H, W, 3)."""
    many = np.array([0, *map(len, colours)])
    table = np.zeros((len(many), max(1, many.max()), 3), np.uint16)
    for number, several in enumerate(colours, start=1):
        if several:
            table[number, : len(several)] = several
    pale = (0.35 * table[:, 0] + 0.65 * 255).astype(np.uint8)
    stripe = max(4, round(max(labels.shape) / 60))
    thickness = max(1, round(max(labels.shape) / 700))
    x = np.arange(labels.shape[1])
    for rows in strips(*labels.shape):
        own, photo = labels[rows], image[rows].astype(np.uint16)
        which = (np.arange(rows.start, rows.stop)[:, None] + x) // stripe % np.maximum(many, 1)[own]
        meant = many[own] > 0
        grey = photo.sum(axis=2, keepdims=True, dtype=np.uint16) // 3
        out[rows] = np.where(meant[..., None], (photo + table[own, which]) // 2, (photo + 2 * grey) // 8)
        border = edges(labels, rows, thickness) & meant
        out[rows][border] = pale[own[border]]
