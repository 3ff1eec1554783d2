"""Captions: true by construction, with spans that quote them."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esg.data.narration.claims import holds
from esg.data.narration.facts import Facts, scene_facts
from esg.data.narration.relations import Relations
from esg.data.narration.teller import MOST, VOCABULARY, Narrative, refer, tell
from esg.data.narration.words import MASS, NUMBERS, PLURALS
from esg.data.scenes.synth import make_scene
from esg.support.errors import InputError

Make = Callable[..., Facts]
Pictures = Callable[[int], tuple[tuple[Facts, ...], Relations]]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def check(facts: tuple[Facts, ...], narrative: Narrative) -> None:
    """What holds for every narrative."""
    caption = narrative.caption
    by_id = {fact.id: fact for fact in facts}
    assert set(re.findall(r"\w+|[^\w\s]", caption.lower())) <= set(VOCABULARY)
    assert all(sentence[0].isupper() for sentence in caption.split(". "))
    assert caption.endswith(".")
    assert "  " not in caption
    assert " ," not in caption
    assert 1 <= len(narrative.mentions) <= MOST
    end = 0
    meant: dict[str, tuple[int, ...]] = {}
    for mention in narrative.mentions:
        assert end <= mention.span[0] < mention.span[1] <= len(caption)
        end = mention.span[1]
        phrase = caption[slice(*mention.span)]
        assert phrase == phrase.strip(" .,")
        assert caption[mention.span[1]] in " .,"
        words = phrase.lower().split()
        assert mention.entity_ids == tuple(sorted(set(mention.entity_ids)))
        assert by_id.keys() >= set(mention.entity_ids)
        assert mention.plural == (len(mention.entity_ids) > 1)
        members = [by_id[number] for number in mention.entity_ids]
        assert mention.kind in {fact.kind for fact in members}
        # The noun is each entity's, in the number that fits.
        (noun,) = {fact.noun for fact in members}
        assert noun in [PLURALS.get(word) if mention.plural and noun not in MASS else word for word in words]
        if words[0] in NUMBERS:
            assert len(mention.entity_ids) == NUMBERS.index(words[0]) + 2
        assert all(holds(by_id, phrase, mention.entity_ids).values())
        # The same words mean the same.
        assert meant.setdefault(phrase.lower(), mention.entity_ids) == mention.entity_ids


@given(picture=st.integers(0, 10_000), seed=st.integers(0, 10_000))
@settings(max_examples=150)
def test_narratives_of_measured_pictures(random_picture: Pictures, picture: int, seed: int) -> None:
    facts, relations = random_picture(picture)
    check(facts, tell(facts, relations, rng(seed)))


@pytest.mark.parametrize("seed", range(8))
def test_narratives_of_scenes(seed: int) -> None:
    scene = make_scene(seed, 96, 128)
    facts = scene_facts(scene)
    for k in range(10):
        narrative = tell(facts, scene.relations, rng(k))
        check(facts, narrative)
        assert len(narrative.mentions) >= 2


def test_a_seed_gives_one_story(random_picture: Pictures) -> None:
    facts, relations = random_picture(3)
    assert tell(facts, relations, rng(5)) == tell(facts, relations, rng(5))
    assert refer(facts, relations, rng(5)) == refer(facts, relations, rng(5))
    assert len({tell(facts, relations, rng(k)).caption for k in range(20)}) > 10


def test_two_things_and_nothing_to_choose(thing: Make) -> None:
    facts = (thing(3, "ring", "red"), thing(8, "bar", "striped"))
    relations = ((3, "left of", 8),)
    captions = {tell(facts, relations, rng(k)).caption for k in range(1000)}
    assert "There is a red ring and a striped bar." in captions
    assert "A striped bar is right of a red ring." in captions
    assert "There is a red ring to the left of a striped bar." in captions
    assert all(("left of" in c) + ("right of" in c) <= 1 for c in captions)


def test_counts_mean_all_of_them(thing: Make) -> None:
    facts = tuple(thing(k, "disc", "red") for k in (2, 5, 9))
    found = {
        (n.caption[slice(*m.span)].lower(), m.entity_ids)
        for k in range(50)
        for n in [tell(facts, (), rng(k))]
        for m in n.mentions
    }
    assert found <= {(words, (2, 5, 9)) for words in ("three red discs", "red discs", "three discs", "discs")} | {
        ("red disc", (2,)),
        ("red disc", (5,)),
        ("red disc", (9,)),
    }
    assert ("three red discs", (2, 5, 9)) in found


def test_one_entity_gives_one_mention_and_no_entity_is_refused(thing: Make) -> None:
    narrative = tell((thing(4, "ring", "red"),), (), rng())
    assert [m.entity_ids for m in narrative.mentions] == [(4,)]
    with pytest.raises(InputError, match="without entities cannot be described"):
        tell((), (), rng())


def test_a_relation_can_identify_an_entity(thing: Make) -> None:
    """Two rings that look alike, one of them left of the bar: then "ring" is said of one of them."""
    bar = thing(3, "bar", "striped", box=(40, 0, 50, 50))
    facts = (thing(1, "ring", box=(10, 0, 20, 10)), thing(2, "ring", box=(60, 0, 70, 10)), bar)
    relations = ((1, "left of", 3), (3, "left of", 2))
    found = set()
    for k in range(200):
        narrative = tell(facts, relations, rng(k))
        for mention in narrative.mentions:
            found.add((narrative.caption[slice(*mention.span)].lower(), mention.entity_ids))
            if mention.entity_ids in ((1,), (2,)):
                side = "left of" if mention.entity_ids == (1,) else "right of"
                assert side in narrative.caption.lower()
    assert {("ring", (1,)), ("ring", (2,)), ("two rings", (1, 2)), ("striped bar", (3,))} <= found


def test_entities_mentioned_before_are_definite(thing: Make) -> None:
    facts = (thing(1, "ring", "red"), thing(2, "bar", "blue"), thing(3, "star", "green"))
    relations: Relations = ((1, "left of", 2), (3, "above", 2))
    for k in range(100):
        caption, told = tell(facts, relations, rng(k)).caption, set()
        for mention in tell(facts, relations, rng(k)).mentions:
            if mention.entity_ids in told:
                assert caption[: mention.span[0]].lower().endswith("the ")
            told.add(mention.entity_ids)


def test_vocabulary_is_small_and_closed() -> None:
    assert len(VOCABULARY) == len(set(VOCABULARY)) < 200
    assert {",", ".", "a", "the", "three", "discs", "striped", "left", "water"} <= set(VOCABULARY)
    assert all(word == word.lower() for word in VOCABULARY)
    assert "medium" not in VOCABULARY
