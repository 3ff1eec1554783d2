"""Splits texts that are too long for a language model: a list into shorter lists, a caption into sentences.

Each part can be understood by itself, except for pronouns that refer to another part.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial

from ..support.errors import InputError
from .captions import category_caption, phrase_caption
from .words import Span

Part = tuple[str, list[Span]]
"""A text and the spans of its nouns."""
Excess = Callable[[str, Sequence[Span]], int]
"""Returns by about how many words a text with these nouns is too long; 0 if it fits."""

_BREAK = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+|(?<=[。！？])|\s*\n\s*")


def sentences(caption: str, spans: Sequence[Span], excess: Excess) -> list[Part]:
    """Splits a caption in halves, with as few splits as possible, until all parts fit; joined, they give the caption.

    Args:
        caption: any text.
        spans: spans of nouns, in order; no noun is split.
        excess: returns by how much a part is too long.

    Raises:
        InputError: a single sentence is too long.
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
            "shorten it, or split it into several sentences."
        )
    _, place, count = min(possible)
    after = [(start - place, end - place) for start, end in spans[count:]]
    return sentences(caption[:place], spans[:count], excess) + sentences(caption[place:], after, excess)


def parted(caption: str, spans: Sequence[Span], excess: Excess) -> list[Part]:
    """Splits like `sentences`; a caption that `prompts` made from a list of names becomes captions of shorter lists.

    The parts have all spans in order, but not all of the text: sentences without spans are dropped.

    Raises:
        InputError: a single sentence or name is too long.
    """
    if excess(caption, spans) and len(spans) > 1:
        names, middle = [caption[slice(*span)] for span in spans], len(spans) // 2
        # Different names of a user may be the same to the model, which knows fewer words.
        for make in (partial(category_caption, once=False), phrase_caption):
            if make(names) == (caption, list(spans)):
                return parted(*make(names[:middle]), excess) + parted(*make(names[middle:]), excess)
    return [part for part in sentences(caption, spans, excess) if part[1] or not spans]


def _beginning(text: str) -> str:
    words = text.split()
    short = " ".join(words[:6])[:40]
    return short if short == " ".join(words) else f"{short} …"
