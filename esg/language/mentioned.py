"""Finds the categories of COCO that a text mentions."""

from __future__ import annotations

from .coco_names import NAMES, SYNONYMS
from .known_words import render
from .words import find_words, forms

_NAMES = frozenset(NAMES)


def names_mentioned(text: str) -> set[str]:
    """The everyday names of the categories that a text mentions, whichever words it uses.

    >>> sorted(names_mentioned("A woman and two puppies."))
    ['dog', 'person']
    """
    words = [word.key for word in find_words(render(text, SYNONYMS, _NAMES).text)]
    found, place = set(), 0
    while place < len(words):
        for count in (3, 2, 1):
            part = words[place : place + count]
            name = next((n for last in forms(part[-1]) if (n := " ".join((*part[:-1], last))) in _NAMES), None)
            if name is None and " ".join(part) in _NAMES:
                name = " ".join(part)
            if name is None and part == ["people"]:
                name = "person"
            if name is not None:
                found.add(name)
                place += len(part)
                break
        else:
            place += 1
    return found
