"""The messages of the browser, and the only place that reads them.

Every event brings what `esg.chosen()` in `browser/selection.js` returns:

    selected    ids of the selected entities
    strokes     strokes of the brush, in order: add (true, or false to erase), radius, points [[x, y], ...]; all lengths
                are fractions of the picture's width, or of its height for y
    shown       how many entities the page shows, those with the highest scores
    map_number  the server's number of the map that ids belong to, as in `Visit`; 0 if there is none
    picture     how many pictures the browser has received

An export (`browser/saving.js`) adds `what`, `opacity` and `numbers`, see `DownloadRequest`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from esg import InputError

MOST_POINTS = 20_000  # of all brush strokes together
WIDEST_BRUSH = 0.12  # the largest radius that the page offers, as a fraction of the picture's width
_ODD = (KeyError, TypeError, ValueError, OverflowError, AttributeError)  # of a message that makes no sense


@dataclass(frozen=True)
class Stroke:
    """One stroke of a brush over a mask.

    Attributes:
        add: whether it adds to the mask or erases from it.
        radius: radius of the brush, as a fraction of the picture's width.
        points: its path, x and y as fractions of the picture's width and height; at least one point.
    """

    add: bool
    radius: float
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Chosen:
    """The selection in the browser.

    Attributes:
        ids: the selected entities, in ascending order.
        shown: how many entities the page shows; these are the ones with the highest scores.
        map_number: the map that `ids` and `shown` belong to, as in `Visit`. When a job starts, the visitor may already
            have another one.
        picture: how many pictures the browser had received; an answer about an earlier picture is ignored.
        strokes: brush strokes, which add to the mask or erase from it.
    """

    ids: tuple[int, ...]
    shown: int
    map_number: int
    picture: int
    strokes: tuple[Stroke, ...] = ()

    @classmethod
    def read(cls, data: Any) -> Chosen:
        """From what came over the network; InputError if it makes no sense."""
        try:
            ids = tuple(int(number) for number in data["selected"])
            strokes = read_strokes(data.get("strokes", ()))
            return cls(ids, int(data["shown"]), int(data["map_number"]), int(data["picture"]), strokes)
        except _ODD:
            raise _unreadable() from None


@dataclass(frozen=True)
class DownloadRequest:
    """A request for a file.

    Attributes:
        what: a key of `saving.FILES`.
        chosen: what was selected.
        opacity: opacity of the overlay, from 0 to 1.
        numbers: whether the overlay has numbers.
    """

    what: str
    chosen: Chosen
    opacity: float = 0.45
    numbers: bool = True

    @classmethod
    def read(cls, data: Any) -> DownloadRequest:
        """From what came over the network; InputError if it makes no sense."""
        chosen = Chosen.read(data)
        try:
            opacity = float(data["opacity"])
            if not 0 <= opacity <= 1:
                raise ValueError
            return cls(str(data["what"]), chosen, opacity, bool(data["numbers"]))
        except _ODD:
            raise _unreadable() from None


def _unreadable() -> InputError:
    return InputError("The page sent something that cannot be understood; reload it.")


def read_strokes(data: Iterable[Any]) -> tuple[Stroke, ...]:
    """Reads brush strokes that came over the network.

    Raises:
        InputError: there are too many.
        ValueError, KeyError, TypeError: they are invalid.
    """
    strokes = tuple(_stroke(one) for one in data)
    if sum(len(stroke.points) for stroke in strokes) > MOST_POINTS:
        raise InputError("There are too many brush strokes; apply the edit, then continue.")
    return strokes


def _stroke(data: Any) -> Stroke:
    points = tuple((float(x), float(y)) for x, y in data["points"])
    radius = float(data["radius"])
    if not points or not 0 < radius <= WIDEST_BRUSH or not all(-1 <= part <= 2 for point in points for part in point):
        raise ValueError  # also for NaN
    return Stroke(bool(data["add"]), radius, points)
