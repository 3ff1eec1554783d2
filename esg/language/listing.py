"""Parses lists of names: separated by commas, by line breaks, or by dots as for Grounding DINO."""

from __future__ import annotations

import re

from .nouns import noun_phrases
from .words import DETERMINERS, Span, find_words, is_qualifier

_BREAK = re.compile(r"[,;，、；。\n\r\u2028]")
_LONE_DOT = re.compile(r"(?:(?<=\s)|^)\.+(?=\s|$)")  # does not occur within a sentence
_DOT = re.compile(r"\.+(?=\s|$)")
_MOST_WORDS = 6  # maximum number of words in a name


def split_names(text: str) -> list[str]:
    """Splits a list into names: "cat, dog", one per line, "cat . dog ." or "cat. dog."; empty names are dropped.

    Dots separate names only if the list has no other separator, so that "St. Bernard, cat" is two names.

    >>> split_names("red ball, two dogs")
    ['red ball', 'two dogs']
    >>> split_names("cat . dog .")
    ['cat', 'dog']
    """
    if _BREAK.search(text):
        parts = _BREAK.split(text.rstrip().removesuffix("."))  # this dot ends the list, not a name
    elif _LONE_DOT.search(text) or (text.rstrip().endswith(".") and len(_DOT.findall(text)) > 1):
        parts = _DOT.split(text)
    else:
        parts = [text]
    names = [" ".join(_LONE_DOT.sub("", " ".join(part.split())).split()) for part in parts]
    return [name for name in names if name]


def dotted_names(caption: str) -> list[Span] | None:
    """The spans of the names if a caption is a list with dots, such as "cat . dog ."; None if it is a sentence."""
    dots = [found.span() for found in _LONE_DOT.finditer(caption)]
    if not dots:
        return None
    starts, ends = [0, *(end for _, end in dots)], [*(start for start, _ in dots), len(caption)]
    spans = [_without_space(caption, start, end) for start, end in zip(starts, ends)]
    spans = [(start, end) for start, end in spans if start < end]
    if len(spans) < 2 or not all(_is_name(caption[start:end]) for start, end in spans):
        return None
    return spans


def _without_space(text: str, start: int, end: int) -> Span:
    part = text[start:end]
    return start + len(part) - len(part.lstrip()), start + len(part.rstrip())


def _is_name(text: str) -> bool:
    """Whether a text is a single noun phrase and not a sentence."""
    words = find_words(text)
    if not words or len(words) > _MOST_WORDS:
        return False
    if all(is_qualifier(word.key) for word in words):
        return True  # an orange, a square
    phrases = noun_phrases(text)
    before = [word for word in words if not phrases or word.start < phrases[0][0]]
    return len(phrases) == 1 and phrases[0][1] == words[-1].end and all(word.key in DETERMINERS for word in before)
