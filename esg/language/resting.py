"""Which things can stand, sit, lie or float on what, going by their names.

In a picture, whatever is in front of a meadow seems to rest on it. So things that fly, hang or are carried are left
out, and so are people and chairs behind tables.
"""

from __future__ import annotations


def _names(*lines: str) -> frozenset[str]:
    return frozenset(name.strip() for name in ",".join(lines).split(","))


_RESTS: tuple[tuple[frozenset[str], frozenset[str]], ...] = (
    (
        _names(
            "person, bear, cat, cow, dog, elephant, giraffe, horse, sheep, zebra, bicycle, bus, car, motorcycle, train",
            "truck, bed, bench, chair, couch, dining table, fire hydrant, parking meter, potted plant, skis, snowboard",
            "suitcase",
        ),
        _names(
            "dirt, floor, grass, gravel, pavement, platform, playing field, railroad, road, rug, sand, snow",
            "wooden floor",
        ),
    ),
    (_names("boat, surfboard"), _names("river, sea, water")),
    (
        _names(
            "apple, banana, book, bottle, bowl, broccoli, cake, carrot, cat, cell phone, computer mouse, cup, dog",
            "donut, fork, hot dog, keyboard, knife, laptop, orange, pizza, potted plant, remote control, sandwich",
            "scissors, spoon, teddy bear, toaster, vase, wine glass",
        ),
        _names("bed, bench, chair, couch, counter, dining table, shelf, table"),
    ),
)
"""Things, and what all of them can rest on."""


def can_rest(thing: str, other: str) -> bool:
    """Whether a thing can rest on another one; both are everyday names in the singular, see `coco_names`.

    >>> can_rest("person", "grass"), can_rest("cup", "table"), can_rest("boat", "sea"), can_rest("person", "table")
    (True, True, True, False)
    """
    return any(thing in things and other in others for things, others in _RESTS)
