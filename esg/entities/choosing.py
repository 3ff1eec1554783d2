"""Chooses entities by a text or by data: a small language for widgets, forms, the command line and programs.

A choice is a list of parts separated by commas or line breaks. It is read from left to right: each part adds its
entities, and a part with `not` or `!` in front removes them. A choice that begins with such a part starts from all
entities, so `not 3` is all but 3, and `area>=5%, not 3` is the large ones without 3.

    3   5-7                     ids, and ranges of ids
    all   none
    largest   largest 3         by area; likewise smallest
    best   best 3               by score
    leftmost   leftmost 2       by the middle of their boxes; likewise rightmost, top and bottom
    centre                      the entity at the centre of the picture, or else the one nearest to it
    score>=0.5   area<2000      >=, >, <= or <; a score in 0..1, an area in pixels
    area>=5%                    an area in percent of the picture
    phrase: two dogs            the entities of a grounding's phrases with this text; quoted text may contain commas;
                                without a grounding, the entities whose class has this name
    {"x": 40, "y": 30}          the entity under a point in pixels; with "label": 0 it is removed again
    {"x": 40, "y": 30, "width": 99, "height": 50}      the entities with at least half of their area in a box
    [...]                       JSON lists of points, boxes and ids
    picture 2: 3,5              everything up to the next such mark is for the second of several pictures

Upper case and synonyms such as left and middle are allowed, and Chinese commas and colons count as commas and colons.
An empty choice chooses nothing. If areas, scores or positions are equal, the lower id comes first. Everything before
the first `picture N:` is for all pictures that do not have their own part.

In a clip, whose entities are tracked from picture to picture, numbers are track ids, and a choice holds for all
pictures; see `choose_tracks`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from reprlib import repr as short
from typing import Any, Literal

import numpy as np

from ..support.errors import Advice, InputError
from .entity_map import EntityMap
from .grounding import Grounding
from .pointing import Data, boxed, listed, nearest, read_json, under

_COMMAS = ",，、\n"
_NOT = re.compile(r"(?:not\b|!)\s*", re.IGNORECASE)
_PICTURE = re.compile(r"pictures?[ ]*([0-9]{1,9})(?:[ ]*[-–][ ]*([0-9]{1,9}))?[ ]*[:：]\s*", re.IGNORECASE)
_PHRASE = re.compile(rf"""phrase[ ]*[:：][ ]*(?:"([^"]*)"|([^{_COMMAS}]*))""", re.IGNORECASE)
_PLAIN = re.compile(rf"[^{_COMMAS}]+")
_WORD = re.compile(r"\w+")

# Parts other than phrases and JSON, in lower case. The number of digits is limited, so that every number has a value.
_ID = re.compile(r"([0-9]{1,18})(?:\s*[-–]\s*([0-9]{1,18}))?")
_RANK = re.compile(r"(largest|smallest|best|leftmost|rightmost|top|bottom)(?:\s+([0-9]{1,18}))?")
_SYNONYMS = {
    "all": ("everything",),
    "none": ("nothing",),
    "centre": ("center", "middle"),
    "largest": ("biggest",),
    "leftmost": ("left",),
    "rightmost": ("right",),
    "top": ("topmost",),
    "bottom": ("bottommost",),
}
_KNOWN = {other: word for word, others in _SYNONYMS.items() for other in others}
_LIMIT = re.compile(r"(score|area)\s*(>=|<=|>|<)\s*([0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})\s*(%?)")
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
}


@dataclass(frozen=True)
class _Part:
    """One part of a choice.

    Attributes:
        kind: "all", "none" or "centre", without a value; "ids", first and last; "rank", criterion and count; "limit",
            the groups of `_LIMIT`; "phrase", its words; "data", a list; or "mark", the start of a part for single
            pictures.
        value: see `kind`.
        negated: whether it removes its entities.
        pictures: the first and the last picture that it is for, from 1; None: all that do not have their own part.
    """

    kind: Literal["mark", "all", "none", "ids", "rank", "limit", "centre", "phrase", "data"]
    value: Any = None
    negated: bool = False
    pictures: tuple[int, int] | None = None


def choose(
    entities: EntityMap,
    what: str | Data,
    *,
    grounding: Grounding | None = None,
    min_fraction: float = 0.5,
    strict: bool = True,
    picture: int = 1,
) -> list[int]:
    """The ids, in ascending order, chosen by a text in the language above, or by ids, points, boxes or lists of them.

    Args:
        entities: the map to choose from.
        what: a text, or the data its JSON would hold: an id, a point, a box, or a list of them.
        grounding: grounding of the same map; only `phrase:` needs it, and only if the entities do not have names.
        min_fraction: the fraction of its area, 0..1, that an entity must have in a box.
        strict: False ignores ids that do not exist, for a choice that was made on another picture.
        picture: the number of the picture in its batch, from 1, as in `picture 2:`.

    Raises:
        InputError: the text cannot be read, an id does not exist, or `phrase:` has no grounding.

    >>> import numpy as np
    >>> entities = EntityMap.from_labels(np.array([[1, 1, 1, 2, 2, 3]]), [0.9, 0.6, 0.3])
    >>> choose(entities, "1, 3")
    [1, 3]
    >>> choose(entities, "largest 2")
    [1, 2]
    >>> choose(entities, "score<0.5")
    [3]
    >>> choose(entities, "not 1")
    [2, 3]
    """

    def meant(part: _Part) -> tuple[set[int], set[int]]:
        return _meant_in(entities, part, grounding, min_fraction, strict)

    return sorted(_put_together(_for_picture(_read(what), picture), _all(entities), meant))


def choose_tracks(
    frames: Sequence[EntityMap],
    tracks: Sequence[np.ndarray],
    what: str | Data,
    *,
    groundings: Sequence[Grounding | None] | None = None,
    strict: bool = True,
) -> list[int]:
    """The tracks of a clip, in ascending order, chosen by a text in the language above; they hold for all its frames.

    Numbers are track ids. A phrase chooses the tracks that it refers to in at least half of the frames they are in.
    Everything else (`largest`, points, boxes, ...) is evaluated in the first frame, or in the one named by
    `picture 5:`, and chooses the tracks of the entities found there.

    Args:
        frames: the map of every frame.
        tracks: for every frame (N,) whole numbers from 1, the track of each of its entities.
        what: as in `choose`.
        groundings: one per frame, or None for a frame without one; only `phrase:` needs them.
        strict: False ignores tracks that do not exist.

    Raises:
        InputError: as in `choose`.

    >>> import numpy as np
    >>> frames = [EntityMap.from_labels(np.array(labels)) for labels in ([[1, 1, 2]], [[1, 2, 2]])]
    >>> tracks = [np.array([1, 2]), np.array([2, 1])]  # entity 1 of the second frame is track 2
    >>> choose_tracks(frames, tracks, "largest")
    [1]
    """
    lasting = np.bincount(np.concatenate([np.zeros(1, np.int64), *tracks]))  # the number of frames of each track
    lasting[0] = 0
    everything = set(np.flatnonzero(lasting).tolist())

    def known(numbers: list[int]) -> set[int]:
        for number in numbers:
            if strict and number not in everything:
                there_are = f"this clip has {write_ids(everything)}" if everything else "this clip has no tracks"
                raise InputError(f"There is no track {number}: {there_are}.")
        return everything & {*numbers}

    def as_tracks(frame: int, ids: set[int]) -> set[int]:
        return set(tracks[frame][[number - 1 for number in ids]].tolist()) if ids else set()

    def meant(part: _Part) -> tuple[set[int], set[int]]:
        if part.kind in ("all", "none"):
            return (everything if part.kind == "all" else set()), set()
        if part.kind == "ids":
            first, last = part.value
            return known([first, last]) | {number for number in everything if first <= number <= last}, set()
        if part.kind == "phrase":
            if groundings is None or not any(groundings):
                raise InputError(f"There is no phrase {short(part.value)} yet.", Advice.GROUND)
            votes = np.zeros(len(lasting), np.int64)
            for frame, (found, grounding) in enumerate(zip(frames, groundings)):
                if grounding is not None:
                    votes[[*as_tracks(frame, _meant_by_phrase(found, grounding, part.value))]] += 1
            return set(np.flatnonzero((votes > 0) & (2 * votes >= lasting)).tolist()), set()
        added, taken = set(), set()
        for frame in range((part.pictures or (1, 1))[0] - 1, min((part.pictures or (1, 1))[1], len(frames))):
            if part.kind == "data":
                items = [item for item in part.value if isinstance(item, Mapping)]
                more, less = _meant_by(frames[frame], items, 0.5)
            else:
                more, less = _meant_in(frames[frame], part, None, 0.5, strict)
            added |= as_tracks(frame, more)
            taken |= as_tracks(frame, less)
        if part.kind == "data":
            added |= known(_checked_numbers([item for item in part.value if not isinstance(item, Mapping)]))
        return added, taken

    return sorted(_put_together([part for part in _read(what) if part.kind != "mark"], everything, meant))


def check_choice(text: str) -> None:
    """Raises InputError if a text is not in the language above; does not need any entities.

    >>> check_choice("largest 2, score>0.5")
    >>> check_choice("largest cat")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    esg.support.errors.InputError: ...
    """
    _read(text)


def ids_of_phrase(grounding: Grounding, text: str) -> list[int]:
    """The ids, in ascending order, that the phrases with this text refer to; empty if there is no such phrase.

    Phrases equal to this text, ignoring case and spaces, take precedence; if there are none, all phrases that contain
    its words, in any order, count.

    >>> from esg import Grounding, Phrase
    >>> ids_of_phrase(Grounding("A dog.", (Phrase("dog", (2, 5), (3,), (0.9,)),)), "dog")
    [3]
    """
    return _called([(phrase.text, phrase.entity_ids) for phrase in grounding.phrases], text)


def _called(named: list[tuple[str, Iterable[int]]], text: str) -> list[int]:
    wanted = _plain(text)
    same = [ids for name, ids in named if _plain(name) == wanted]
    words = set(_WORD.findall(wanted))
    containing = [ids for name, ids in named if words and words <= set(_WORD.findall(_plain(name)))]
    return sorted({number for ids in same or containing for number in ids})


def invert(entities: EntityMap, ids: int | Iterable[int]) -> list[int]:
    """All other ids, in ascending order; InputError for one that does not exist.

    >>> import numpy as np
    >>> invert(EntityMap.from_labels(np.array([[1, 2, 3]])), [2])
    [1, 3]
    """
    return np.setdiff1d(np.arange(1, len(entities) + 1), entities.checked_ids(ids)).tolist()


def write_ids(ids: Iterable[int]) -> str:
    """Ids as a text that `choose` reads: "3,5-7", or "none" if empty; InputError unless they are ids.

    >>> write_ids([1, 2, 3, 7])
    '1-3,7'
    """
    given = list(ids)
    if not all(isinstance(number, Integral) and not isinstance(number, bool) and number > 0 for number in given):
        raise InputError(f"Entity ids are whole numbers of 1 or more, not {short(given)}.")
    runs: list[list[int]] = []
    for number in sorted(set(given)):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    parts = [f"{run[0]}-{run[-1]}" if len(run) > 2 else ",".join(map(str, run)) for run in runs]
    return ",".join(parts) or "none"


def _read(what: str | Data) -> list[_Part]:
    """The parts of a choice; InputError if it cannot be read."""
    if not isinstance(what, str):
        return [_Part("data", listed(what))]
    parts: list[_Part] = []
    pictures: tuple[int, int] | None = None
    place = _after_break(what, 0)
    while place < len(what):
        if mark := _PICTURE.match(what, place):
            pictures = int(mark[1]), int(mark[2] or mark[1])
            if not 1 <= pictures[0] <= pictures[1]:
                raise InputError(f"Pictures are numbered from 1, so {mark[0].strip()!r} does not exist.")
            parts.append(_Part("mark", pictures=pictures))
            place = _after_break(what, mark.end())
            continue
        negation = _NOT.match(what, place)
        place = negation.end() if negation else place
        kind: Any
        if phrase := _PHRASE.match(what, place):
            kind, value = "phrase", (phrase[1] if phrase[2] is None else phrase[2]).strip()
            place = phrase.end()
            if not value:
                raise InputError('"phrase:" must be followed by words, as in "phrase: two dogs".')
        elif what.startswith(("[", "{"), place):
            data, place = read_json(what, place)
            kind, value = "data", listed(data)
        elif plain := _PLAIN.match(what, place):
            kind, value = _words(plain[0].strip().lower())
            place = plain.end()
        else:
            raise InputError('"not" must be followed by something, as in "not 3".')
        parts.append(_Part(kind, value, bool(negation), pictures))
        following = _after_break(what, place)
        if following < len(what) and not {*what[place:following]} & {*_COMMAS}:
            raise InputError(f"There must be a comma before {short(what[following:])}.")
        place = following
    return parts


def _words(part: str) -> tuple[str, Any]:
    """Kind and value of a part that is neither a phrase nor JSON."""
    said, (word, *more) = part, part.split(maxsplit=1)  # a part is never empty
    part = " ".join([_KNOWN.get(word, word), *more])
    if part in ("all", "none", "centre"):
        return part, None
    if match := _ID.fullmatch(part):
        first, last = int(match[1]), int(match[2] or match[1])
        if first > last:
            raise InputError(f"The range {first}-{last} is backwards; write {last}-{first}.")
        return "ids", (first, last)
    if match := _RANK.fullmatch(part):
        return "rank", (match[1], int(match[2] or 1))
    if match := _LIMIT.fullmatch(part):
        return "limit", match.groups()
    raise InputError(
        f"{short(said)} is not understood; write ids such as 3,5-7, or all, none, largest 3, smallest, best 3, centre, "
        "leftmost, rightmost, top, bottom, score>=0.5, area>=5%, phrase: two dogs, or points or boxes as JSON."
    )


def _for_picture(parts: list[_Part], picture: int) -> list[_Part]:
    """The parts for one of several pictures: its own, or else those for all pictures."""
    own = [part for part in parts if part.pictures and part.pictures[0] <= picture <= part.pictures[1]]
    chosen = own or [part for part in parts if part.pictures is None]  # a mark without parts chooses nothing
    return [part for part in chosen if part.kind != "mark"]


def _put_together(
    parts: Iterable[_Part], everything: set[int], meant: Callable[[_Part], tuple[set[int], set[int]]]
) -> set[int]:
    """The ids of a choice; `meant` returns the ids that a part adds and those that it removes."""
    chosen: set[int] = set()
    for number, part in enumerate(parts):
        added, taken = meant(part)
        if part.negated:
            chosen = (everything if number == 0 else chosen) - (added - taken)
        else:
            chosen = (chosen | added) - taken
    return chosen


def _meant_in(
    entities: EntityMap, part: _Part, grounding: Grounding | None, min_fraction: float, strict: bool
) -> tuple[set[int], set[int]]:
    """The ids of a map that a part adds, and those that it removes."""
    if part.kind == "data":
        return _meant_by(entities, part.value, min_fraction, strict)
    if part.kind == "phrase":
        return _meant_by_phrase(entities, grounding, part.value), set()
    if part.kind in ("all", "none"):
        return (_all(entities) if part.kind == "all" else set()), set()
    if part.kind == "ids":
        first, last = part.value
        if strict:
            entities.checked_ids([first, last])
        return set(range(max(first, 1), min(last, len(entities)) + 1)), set()
    if part.kind == "rank":
        what, count = part.value
        return set((np.argsort(_by(entities, what), kind="stable")[:count] + 1).tolist()), set()
    if part.kind == "limit":
        return _within(entities, *part.value), set()
    return set(nearest(entities, entities.width / 2, entities.height / 2)), set()


def _by(entities: EntityMap, what: str) -> np.ndarray:
    """The sort keys of the entities, (N,), ascending."""
    if what in ("largest", "smallest"):
        return entities.areas * (-1 if what == "largest" else 1)
    if what == "best":
        return -entities.scores
    across = what in ("leftmost", "rightmost")
    middle = entities.boxes[:, 0 if across else 1] + entities.boxes[:, 2 if across else 3]
    return middle if what in ("leftmost", "top") else -middle


def _within(entities: EntityMap, what: str, comparison: str, number: str, percent: str) -> set[int]:
    limit = float(number) / 100 if percent else float(number)
    if what == "score":
        fulfilled = _COMPARE[comparison](entities.scores, np.float32(limit))
    else:
        fulfilled = _COMPARE[comparison](entities.areas, limit * entities.labels.size if percent else limit)
    return set((np.flatnonzero(fulfilled) + 1).tolist())


def _after_break(text: str, place: int) -> int:
    while place < len(text) and (text[place] in _COMMAS or text[place].isspace()):
        place += 1
    return place


def _meant_by_phrase(entities: EntityMap, grounding: Grounding | None, text: str) -> set[int]:
    if grounding is None and any(entities.names):
        return set(_called([(name, (k,)) for k, name in enumerate(entities.names, start=1) if name], text))
    if grounding is None:
        raise InputError(f"There is no phrase {short(text)} yet.", Advice.GROUND)
    found = ids_of_phrase(grounding, text)
    if found and found[-1] > len(entities):
        raise InputError(
            f"The grounding belongs to other entities: it refers to entity {found[-1]}, but there are {len(entities)}."
        )
    return set(found)


def _meant_by(
    entities: EntityMap, items: list[Any], min_fraction: float, strict: bool = True
) -> tuple[set[int], set[int]]:
    """The ids that a list of ids, points and boxes adds, and those that it removes."""
    ids = [item for item in items if not isinstance(item, Mapping)]
    boxes = [item for item in items if isinstance(item, Mapping) and ("width" in item or "height" in item)]
    points = [item for item in items if isinstance(item, Mapping) and not ("width" in item or "height" in item)]
    ids = _checked_numbers(ids)
    added, taken = under(entities, points)
    added |= boxed(entities, boxes, min_fraction)
    if not strict:
        ids = [number for number in ids if 1 <= number <= len(entities)]
    return added.union(entities.checked_ids(ids).tolist()), taken


def _checked_numbers(ids: list[Any]) -> list[int]:
    for number in ids:
        if isinstance(number, bool) or not isinstance(number, Integral):
            raise InputError(f"Entities are chosen by ids, points and boxes, not by {short(number)}.")
    return [int(number) for number in ids]


def _all(entities: EntityMap) -> set[int]:
    return set(range(1, len(entities) + 1))


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
