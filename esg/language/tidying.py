"""Normalises white space, line breaks and bullets in users' texts, and maps spans back to the original text."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .words import ADJECTIVES, DETERMINERS, FUNCTION_WORDS, NOUNS_TOO, Span, find_words, is_number

_SPACE = re.compile("[\\s\u200b]+")
_INVISIBLE = "\u00ad\u2060\ufeff"  # soft hyphen, word joiner, byte order mark: dropped within a word
_BULLET = re.compile(r"(?:[-*•·‣–—]|\d{1,2}[.)])(?=\s)")
_LINE_BREAK = re.compile("\r\n|[\n\r\v\f\u0085\u2028\u2029]")
_GO_ON = FUNCTION_WORDS | DETERMINERS | (ADJECTIVES - NOUNS_TOO)  # a sentence does not end with these
_WRAPPED = 60  # characters; a longer line may be wrapped in the middle of a sentence


@dataclass(frozen=True)
class Tidied:
    """A normalised text.

    Attributes:
        text: the text, with single spaces instead of other white space and none at its ends.
        places: index in the original text of each of its characters.
    """

    text: str
    places: tuple[int, ...]

    def written(self, span: Span) -> Span:
        """Converts a span of `text` to one of the original text."""
        start, end = span
        if start >= end:
            return (self.places[start], self.places[start]) if start < len(self.places) else (0, 0)
        return self.places[start], self.places[end - 1] + 1


def tidied(text: str) -> Tidied:
    """Normalises white space; adds a full stop if a line ends a sentence or a list item without one."""
    letters: list[str] = []
    places: list[int] = []
    place = 0
    while place < len(text):
        if bullet := _BULLET.match(text, place) if _begins_line(text, place) else None:
            place = bullet.end()
            if space := _SPACE.match(text, place):
                place = space.end()
        elif space := _SPACE.match(text, place):
            place = space.end()
            if letters and letters[-1] != " " and place < len(text):
                added = ". " if _ends_sentence(text, space.span()) else " "
                letters += added
                places += [space.start()] * len(added)
        else:
            if text[place] not in _INVISIBLE:
                letters.append(text[place])
                places.append(place)
            place += 1
    while letters and letters[-1] == " ":
        letters.pop(), places.pop()
    return Tidied("".join(letters), tuple(places))


def _begins_line(text: str, place: int) -> bool:
    before = text[:place].rstrip(" \t\u00a0")
    return not before or _LINE_BREAK.match(before[-1]) is not None


def _ends_sentence(text: str, space: Span) -> bool:
    """Whether this white space contains a line break and follows a sentence that lacks a full stop."""
    start, end = space
    breaks = len(_LINE_BREAK.findall(text[start:end]))
    if not breaks or not text[start - 1].isalnum():
        return False
    if bullet := _BULLET.match(text, end):
        return bullet.end() < len(text)
    line = _LINE_BREAK.split(text[:start])[-1]
    before, after = find_words(line), find_words(text[end : end + 40])
    if not before or not after:
        return False
    last, first = before[-1].key, after[0].key
    if last in _GO_ON or is_number(last):
        return False
    if text[end].isupper():
        return True
    return breaks > 1 or (len(line) < _WRAPPED and first not in FUNCTION_WORDS)
