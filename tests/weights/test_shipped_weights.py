from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from esg import EntityMap, EntitySegmenter, Grounder, read_image
from esg.evaluation.narratives import evaluate_narratives
from esg.weights.finding import ASSETS, locate

# Everyday captions, whose words gella-nano mostly has never seen: what it is to find are their nouns.
EVERYDAY = {
    "A cup on a wooden table.": ["cup", "wooden table"],
    "The cat sits on the mat.": ["cat", "mat"],
    "The dog is sleeping.": ["dog"],
    "The dog left of the door": ["dog", "door"],
    "A man and his dog.": ["man", "dog"],
    "trees and rocks": ["trees", "rocks"],
    "the sky, the grass": ["sky", "grass"],
    "tree, house": ["tree", "house"],
    "red disc, blue disc": ["red disc", "blue disc"],
    "Red disc\nBlue disc": ["Red disc", "Blue disc"],
    "cart and art in the carton": ["cart", "art", "carton"],
    "The boy kicks the ball.": ["boy", "ball"],
    "The big dog chases the small cat.": ["big dog", "small cat"],
    "THREE BLACK BEARS": ["THREE BLACK BEARS"],
    "In the foreground, a bear; in the background, trees.": ["bear", "trees"],
    "An old man is walking his dog on the street while holding an umbrella.": ["old man", "dog", "street", "umbrella"],
    "Several birds sit on the wire.": ["birds", "wire"],
    "This is a dog.": ["dog"],
    "The grass is green and the sky is blue.": ["grass", "sky"],
    "Two children playing with a yellow kite in the park": ["Two children", "yellow kite", "park"],
    "A bus parked on the side of the road": ["bus", "road"],
    "A dog jumps over a fence and runs to its owner.": ["dog", "fence", "owner"],
    "A vase with flowers, a lamp and some books": ["vase", "flowers", "lamp", "books"],
    "The sun sets behind the hills.": ["sun", "hills"],
    "Boats float on the calm lake.": ["Boats", "calm lake"],
    "The black and white cow grazes in a field.": ["black and white cow", "field"],
    "a woman's hat and a child's shoe": ["woman's hat", "child's shoe"],
    "the red disc and the ring left of it": ["red disc", "ring"],
    "An elephant drinks water from the river.": ["elephant", "water", "river"],
    "Someone is riding a bicycle down a narrow street.": ["bicycle", "narrow street"],
    "The kitchen has white cabinets, a stove and a fridge.": ["kitchen", "white cabinets", "stove", "fridge"],
    "The tennis players on the court": ["tennis players", "court"],
}
PHOTOS = sorted((Path(__file__).parents[2] / "web_demo" / "examples").glob("*.jpg"))


@pytest.fixture(scope="module")
def segmenter() -> EntitySegmenter:
    return EntitySegmenter.from_pretrained("cropformer-nano", device="cpu")


def test_they_are_small_and_lie_in_the_package_with_a_model_card(segmenter: EntitySegmenter) -> None:
    path = locate("cropformer-nano")
    assert path.parent == ASSETS
    assert path.stat().st_size <= 15_000_000
    assert sum(parameter.numel() for parameter in segmenter.model.parameters()) <= 7_500_000
    assert segmenter.model.association is not None
    assert "BSDS500" in (ASSETS / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("photo", PHOTOS, ids=lambda path: path.stem)
def test_they_find_entities_in_the_example_photos(segmenter: EntitySegmenter, photo: Path) -> None:
    entities = segmenter(photo)
    assert entities.labels.shape == read_image(photo).shape[:2]
    assert len(entities) >= 3
    assert (entities.labels > 0).mean() > 0.3
    assert np.isfinite(entities.scores).all()


def test_the_same_photo_gives_the_same_entities(segmenter: EntitySegmenter) -> None:
    assert segmenter(PHOTOS[0], crops=0) == segmenter(PHOTOS[0], crops=0)


# ------------------------------------------------------------------------------------------------------------ GELLA


@pytest.fixture(scope="module")
def grounder() -> Grounder:
    return Grounder.from_pretrained("gella-nano", device="cpu")


def test_gella_nano_is_small_and_has_a_model_card() -> None:
    path = locate("gella-nano")
    assert path.parent == ASSETS
    assert path.stat().st_size <= 25 * 2**20
    assert "BSDS500" in (ASSETS / "gella-nano.md").read_text(encoding="utf-8")


def test_it_finds_and_grounds_the_nouns_of_scenes_it_has_never_seen(grounder: Grounder) -> None:
    figures = evaluate_narratives(grounder, 12)
    assert figures["noun_recall"] >= 0.9  # 0.99 over 500 scenes
    assert figures["AR"] >= 0.6  # 0.8 over 500 scenes
    assert figures["cIoU"] >= 0.5


@pytest.mark.parametrize("caption", EVERYDAY)
def test_it_finds_the_nouns_of_everyday_captions(grounder: Grounder, caption: str) -> None:
    assert [caption[slice(*span)] for span in grounder.nouns(PHOTOS[0], caption)] == EVERYDAY[caption]


@pytest.fixture(scope="module")
def two_discs() -> tuple[np.ndarray, EntityMap]:
    """A red disc, 2, on the left of a blue one, 3, on a wall, 1."""
    rows, columns = np.mgrid[:120, :200]
    labels = np.ones((120, 200), np.int32)
    labels[np.hypot(rows - 60, columns - 50) < 30] = 2
    labels[np.hypot(rows - 60, columns - 150) < 30] = 3
    colours = np.array([[0, 0, 0], [200, 200, 190], [200, 30, 30], [30, 50, 200]], np.uint8)
    return colours[labels], EntityMap.from_labels(labels)


def test_capitals_make_no_difference(grounder: Grounder, two_discs: tuple[np.ndarray, EntityMap]) -> None:
    plain = "a red disc and a blue disc"
    expected = [("red disc", 2), ("blue disc", 3)]  # each, and what it means rather than all else
    for caption in (plain, "A Red Disc and a Blue Disc", plain.upper()):
        found = grounder(*two_discs, caption=caption, threshold=0)
        assert [(phrase.text.lower(), phrase.entity_ids[0]) for phrase in found.phrases] == expected
        assert all(caption[slice(*phrase.span)] == phrase.text for phrase in found.phrases)
    listed = grounder(*two_discs, phrases=["Red disc", "BLUE Disc"], threshold=0)
    assert [(phrase.text.lower(), phrase.entity_ids[0]) for phrase in listed.phrases] == expected
    once = grounder.refer(*two_discs, "the blue disc", least=0)
    assert (once.entity_ids, once.scores) == ((3,), grounder.refer(*two_discs, "THE BLUE DISC", least=0).scores)


def test_as_many_categories_as_coco_has(grounder: Grounder, two_discs: tuple[np.ndarray, EntityMap]) -> None:
    names = ["red disc", *(f"kitchen appliance {number}" for number in range(131)), "blue disc"]
    found = {phrase.text: phrase.entity_ids for phrase in grounder(*two_discs, categories=names).phrases}
    assert list(found) == names
    # Red from blue is told in a list of two, see above; among 133 names, that both are discs is what it still knows.
    assert sorted((*found["red disc"], *found["blue disc"])) == [2, 3]


def test_it_describes_a_photo_and_grounds_what_it_says(grounder: Grounder, segmenter: EntitySegmenter) -> None:
    photo = PHOTOS[1]
    found = grounder(photo, segmenter(photo))
    assert found.phrases
    assert any(phrase.entity_ids for phrase in found.phrases)
    assert found == grounder(photo, segmenter(photo))  # the same words every time
