"""Replaces synonyms by words that a small model knows: "two puppies" is read as "two dogs".

A model trained on few captions knows one word for each thing, but people use many. Only the model sees the replaced
text; every span in it maps back to a span of the user's text.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

from .coco_names import plural
from .words import Span, Word, find_words, forms, is_plural


@dataclass(frozen=True)
class Rendering:
    """A text in which synonyms are replaced by known words.

    Attributes:
        text: the text for the model.
        changes: (start, end) in the user's text and (start, end) in `text` of every replaced word, in order.
    """

    text: str
    changes: tuple[tuple[Span, Span], ...]

    def to_rendered(self, span: Span) -> Span:
        """Converts a span of the user's text to one of `text`; it grows to whole words that were replaced."""
        return self._moved(span, 0)

    def to_original(self, span: Span) -> Span:
        """Converts a span of `text` to one of the user's text."""
        return self._moved(span, 1)

    def _moved(self, span: Span, side: int) -> Span:
        start, end = span
        begins = [change[side][0] for change in self.changes]
        number = bisect_right(begins, start) - 1
        if number >= 0 and start < self.changes[number][side][1]:
            start = self.changes[number][1 - side][0]
        elif number >= 0:
            start += self.changes[number][1 - side][1] - self.changes[number][side][1]
        number = bisect_right(begins, end - 1) - 1
        if number >= 0 and end <= self.changes[number][side][1]:
            end = self.changes[number][1 - side][1]
        elif number >= 0:
            end += self.changes[number][1 - side][1] - self.changes[number][side][1]
        return start, end


def render(text: str, synonyms: Mapping[str, str], names: frozenset[str] = frozenset()) -> Rendering:
    """Replaces every synonym in a text by its known word, in the same grammatical number.

    Args:
        text: any text.
        synonyms: the known word for each synonym, in lower case and in the singular.
        names: known names of several words; their words are not replaced.
    """
    words = find_words(text)
    parts: list[str] = []
    changes: list[tuple[Span, Span]] = []
    length = place = number = 0
    while number < len(words):
        found = _found(words, number, synonyms, names)
        if found is None:
            number += 1
            continue
        count, known = found
        start, end = words[number].start, words[number + count - 1].end
        number += count
        if known is None:
            continue
        parts += [text[place:start], known]
        length += start - place
        changes.append(((start, end), (length, length + len(known))))
        length += len(known)
        place = end
    return Rendering("".join((*parts, text[place:])), tuple(changes))


def _found(
    words: list[Word], number: int, synonyms: Mapping[str, str], names: frozenset[str]
) -> tuple[int, str | None] | None:
    """The number of words of the name that starts here and its replacement (None: unchanged); None if no name does."""
    for count in (3, 2, 1):
        keys = [word.key for word in words[number : number + count]]
        if len(keys) < count:
            continue
        for last in forms(keys[-1]):
            name = " ".join((*keys[:-1], last))
            if count > 1 and name in names:
                return count, None
            if name in synonyms:
                known = synonyms[name]
                several = last != keys[-1] and is_plural(keys[-1])
                return count, plural(known) if several else known
    return None
