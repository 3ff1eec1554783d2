"""Figures of narratives, expressions and names on hand-made data whose values are known."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from text_sets import (
    CAPTION,
    NOUNS,
    polygon,
    reference,
    save_photo,
    shape,
    write_png,
    write_reason,
    write_refcoco,
    write_wild,
)

from esg.data.opening_expressions import open_expressions
from esg.data.panoptic_narratives import PanopticNarratives
from esg.data.wild import WildSets
from esg.entities.entity_map import EntityMap
from esg.evaluation.entity_sources import MasksFromFiles, NoEntities, entities_of
from esg.evaluation.journal import Journal
from esg.evaluation.panoptic_narratives import UNREAD, bare, evaluate_panoptic_narratives
from esg.evaluation.referring import evaluate_referring
from esg.evaluation.wild import UNKNOWN_NAMES, evaluate_wild
from esg.grounder import Grounder
from esg.support.errors import InputError, OutOfMemory

Span = tuple[int, int]


class Knowing:
    """A `GroundingModel` for which words have fixed scores.

    Args:
        scores: score of every entity by the text of a phrase; 0.01 for all entities of any other text.
        nouns: texts that it takes for nouns.
        fails: error for texts that contain "fail".
    """

    networks = ()

    device = torch.device("cpu")
    drafts = 1
    names = ()

    def __init__(
        self, scores: dict[str, list[float]], nouns: Sequence[str] = (), fails: type[Exception] = InputError
    ) -> None:
        self.known, self.heard, self.fails = scores, nouns, fails
        self.calls = 0

    def see(self, pixels: np.ndarray) -> None:
        self.calls += 1

    def nouns(self, sight: None, caption: str) -> list[Span]:
        return [(caption.index(noun), caption.index(noun) + len(noun)) for noun in self.heard if noun in caption]

    def scores(self, sight: None, entities: EntityMap, caption: str, spans: Sequence[Span]) -> np.ndarray:
        if "fail" in caption:
            raise self.fails("The text is too long.")
        scores = np.full((len(spans), len(entities)), 0.01, np.float32)
        for row, span in enumerate(spans):
            own = self.known.get(caption[slice(*span)], [])[: len(entities)]
            scores[row, : len(own)] = own
        return scores


def grounder(scores: dict[str, list[float]], nouns: Sequence[str] = (), **options: Any) -> Grounder:
    return Grounder(Knowing(scores, nouns, **options))  # type: ignore[arg-type]


def halves(image: np.ndarray, name: str) -> EntityMap:
    """Two entities: 1 is the left half, 2 the right."""
    labels = np.ones(image.shape[:2], np.int32)
    labels[:, image.shape[1] // 2 :] = 2
    return EntityMap.from_labels(labels)


# ------------------------------------------------------------------------------------------------------ narratives
# The true segments as entities, by area: 1 is the sky (8 pixels), 2 and 3 are the dogs (4 each), see text_sets.


def test_narratives_with_a_missed_noun_and_a_plural(tmp_path: Path) -> None:
    data = PanopticNarratives(write_png(tmp_path))
    told = grounder({"dogs": [0.9, 0.4, 0.3], "SKY": [0.9, 0.2, 0.1]}, ["dogs", "SKY"])
    # "two dogs" is heard as "dogs", which are not the same words, so the plural is missed like "the dog's".
    figures = evaluate_panoptic_narratives(told, data).figures
    assert figures == {
        "AR": pytest.approx(1 / 3),
        "AR_things": 0,
        "AR_stuff": 1,
        "AR_singular": 0.5,
        "AR_plural": 0,
        "acc50": pytest.approx(1 / 3),
        "AR_text": pytest.approx(1 / 3),
        "photos": 1,
        "narratives": 1,
        "narratives_given": 1,
        "nouns": 3,
    }


def test_plurals_take_all_entities_above_the_threshold(tmp_path: Path) -> None:
    data = PanopticNarratives(write_png(tmp_path))
    scores = {"two dogs": [0.05, 0.6, 0.3], "dog's": [0.0, 0.1, 0.2], "SKY": [0.0, 0.0, 0.9]}
    told = grounder(scores, ["two dogs", "dog's", "SKY"])
    at_half = evaluate_panoptic_narratives(told, data, threshold=0.5).figures
    assert at_half["AR_plural"] == 0.5  # one of two dogs
    assert at_half["AR_text"] == 1  # "The dog's" is "dog's" with an article
    assert (at_half["AR_singular"], at_half["AR_stuff"]) == (0.5, 0)
    low = evaluate_panoptic_narratives(told, data, threshold=0.25).figures
    assert low["AR_plural"] == 1
    lower = evaluate_panoptic_narratives(told, data, threshold=0.01).figures
    assert lower["AR_plural"] == 0.5  # 8 of 16 pixels, the sky too
    none = evaluate_panoptic_narratives(told, data, threshold=0.99).figures
    assert none["AR_plural"] == 0.5  # the best one


def test_nouns_can_be_given(tmp_path: Path) -> None:
    data = PanopticNarratives(write_png(tmp_path))
    told = grounder({"two dogs": [0.1, 0.6, 0.7], "dog's": [0.1, 0.1, 0.2], "SKY": [0.9, 0.1, 0.1]})
    figures = evaluate_panoptic_narratives(told, data, given_nouns=True).figures
    assert figures["AR"] == pytest.approx((1 + 1 + 1) / 3)
    assert "AR_text" not in figures


def test_masks_can_be_compared_at_a_small_size(tmp_path: Path) -> None:
    data = PanopticNarratives(write_png(tmp_path))
    told = grounder({"SKY": [0.9, 0.2]}, ["SKY"])
    full = evaluate_panoptic_narratives(told, data, segment=halves).figures
    assert full["AR_stuff"] == pytest.approx(6 / 14)  # sky: 4 wide in rows 0 and 2; left half: 3 wide in 4 rows
    tiny = evaluate_panoptic_narratives(told, data, segment=halves, side=2).figures
    # The centres of 2x2 are (1, 1), (1, 4), (3, 1) and (3, 4): none of them is sky, and the left half is 2 of 4.
    assert tiny["AR_stuff"] == 0


def test_narratives_that_cannot_be_read_count_as_wrong(tmp_path: Path) -> None:
    fail = {"utterance": "fail", "noun": True, "segment_ids": [5], "plural": False}
    narratives = [
        {"image_id": 139, "caption": CAPTION, "segments": NOUNS},
        {"image_id": 139, "caption": "fail", "segments": [fail]},
    ]
    data = PanopticNarratives(write_png(tmp_path, narratives))
    scores = {"two dogs": [0.1, 0.6, 0.7], "dog's": [0.1, 0.1, 0.2], "SKY": [0.9, 0.1, 0.1]}
    measured = evaluate_panoptic_narratives(grounder(scores, [*scores, "fail"]), data)
    assert measured.figures["AR"] == pytest.approx(3 / 4)
    assert measured.figures["narratives"] == 2
    assert list(measured.problems) == [f"{UNREAD} (1): 000000000139.jpg"]
    with pytest.raises(OutOfMemory):
        evaluate_panoptic_narratives(grounder(scores, ["fail"], fails=OutOfMemory), data)


def test_photos_that_cannot_be_measured_are_left_out_and_named(tmp_path: Path) -> None:
    data = PanopticNarratives(write_png(tmp_path))
    (tmp_path / "val2017/000000000139.jpg").unlink()
    with pytest.raises(InputError, match=r"No narrative .* photos that cannot be read \(1\): The photo 000000000139"):
        evaluate_panoptic_narratives(grounder({}), data)
    save_photo(tmp_path / "val2017/000000000139.jpg")

    def nothing(image: np.ndarray, name: str) -> EntityMap:
        raise InputError("No masks.")

    with pytest.raises(InputError, match=r"photos whose masks cannot be used \(1\): No masks"):
        evaluate_panoptic_narratives(grounder({}), data, segment=nothing)


def test_a_photo_without_entities_is_measured(tmp_path: Path) -> None:
    data = PanopticNarratives(write_png(tmp_path))

    def empty(image: np.ndarray, name: str) -> EntityMap:
        return EntityMap.from_masks([], size=image.shape[:2])

    figures = evaluate_panoptic_narratives(grounder({}, ["SKY"]), data, segment=empty).figures
    assert (figures["AR"], figures["AR_text"]) == (0, pytest.approx(1 / 3))


def test_an_interrupted_run_continues(tmp_path: Path) -> None:
    data, file = PanopticNarratives(write_png(tmp_path)), tmp_path / "run.jsonl"
    told = grounder({"SKY": [0.9, 0.2, 0.1]}, ["SKY"])
    first = evaluate_panoptic_narratives(told, data, journal=Journal(file, {"model": "a"}))
    calls = told.model.calls  # type: ignore[attr-defined]
    again = evaluate_panoptic_narratives(told, data, journal=Journal(file, {"model": "a"}))
    assert again.figures == first.figures
    assert told.model.calls == calls  # type: ignore[attr-defined]


def test_articles_and_punctuation_do_not_count() -> None:
    caption = "Here, the red ball. All"
    assert caption[slice(*bare(caption, (6, 19)))] == "red ball"
    assert caption[slice(*bare(caption, (20, 23)))] == "All"


# ------------------------------------------------------------------------------------------------------ expressions


def test_expressions_about_true_objects(tmp_path: Path) -> None:
    references = [reference(1, 1, "val", "left", "fail"), reference(2, 2, "val", "right", "wrong")]
    data = open_expressions(write_refcoco(tmp_path / "refcoco", references))
    # The two dogs have 8 pixels each, and 1 is the left one.
    told = grounder({"left": [0.9, 0.1], "right": [0.1, 0.2], "wrong": [0.9, 0.1]})
    measured = evaluate_referring(told, data)
    assert measured.figures == {
        "cIoU": pytest.approx((8 + 0 + 8 + 0) / (8 + 8 + 8 + 16)),
        "gIoU": 0.5,
        "P50": 0.5,
        "photos": 1,
        "expressions": 4,
        "expressions_given": 4,
    }
    evaluate_referring(told, data, 1, journal=Journal(tmp_path / "run.jsonl"))
    again = evaluate_referring(grounder({}), data, journal=Journal(tmp_path / "run.jsonl"))
    assert (again.figures, again.problems) == (measured.figures, measured.problems)
    assert list(measured.problems) == [
        "expressions that the model cannot read, which count as wrong (1): 'fail' of COCO_train2014_000000000007.jpg"
    ]


def test_several_entities_can_be_chosen(tmp_path: Path) -> None:
    data = open_expressions(write_refcoco(tmp_path / "refcoco", [reference(1, 1, "val", "left")]))
    told = grounder({"left": [0.9, 0.6]})
    assert evaluate_referring(told, data, threshold=0.5).figures["gIoU"] == 0.5
    assert evaluate_referring(told, data, threshold=0.95).figures["gIoU"] == 0


def test_expressions_by_their_nouns_are_the_union_of_what_these_mean(tmp_path: Path) -> None:
    data = open_expressions(write_refcoco(tmp_path / "refcoco", [reference(1, 1, "val", "dog beside a dog house")]))
    told = grounder({"dog": [0.9, 0.1], "dog house": [0.2, 0.8]}, ["dog", "dog house"])
    # Both dogs have 8 of 24 pixels; the first is meant, and the union of both is chosen.
    assert evaluate_referring(told, data, nouns=True).figures["gIoU"] == 0.5
    assert evaluate_referring(told, data, nouns=True, threshold=0.85).figures["gIoU"] == 1


def test_ignored_pixels_do_not_count(tmp_path: Path) -> None:
    # 40 x 30 pixels; the answer is the left 10 columns, and of the left half the other 10 columns are ignored.
    write_reason(tmp_path, "a", ["left?"], [shape("target", 0, 0, 9, 29), shape("ignore", 10, 0, 19, 29)])
    write_reason(tmp_path, "b", ["right?"], [shape("target", 0, 0, 39, 29), shape("ignore", 0, 0, 19, 29)])
    data = open_expressions(tmp_path)
    told = grounder({"left?": [0.9, 0.1], "right?": [0.9, 0.1]})
    figures = evaluate_referring(told, data, segment=halves).figures
    assert figures["gIoU"] == pytest.approx((1 + 0) / 2)  # b: all that is found is ignored, and 600 pixels are missed
    assert figures["cIoU"] == pytest.approx(300 / (300 + 600))


def test_an_empty_union_counts_one_in_giou_and_nothing_in_ciou(tmp_path: Path) -> None:
    write_reason(tmp_path, "a", ["nothing?"], [shape("flag", 0, 0, 9, 29)])
    write_reason(tmp_path, "b", ["left?"], [shape("target", 0, 0, 9, 29)])
    told = grounder({"left?": [0.9, 0.1]})
    figures = evaluate_referring(told, open_expressions(tmp_path), segment=halves, threshold=0.5).figures
    assert figures["gIoU"] == pytest.approx((1 + 0.5) / 2)
    assert (figures["cIoU"], figures["P50"]) == (0.5, 1)


def test_answers_alone_are_no_entities_to_choose_from(tmp_path: Path) -> None:
    write_reason(tmp_path, "a", ["x"], [shape("target", 0, 0, 9, 29)])
    with pytest.raises(InputError, match="only the answers are outlined"):
        evaluate_referring(grounder({}), open_expressions(tmp_path))


# ------------------------------------------------------------------------------------------------------------ names


def test_ap_of_sets_in_the_wild(tmp_path: Path) -> None:
    pytest.importorskip("pycocotools", reason="average precision needs pycocotools")
    boxes = [(1, polygon(0, 0, 3, 4)), (2, polygon(3, 0, 6, 4))]
    write_wild(tmp_path, "Hand", ["left-hand", "right"], boxes)
    write_wild(tmp_path, "Poles", ["left", "right", "unused"], boxes)
    write_wild(tmp_path, "Rail", ["rail"], [])
    write_wild(tmp_path, "Trash", [], [])
    told = grounder({"left hand": [0.9, 0.3], "left": [0.2, 0.8], "right": [0.1, 0.9], "unused": [0.9, 0.9]})
    measured = evaluate_wild(told, WildSets(tmp_path), segment=halves)
    figures = measured.figures
    assert figures["Hand"] == pytest.approx(1)
    assert figures["Poles"] == pytest.approx((0.5 + 1) / 2, abs=1e-6)  # the left one is only found second
    assert math.isnan(figures["Rail"])
    assert figures["mean"] == pytest.approx(0.875)
    assert (figures["sets"], figures["photos"]) == (2, 3)
    assert "Trash" not in figures
    kept = Journal(tmp_path / "run.jsonl")
    evaluate_wild(told, WildSets(tmp_path), segment=halves, journal=kept)
    again = evaluate_wild(grounder({}), WildSets(tmp_path), journal=Journal(tmp_path / "run.jsonl"))
    assert again.figures == pytest.approx(figures, nan_ok=True)
    assert again.problems == measured.problems
    assert [problem.partition(":")[0] for problem in measured.problems] == ["sets that cannot be read (1)"]


def test_names_that_the_model_does_not_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pycocotools", reason="average precision needs pycocotools")
    write_wild(tmp_path, "Hand", ["left", "right"], [(1, polygon(0, 0, 3, 4)), (2, polygon(3, 0, 6, 4))])
    told = grounder({"right": [0.1, 0.9]})

    def check(texts: Sequence[str]) -> list[str]:
        if list(texts) == ["left"]:
            raise InputError("unknown")
        return []

    monkeypatch.setattr(told, "check_words", check)
    measured = evaluate_wild(told, WildSets(tmp_path), segment=halves)
    assert measured.figures["Hand"] == pytest.approx(0.5)
    assert list(measured.problems) == [f"{UNKNOWN_NAMES} (1): 'left' of Hand"]


# ----------------------------------------------------------------------------------------------------- masks from files


def test_masks_of_any_program(tmp_path: Path) -> None:
    labels = np.repeat([[1, 1, 2]], 2, axis=0).astype(np.uint8)
    image = np.zeros((2, 3, 3), np.uint8)
    for name in ("plain.png", "v1.2.png", "own.labels.png", "set/valid/inner.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(labels).save(tmp_path / name)
    (tmp_path / "sam").mkdir()
    for number in (0, 1):
        Image.fromarray((labels == number + 1).astype(np.uint8) * 255).save(tmp_path / "sam" / f"{number}.png")
    (tmp_path / "sam" / "metadata.csv").write_text("id,area\n")
    of_sam = [
        {"segmentation": {"size": [2, 3], "counts": counts}, "predicted_iou": 0.9, "area": 3, "bbox": [0, 0, 3, 2]}
        for counts in ([0, 4, 2], [4, 2])
    ]
    (tmp_path / "sam2.json").write_text(json.dumps(of_sam))
    masks = MasksFromFiles(tmp_path)
    for photo in ("plain.jpg", "v1.2", "sam2.jpg", "in/own.jpg", "data/set/valid/inner.jpg", "sam.jpg"):
        assert masks(image, photo).labels.tolist() == labels.tolist(), photo
    with pytest.raises(InputError, match=r"does not have masks of other\.jpg"):
        masks(image, "other.jpg")
    coco = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 3, "height": 2}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": [polygon(0, 0, 1, 2)]}],
    }
    (tmp_path / "all.json").write_text(json.dumps(coco))
    assert MasksFromFiles(tmp_path / "all.json")(image, "a.jpg").labels.tolist() == [[1, 0, 0]] * 2
    with pytest.raises(InputError, match=r"b\.jpg"):
        MasksFromFiles(tmp_path / "all.json")(image, "b.jpg")
    with pytest.raises(InputError, match="nowhere does not exist"):
        MasksFromFiles(tmp_path / "nowhere")


def test_masks_of_another_size_are_no_entities_of_the_photo(tmp_path: Path) -> None:
    data = PanopticNarratives(write_png(tmp_path / "png"))
    Image.fromarray(np.ones((9, 9), np.uint8)).save(tmp_path / "000000000139.png")
    photo = data[0].photo
    with pytest.raises(NoEntities):
        entities_of(photo, photo.image(), MasksFromFiles(tmp_path))
