"""Writes captions that are true by construction, and records the entities that each noun refers to.

A mention's span covers the words that identify the entities by themselves: number, adjectives, noun and position, as in
"three red discs" or "large brown area at the bottom". It does not include articles or relations: in "the ring left of
the striped bar", the mentions are "ring" and "striped bar", and the rest of the sentence determines which ring it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...support.errors import InputError
from .facts import Facts
from .phrases import NounPhrase, Scenery, salient_first
from .referring import refer
from .relations import Relations
from .words import FORMS, KINDS, MASS, NOUNS, NUMBERS, PLACES, PLURALS, SAID, SHAPES, article, plural

__all__ = ["MOST", "VOCABULARY", "Mention", "Narrative", "refer", "tell"]

MOST = 15
"""Maximum number of mentions in a caption."""

_FIRST = (
    "the picture shows {list}",
    "this is a picture of {list}",
    "there {is} {list}",
    "in the picture there {is} {list}",
    "we see {list}",
    "here {is} {list}",
    "{list}",  # the last one, since a single phrase would not make a sentence
)
_LATER = (
    "there {is} also {list}",
    "there {is} {list} too",
    "we also see {list}",
    "it also shows {list}",
    "also visible {is} {list}",
    "{list} can also be seen",
)
_RELATING = (
    "{one} {is} {relation} {other}",
    "{one} {lies} {relation} {other}",
    "there {is} {one} {relation} {other}",
    "{relation} {other} {is} {one}",
    "{relation} {other} there {is} {one}",
)
_SEVERAL = ("some", "several")


def _vocabulary() -> tuple[str, ...]:
    texts = [*_FIRST, *_LATER, *_RELATING, *(way for said in SAID.values() for way in said), *_SEVERAL]
    texts += [*NOUNS.values(), *SHAPES, *PLURALS, *(plural(noun) for noun in MASS), *KINDS, *FORMS, *NUMBERS]
    texts += [*PLACES.values(), "is are lies lie a an the and"]
    words = {word for text in texts for word in re.sub(r"\{\w+\}", "", text).split()}
    return (*sorted(words), ",", ".")


VOCABULARY = _vocabulary()
"""All words (in lower case) and punctuation marks of captions and referring expressions. In captions, sentences begin
with a capital."""


@dataclass(frozen=True)
class Mention:
    """A phrase of a caption and the entities it refers to.

    Attributes:
        span: start and end of the phrase in the caption, in characters, the end exclusive.
        entity_ids: all entities that the phrase is true of, ascending.
        kind: "thing" or "stuff"; None if they are of both kinds or of unknown kind.
        plural: whether it refers to more than one entity.
    """

    span: tuple[int, int]
    entity_ids: tuple[int, ...]
    kind: str | None
    plural: bool


@dataclass(frozen=True)
class Narrative:
    """A caption with its mentions, in the order of their spans, which do not overlap."""

    caption: str
    mentions: tuple[Mention, ...]


@dataclass(frozen=True)
class _Link:
    """A relation in a sentence, and the phrase for its anchor."""

    relation: str
    anchor: NounPhrase
    needed: bool  # whether the sentence's first phrase is only identified by this relation


_Unit = tuple[NounPhrase, _Link | None]
"""A phrase to mention. Without a link it may still get one, to vary the caption."""


def tell(facts: Sequence[Facts], relations: Relations, rng: np.random.Generator) -> Narrative:
    """A caption with two to fifteen mentions.

    A phrase in the singular refers to exactly one entity, by itself or through the relation in its sentence; a plural
    refers to all entities that it is true of. If there are not enough such phrases for two mentions, the largest
    entities are described as well as possible. A caption has only one mention if the picture has a single entity, or
    several that cannot be distinguished.

    Args:
        facts: facts about all entities of a picture, at least one.
        relations: (id, relation, id) triples about them, see `relations`.
        rng: random generator.

    Raises:
        InputError: there are no entities.
    """
    if not facts:
        raise InputError("A picture without entities cannot be described; give the facts of at least one entity.")
    scenery = Scenery(facts, relations)
    units = _choose(scenery, rng, round(float(np.clip(np.exp(rng.normal(1.6, 0.5)), 2, MOST))))
    story = _Story(scenery, rng)
    while units and (room := MOST - len(story.mentions)) > 0:
        phrase, link = units[0]
        if link is None and rng.random() < (0.4 if story.mentions else 0.2):
            phrase, link = _linked(story, phrase, [unit for unit, own in units if own is None])
        if link is not None:
            units = units[1:]
            if room >= 2 and not story.confusing(phrase):
                story.relate(phrase, link)
        else:
            count = next((k for k, (_, later) in enumerate(units) if later is not None), len(units))
            count = min(count, room, int(rng.integers(1, 5)))
            story.enumerate([unit for unit, _ in units[:count]])
            units = units[count:]
        # Entities that an anchor or a group has already mentioned are not mentioned again.
        units = [unit for unit in units if not unit[0].extent & story.told]
    return Narrative("".join(story.parts), tuple(story.mentions))


def _choose(scenery: Scenery, rng: np.random.Generator, count: int) -> list[_Unit]:
    """Up to `count` phrases for different entities; salient entities are preferred."""
    areas = np.array([fact.area for fact in scenery.facts], float)
    groups: dict[int, list[NounPhrase]] = {}
    for phrase in scenery.groups:
        groups.setdefault(phrase.extent, []).append(phrase)
    extents = [1 << k for k in range(len(areas))] + list(groups)
    totals = [*areas, *(_members(areas, extent).sum() for extent in groups)]
    units: list[_Unit] = []
    covered = 0
    for pick in salient_first(rng, totals):
        extent = extents[pick]
        if len(units) >= count or extent & covered:
            continue
        unit: _Unit | None = None
        if extent in groups:
            phrase = groups[extent][int(rng.integers(len(groups[extent])))]
            unit = (phrase if rng.random() < 0.7 else replace(phrase, counted=False)), None
        elif described := scenery.describe(pick, rng):
            unit = described, None
        else:
            unit = _by_relation(scenery, rng, pick)
        if unit is not None and not unit[0].extent & covered:
            units.append(unit)
            covered |= unit[0].extent
    for k in np.argsort(-areas).tolist():
        if sum(1 + (link is not None) for _, link in units) >= min(2, len(areas)):
            break
        phrase = scenery.full(k)
        if not covered >> k & 1 and phrase.text not in (unit.text for unit, _ in units):
            units.append((phrase, None))
            covered |= 1 << k
    return units


def _members(areas: np.ndarray, extent: int) -> np.ndarray:
    return areas[[k for k in range(len(areas)) if extent >> k & 1]]


def _by_relation(scenery: Scenery, rng: np.random.Generator, k: int, tries: int = 8) -> _Unit | None:
    """A phrase for an entity by its relation to an anchor that can be identified by itself."""
    anchors = scenery.anchors[k]
    for pick in salient_first(rng, [scenery.facts[b].area for _, b in anchors])[:tries]:
        relation, b = anchors[pick]
        if (anchor := scenery.describe(b, rng)) and (found := next(scenery.by_relation(k, relation, b, rng), None)):
            return found[0], _Link(relation, anchor, found[1])
    return None


def _linked(story: _Story, phrase: NounPhrase, waiting: list[NounPhrase]) -> _Unit:
    """Adds a relation to a phrase that is true of all its entities, if there is one.

    Sometimes the phrase is replaced by one that needs the relation; rarely, if its noun only names a shape.
    """
    scenery, rng = story.scenery, story.rng
    first = (phrase.extent & -phrase.extent).bit_length() - 1
    options = [(r, b) for r, b in scenery.anchors[first] if not phrase.extent & ~scenery.related[r, b]]
    for pick in salient_first(rng, [scenery.facts[b].area for _, b in options])[:4]:
        relation, b = options[pick]
        ready = next((other for other in waiting if other.extent == 1 << b), None)
        if (anchor := ready or scenery.describe(b, rng)) is None:
            continue
        if rng.random() < (0.5 if scenery.facts[first].kind else 0.2):
            found = next(scenery.by_relation(first, relation, b, rng), None)
            if found and not story.confusing(found[0]):
                return found[0], _Link(relation, anchor, found[1])
        return phrase, _Link(relation, anchor, False)
    return phrase, None


class _Story:
    """The caption written so far."""

    def __init__(self, scenery: Scenery, rng: np.random.Generator) -> None:
        self.scenery, self.rng = scenery, rng
        self.parts: list[str] = []
        self.length = 0
        self.mentions: list[Mention] = []
        self.told = 0
        self.meant: dict[str, int] = {}

    def confusing(self, phrase: NounPhrase) -> bool:
        """Whether the same words have referred to other entities before."""
        return self.meant.get(phrase.text, phrase.extent) != phrase.extent

    def enumerate(self, phrases: list[NounPhrase]) -> None:
        """A sentence that lists phrases."""
        pieces: list[str | NounPhrase] = []
        for k, phrase in enumerate(phrases):
            if k:
                pieces.append(" and " if k == len(phrases) - 1 else ", ")
            pieces += self._with_article(phrase, 0.2)
        patterns = _LATER if self.mentions else _FIRST[: None if len(phrases) > 1 else -1]
        self._sentence(self._any(patterns), phrases[0], {"list": pieces})

    def relate(self, phrase: NounPhrase, link: _Link) -> None:
        """A sentence about one relation."""
        anchor, definite = link.anchor, 0.3
        if anchor.extent & self.told:
            anchor, definite = self.scenery.shortest(anchor.extent.bit_length() - 1) or anchor, 1.0
        slots: dict[str, list[str | NounPhrase]] = {
            "one": self._with_article(phrase, 0.8 if link.needed else 0.2),
            "relation": [self._any(SAID[link.relation])],
            "other": self._with_article(anchor, definite),
        }
        # "on the left left of" reads badly.
        patterns = [p for p in _RELATING if not (phrase.place and "{one} {relation}" in p)]
        self._sentence(self._any(patterns), phrase, slots)

    def _any(self, choices: Sequence[str]) -> str:
        return choices[int(self.rng.integers(len(choices)))]

    def _with_article(self, phrase: NounPhrase, definite: float) -> list[str | NounPhrase]:
        """The phrase with its article or number; `definite` is the probability of "the"."""
        if phrase.noun in MASS or self.rng.random() < definite:
            return ["the ", phrase]
        if not phrase.plural:
            return [article(phrase.text) + " ", phrase]
        if phrase.counted or self.rng.random() < 0.4:
            return [phrase]
        return ["several " if phrase.extent.bit_count() > 2 and self.rng.random() < 0.6 else "some ", phrase]

    def _sentence(self, pattern: str, subject: NounPhrase, slots: dict[str, list[str | NounPhrase]]) -> None:
        """Adds a sentence from a pattern; its verb agrees with the subject."""
        many = subject.noun == "cables" or (subject.plural and subject.noun not in MASS)
        slots = {**slots, "is": ["are" if many else "is"], "lies": ["lie" if many else "lies"]}
        pieces: list[str | NounPhrase] = []
        for piece in re.split(r"\{(\w+)\}", pattern):
            pieces += slots.get(piece, [piece])
        start = True
        if self.parts:
            self._add(" ")
        for piece in (*pieces, "."):
            text = piece if isinstance(piece, str) else piece.text
            if not text:
                continue
            if isinstance(piece, NounPhrase):
                self._mention(piece, len(text))
            self._add(text[0].upper() + text[1:] if start else text)
            start = False

    def _add(self, text: str) -> None:
        self.parts.append(text)
        self.length += len(text)

    def _mention(self, phrase: NounPhrase, length: int) -> None:
        """Records that a phrase of this length comes next."""
        ids = self.scenery.ids(phrase.extent)
        kinds = {fact.kind for k, fact in enumerate(self.scenery.facts) if phrase.extent >> k & 1}
        kind = kinds.pop() if len(kinds) == 1 else None
        self.mentions.append(Mention((self.length, self.length + length), ids, kind, len(ids) > 1))
        self.told |= phrase.extent
        self.meant[phrase.text] = phrase.extent
