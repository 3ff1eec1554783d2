"""Texts that are too long for a language model, in parts that are not: a list as several, sentences by themselves.

What a part says is understood without the others, up to what a pronoun stands for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from ..errors import InputError
from .prompts import category_caption, phrase_caption
from .words import Span

Part = tuple[str, list[Span]]
"""A text and where nouns stand in it."""
Excess = Callable[[str, Sequence[Span]], int]
"""By about how many words a text with these nouns is too long, 0 if it is not."""

_BREAK = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+|(?<=[。！？])|\s*\n\s*")


def sentences(caption: str, spans: Sequence[Span], excess: Excess) -> list[Part]:
    """A caption in as few steps of halving as are needed until all parts fit; one after the other they are the caption.

    Args:
        caption: any text.
        spans: of nouns, in their order, which no part divides.
        excess: of a part.

    Raises:
        InputError: a sentence is too long by itself.
    """
    words = excess(caption, spans)
    if not words:
        return [(caption, list(spans))]
    breaks = [found.end() for found in _BREAK.finditer(caption)]
    possible = [
        (abs(2 * place - len(caption)), place, count)
        for place in breaks
        if caption[:place].strip() and caption[place:].strip()
        for count in [sum(end <= place for _, end in spans)]
        if all(start >= place for start, _ in spans[count:])
    ]
    if not possible:
        raise InputError(
            f'The text "{_beginning(caption)}" is about {words} word{"s" * (words > 1)} too long for this model; '
            "shorten it, or make several sentences of it."
        )
    _, place, count = min(possible)
    after = [(start - place, end - place) for start, end in spans[count:]]
    return sentences(caption[:place], spans[:count], excess) + sentences(caption[place:], after, excess)


def parted(caption: str, spans: Sequence[Span], excess: Excess) -> list[Part]:
    """A caption as `sentences`, or, where it is one of `prompts` for a list of names, as captions for shorter lists.

    The parts have all spans in their order, but not all text: sentences without any are left out.

    Raises:
        InputError: a sentence, or a name, is too long by itself.
    """
    if excess(caption, spans) and len(spans) > 1:
        names, middle = [caption[slice(*span)] for span in spans], len(spans) // 2
        for make in (category_caption, phrase_caption):
            if make(names) == (caption, list(spans)):
                return parted(*make(names[:middle]), excess) + parted(*make(names[middle:]), excess)
    return [part for part in sentences(caption, spans, excess) if part[1] or not spans]


def _beginning(text: str) -> str:
    words = text.split()
    short = " ".join(words[:6])[:40]
    return short if short == " ".join(words) else f"{short} …"
