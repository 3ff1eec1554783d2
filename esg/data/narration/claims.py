"""Judges whether a phrase is true of the entities that it is grounded in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from ...support.errors import InputError
from .facts import Facts
from .words import KINDS

_WORD = re.compile(r"[a-z]+")


def claims(phrase: str) -> tuple[str, ...]:
    """The words of a phrase that claim a colour, a size, a texture or a position, in order and without duplicates.

    They are keys of `words.KINDS`, which gives their kind. A relation such as "left of" does not count as a position.
    """
    words = _WORD.findall(phrase.lower())
    return tuple(
        dict.fromkeys(
            word
            for word, following in zip(words, [*words[1:], ""])
            if word in KINDS and not (KINDS[word] == "position" and following == "of")
        )
    )


def holds(
    facts: Mapping[int, Facts], phrase: str, entity_ids: Iterable[int], *, clearly: bool = False
) -> dict[str, bool]:
    """Whether each claim of a phrase is true of all entities that it is grounded in.

    Args:
        facts: facts about the picture's entities by id.
        phrase: the words, e.g. "two small white shapes on the left".
        entity_ids: entities that the phrase is grounded in; without any, every claim is false.
        clearly: whether claims that are merely true, but not clear, count as false; see `facts`.

    Returns:
        True or false for each of `claims(phrase)`.

    Raises:
        InputError: there are no facts about one of the ids.
    """
    ids = list(entity_ids)
    if unknown := [number for number in ids if number not in facts]:
        raise InputError(
            f"There are no facts about entity {unknown[0]}; give the facts of the picture that the phrase is about."
        )
    true = [facts[number].clear if clearly else facts[number].words for number in ids]
    return {word: bool(ids) and all(word in words for words in true) for word in claims(phrase)}
