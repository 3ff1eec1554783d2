"""Writes a plain sentence that only lists the names of entities in an image, so that it contains nothing invented."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .coco_names import COUNTS, UNCOUNTED

_AFTER = "and|on|in|at|with|under|near|behind|beside|next|of|is|are"  # words that show that a noun is complete
_WRONG_ARTICLE = re.compile(rf"\b([Aa])n? ({'|'.join(sorted(UNCOUNTED))})(?=$|[.,;]| (?:{_AFTER})\b)")
_UNFINISHED = re.compile(
    r"\b(?:a|an|the|and|with|on|in|at|under|of) (?:and|on|in|at|with|of|under)\b|\b(?:a|an|the|and|with|on)[.,]"
    rf"|\b(?:a|an|the|few|several|{'|'.join(COUNTS)}) (?:a|an|the)\b",
    re.IGNORECASE,
)
_ONLY_ONE = ("sky", "sea", "water", "ground", "floor", "ceiling")  # unique in a scene, so they take "the"


def plain_sentence(names: Sequence[str]) -> str:
    """ "A person, two dogs and the sky."; names as returned by `coco_names.counted_names`, at least one."""
    return sentence(listed(names))


def listed(names: Sequence[str]) -> str:
    """Names with their articles: "a person, two dogs and the sky"."""
    parts = [_with_article(name) for name in names]
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def sentence(text: str) -> str:
    """Adds an initial capital and a full stop."""
    return text[0].upper() + text[1:] + "."


def _with_article(name: str) -> str:
    first = name.split()[0]
    if first in COUNTS or first == "several":
        return name
    if name in UNCOUNTED:
        return f"the {name}" if name in _ONLY_ONE else name
    return f"{'an' if name[0] in 'aeio' or name.startswith('um') else 'a'} {name}"


def without_wrong_articles(text: str) -> str:
    """Corrects "a" before names that are not counted, which a small language model writes at times.

    >>> without_wrong_articles("A snow and trees.")
    'Snow and trees.'
    >>> without_wrong_articles("A dog on a grass under a sky, a water bottle.")
    'A dog on grass under the sky, a water bottle.'
    """

    def right(found: re.Match[str]) -> str:
        name = f"the {found[2]}" if found[2] in _ONLY_ONE else found[2]
        return name[0].upper() + name[1:] if found[1] == "A" else name

    return _WRONG_ARTICLE.sub(right, text)


def is_complete(text: str) -> bool:
    """Whether no article, number, preposition or "and" lacks its noun, as small language models leave them at times.

    >>> is_complete("A cat on a chair."), is_complete("A cat on a chair and in the background.")
    (True, False)
    """
    return not _UNFINISHED.search(text)
