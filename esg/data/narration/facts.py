"""Facts about the entities of a picture: known for synthetic scenes, measured in photos.

Every fact is a word from `words`. There are two degrees of truth: a word is *clear* for an entity if nobody would
object to it, and *true* if it can be defended; clear words are also true. Captions use clear words that are not even
defensible for other entities; a caption is judged to be right if its words are true.

Colours are always measured in the picture, including its lighting, because they must match what is visible.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...language.coco_names import ALSO, ARGUABLE, EVERYDAY
from ...support.errors import InputError
from .colours import COLOURS, TONES, colour_shares
from .measures import Measures, compacted, measure
from .words import FORMS, KINDS, NOUNS, PLACES, SHOWN_AS, SIZES, TEXTURES, UNPATTERNED

if TYPE_CHECKING:
    from ..scenes.synth import Scene

_CLEAR_COLOUR = (0.5, 0.75)  # minimum shares of pixels whose best name it is, and that it fits
_TRUE_COLOUR = 0.5  # minimum share of pixels that a name or tone fits
_CLEAR_TONE = 0.7
_SIZE_MARGIN = 1.25  # factor of the area within which the size is arguable
_SMOOTH, _ROUGH = (3.0, 5.0), (12.0, 8.0)  # roughness in grey levels, clear and arguable
_PATTERN = 4.0  # minimum roughness at which a pattern is visible
_PATTERN_AREA = 300  # minimum number of pixels at which a pattern is visible
_NEAR, _FAR = (0.34, 0.42), (0.66, 0.58)  # centroids at the left or top, and at the right or bottom
_MIDDLE = (0.1, 0.2)  # distance of the centroid from the middle


@dataclass(frozen=True)
class Facts:
    """The facts about one entity.

    Attributes:
        id: its value in the label map.
        kind: "thing" or "stuff", None if unknown.
        noun: its noun, e.g. "ring" or "sky"; one of `words.SHAPES` for entities of photos without categories.
        form: "pierced" or "bitten", or None.
        colour, tone: name of its colour, and "dark" or "light"; each None unless it is clear.
        texture: one of `words.TEXTURES`, or None if none is visible.
        size: "tiny", "small", "medium" or "large", with the limits of `words.SIZES`.
        position: its position, e.g. "at the top left" or "across the whole picture", or None.
        area: number of pixels.
        box: x0, y0, x1, y1 in pixels, x1 and y1 exclusive.
        centroid: mean x and y in pixels.
        clear: all words that are clearly true of it, including its noun.
        words: all words that are true of it.
    """

    id: int
    kind: str | None
    noun: str
    form: str | None
    colour: str | None
    tone: str | None
    texture: str | None
    size: str
    position: str | None
    area: int
    box: tuple[int, int, int, int]
    centroid: tuple[float, float]
    clear: frozenset[str]
    words: frozenset[str]


def scene_facts(scene: Scene) -> tuple[Facts, ...]:
    """Facts about a synthetic scene, in the order of the entities' ids.

    Names, kinds and patterns are taken from the scene, patterns only if they are visible; everything else is measured.
    """
    ids, labels = compacted(scene.labels)
    measures = measure(scene.image, labels, len(ids))
    names = {entity.id: entity for entity in scene.entities}
    facts = []
    for row, number in enumerate(ids.tolist()):
        entity = names[number]
        *form, name = entity.name.split()
        noun = NOUNS.get(name, "shape" if entity.kind == "thing" else "area")
        clear, true = {noun, *form}, {noun, *form}
        pattern = SHOWN_AS.get(entity.texture)
        roughness = float(measures.roughness[row])
        if pattern is None:
            textures: tuple[set[str], set[str]] = _surface(roughness)
        else:
            seen = noun not in UNPATTERNED and roughness >= _PATTERN and measures.areas[row] >= _PATTERN_AREA
            textures = ({pattern} if seen else set(), {pattern})
        facts.append((number, entity.kind, noun, clear | textures[0], true | textures[1]))
    return _completed(scene.image, labels, measures, facts)


def photo_facts(image: np.ndarray, labels: np.ndarray) -> tuple[Facts, ...]:
    """Facts measured in a photo, in the order of the entities' ids.

    The noun names the shape: "area" for a large entity, "strip" for a long thin one, "spot" for a tiny one, "shape" for
    a compact one and "patch" for any other.

    Args:
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) integer, 0 for no entity.

    Raises:
        InputError: the sizes differ, or a label is negative.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(f"The image is {image.dtype} {image.shape}; give an (H, W, 3) uint8 array.")
    if image.shape[:2] != labels.shape or labels.dtype.kind not in "iu" or labels.min(initial=0) < 0:
        raise InputError(
            f"The labels are {labels.dtype} {labels.shape} for an image {image.shape}; give integers >= 0, one per "
            "pixel."
        )
    ids, labels = compacted(labels)
    measures = measure(image, labels, len(ids))
    facts = []
    for row, number in enumerate(ids.tolist()):
        noun, nouns = _shape(measures, row)
        smooth = _surface(float(measures.roughness[row]))
        facts.append((number, None, noun, {noun} | smooth[0], nouns | smooth[1]))
    return _completed(image, labels, measures, facts)


def named_facts(
    image: np.ndarray, labels: np.ndarray, categories: Sequence[str | None], things: Collection[str]
) -> tuple[Facts, ...]:
    """Facts about a photo whose entities have COCO categories, in the order of the entities' ids.

    Args:
        image: (H, W, 3) uint8.
        labels: (H, W) integer, 0 for no entity.
        categories: category of entity 1 and so on; for None, the noun names the shape, as in `photo_facts`.
        things: the categories that are things, not stuff.
    """
    ids, labels = compacted(labels)
    measures = measure(image, labels, len(ids))
    facts: list[tuple[int, str | None, str, set[str], set[str]]] = []
    for row, number in enumerate(ids.tolist()):
        category = categories[number - 1] if number <= len(categories) else None
        smooth = _surface(float(measures.roughness[row]))
        if category is None:
            noun, nouns = _shape(measures, row)
            facts.append((number, None, noun, {noun} | smooth[0], nouns | smooth[1]))
        else:
            noun = EVERYDAY[category]
            kind = "thing" if category in things else "stuff"
            clear, arguable = {noun, *ALSO.get(noun, ())}, set(ARGUABLE.get(noun, ()))
            facts.append((number, kind, noun, clear | smooth[0], clear | arguable | smooth[1]))
    return _completed(image, labels, measures, facts)


def _completed(
    image: np.ndarray,
    labels: np.ndarray,
    measures: Measures,
    begun: Sequence[tuple[int, str | None, str, set[str], set[str]]],
) -> tuple[Facts, ...]:
    """Adds everything that is measured to id, kind, noun, clear words and true words."""
    height, width = labels.shape
    best, fits, tones, tones_fit = (shares[1:] for shares in colour_shares(image, labels, len(begun) + 1))
    facts = []
    for row, (number, kind, noun, clear, true) in enumerate(begun):
        share = measures.areas[row] / (height * width)
        box, (x, y) = measures.boxes[row].tolist(), measures.centroids[row].tolist()
        relative_box = (box[0] / width, box[1] / height, box[2] / width, box[3] / height)
        _add(clear, true, _colours(best[row], fits[row]))
        _add(clear, true, _tones(tones[row], tones_fit[row]))
        _add(clear, true, _sizes(share))
        places = _places(x / width, y / height, relative_box, share)
        _add(clear, true, places)
        facts.append(
            Facts(
                id=number,
                kind=kind,
                noun=noun,
                form=_first(FORMS, clear),
                colour=_first(COLOURS, clear),
                tone=_first(TONES, clear),
                texture=_first(TEXTURES, clear),
                size=next(name for name, (_, most) in SIZES.items() if share < most or most == 1),
                position=PLACES.get(frozenset(places[0])),
                area=int(measures.areas[row]),
                box=(box[0], box[1], box[2], box[3]),
                centroid=(x, y),
                clear=frozenset(clear),
                words=frozenset(true | clear),
            )
        )
    return tuple(facts)


def _add(clear: set[str], true: set[str], words: tuple[set[str], set[str]]) -> None:
    clear |= words[0]
    true |= words[1]


def _first(names: tuple[str, ...], words: set[str]) -> str | None:
    return next((name for name in names if name in words), None)


# Each of these functions returns the clear words and the true words.


def _colours(best: np.ndarray, fits: np.ndarray) -> tuple[set[str], set[str]]:
    """From the share of pixels with each colour as best name, and the share that each name fits."""
    top = int(best.argmax())
    clear = best[top] >= _CLEAR_COLOUR[0] and fits[top] >= _CLEAR_COLOUR[1]
    return {COLOURS[top]} if clear else set(), {COLOURS[k] for k in np.flatnonzero(fits >= _TRUE_COLOUR).tolist()}


def _tones(clear: np.ndarray, fits: np.ndarray) -> tuple[set[str], set[str]]:
    return (
        {tone for tone, share in zip(TONES, clear) if share >= _CLEAR_TONE},
        {tone for tone, share in zip(TONES, fits) if share >= _TRUE_COLOUR},
    )


def _sizes(share: float) -> tuple[set[str], set[str]]:
    """From the share of the picture; "tiny" implies "small"."""
    clear = {name for name, (least, most) in SIZES.items() if least <= share < most or share == most == 1}
    true = {name for name, (least, most) in SIZES.items() if least / _SIZE_MARGIN <= share < most * _SIZE_MARGIN}
    true |= {"small"} if "tiny" in true else set()
    return clear & KINDS.keys(), true & KINDS.keys()


def _surface(roughness: float) -> tuple[set[str], set[str]]:
    clear, true = set(), set()
    if roughness <= _SMOOTH[1]:
        true.add("smooth")
    if roughness >= _ROUGH[1]:
        true.add("rough")
    if roughness <= _SMOOTH[0]:
        clear.add("smooth")
    if roughness >= _ROUGH[0]:
        clear.add("rough")
    return clear, true


def _places(x: float, y: float, box: tuple[float, ...], share: float) -> tuple[set[str], set[str]]:
    """From centroid and box, all relative to the picture's size.

    An entity that spans the picture is not at its left or right, even if its centroid is.
    """
    wide, high = box[2] - box[0], box[3] - box[1]
    clear, true = set(), set()
    for centre, span, (low, high_word) in ((x, wide, ("left", "right")), (y, high, ("top", "bottom"))):
        for word, limits, sign in ((low, _NEAR, 1), (high_word, _FAR, -1)):
            if sign * centre < sign * limits[1]:
                true.add(word)
            if sign * centre < sign * limits[0] and span < 0.75:
                clear.add(word)
    off = max(abs(x - 0.5), abs(y - 0.5))
    if off < _MIDDLE[1]:
        true.add("middle")
    if off < _MIDDLE[0] and max(wide, high) < 0.6:
        clear.add("middle")
    if min(wide, high) >= 0.85 and share >= 0.2:
        true.add("across")
    if min(wide, high) >= 0.95 and share >= 0.3:
        clear = {"across"}
    return clear, true | clear


def _shape(measures: Measures, row: int) -> tuple[str, set[str]]:
    """The noun for an entity without a category, and all nouns that are true of it."""
    share, long, compact = measures.shares[row], measures.elongation[row], measures.compactness[row]
    limits = (
        ("area", share, 0.06, 0.04),
        ("strip", long, 4.0, 3.0),
        ("spot", -share, -0.0015, -0.002),
        ("shape", compact, 0.3, 0.2),
    )
    true = {noun for noun, value, _, least in limits if value >= least}
    if compact < 0.4:
        true.add("patch")
    noun = next((noun for noun, value, least, _ in limits if value >= least), "patch")
    return noun, true | {noun}
