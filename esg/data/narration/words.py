"""The closed vocabulary of captions: nouns, attributes, positions, relations and numbers, and their meanings.

It is small on purpose, because a tiny language model is trained on it.
"""

from __future__ import annotations

from ...language import coco_names
from .colours import COLOURS, TONES

SIZES = {"tiny": (0.0, 0.002), "small": (0.002, 0.015), "medium": (0.015, 0.1), "large": (0.1, 1.0)}
"""Minimum and maximum share of the picture for each size, as in `synth`. "medium" is never mentioned."""

TEXTURES = ("striped", "checked", "tiled", "dotted", "spotted", "marbled", "cloudy", "rippled", "rough", "smooth")

SHOWN_AS = {
    "striped": "striped",
    "wooden": "striped",
    "checked": "checked",
    "plaid": "checked",
    "tiled": "tiled",
    "brick": "tiled",
    "dotted": "dotted",
    "spotted": "spotted",
    "marbled": "marbled",
    "cloudy": "cloudy",
    "rippled": "rippled",
    "mottled": "rough",
    "grassy": "rough",
}
"""The visible pattern of each material in `textures`; materials that look alike share a word."""

FORMS = ("pierced", "bitten")
"""Forms, used before a noun: with a hole, and with a piece missing."""

PLACES = {
    frozenset({"top", "left"}): "at the top left",
    frozenset({"top"}): "at the top",
    frozenset({"top", "right"}): "at the top right",
    frozenset({"left"}): "on the left",
    frozenset({"middle"}): "in the middle",
    frozenset({"right"}): "on the right",
    frozenset({"bottom", "left"}): "at the bottom left",
    frozenset({"bottom"}): "at the bottom",
    frozenset({"bottom", "right"}): "at the bottom right",
    frozenset({"across"}): "across the whole picture",
}
"""The phrase for each set of position words."""

POSITIONS = ("top", "bottom", "left", "right", "middle", "across")

KINDS = {
    **dict.fromkeys((*COLOURS, *TONES), "colour"),
    **dict.fromkeys(("tiny", "small", "large"), "size"),
    **dict.fromkeys(TEXTURES, "texture"),
    **dict.fromkeys(POSITIONS, "position"),
}
"""The words that make a measurable claim, and its kind: "colour", "size", "texture" or "position"."""

NOUNS = {
    # compact things
    "disc": "disc",
    "ellipse": "ellipse",
    "triangle": "triangle",
    "polygon": "polygon",
    "star": "star",
    "flower": "flower",
    "tile": "box",
    "leaf": "leaf",
    "blob": "blob",
    "bar": "bar",
    "box": "box",
    "ring": "ring",
    "frame": "frame",
    "crescent": "crescent",
    "animal": "animal",
    "figure": "figure",
    "lollipop": "lollipop",
    # thin things
    "railing": "railing",
    "wire": "wire",
    "wires": "cables",
    "branch": "branch",
    "foliage": "foliage",
    "tree": "tree",
    "net": "net",
    "glyph": "sign",
    "grille": "grille",
    "grass": "grass",
    # stuff
    "sky": "sky",
    "hill": "hill",
    "trees": "forest",
    "water": "water",
    "ground": "ground",
    "road": "road",
    "wall": "wall",
    "ceiling": "ceiling",
    "floor": "floor",
    "area": "area",
    "backdrop": "backdrop",
}
"""The noun for each name of `synth`. "wires" is one entity of several lines, and "trees" one of many trees."""

SHAPES = ("area", "strip", "patch", "shape", "spot")
"""Nouns for entities of unknown category; see `facts.photo_facts`."""

MASS = coco_names.UNCOUNTED | {"cables", "foliage", "ground", "backdrop", "forest"}
"""Uncountable nouns; those of synthetic scenes take "the"."""

UNPATTERNED = frozenset({"railing", "wire", "cables", "branch", "foliage", "tree", "net", "sign", "grille", "grass"})
"""Nouns of thin structures, on which patterns are not visible."""

UNSIZED = MASS | {"hill", "wall", "road", "wire"}
"""Nouns whose size is not mentioned because it is obvious."""

NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
"""Number words from 2 on."""

SAID = {
    "left of": ("left of", "to the left of"),
    "right of": ("right of", "to the right of"),
    "above": ("above",),
    "below": ("below",),
    "inside": ("inside",),
    "in front of": ("in front of",),
    "behind": ("behind",),
}
"""The relations, and the phrases for each."""

INVERSE = {"left of": "right of", "above": "below", "in front of": "behind"}
"""The inverse of a relation, if there is a word for it."""


def plural(noun: str) -> str:
    """The plural of a noun of this vocabulary or of COCO's names, e.g. "boxes", "leaves", "wine glasses"."""
    if noun in MASS:
        return noun
    if noun in coco_names.NAMES:
        return coco_names.plural(noun)
    if noun.endswith("f"):
        return noun[:-1] + "ves"
    return noun + ("es" if noun.endswith(("x", "ch", "s")) else "s")


def article(word: str) -> str:
    """ "a" or "an", before a word of this vocabulary or of COCO's names."""
    return "an" if word[0] in "aeio" or word.startswith("um") else "a"


PLURALS = {plural(noun): noun for noun in (*NOUNS.values(), *SHAPES) if noun not in MASS}
"""Singular nouns by plural."""
