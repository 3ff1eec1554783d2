"""Figures of naming for a grounder that knows the truth, or part of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from esg.data.labelled import UNKNOWN, LabelledPhoto
from esg.data.problems import Problems
from esg.entities.entity_map import EntityMap
from esg.entities.grounding import Grounding, Phrase
from esg.evaluation.naming import (
    COMMON_WORDS,
    evaluate_captions,
    evaluate_names,
    evaluate_words,
    evaluate_written,
)
from esg.language.coco_names import NAMES
from esg.support.errors import ImageError, InputError

LABELS = np.repeat([[1] * 10 + [2] * 6 + [3] * 4], 12, axis=0).astype(np.int32)
PHOTO = LabelledPhoto(
    "a",
    np.zeros((12, 20, 3), np.uint8),
    LABELS,
    ("sky-other-merged", "dog", "dog"),
    ("A puppy under the sky.", "Nothing of note."),
)


class Photos(list):
    name = "photos"
    problems = Problems()
    things = frozenset({"dog"})
    categories = ("sky-other-merged", "dog", "cat")


class Knowing:
    """Finds names by their words; `meant` says what each means."""

    networks = ()

    def __init__(self, meant: dict[str, tuple[int, ...]], caption: str = "") -> None:
        self.meant, self.written = meant, caption

    def __call__(self, image: Any, entities: EntityMap, caption: Any = None, **how: Any) -> Grounding:
        names = how.get("categories") or how.get("phrases")
        if names is None:
            spans = [(caption.find(word), caption.find(word) + len(word)) for word in self.meant if word in caption]
        else:
            caption, spans = "", []
            for name in names:
                spans.append((len(caption), len(caption) + len(name)))
                caption += f"{name} "
        phrases = []
        for span in spans:
            ids = self.meant.get(caption[slice(*span)], ())
            phrases.append(
                Phrase(caption[slice(*span)], span, ids, tuple(0.9 - 0.1 * place for place in range(len(ids))))
            )
        return Grounding(caption, tuple(phrases))

    def best_caption(self, image: Any, entities: EntityMap) -> str:
        return self.written


def test_names_that_are_right_and_wrong() -> None:
    photos: Any = Photos([PHOTO])
    grounder: Any = Knowing({"sky": (1,), "dog": (2, 3)})
    found = evaluate_names(grounder, photos).figures
    assert [found[name] for name in ("category", "AR", "AR_plural", "AR_stuff")] == pytest.approx([1, 1, 1, 1])
    grounder = Knowing({"sky": (1,), "cat": (3,), "dog": (2,)})
    found = evaluate_names(grounder, photos).figures
    assert found["category"] == pytest.approx(2 / 3)
    assert found["category_things"] == pytest.approx(1 / 2)
    assert found["AR"] == pytest.approx((1 + 6 / 10) / 2)


def test_an_entity_without_a_score_has_no_name() -> None:
    photos: Any = Photos([PHOTO])
    unsure = Grounding("sky dog", (Phrase("sky", (0, 3), (1,), (0.0,)), Phrase("dog", (4, 7), (2, 3), (0.4, 0.0))))
    grounder: Any = lambda *given, **how: unsure  # noqa: E731
    assert evaluate_names(grounder, photos).figures["category"] == pytest.approx(1 / 3)


def test_entities_of_a_segmenter_have_no_category() -> None:
    photos: Any = Photos([PHOTO])
    grounder: Any = Knowing({"sky": (1,), "dog": (2,)})
    halves = EntityMap.from_labels(np.repeat([[1] * 10 + [2] * 10], 12, axis=0))
    found = evaluate_names(grounder, photos, segment=lambda image, name: halves).figures
    assert "category" not in found
    assert found["AR"] == 1


def test_captions_that_are_true_and_false() -> None:
    photos: Any = Photos([PHOTO])
    whole = EntityMap.from_labels(np.ones((12, 20), int))
    grounder: Any = Knowing({}, "Two puppies, a kitten and a teapot.")
    found = evaluate_captions(grounder, photos, segment=lambda image, name: whole)
    assert (found.true, found.false, found.named, found.large) == (1, 1, 1, 2)
    assert found.captions == (("a", "Two puppies, a kitten and a teapot."),)


def test_nouns_that_people_wrote() -> None:
    photos: Any = Photos([PHOTO])
    right: Any = Knowing({"puppy": (3,), "sky": (1,)})
    assert evaluate_written(right, photos).figures == {"acc50": 1.0, "nouns": 2.0}
    wrong: Any = Knowing({"puppy": (1,), "sky": (1,)})
    assert evaluate_written(wrong, photos).figures["acc50"] == 0.5
    nothing: Any = Photos([LabelledPhoto("b", PHOTO.image, np.full_like(LABELS, UNKNOWN), (), ("A dog.",))])
    assert evaluate_written(right, nothing).figures["nouns"] == 0


def test_words_that_mean_the_same() -> None:
    photos: Any = Photos([PHOTO])
    grounder: Any = Knowing({"dog": (2, 3), "puppy": (2,), "hound": (3,)})
    found = evaluate_words(grounder, photos, {"puppy": "dog", "hound": "dog"})
    assert found.same == {"puppy": True, "hound": False}


class Damaged(Photos):
    """Photos of which some cannot be read."""

    def __getitem__(self, index: Any) -> Any:
        if isinstance(one := super().__getitem__(index), str):
            raise ImageError(f"{one} is damaged.")
        return one


def _all_tasks(photos: Any) -> list[Problems]:
    grounder: Any = Knowing({"sky": (1,), "dog": (2,), "puppy": (2,)})
    whole = EntityMap.from_labels(np.ones((12, 20), int))
    return [
        evaluate_names(grounder, photos).problems,
        evaluate_captions(grounder, photos, segment=lambda image, name: whole).problems,
        evaluate_written(grounder, photos).problems,
        evaluate_words(grounder, photos, {"puppy": "dog"}).problems,
    ]


def test_photos_that_cannot_be_used_are_left_out_and_named() -> None:
    for problems in _all_tasks(Damaged(["b.jpg", PHOTO, "c.jpg"])):
        assert list(problems) == ["photos that cannot be read (2): b.jpg is damaged, c.jpg is damaged"]
    with pytest.raises(InputError, match=r"No photo in photos can be measured: photos that cannot be read \(1\): b"):
        _all_tasks(Damaged(["b.jpg"]))


def test_a_segment_of_an_unknown_category_does_not_count() -> None:
    photos: Any = Photos([replace(PHOTO, categories=("sky-other-merged", None, "dog"))])
    assert not any(_all_tasks(photos))
    found = evaluate_names(Knowing({"sky": (1,), "dog": (3,)}), photos).figures  # type: ignore[arg-type]
    assert (found["category"], found["AR"], found["photos"]) == (1, 1, 1)
    nameless: Any = Photos([replace(PHOTO, categories=(None, None, None)), PHOTO])
    measured = evaluate_names(Knowing({}), nameless)  # type: ignore[arg-type]
    nothing = ["photos without segments of a category, which do not count (1): a"]
    assert list(measured.problems) == nothing
    assert measured.figures["photos"] == 1
    whole = EntityMap.from_labels(np.ones((12, 20), int))
    told = evaluate_captions(Knowing({}, "A dog."), nameless, segment=lambda image, name: whole)  # type: ignore[arg-type]
    assert (told.true, told.false, list(told.problems)) == (1, 0, nothing)


def test_photos_without_masks_in_the_given_source_are_left_out() -> None:
    def segment(image: np.ndarray, name: str) -> EntityMap:
        raise InputError(f"There are no masks of {name}.")

    photos: Any = Photos([PHOTO])
    with pytest.raises(InputError, match=r"photos whose masks cannot be used \(1\): There are no masks of a"):
        evaluate_names(Knowing({}), photos, segment=segment)  # type: ignore[arg-type]


def test_a_hundred_common_words() -> None:
    assert len(COMMON_WORDS) == 100
    assert set(COMMON_WORDS.values()) <= set(NAMES)
    assert not COMMON_WORDS.keys() & set(NAMES)
