"""Choosing entities by a text or by data: one small language for widgets, forms, the command line and programs.

A choice is a list of parts with commas or line breaks between them. It is read from left to right: every part adds
its entities, and a part with `not` or `!` before it takes its entities away. A choice that begins with such a part
starts from all entities, so `not 3` is all but 3, and `area>=5%, not 3` is the large ones without 3.

    3   5-7                     ids, and ranges of ids
    all   none
    largest   largest 3         by area; so is smallest
    best   best 3               by score
    centre                      the entity at the centre of the picture, or else the nearest to it; also: center
    score>=0.5   area<2000      >=, >, <= or <; a score in 0..1, an area in pixels
    area>=5%                    an area in percent of the picture
    phrase: two dogs            what a grounding's phrases of this text mean; text in quotation marks may hold commas
    {"x": 40, "y": 30}          the entity under a point in pixels; with "label": 0 it is taken away again
    {"x": 40, "y": 30, "width": 99, "height": 50}      the entities that lie in a box, by at least half of their area
    [...]                       JSON lists of points, boxes and ids

Words may be in capitals. Nothing at all chooses nothing. At equal areas or scores the lower id comes first.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from numbers import Integral
from reprlib import repr as short
from typing import Any, TypeAlias

import numpy as np

from .entities import EntityMap
from .errors import InputError
from .grounding import Grounding
from .labelmap import strips

Data: TypeAlias = "int | Mapping[str, Any] | Iterable[int | Mapping[str, Any]]"

_NOT = re.compile(r"(?:not\b|!)\s*", re.IGNORECASE)
_PHRASE = re.compile(r"""phrase[ ]*:[ ]*(?:"([^"]*)"|([^,\n]*))""", re.IGNORECASE)
_PLAIN = re.compile(r"[^,\n]+")
_WORD = re.compile(r"\w+")

# Parts without phrase and JSON, in small letters. Digits are limited, so that every number has a value.
_ID = re.compile(r"([0-9]{1,18})(?:\s*[-–]\s*([0-9]{1,18}))?")
_RANK = re.compile(r"(largest|smallest|best)(?:\s+([0-9]{1,18}))?")
_LIMIT = re.compile(r"(score|area)\s*(>=|<=|>|<)\s*([0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})\s*(%?)")
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
}


def choose(
    entities: EntityMap,
    what: str | Data,
    *,
    grounding: Grounding | None = None,
    min_fraction: float = 0.5,
    strict: bool = True,
) -> list[int]:
    """The ids, in rising order, that a text in the language above means, or data: ids, points, boxes or lists of them.

    Args:
        entities: the map that is chosen from.
        what: a text, or what its JSON would hold: an id, a point, a box, or a list of such.
        grounding: of the same map; only `phrase:` needs it.
        min_fraction: the part of its area, 0..1, that an entity must have in a box.
        strict: False leaves out ids that do not exist, for a choice that was made on another picture.

    Raises:
        InputError: the text cannot be read, an id does not exist, or `phrase:` has no grounding.
    """
    if not isinstance(what, str):
        added, taken = _meant_by(entities, _items(what), min_fraction, strict)
        return sorted(added - taken)
    chosen: set[int] = set()
    for number, (negated, kind, part) in enumerate(_parts(what)):
        taken = set()
        if kind == "data":
            added, taken = _meant_by(entities, _items(part), min_fraction, strict)
        elif kind == "phrase":
            added = _meant_by_phrase(entities, grounding, part)
        else:
            added = set(_meant_by_words(entities, part, strict))
        if negated:
            chosen = (_all(entities) if number == 0 else chosen) - (added - taken)
        else:
            chosen = (chosen | added) - taken
    return sorted(chosen)


def ids_at(entities: EntityMap, points: str | Data) -> list[int]:
    """The ids under points, in rising order; a point outside the picture or on no entity chooses nothing.

    Args:
        entities: the map that is chosen from.
        points: a dict with "x" and "y" in pixels from the upper left corner, a list of such dicts, or JSON of them. A
            point with "label" 0 takes the entity under it away again, wherever in the list it stands.

    Raises:
        InputError: these are no points.
    """
    added, taken = _under(entities, _items(points))
    return sorted(added - taken)


def ids_in_boxes(entities: EntityMap, boxes: str | Data, *, min_fraction: float = 0.5) -> list[int]:
    """The ids that lie in at least one of some boxes, in rising order.

    Args:
        entities: the map that is chosen from.
        boxes: a dict with "x", "y", "width" and "height" in pixels, a list of such dicts, or JSON of them; a pixel is
            in a box when its centre is, and what else the dicts hold is ignored.
        min_fraction: the part of its area, 0..1, that an entity must have in one box.

    Raises:
        InputError: these are no boxes.
    """
    return sorted(_boxed(entities, _items(boxes), min_fraction))


def ids_of_phrase(grounding: Grounding, text: str) -> list[int]:
    """The ids, in rising order, that the phrases of this text mean; none where there is no such phrase.

    Phrases that are this text, but for capitals and spaces, come first; without any, all phrases that contain its words
    count, in any order.
    """
    wanted = _plain(text)
    same = [phrase for phrase in grounding.phrases if _plain(phrase.text) == wanted]
    words = set(_WORD.findall(wanted))
    containing = [phrase for phrase in grounding.phrases if words and words <= set(_WORD.findall(_plain(phrase.text)))]
    return sorted({number for phrase in same or containing for number in phrase.entity_ids})


def invert(entities: EntityMap, ids: int | Iterable[int]) -> list[int]:
    """All other ids, in rising order; InputError for one that does not exist."""
    return np.setdiff1d(np.arange(1, len(entities) + 1), entities.checked_ids(ids)).tolist()


def write_ids(ids: Iterable[int]) -> str:
    """Ids as a text that `choose` reads: "3,5-7", and "none" where there are none; InputError for other than ids."""
    given = list(ids)
    if not all(isinstance(number, Integral) and not isinstance(number, bool) and number > 0 for number in given):
        raise InputError(f"Entity ids are whole numbers from 1 up, unlike {short(given)}.")
    runs: list[list[int]] = []
    for number in sorted(set(given)):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    parts = [f"{run[0]}-{run[-1]}" if len(run) > 2 else ",".join(map(str, run)) for run in runs]
    return ",".join(parts) or "none"


def _parts(text: str) -> Iterator[tuple[bool, str, Any]]:
    """Whether a part is negated, whether it is "phrase", "data" or "words", and its text or data."""
    place = _after_break(text, 0)
    while place < len(text):
        negation = _NOT.match(text, place)
        place = negation.end() if negation else place
        if phrase := _PHRASE.match(text, place):
            part: Any = (phrase[1] if phrase[2] is None else phrase[2]).strip()
            kind, place = "phrase", phrase.end()
        elif text.startswith(("[", "{"), place):
            kind, (part, place) = "data", _json(text, place)
        elif plain := _PLAIN.match(text, place):
            kind, part, place = "words", plain[0].strip().lower(), plain.end()
        else:
            raise InputError('"not" needs something behind it, as in "not 3".')
        yield bool(negation), kind, part
        following = _after_break(text, place)
        if following < len(text) and not set(text[place:following]) & {",", "\n"}:
            raise InputError(f"A comma is missing before {short(text[following:])}.")
        place = following


def _after_break(text: str, place: int) -> int:
    while place < len(text) and (text[place] == "," or text[place].isspace()):
        place += 1
    return place


def _json(text: str, place: int) -> tuple[Any, int]:
    try:
        return json.JSONDecoder().raw_decode(text, place)
    except (ValueError, RecursionError):
        raise InputError(
            f'{short(text[place:])} is no JSON; points look like [{{"x": 40, "y": 30}}], '
            'boxes like [{"x": 40, "y": 30, "width": 99, "height": 50}].'
        ) from None


def _meant_by_words(entities: EntityMap, part: str, strict: bool) -> Iterable[int]:
    if part in ("all", "none"):
        return _all(entities) if part == "all" else ()
    if match := _ID.fullmatch(part):
        first, last = int(match[1]), int(match[2] or match[1])
        if strict:
            entities.checked_ids([first, last])
        if first > last:
            raise InputError(f"The range {first}-{last} runs backwards; write {last}-{first}.")
        return range(max(first, 1), min(last, len(entities)) + 1)
    if match := _RANK.fullmatch(part):
        values = {"largest": -entities.areas, "smallest": entities.areas, "best": -entities.scores}[match[1]]
        return (np.argsort(values, kind="stable")[: int(match[2] or 1)] + 1).tolist()
    if match := _LIMIT.fullmatch(part):
        limit = float(match[3]) / 100 if match[4] else float(match[3])
        if match[1] == "score":
            fulfilled = _COMPARE[match[2]](entities.scores, np.float32(limit))
        else:
            fulfilled = _COMPARE[match[2]](entities.areas, limit * entities.labels.size if match[4] else limit)
        return (np.flatnonzero(fulfilled) + 1).tolist()
    if part in ("centre", "center"):
        return _nearest(entities, entities.width / 2, entities.height / 2)
    raise InputError(
        f"{short(part)} is not understood; write ids such as 3,5-7, or all, none, largest 3, smallest, best 3, centre, "
        "score>=0.5, area>=5%, phrase: two dogs, or points or boxes as JSON."
    )


def _meant_by_phrase(entities: EntityMap, grounding: Grounding | None, text: str) -> set[int]:
    if not text:
        raise InputError('"phrase:" needs words behind it, as in "phrase: two dogs".')
    if grounding is None:
        raise InputError(f"To choose by the phrase {short(text)}, ground a text on these entities first.")
    found = ids_of_phrase(grounding, text)
    if found and found[-1] > len(entities):
        raise InputError(
            f"The grounding belongs to other entities: it means entity {found[-1]}, and there are {len(entities)}."
        )
    return set(found)


def _meant_by(
    entities: EntityMap, items: list[Any], min_fraction: float, strict: bool = True
) -> tuple[set[int], set[int]]:
    """The ids that a list of ids, points and boxes adds, and those that it takes away."""
    ids = [item for item in items if not isinstance(item, Mapping)]
    boxes = [item for item in items if isinstance(item, Mapping) and ("width" in item or "height" in item)]
    points = [item for item in items if isinstance(item, Mapping) and not ("width" in item or "height" in item)]
    for number in ids:
        if isinstance(number, bool) or not isinstance(number, Integral):
            raise InputError(f"Entities are chosen by ids, points and boxes, not by {short(number)}.")
    added, taken = _under(entities, points)
    added |= _boxed(entities, boxes, min_fraction)
    if not strict:
        ids = [number for number in ids if 1 <= number <= len(entities)]
    return added.union(entities.checked_ids(ids).tolist()), taken


def _under(entities: EntityMap, points: list[Any]) -> tuple[set[int], set[int]]:
    """The ids under points, and those under points with label 0."""
    added: set[int] = set()
    taken: set[int] = set()
    for point in points:
        x, y = _numbers(point, ("x", "y"), "A point")
        (taken if point.get("label", 1) == 0 else added).add(entities.at(x, y))
    return added - {0}, taken - {0}


def _boxed(entities: EntityMap, boxes: list[Any], min_fraction: float) -> set[int]:
    if not 0 <= min_fraction <= 1:
        raise InputError(f"The part of an entity that must be in a box lies between 0 and 1, unlike {min_fraction}.")
    found: set[int] = set()
    for box in boxes:
        x, y, width, height = _numbers(box, ("x", "y", "width", "height"), "A box")
        if width < 0 or height < 0:
            raise InputError(f"A box cannot have a negative width or height: {short(dict(box))}.")
        x0, x1 = _first_centre(x, entities.width), _first_centre(x + width, entities.width)
        y0, y1 = _first_centre(y, entities.height), _first_centre(y + height, entities.height)
        found.update(entities.in_box(x0, y0, x1, y1, min_fraction=min_fraction))
    return found


def _first_centre(edge: float, size: int) -> int:
    """The first pixel of a row whose centre does not lie before an edge."""
    return int(min(max(np.ceil(edge - 0.5), 0), size))


def _nearest(entities: EntityMap, x: float, y: float) -> list[int]:
    """The entity at a point, or else that of the pixel nearest to it; none on an empty map."""
    if under := entities.at(x, y):
        return [under]
    least, nearest = np.inf, []
    for rows in strips(entities.height, entities.width):
        block = entities.labels[rows]
        row, column = np.nonzero(block)
        distance = (row + (rows.start + 0.5 - y)) ** 2 + (column + (0.5 - x)) ** 2
        if len(distance) and distance.min() < least:
            first = distance.argmin()
            least, nearest = distance[first], [int(block[row[first], column[first]])]
    return nearest


def _all(entities: EntityMap) -> set[int]:
    return set(range(1, len(entities) + 1))


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _items(data: str | Data) -> list[Any]:
    """What is in a list or in the JSON of one, or the single thing that is given instead of a list."""
    if isinstance(data, str):
        text = data.strip()
        data, end = _json(text, 0) if text else ([], 0)
        if end < len(text):
            raise InputError(f"There must be nothing behind the JSON, but there is {short(text[end:])}.")
    return [data] if isinstance(data, Mapping) or not isinstance(data, Iterable) else list(data)


def _numbers(item: Any, names: tuple[str, ...], what: str) -> list[float]:
    numbers = []
    for name in names:
        value: Any = item.get(name) if isinstance(item, Mapping) else None
        is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
        if not is_number or not abs(value) < 1e15:  # false for NaN too
            raise InputError(f"{what} is an object with the numbers {', '.join(names)}, in pixels, not {short(item)}.")
        numbers.append(float(value))
    return numbers
