"""The contents of an annotation file: pictures and their masks, some of which may be unusable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from logging import getLogger
from typing import NamedTuple

from ...support.errors import InputError
from ..rle import Rle
from .canvas import FRACTIONS, NO_PIXEL, Canvas
from .fields import Unusable
from .stack import MAX_MASKS, Stack

log = getLogger(__name__)

_PERCENT = 100
_NAMED = 3  # items that a message names
NO_MASK = "has no mask"


class Item(NamedTuple):
    """A mask in a file.

    Attributes:
        called: its name in the file, such as "annotation 7".
        draw: makes its RLE, or raises Unusable.
        score: None if the file does not have scores.
        layer: masks with a higher number are on top; None if the file does not have layers.
        size: height, width of the picture, if the mask contains them.
        name: of its category, if the file names it.
    """

    called: str
    draw: Callable[[Canvas], Rle]
    score: Callable[[], float] | None = None
    layer: float | None = None
    size: tuple[int, int] | None = None
    name: str | None = None


class Picture(NamedTuple):
    """A picture that a file is about.

    Attributes:
        names: its file names, best first; empty if the file does not name it.
        size: height, width, if the file contains them.
        items: makes the list of its masks when they are needed.
        nested: whether its masks are SAM's: parts lie within wholes, and the scores do not give the stacking order.
    """

    names: tuple[str, ...]
    size: tuple[int, int] | None
    items: Callable[[], list[Item]]
    nested: bool = False


class LeftOut:
    """Collects unusable items for one message, which counts them, names the first few, and says why."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.found: list[tuple[str, str]] = []

    def __len__(self) -> int:
        return len(self.found)

    def add(self, called: str, reason: str) -> None:
        """Adds an item, and the reason, worded to follow its name."""
        self.found.append((called, reason))

    def tell(self, total: int) -> None:
        """Warns, in one line, if any of `total` items were left out."""
        if self.found:
            are = "is" if len(self.found) == 1 else "are"
            log.warning("%s: %d of %d masks %s left out: %s.", self.source, len(self.found), total, are, self.reasons())

    def refuse(self) -> InputError:
        """The error for a file without usable items."""
        if all(reason == NO_MASK for _, reason in self.found):
            return InputError(
                f"{self.source} has boxes and no masks: none of its {len(self.found)} annotations has a mask; "
                f"export polygons or masks instead."
            )
        return InputError(f"{self.source} has no mask that can be used: {self.reasons()}.")

    def reasons(self) -> str:
        """Grouped by the reason: "annotation 3 and annotation 5 have no mask; …"."""
        often = Counter(reason for _, reason in self.found)
        said = []
        for reason, count in often.most_common(_NAMED):
            names = [called for called, why in self.found if why == reason][:_NAMED]
            more = f" and {count - len(names)} more" if count > len(names) else ""
            said.append(f"{', '.join(names)}{more}{'' if count == 1 else ':'} {reason}")
        return "; ".join(said) + ("; and other reasons" if len(often) > _NAMED else "")


def collect(items: list[Item], size: tuple[int, int], source: str, *, nested: bool = False) -> Stack:
    """Draws the masks of one picture; unusable ones are skipped and named in one warning.

    Raises:
        InputError: none of the items can be used, or they are too many or too large in total.
    """
    if len(items) > MAX_MASKS:
        raise InputError(f"{source} has {len(items):,} masks of one picture, more than the limit of {MAX_MASKS:,}.")
    drawn = _Drawn(items, Canvas(size, source))
    reasons = {reason for _, reason in drawn.left_out.found}
    if not drawn.rles and FRACTIONS in reasons <= {FRACTIONS, NO_MASK}:
        log.info("%s: the coordinates lie between 0 and 1; ESG takes them as fractions of the picture.", source)
        drawn = _Drawn(items, Canvas(size, source, fractions=True))
        reasons = {reason for _, reason in drawn.left_out.found}
    if not drawn.rles and reasons - {NO_PIXEL, FRACTIONS}:
        raise drawn.left_out.refuse()
    corner = zip(drawn.corner, size[::-1], strict=True)
    if all(0.8 * _PERCENT <= farthest <= _PERCENT <= side / 2 for farthest, side in corner):
        log.warning(
            "%s: all outlines lie within the first 100 pixels; if the coordinates are percent, write them as 50%%.",
            source,
        )
    drawn.left_out.tell(len(items))
    _tell("used without a piece that is not a polygon; a piece of", drawn.in_part, source)
    _tell("given the score 1:", drawn.unscored, source)
    layered = any(item.layer is not None for item in items)
    layers, names = drawn.layers if layered else None, drawn.names if any(drawn.names) else None
    return Stack(drawn.rles, drawn.scores, size, nested=nested, layers=layers, names=names)


class _Drawn:
    """The usable masks, and notes on those that are unusable or usable only in part."""

    def __init__(self, items: list[Item], canvas: Canvas) -> None:
        self.left_out = LeftOut(canvas.source)
        self.in_part: list[str] = []
        self.unscored: list[str] = []
        self.rles: list[Rle] = []
        self.scores: list[float] = []
        self.layers: list[float] = []
        self.names: list[str | None] = []
        for item in items:
            canvas.dropped = []
            try:
                mask = item.draw(canvas)
            except Unusable as error:
                self.left_out.add(item.called, str(error))
                continue
            if canvas.dropped:
                self.in_part.append(f"{item.called} {canvas.dropped[0]}")
            self.rles.append(mask)
            self.scores.append(self._score(item))
            self.layers.append(0 if item.layer is None else item.layer)
            self.names.append(item.name)
        self.corner = canvas.corner

    def _score(self, item: Item) -> float:
        """The score of a mask; a mask without a usable score is kept, and has the score 1."""
        try:
            return 1.0 if item.score is None else item.score()
        except Unusable as error:
            self.unscored.append(f"{item.called} {error}")
            return 1.0


def _tell(what: str, notes: list[str], source: str) -> None:
    """Warns, in one line, of masks that are not used exactly as in the file, and quotes the first note."""
    if notes:
        masks = "1 mask is" if len(notes) == 1 else f"{len(notes)} masks are"
        log.warning("%s: %s %s %s.", source, masks, what, notes[0])


def check_any(items: list[Item], source: str) -> None:
    """Raises InputError if none of the masks can be used, whatever the size of their picture, which is unknown."""
    left_out = LeftOut(source)
    for item in items:
        try:
            item.draw(Canvas((1, 1), source))
            return
        except Unusable as error:
            if str(error) == NO_PIXEL:
                return
            left_out.add(item.called, str(error))
    raise left_out.refuse()
