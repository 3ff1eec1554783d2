from __future__ import annotations

import pytest

from esg.language.plain_sentence import is_complete, plain_sentence, without_wrong_articles


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["cat"], "A cat."),
        (["umbrella", "two dogs"], "An umbrella and two dogs."),
        (["sky", "grass", "several people", "apple"], "The sky, grass, several people and an apple."),
    ],
)
def test_names_with_their_articles(names: list[str], said: str) -> None:
    assert plain_sentence(names) == said


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
        ("", True),
    ],
)
def test_a_sentence_is_complete_if_no_article_or_preposition_lacks_its_noun(text: str, complete: bool) -> None:
    assert is_complete(text) == complete
