"""Noun phrases that refer to exactly the intended entities of a picture.

Sets of entities are integers, bit k for the k-th entity. A description is a noun and some words. Its *extent* consists
of the entities for which all of it is clear, and the entities of which it could be true. A phrase is good only if both
sets are the same: then it is true of all entities that it refers to, and cannot be mistaken for any others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np

from .colours import COLOURS, TONES
from .facts import Facts
from .relations import Relations
from .words import FORMS, INVERSE, MASS, NUMBERS, PLACES, SHAPES, TEXTURES, UNSIZED, plural

_ORDER = tuple(dict.fromkeys(("tiny", "small", "large", "smooth", "rough", *FORMS, *TONES, *COLOURS, *TEXTURES)))
"""Adjectives in their order in a phrase."""

_LIKELY = {"colour": 0.8, "texture": 0.35, "size": 0.3, "position": 0.3, "tone": 0.2, "form": 0.7}
_LIKELY_OF_SHAPES = {"colour": 0.95, "texture": 0.4, "size": 0.6, "position": 0.65, "tone": 0.3}
"""Probability of each attribute if it is not needed; higher for nouns that only name a shape and say little."""

_SALIENCE = 0.6
"""Exponent of the area; larger entities are mentioned more often."""

Attribute = tuple[str, frozenset[str]]
"""The attribute, a key of `_LIKELY`, and its words."""


@dataclass(frozen=True)
class NounPhrase:
    """A noun phrase without article.

    Attributes:
        noun: in the singular.
        words: attributes and positions, in any order.
        extent: the entities that it refers to.
        counted: whether it contains their number, for plurals.
    """

    noun: str
    words: frozenset[str]
    extent: int
    counted: bool = False

    @property
    def plural(self) -> bool:
        return self.extent.bit_count() > 1

    @property
    def place(self) -> str | None:
        """The words for its position, e.g. "on the left"; they come last."""
        return PLACES.get(self.words - set(_ORDER))

    @cached_property
    def text(self) -> str:
        """Number, adjectives, noun and position, e.g. "two small white shapes on the left"."""
        number = [NUMBERS[self.extent.bit_count() - 2]] if self.counted and self.plural else []
        noun = plural(self.noun) if self.plural else self.noun
        adjectives = (word for word in _ORDER if word in self.words)
        return " ".join((*number, *adjectives, noun, *([self.place] if self.place else [])))


def salient_first(rng: np.random.Generator, areas: Sequence[float]) -> list[int]:
    """Indices of a list of areas in random order, in which larger areas tend to come first."""
    return np.argsort(rng.exponential(size=len(areas)) / np.array(areas, float) ** _SALIENCE).tolist()


class Scenery:
    """The entities of a picture, prepared for descriptions.

    Args:
        facts: facts about all entities.
        relations: (id, relation, id) triples about them; others are ignored.
    """

    def __init__(self, facts: Sequence[Facts], relations: Relations) -> None:
        self.facts = tuple(facts)
        bits = {fact.id: k for k, fact in enumerate(self.facts)}
        self.clear: dict[str, int] = {}
        self.true: dict[str, int] = {}
        for k, fact in enumerate(self.facts):
            for word in fact.clear:
                self.clear[word] = self.clear.get(word, 0) | 1 << k
            for word in fact.words:
                self.true[word] = self.true.get(word, 0) | 1 << k
        self.related: dict[tuple[str, int], int] = {}
        self.anchors: list[list[tuple[str, int]]] = [[] for _ in self.facts]
        for a, relation, b in relations:
            if a in bits and b in bits:
                self._relate(bits[a], relation, bits[b])
                if relation in INVERSE:
                    self._relate(bits[b], INVERSE[relation], bits[a])

    def _relate(self, a: int, relation: str, b: int) -> None:
        self.related[relation, b] = self.related.get((relation, b), 0) | 1 << a
        self.anchors[a].append((relation, b))

    def ids(self, extent: int) -> tuple[int, ...]:
        """The ids of a set of entities, ascending."""
        return tuple(sorted(fact.id for k, fact in enumerate(self.facts) if extent >> k & 1))

    # --- Extents ---

    def extent(self, words: Iterable[str]) -> tuple[int, int]:
        """Entities for which all words are clear, and entities of which all words are true."""
        clear = true = (1 << len(self.facts)) - 1
        for word in words:
            clear &= self.clear.get(word, 0)
            true &= self.true.get(word, 0)
        return clear, true

    def arguable(self, relation: str, anchor: int) -> int:
        """Entities that people might say are in a relation to an anchor, whether or not they are."""
        found = self.related.get((relation, anchor), 0)
        if relation == "in front of":
            return found | self.related.get(("inside", anchor), 0)
        other = self.facts[anchor]
        (bx, by), box = other.centroid, other.box
        for k, fact in enumerate(self.facts):
            x, y = fact.centroid
            if relation == "inside":
                inner = fact.box
                near = box[0] <= inner[0] and box[1] <= inner[1] and inner[2] <= box[2] and inner[3] <= box[3]
            elif relation in ("left of", "right of"):
                near = (x < bx) == (relation == "left of") and abs(x - bx) > 0.7 * abs(y - by)
            elif relation in ("above", "below"):
                near = (y < by) == (relation == "above") and abs(y - by) > 0.7 * abs(x - bx)
            else:
                near = False
            if near and k != anchor:
                found |= 1 << k
        return found

    # --- Descriptions ---

    def attributes(self, k: int) -> list[Attribute]:
        """All attributes that can be mentioned of an entity, without its noun."""
        fact = self.facts[k]
        found = [
            ("form", {fact.form}),
            ("colour", {fact.colour}),
            ("tone", {fact.tone} if fact.colour not in ("black", "white") else {None}),
            ("texture", {fact.texture}),
            ("size", {fact.size} if fact.size != "medium" and fact.noun not in UNSIZED else {None}),
            ("position", next((set(place) for place, said in PLACES.items() if said == fact.position), {None})),
        ]
        return [(name, frozenset(w for w in words if w)) for name, words in found if None not in words]

    def describe(self, k: int, rng: np.random.Generator) -> NounPhrase | None:
        """A phrase that refers to one entity and to no other, or None if its attributes do not identify it."""
        noun, attributes = self.facts[k].noun, self.attributes(k)
        if self.extent((noun, *(w for _, words in attributes for w in words)))[1] != 1 << k:
            return None
        rng.shuffle(attributes)
        words: set[str] = set()
        spare = []
        likely = _LIKELY_OF_SHAPES if noun in SHAPES else _LIKELY
        for name, said in attributes:
            if rng.random() < likely[name]:
                words |= said
            else:
                spare.append(said)
        while self.extent((noun, *words))[1] != 1 << k:
            words |= spare.pop()
        return self.shortened(NounPhrase(noun, frozenset(words), 1 << k))

    def shortest(self, k: int) -> NounPhrase | None:
        """The first phrase with the fewest attributes that refers to one entity and to no other."""
        noun, attributes = self.facts[k].noun, self.attributes(k)
        for count in range(len(attributes) + 1):
            for some in combinations(attributes, count):
                words = frozenset().union(*(said for _, said in some))
                if self.extent((noun, *words))[1] == 1 << k:
                    return NounPhrase(noun, words, 1 << k)
        return None

    def by_relation(
        self, k: int, relation: str, anchor: int, rng: np.random.Generator
    ) -> Iterator[tuple[NounPhrase, bool]]:
        """Phrases that refer to an entity, and perhaps others, by a relation to an anchor, in random order.

        Yields:
            A phrase with at most two attributes, and whether it would refer to others as well without the relation.
        """
        related, arguable = self.related[relation, anchor], self.arguable(relation, anchor)
        noun, attributes = self.facts[k].noun, self.attributes(k)
        rng.shuffle(attributes)
        for count in rng.permutation(min(2, len(attributes)) + 1).tolist():
            for some in combinations(attributes, count):
                words = frozenset().union(*(said for _, said in some))
                clear, true = self.extent((noun, *words))
                extent = clear & related
                if extent == true & arguable and extent.bit_count() <= len(NUMBERS) + 1 and not extent >> anchor & 1:
                    yield NounPhrase(noun, words, extent, noun not in MASS), clear != extent

    def full(self, k: int) -> NounPhrase:
        """A phrase with everything that is known about one entity, even if it does not identify the entity."""
        words = frozenset(w for _, said in self.attributes(k) for w in said)
        return self.shortened(NounPhrase(self.facts[k].noun, words, 1 << k))

    def shortened(self, phrase: NounPhrase, most: int = 3) -> NounPhrase:
        """The phrase with at most `most` adjectives, unless the others are needed to keep its meaning."""
        words = set(phrase.words)
        for word in (w for w in reversed(_ORDER) if w in phrase.words):
            if sum(w in _ORDER for w in words) > most:
                before, after = self.extent((phrase.noun, *words)), self.extent((phrase.noun, *(words - {word})))
                if before == after:
                    words.remove(word)
        return NounPhrase(phrase.noun, frozenset(words), phrase.extent, phrase.counted)

    @cached_property
    def groups(self) -> tuple[NounPhrase, ...]:
        """Phrases with at most two attributes that refer to several entities.

        A noun that only names a shape is not enough, not even with a size.
        """
        found: dict[int, list[NounPhrase]] = {}
        tried = set()
        for k, fact in enumerate(self.facts):
            if self.clear[fact.noun].bit_count() < 2:
                continue
            attributes = self.attributes(k)
            place = next((words for name, words in attributes if name == "position"), frozenset())
            if len(place) > 1:  # an entity at the top left is also on the left
                attributes += [("position", frozenset({word})) for word in sorted(place)]
            for some in (*((a,) for a in attributes), *combinations(attributes, 2), ()):
                if len({name for name, _ in some}) < len(some):
                    continue
                if fact.noun in SHAPES and not {"colour", "position"} & {name for name, _ in some}:
                    continue
                words = frozenset().union(*(said for _, said in some))
                if (fact.noun, words) in tried:
                    continue
                tried.add((fact.noun, words))
                clear, true = self.extent((fact.noun, *words))
                if clear == true and 2 <= clear.bit_count() <= len(NUMBERS) + 1:
                    found.setdefault(clear, []).append(NounPhrase(fact.noun, words, clear, fact.noun not in MASS))
        return tuple(phrase for phrases in found.values() for phrase in phrases)
