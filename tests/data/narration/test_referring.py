"""Referring expressions, resolved independently of how they were made."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from esg.data.narration.facts import Facts, scene_facts
from esg.data.narration.referring import refer
from esg.data.narration.relations import Relations
from esg.data.narration.teller import VOCABULARY
from esg.data.narration.words import INVERSE, SAID
from esg.data.scenes.synth import make_scene

LITTLE = {"the", "at", "on", "in", "whole", "picture"}

Make = Callable[..., Facts]
Pictures = Callable[[int], tuple[tuple[Facts, ...], Relations]]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def matching(facts: tuple[Facts, ...], phrase: str) -> set[int]:
    """Entities of which all words are true."""
    return {fact.id for fact in facts if set(phrase.split()) - LITTLE <= fact.words}


def split(expression: str) -> tuple[str, str | None, str]:
    """Head, relation and anchor of an expression."""
    for relation, ways in SAID.items():
        for way in sorted(ways, key=len, reverse=True):
            if f" {way} the " in expression:
                head, anchor = expression.split(f" {way} the ")
                return head, relation, anchor
    return expression, None, ""


def standing(relations: Relations, relation: str, anchor: int) -> set[int]:
    """Entities in a relation to an anchor."""
    forward = {a for a, r, b in relations if r == relation and b == anchor}
    return forward | {b for a, r, b in relations if INVERSE.get(r) == relation and a == anchor}


def check(facts: tuple[Facts, ...], relations: Relations, expression: str, ids: tuple[int, ...]) -> str | None:
    assert set(expression.split()) <= set(VOCABULARY)
    assert expression.startswith("the ")
    head, relation, anchor = split(expression)
    candidates = matching(facts, head)
    if relation is None:
        (noun,) = {fact.noun for fact in facts if fact.id in ids}
        assert candidates == set(ids)
        assert len(matching(facts, noun)) > 1
    else:
        (other,) = matching(facts, anchor)
        assert len(candidates) > 1
        assert candidates & standing(relations, relation, other) == set(ids)
    return relation


@pytest.mark.parametrize("seed", range(8))
def test_expressions_about_scenes(seed: int) -> None:
    scene = make_scene(seed, 96, 128)
    facts = scene_facts(scene)
    for k in range(10):
        if found := refer(facts, scene.relations, rng(k)):
            check(facts, scene.relations, *found)


def test_expressions_about_measured_pictures_use_all_means(random_picture: Pictures) -> None:
    used = set()
    for seed in range(60):
        facts, relations = random_picture(seed)
        if found := refer(facts, relations, rng(seed)):
            used.add(check(facts, relations, *found))
    assert used >= {None, "left of", "right of", "above", "below"}


def test_the_relation_is_needed(thing: Make) -> None:
    bar = thing(3, "bar", "striped", box=(40, 0, 50, 50))
    facts = (thing(1, "disc", "green", box=(42, 60, 48, 70)), thing(2, "disc", "green", box=(0, 0, 10, 10)), bar)
    relations = ((3, "above", 1), (2, "left of", 3))
    found = {refer(facts, relations, rng(k)) for k in range(60)}
    assert found == {
        (f"the {disc} {way} the {anchor}", ids)
        for disc in ("disc", "green disc")
        for anchor in ("bar", "striped bar")
        for way, ids in (("below", (1,)), ("left of", (2,)), ("to the left of", (2,)))
    }


def test_attributes_are_used_if_there_are_no_relations(thing: Make) -> None:
    facts = (thing(1, "disc", "red"), thing(2, "disc", "blue"), thing(3, "bar"))
    assert {refer(facts, (), rng(k)) for k in range(30)} == {("the red disc", (1,)), ("the blue disc", (2,))}


def test_nothing_to_solve(thing: Make) -> None:
    assert refer((), (), rng()) is None
    assert refer((thing(1, "disc", "red"), thing(2, "bar", "blue")), ((1, "above", 2),), rng()) is None
    assert refer((thing(1, "disc", "red"), thing(2, "disc", "red")), (), rng()) is None
