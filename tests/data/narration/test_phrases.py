"""Noun phrases and the entities they refer to."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from esg.data.narration.facts import Facts
from esg.data.narration.phrases import NounPhrase, Scenery, salient_first

Make = Callable[..., Facts]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    ("phrase", "text"),
    [
        (
            NounPhrase("shape", frozenset({"white", "left", "small"}), 0b101, counted=True),
            "two small white shapes on the left",
        ),
        (NounPhrase("area", frozenset({"bottom", "right", "brown"}), 0b1), "brown area at the bottom right"),
        (NounPhrase("leaf", frozenset({"striped", "red", "dark"}), 0b111), "dark red striped leaves"),
        (NounPhrase("box", frozenset(), 0b1, counted=True), "box"),
    ],
)
def test_text(phrase: NounPhrase, text: str) -> None:
    assert phrase.text == text


def test_a_description_means_one_entity_only(thing: Make) -> None:
    scenery = Scenery((thing(1, "disc", "red small"), thing(2, "disc", "red large"), thing(3, "bar", "blue")), ())
    told = {scenery.describe(0, rng(seed)).text for seed in range(30)}  # type: ignore[union-attr]
    assert told == {"small disc", "small red disc"}
    assert scenery.shortest(0) == NounPhrase("disc", frozenset({"small"}), 0b1)
    assert {scenery.describe(2, rng(seed)).text for seed in range(30)} == {"bar", "blue bar"}  # type: ignore[union-attr]


def test_what_is_arguable_of_another_does_not_tell_apart(thing: Make) -> None:
    scenery = Scenery((thing(1, "disc", "red"), thing(2, "disc", "blue", arguable="red")), ())
    assert scenery.describe(0, rng()) is None
    assert scenery.shortest(0) is None
    assert scenery.full(0).text == "red disc"
    assert scenery.shortest(1) == NounPhrase("disc", frozenset({"blue"}), 0b10)
    assert {group.text for group in scenery.groups} == {"two discs"}


def test_groups_mean_all_of_which_they_are_true(thing: Make) -> None:
    facts = (
        thing(1, "disc", "red"),
        thing(5, "disc", "red left"),
        thing(6, "disc", "blue left"),
        thing(7, "bar", "red"),
    )
    scenery = Scenery(facts, ())
    assert {(group.text, scenery.ids(group.extent)) for group in scenery.groups} == {
        ("three discs", (1, 5, 6)),
        ("two red discs", (1, 5)),
        ("two discs on the left", (5, 6)),
    }


def test_no_description_has_needless_adjectives_beyond_three(thing: Make) -> None:
    busy = thing(1, "disc", "small red striped top")
    for seed in range(20):
        phrase = Scenery((busy, thing(2, "bar")), ()).describe(0, rng(seed))
        assert phrase is not None
        assert len(phrase.words - {"top"}) <= 3


def test_relations_have_two_sides(thing: Make) -> None:
    scenery = Scenery((thing(4, "disc"), thing(8, "bar")), ((4, "above", 8), (4, "inside", 8), (4, "left of", 99)))
    assert scenery.related == {("above", 1): 0b01, ("below", 0): 0b10, ("inside", 1): 0b01}
    assert scenery.anchors == [[("above", 1), ("inside", 1)], [("below", 0)]]


def test_by_relation_requires_that_no_other_entity_fits(thing: Make) -> None:
    bar = thing(3, "bar", box=(40, 0, 50, 50))
    near, far = thing(1, "disc", box=(10, 0, 20, 10)), thing(2, "disc", box=(60, 0, 70, 10))
    scenery = Scenery((near, far, bar), ((1, "left of", 3), (3, "left of", 2)))
    assert [(p.text, p.extent, needed) for p, needed in scenery.by_relation(0, "left of", 2, rng())] == [
        ("disc", 1, True)
    ]
    # Its box is not beside the bar's, but somebody might say that it is left of it.
    doubtful = thing(2, "disc", box=(20, 52, 22, 54))
    scenery = Scenery((near, doubtful, bar), ((1, "left of", 3),))
    assert list(scenery.by_relation(0, "left of", 2, rng())) == []


def test_by_relation_may_mean_several(thing: Make) -> None:
    box = thing(1, "box", box=(0, 0, 50, 50))
    inner = [thing(k, "star", box=(5 * k, 5, 5 * k + 4, 9)) for k in (2, 3)]
    scenery = Scenery((box, *inner, thing(4, "star", box=(80, 80, 90, 90))), ((2, "inside", 1), (3, "inside", 1)))
    assert [(p.text, needed) for p, needed in scenery.by_relation(1, "inside", 0, rng())] == [("two stars", True)]


def test_a_thing_inside_another_is_arguably_in_front_of_it(thing: Make) -> None:
    scenery = Scenery((thing(1, "box"), thing(2, "disc"), thing(3, "disc")), ((2, "inside", 1), (3, "in front of", 1)))
    assert scenery.arguable("in front of", 0) == 0b110
    assert scenery.arguable("behind", 1) == 0


def test_larger_ones_come_rather_first() -> None:
    firsts = [salient_first(rng(seed), [1, 1000])[0] for seed in range(100)]
    assert 85 <= sum(firsts) < 100
    assert salient_first(rng(), []) == []
