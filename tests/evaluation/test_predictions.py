"""Masks from files of other programs: found, matched with their photos, and what cannot be used is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from in_memory import MemoryPhotos, photo_of
from PIL import Image

from esg.data.annotated import AnnotatedPhotos, Category
from esg.data.opening import open_photos
from esg.data.problems import Problems
from esg.entities import rle
from esg.entities.entity_map import EntityMap
from esg.evaluation.entities import Evaluation, evaluate_entities
from esg.evaluation.predictions import ModelPredictions, open_predictions
from esg.support.errors import EsgError

pytest.importorskip("pycocotools", reason="average precision needs pycocotools")

LEFT = np.zeros((40, 60), bool)
LEFT[:, :30] = True


def coco(**changes: Any) -> dict[str, Any]:
    """Two pictures; in the first the halves are annotated, the left one as a polygon, in the second one its top."""
    content = {
        "images": [
            {"id": 7, "file_name": "folder/a.jpg", "height": 40, "width": 60},
            {"id": 9, "file_name": "b.jpg", "height": 20, "width": 20},
        ],
        "annotations": [
            {"id": 1, "image_id": 7, "segmentation": [[0, 0, 30, 0, 30, 40, 0, 40]], "iscrowd": 0},
            {"id": 2, "image_id": 7, "segmentation": rle.encode_mask(~LEFT), "area": 1200, "category_id": 3},
            {"id": 3, "image_id": 9, "segmentation": [[0, 0, 20, 0, 20, 10, 0, 10]]},
        ],
    }
    return content | changes


def results() -> list[dict[str, Any]]:
    """All of it, rightly."""
    top = np.arange(20)[:, None] < np.full(20, 10)
    return [
        {"image_id": 7, "category_id": 1, "segmentation": rle.encode_mask(LEFT), "score": 0.9},
        {"image_id": 7, "category_id": 1, "segmentation": rle.encode_mask(~LEFT), "score": 0.4},
        {"image_id": 9, "category_id": 1, "segmentation": rle.encode_mask(top), "score": 0.3},
    ]


def write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def truth(tmp_path: Path) -> AnnotatedPhotos:
    (tmp_path / "truth").mkdir()
    return open_photos(write(tmp_path / "truth/truth.json", coco()))


def measured(truth: AnnotatedPhotos, path: Path) -> Evaluation:
    return evaluate_entities(truth, open_predictions(path), boundaries=False)


def test_results_that_are_right_have_ap_one(truth: AnnotatedPhotos, tmp_path: Path) -> None:
    found = measured(truth, write(tmp_path / "found.json", results()))
    assert found.figures["AP"] == found.figures["AR10"] == pytest.approx(1)
    assert found.figures["AR1"] == pytest.approx(2 / 3)
    assert list(found.problems) == []


def test_coco_json_is_matched_by_file_name_and_has_scores_of_one(truth: AnnotatedPhotos, tmp_path: Path) -> None:
    """Ids of another program's file mean nothing here."""
    content = coco()
    for image, key in zip(content["images"], (1, 2), strict=True):
        image["id"] = key
    content["images"][0]["file_name"] = "a.jpg"
    for annotation in content["annotations"]:
        annotation["image_id"] = 1 if annotation["image_id"] == 7 else 2
    assert measured(truth, write(tmp_path / "found.json", content)).figures["AP"] == pytest.approx(1)


def test_photos_without_results_count_and_are_named(truth: AnnotatedPhotos, tmp_path: Path) -> None:
    found = measured(truth, write(tmp_path / "found.json", results()[:2]))
    assert found.figures["AR100"] == pytest.approx(2 / 3)
    assert list(found.problems) == [
        "photos without predictions, which count as photos in which nothing was found (1): b.jpg"
    ]


@pytest.mark.parametrize("kind", [".entities.json", ".labels.png", ".png", ".npy", "/0.png"])
def test_a_folder_has_masks_for_each_picture(truth: AnnotatedPhotos, tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "found"
    folder.mkdir()
    for name, labels in (("a", LEFT + 1), ("b", np.where(np.arange(20)[:, None] < np.full(20, 10), 1, 0))):
        entities = EntityMap.from_labels(labels, [0.3, 0.8])
        if kind == ".entities.json":
            write(folder / f"{name}.entities.json", entities.to_coco(file_name=f"{name}.jpg"))
        elif kind == ".npy":
            np.save(folder / f"{name}.npy", entities.labels)
        elif kind == "/0.png":
            (folder / name).mkdir()
            for number in range(1, len(entities) + 1):
                Image.fromarray(255 * entities.mask([number]).astype(np.uint8)).save(folder / name / f"{number}.png")
        else:
            entities.save_labels_png(folder / f"{name}{kind}")
    found = measured(truth, folder)
    assert found.figures["AP"] == pytest.approx(1)
    assert list(found.problems) == []


def test_masks_of_sam_may_overlap(truth: AnnotatedPhotos, tmp_path: Path) -> None:
    """SAM's own JSON: one file per photo, with parts inside wholes."""
    folder = tmp_path / "sam"
    folder.mkdir()
    whole = rle.encode_mask(np.ones((40, 60), bool))
    annotations = [
        {"segmentation": whole, "predicted_iou": 0.99},
        {"segmentation": rle.encode_mask(LEFT), "predicted_iou": 0.9},
        {"segmentation": rle.encode_mask(~LEFT), "predicted_iou": 0.8},
    ]
    image = {"width": 60, "height": 40, "file_name": "a.jpg"}
    write(folder / "a.json", {"image": image, "annotations": annotations})
    found = measured(truth, folder)
    assert found.figures["AR100"] == pytest.approx(2 / 3)
    assert found.figures["overlapping"] == 1


def panoptic(folder: Path, infos: list[dict[str, Any]], ids: np.ndarray) -> Path:
    (folder / "panoptic").mkdir(parents=True)
    colours = np.stack([ids % 256, ids // 256 % 256, ids // 65536], 2).astype(np.uint8)
    Image.fromarray(colours).save(folder / "panoptic/a.png")
    return write(
        folder / "panoptic.json", {"annotations": [{"image_id": 7, "file_name": "a.png", "segments_info": infos}]}
    )


def test_panoptic_results_have_categories_of_the_truth(tmp_path: Path) -> None:
    """As results they need neither images nor categories."""
    infos = [{"id": 300, "category_id": 18}, {"id": 70000, "category_id": 99}, {"id": 5, "category_id": 18}]
    path = panoptic(tmp_path / "found", infos, np.where(LEFT, 300, 70000))
    photo = photo_of(LEFT + 1)
    categories = [Category("cat", True, 17), Category("dog", True, 18)]
    problems = Problems()
    from dataclasses import replace

    found = open_predictions(path, categories).of(replace(photo, id=7), problems)
    assert [(one.category, rle.area(one.mask)) for one in found or []] == [(1, 1200), (None, 1200)]
    assert list(problems) == [
        "predictions of categories that are not in the truth (1): id 70000 of a.jpg",
        "predicted segments without pixels (1): id 5 of a.jpg",
    ]


def test_classes_in_a_folder_are_known_by_their_names(tmp_path: Path) -> None:
    """LabelMe's names; and files in COCO's format whose own ids differ from those of the truth."""
    folder, left, all_of_it = tmp_path / "found", [[0, 0], [30, 0], [30, 40], [0, 40]], rle.encode_mask(LEFT | True)
    folder.mkdir()
    shapes = [{"label": label, "points": left, "shape_type": "polygon"} for label in ("Dog", "unicorn")]
    write(folder / "a.json", {"shapes": shapes, "imagePath": "a.jpg", "imageHeight": 40, "imageWidth": 60})
    own = {"categories": [{"id": 1, "name": "dog"}], "images": [{"id": 1, "file_name": "b.jpg"}]}
    write(folder / "b.json", {**own, "annotations": [{"image_id": 1, "category_id": 1, "segmentation": all_of_it}]})
    write(folder / "c.json", [{"category_id": 1, "segmentation": all_of_it}])
    categories = [Category("cat", True, 1), Category("dog", True, 2)]
    found, problems = {}, Problems()
    for name in "abc":
        photo = photo_of(LEFT + 1, name=f"{name}.jpg")
        found[name] = [one.category for one in open_predictions(folder, categories).of(photo, problems) or []]
    assert found == {"a": [1], "b": [1], "c": [0]}
    assert [one.category for one in open_predictions(folder).of(photo_of(LEFT + 1), Problems()) or []] == [None]


def test_what_cannot_be_used_is_left_out_and_named(truth: AnnotatedPhotos, tmp_path: Path) -> None:
    text = json.dumps(
        [
            *results(),
            {"image_id": 7, "segmentation": rle.encode_mask(LEFT), "score": float("nan"), "id": 1},
            {"image_id": 7, "segmentation": rle.encode_mask(LEFT), "score": "high", "id": 2},
            {"image_id": 9, "segmentation": rle.encode_mask(LEFT), "score": 1, "id": 3},
            {"image_id": 7, "segmentation": {"size": [40], "counts": 3}, "score": 1, "id": 4},
            {"image_id": 7, "segmentation": None, "score": 1, "id": 5},
            {"image_id": 99, "segmentation": rle.encode_mask(LEFT), "score": 1, "id": 6},
            {"segmentation": rle.encode_mask(LEFT), "score": 1, "id": 7},
            "a",
        ]
    )
    (tmp_path / "found.json").write_text(text)
    found = measured(truth, tmp_path / "found.json")
    assert found.figures["AP"] == pytest.approx(1)
    assert set(found.problems) == {
        "predictions without the id of a photo (2): id 7, number 10",
        "predictions whose mask has 60x40 pixels instead of the photo's 20x20 (1): id 3 of b.jpg",
        "predictions whose score is not a number (2): id 1 of folder/a.jpg, id 2 of folder/a.jpg",
        "predictions whose RLE is damaged (1): id 4 of folder/a.jpg",
        "predictions without a mask (1): id 5 of folder/a.jpg",
        "predictions for photos that are not in the truth (1): 99",
    }


def test_repeated_ids_are_named(truth: AnnotatedPhotos, tmp_path: Path) -> None:
    content = coco()
    content["annotations"][1]["id"] = 1
    found = measured(truth, write(tmp_path / "found.json", content))
    assert found.figures["AP"] == pytest.approx(1)
    assert list(found.problems) == ["predictions with the id of an earlier one, which count, too (1): id 1"]


def test_a_broken_file_leaves_its_photo_out(truth: AnnotatedPhotos, tmp_path: Path) -> None:
    folder = tmp_path / "found"
    folder.mkdir()
    EntityMap.from_labels(LEFT + 1).save_labels_png(folder / "a.png")
    (folder / "b.png").write_bytes(b"\x89PNG no picture")
    (folder / "c.png").write_bytes(b"")
    found = measured(truth, folder)
    assert (found.figures["AP"], found.figures["photos"]) == (pytest.approx(1), 1)
    unused, unknown = found.problems
    assert unused.startswith("photos that cannot be used (1): b.jpg: ")
    assert unknown == "predictions for photos that are not in the truth (1): c"


def test_a_file_for_several_photos_of_the_same_name_is_named(tmp_path: Path) -> None:
    photos = MemoryPhotos([photo_of(LEFT + 1, name="x/a.jpg"), photo_of(LEFT + 1, name="y/a.jpg")])
    folder = tmp_path / "found"
    folder.mkdir()
    np.save(folder / "a.npy", LEFT + 1)
    assert list(measured(photos, folder).problems) == [
        "predictions that belong to several photos of the same name (1): a"
    ]


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ([{"image_id": 99, "segmentation": [], "score": 1}], "No prediction in .* belongs to a photo in"),
        ([{"image_id": 7, "segmentation": None, "score": 1}], r"can be used: predictions without a mask \(1\)"),
        (
            [{"image_id": 7, "segmentation": rle.encode_mask(LEFT), "score": None, "iou": 3} | {"score": "x"}],
            "can be used: predictions whose score is not a number",
        ),
        ([], "does not contain predictions: its list is empty"),
        ({"images": []}, "neither a list of COCO results nor"),
        (3, "neither a list of COCO results nor"),
    ],
)
def test_nothing_usable_is_one_sentence(truth: AnnotatedPhotos, tmp_path: Path, found: Any, message: str) -> None:
    with pytest.raises(EsgError, match=message):
        measured(truth, write(tmp_path / "found.json", found))


def test_missing_files(truth: AnnotatedPhotos, tmp_path: Path) -> None:
    with pytest.raises(EsgError, match="nowhere"):
        open_predictions(tmp_path / "nowhere.json")
    (tmp_path / "empty").mkdir()
    with pytest.raises(EsgError, match=r"such as NAME\.entities\.json"):
        open_predictions(tmp_path / "empty")
    (tmp_path / "text.json").write_text("no json")
    with pytest.raises(EsgError, match=r"text\.json"):
        open_predictions(tmp_path / "text.json")


def test_the_names_of_a_models_masks_become_categories(tmp_path: Path) -> None:
    from dataclasses import replace

    Image.new("RGB", (60, 40)).save(tmp_path / "a.png")
    photo = replace(photo_of(LEFT + 1), file=tmp_path / "a.png")
    model = ModelPredictions(
        lambda image: [(LEFT, 0.5, "Dog"), (~LEFT, 0.25, "cow"), (LEFT, 0.125)], [Category("cat"), Category("dog")]
    )
    problems = Problems()
    found = model.of(photo, problems)
    assert [(one.score, one.category) for one in found] == [(0.5, 1), (0.25, None), (0.125, None)]
    assert list(problems) == ["predictions of categories that are not in the truth (1): cow in a.jpg"]
