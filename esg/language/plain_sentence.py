"""Writes a plain sentence that only says which named entities an image has, so that it contains nothing invented."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from .coco_names import COUNTS, THINGS, UNCOUNTED, without_count

_AFTER = "and|on|in|at|with|under|near|behind|beside|next|of|is|are"  # words that show that a noun is complete
_WRONG_ARTICLE = re.compile(rf"\b([Aa])n? ({'|'.join(sorted(UNCOUNTED))})(?=$|[.,;]| (?:{_AFTER})\b)")
_CLUMSY = re.compile(
    r"\b(?:a|an|the|and|with|on|in|at|under|of) (?:and|on|in|at|with|of|under)\b|\b(?:a|an|the|and|with|on)[.,]"
    rf"|\b(?:a|an|the|few|several|{'|'.join(COUNTS)}) (?:a|an|the)\b"
    r"|\band (?:\w+ ){1,3}and\b",
    re.IGNORECASE,
)
_ONLY_ONE = ("sky", "sea", "water", "ground", "floor", "ceiling")  # unique in a scene, so they take "the"


def plain_sentence(names: Sequence[str], rests_on: Mapping[str, str] | None = None) -> str:
    """Names things, what most of them rest on, and last what is around them.

    Args:
        names: as returned by `coco_names.counted_names`, at least one.
        rests_on: those of the names that rest on another one, and that other one.

    >>> plain_sentence(["sky", "grass", "two dogs"])
    'Two dogs, the sky and grass.'
    >>> plain_sentence(["sky", "grass", "two dogs"], {"two dogs": "grass"})
    'Two dogs on grass, with the sky.'
    """
    ordered = sorted(names, key=lambda name: without_count(name) not in THINGS)
    if not rests_on:
        return sentence(listed(ordered))
    ((ground, _),) = Counter(rests_on.values()).most_common(1)
    above = [name for name in ordered if rests_on.get(name) == ground]
    rest = [name for name in ordered if name not in above and name != ground]
    said = f"{listed(above)} on {listed([ground])}"
    return sentence(f"{said}, with {listed(rest)}" if rest else said)


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


def reads_well(text: str) -> bool:
    """Whether every article, number, preposition and "and" has its noun, and no three things are joined by two "and"s.

    Small language models write otherwise at times.

    >>> [reads_well(f"A cat {rest}.") for rest in ("on a chair", "on a chair and in the", "and a dog and the sky")]
    [True, False, False]
    """
    return not _CLUMSY.search(text)
