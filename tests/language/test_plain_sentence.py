from __future__ import annotations

import pytest

from esg.language.plain_sentence import plain_sentence


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
