from __future__ import annotations

import pytest

from esg.language.plain_sentence import plain_sentence, reads_well, without_wrong_articles


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["cat"], "A cat."),
        (["umbrella", "two dogs"], "An umbrella and two dogs."),
        (["sky", "grass", "several people", "apple"], "Several people, an apple, the sky and grass."),
    ],
)
def test_names_with_their_articles(names: list[str], said: str) -> None:
    assert plain_sentence(names) == said


@pytest.mark.parametrize(
    ("rests_on", "said"),
    [
        ({}, "A bus, two people, a cup, the sky and a road."),
        ({"bus": "road"}, "A bus on a road, with two people, a cup and the sky."),
        (
            {"bus": "road", "two people": "road", "cup": "bus"},
            "A bus and two people on a road, with a cup and the sky.",
        ),
    ],
)
def test_things_are_on_what_most_of_them_rest_on(rests_on: dict[str, str], said: str) -> None:
    assert plain_sentence(["sky", "road", "bus", "two people", "cup"], rests_on) == said


def test_nothing_but_a_thing_and_its_ground() -> None:
    assert plain_sentence(["grass", "zebra"], {"zebra": "grass"}) == "A zebra on grass."


@pytest.mark.parametrize(
    ("written", "right"),
    [
        ("A snow and trees.", "Snow and trees."),
        ("A dirt and a grass", "Dirt and grass"),
        ("Two dogs under a sky.", "Two dogs under the sky."),
        ("A sky, a trees and a person.", "The sky, trees and a person."),
        ("A floor lamp and a water bottle.", "A floor lamp and a water bottle."),
        ("A grassy field and an apple.", "A grassy field and an apple."),
    ],
)
def test_names_that_are_not_counted_have_no_indefinite_article(written: str, right: str) -> None:
    assert without_wrong_articles(written) == right


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        ("A cat on a chair in front of a window.", True),
        ("Two dogs and a cat, and trees in the background.", True),
        ("A cat on a can and in the background.", False),
        ("A dog with a.", False),
        ("A dog with and a ball.", False),
        ("A few a large blue area.", False),
        ("Two the dogs on grass.", False),
        ("A few dogs and a ball.", True),
        ("A person on the grass and trees and the sky.", False),
        ("A person and a dog on grass under trees and the sky.", True),
        ("", True),
    ],
)
def test_a_sentence_is_complete_if_no_article_or_preposition_lacks_its_noun(text: str, complete: bool) -> None:
    assert reads_well(text) == complete
