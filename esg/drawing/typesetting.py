"""Draws text as a picture: in lines of a given width, with parts marked in colour."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

PAPER, INK, FAINT = (255, 255, 255), (24, 26, 30), (150, 154, 160)
LINE = 1.6  # height of a line, as a multiple of the font size; likewise the numbers below
MARGIN = 0.7
_UNKNOWN = "\U0010ffff"  # a character that no font has
# Pillow's own font has little more than ASCII; of these system fonts, the first that has all letters is used.
_FONTS = (
    *("DejaVuSans.ttf", "Arial.ttf", "arial.ttf", "Arial Unicode.ttf", "NotoSansCJK-Regular.ttc"),
    *("NotoSans-Regular.ttf", "msyh.ttc", "PingFang.ttc", "Hiragino Sans GB.ttc", "wqy-microhei.ttc"),
)

Colour = tuple[int, int, int]
_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


class Mark(NamedTuple):
    """A highlighted part of a text.

    Attributes:
        start, end: position in characters, the end exclusive.
        colour: background colour; None underlines it in grey.
    """

    start: int
    end: int
    colour: Colour | None


class _Piece(NamedTuple):
    """A piece of text in one line with the same marks, starting at x in line `row`."""

    text: str
    x: float
    row: int
    width: float
    marks: tuple[Mark, ...]


def typeset(text: str, marks: Sequence[Mark], width: int, size: float) -> np.ndarray:
    """Sets a text in lines, dark on white.

    Lines break at spaces, between letters in scripts without spaces, and within words longer than a line. Where marks
    overlap, the shortest one gives the colour and the others are bars below the text.

    Args:
        text: line breaks and invisible characters are set as spaces.
        marks: marks, in any order.
        width: width of the picture in pixels.
        size: font size in pixels.

    Returns:
        (h, width, 3) uint8 RGB, with a margin on all sides; h depends on the number of lines.
    """
    text = "".join(sign if sign.isprintable() else " " for sign in text)
    font = _font(text, size)
    margin = round(MARGIN * size)
    pieces = list(_pieces(text, marks, font, max(1, width - 2 * margin)))
    rows = pieces[-1].row + 1 if pieces else 1
    picture = Image.new("RGB", (width, 2 * margin + round(rows * LINE * size)), PAPER)
    draw = ImageDraw.Draw(picture)
    for piece in pieces:
        _draw_marks(draw, piece, margin, size)
    for piece in pieces:
        colour = next((mark.colour for mark in piece.marks if mark.colour), None)
        place = (margin + piece.x, margin + (piece.row + 0.5) * LINE * size)
        draw.text(place, piece.text, fill=ink_on(colour) if colour else INK, font=font, anchor="lm")
    return np.asarray(picture)


def ink_on(colour: Sequence[int]) -> Colour:
    """Black or white, whichever stands out more from this colour (WCAG's contrast; at least 4.5 : 1)."""
    linear = [(part / 255 / 12.92) if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in colour]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return (0, 0, 0) if luminance > 0.179 else (255, 255, 255)


def _pieces(text: str, marks: Sequence[Mark], font: _Font, width: int) -> Iterator[_Piece]:
    by_length = sorted(marks, key=lambda mark: mark.end - mark.start)
    bounds = sorted({bound for mark in marks for bound in (mark.start, mark.end)})
    x, row = 0.0, 0
    for start, end in _unbroken(text, font, width):
        across = font.getlength(text[start:end])
        if x and x + across > width:
            x, row = 0.0, row + 1
            if text[start:end].isspace():
                continue
        cuts = [start, *(bound for bound in bounds if start < bound < end), end]
        for first, last in zip(cuts, cuts[1:]):
            here = font.getlength(text[first:last])
            over = tuple(mark for mark in by_length if mark.start <= first and last <= mark.end)
            yield _Piece(text[first:last], x, row, here, over)
            x += here


def _unbroken(text: str, font: _Font, width: int) -> Iterator[tuple[int, int]]:
    """The unbreakable stretches of the text: words, spaces, and letters of long words."""
    for found in re.finditer(r"\s+|\S+", text):
        start = found.start()
        for place in range(found.start(), found.end()):
            wide = unicodedata.east_asian_width(text[place]) in "WF"
            if start < place and (wide or font.getlength(text[start : place + 1]) > width):
                yield start, place
                start = place
        yield start, found.end()


def _draw_marks(draw: ImageDraw.ImageDraw, piece: _Piece, margin: int, size: float) -> None:
    colours = [mark.colour for mark in piece.marks if mark.colour]
    left, right = margin + piece.x, margin + piece.x + piece.width
    top = margin + piece.row * LINE * size
    if colours:
        pad = 0.14 * size
        draw.rectangle((left - pad, top + 0.12 * LINE * size, right + pad, top + 0.88 * LINE * size), fill=colours[0])
    bars = colours[1:] or ([FAINT] if piece.marks and not colours else [])
    thickness = max(1, round(0.08 * size))
    for number, colour in enumerate(bars):
        y = round(top + 0.9 * LINE * size) + 2 * number * thickness
        draw.rectangle((left, y, right, y + thickness - 1), fill=colour)


def _font(text: str, size: float) -> _Font:
    """A font that has all letters of the text, or else the one that lacks fewest."""
    letters = {sign for sign in text if not sign.isspace()}
    best: _Font = ImageFont.load_default(size)
    fewest = _lacking(best, letters)
    for name in _FONTS:
        if not fewest:
            break
        try:
            font = ImageFont.truetype(name, round(size))
        except OSError:
            continue  # not installed
        if (lacking := _lacking(font, letters)) < fewest:
            best, fewest = font, lacking
    return best


def _lacking(font: _Font, letters: set[str]) -> int:
    box = bytes(font.getmask(_UNKNOWN))
    return sum(bytes(font.getmask(letter)) == box for letter in letters)
