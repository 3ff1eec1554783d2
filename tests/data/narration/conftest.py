"""Shared by tests of captions: facts made by hand, and facts about random pictures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from esg.data.narration.facts import Facts, photo_facts
from esg.data.narration.relations import Relations, measured_relations


def _thing(
    number: int, noun: str, words: str = "", box: tuple[int, int, int, int] = (0, 0, 9, 9), arguable: str = ""
) -> Facts:
    """Facts with some clear words, and others that are only arguable."""
    clear = {noun, *words.split()}
    position = {"top": "at the top", "left": "on the left"}
    colours = [word for word in words.split() if word in ("red", "green", "blue")]
    return Facts(
        id=number,
        kind="thing",
        noun=noun,
        form=None,
        colour=colours[0] if colours else None,
        tone=None,
        texture="striped" if "striped" in clear else None,
        size=next((word for word in words.split() if word in ("small", "large")), "medium"),
        position=next((said for word, said in position.items() if word in clear), None),
        area=(box[2] - box[0]) * (box[3] - box[1]),
        box=box,
        centroid=((box[0] + box[2]) / 2, (box[1] + box[3]) / 2),
        clear=frozenset(clear),
        words=frozenset({*clear, *arguable.split()}),
    )


def _random_picture(seed: int) -> tuple[tuple[Facts, ...], Relations]:
    """Facts and relations of a picture of up to fourteen random boxes in a few colours."""
    rng = np.random.default_rng(seed)
    image, labels = np.full((60, 80, 3), rng.integers(0, 256, 3), np.uint8), np.ones((60, 80), np.int32)
    colours = rng.integers(0, 256, (3, 3))
    for number in range(2, int(rng.integers(2, 16))):
        x, y, w, h = rng.integers((0, 0, 2, 2), (76, 56, 40, 30)).tolist()
        image[y : y + h, x : x + w] = colours[rng.integers(3)]
        labels[y : y + h, x : x + w] = number
    facts = photo_facts(image, labels)
    return facts, measured_relations(labels, facts)


@pytest.fixture(scope="session")
def thing() -> Callable[..., Facts]:
    """Makes the facts of one thing from its id, its noun, its clear words, its box and its arguable words."""
    return _thing


@pytest.fixture(scope="session")
def random_picture() -> Callable[[int], tuple[tuple[Facts, ...], Relations]]:
    """Makes facts and relations of the picture of a seed."""
    return _random_picture
