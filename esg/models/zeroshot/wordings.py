"""Phrases for CLIP: each in several wordings, and which phrases exclude one another."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from ...language.words import DETERMINERS, NUMBERS, Span, find_words, forms

GENERIC = ("object", "things", "stuff", "texture")
"""Phrases that fit anything: a phrase refers to an entity if it fits better than these (Kerr et al., LERF, 2023)."""

_TEMPLATES = ("a photo of the {}.", "a cropped photo of the {}.", "a photo of the {} in the scene.")
_CLAUSE_END = re.compile(r"[,.;:!?…、，。；：！？\n]|\s(?:and|or|but|while)\s")


def wordings(phrase: str, context: str = "") -> list[str]:
    """The sentences whose mean embedding stands for a phrase (Radford et al., 2021, "prompt ensembling").

    Args:
        phrase: phrase as in a caption; leading articles and the like are dropped.
        context: the phrase with its context, see `context_of`; adds one more sentence.
    """
    bare = _bare(phrase)
    sentences = [template.format(bare) for template in _TEMPLATES]
    return [*sentences, context] if context not in ("", phrase) else sentences


def context_of(caption: str, span: Span) -> str:
    """A phrase and the rest of its clause: "dog near the red door" for "dog" in "A dog near the red door."

    In English, the following words mostly describe the phrase, whereas the preceding ones are about something else.
    """
    end = _CLAUSE_END.search(caption, span[1])
    return caption[span[0] : end.start() if end else None].strip()


def rivals(phrases: Sequence[str]) -> np.ndarray:
    """The texts that a phrase must beat to refer to an entity.

    These are the generic texts and the other phrases, except those that say the same or only more or less of it, as in
    "dogs", "two dogs" and "brown dogs".

    Returns:
        (v, v + G) bool, the G generic texts at the end.
    """
    contents = [_content(text) for text in (*phrases, *GENERIC)]
    return np.array(
        [[not _compatible(own, other) for other in contents] for own in contents[: len(phrases)]], bool
    ).reshape(len(phrases), len(contents)) & ~np.eye(len(phrases), len(contents), dtype=bool)


def _bare(phrase: str) -> str:
    start = next((word.start for word in find_words(phrase) if word.key not in DETERMINERS), 0)
    return phrase[start:]


def _content(phrase: str) -> list[frozenset[str]]:
    """The forms of the content words of a phrase, without numbers."""
    words = (word.key for word in find_words(phrase))
    return [forms(key) for key in words if key not in DETERMINERS | NUMBERS and not key.isdigit()]


def _compatible(one: list[frozenset[str]], other: list[frozenset[str]]) -> bool:
    return bool(one and other) and (_within(one, other) or _within(other, one))


def _within(less: list[frozenset[str]], more: list[frozenset[str]]) -> bool:
    return all(any(word & candidate for candidate in more) for word in less)
