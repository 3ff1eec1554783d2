"""AP^e from files: the official evaluator's numbers, and the formats of other programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from esg.entities import rle
from esg.entities.entity_map import EntityMap
from esg.evaluation.prediction_files import evaluate_files, read_truth
from esg.support.errors import EsgError

pytest.importorskip("pycocotools", reason="average precision needs pycocotools")

LEFT = np.zeros((40, 60), bool)
LEFT[:, :30] = True


def coco(**changes: Any) -> dict[str, Any]:
    """Two pictures; in the first the halves are annotated, the left one as a polygon, in the second nothing is."""
    right = rle.encode_mask(~LEFT)
    content = {
        "images": [
            {"id": 7, "file_name": "folder/a.jpg", "height": 40, "width": 60},
            {"id": 9, "file_name": "b.jpg", "height": 20, "width": 20},
        ],
        "annotations": [
            {"id": 1, "image_id": 7, "segmentation": [[0, 0, 30, 0, 30, 40, 0, 40]], "iscrowd": 0},
            {"id": 2, "image_id": 7, "segmentation": right, "area": 1200, "category_id": 3},
        ],
    }
    return content | changes


def results() -> list[dict[str, Any]]:
    return [
        {"image_id": 7, "category_id": 1, "segmentation": rle.encode_mask(LEFT), "score": 0.9},
        {"image_id": 7, "category_id": 1, "segmentation": rle.encode_mask(~LEFT), "score": 0.4},
    ]


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(coco()))
    return path


def write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_the_official_evaluators_numbers(shared: Path) -> None:
    folder = shared / "reference/evaluator"
    official = json.loads((folder / "official_results.json").read_text())["all_12_stats_segm"]
    found = evaluate_files(folder / "gt.json", folder / "pred.json")
    for name, value in official.items():
        short = name.replace("@100", "") if name.startswith(("ARs", "ARm", "ARl")) else name.replace("@", "")
        assert found[short] == pytest.approx(value, abs=1e-9), name


def test_results_that_are_right_have_ap_one(truth: Path, tmp_path: Path) -> None:
    found = evaluate_files(truth, write(tmp_path / "found.json", results()))
    assert found["AP"] == found["AR10"] == pytest.approx(1)
    assert found["AR1"] == pytest.approx(0.5)


def test_coco_json_is_matched_by_file_name_and_has_scores_of_one(truth: Path, tmp_path: Path) -> None:
    """Ids of another program's file mean nothing here."""
    content = coco()
    content["images"][0] |= {"id": 1, "file_name": "a.jpg"}
    for annotation in content["annotations"]:
        annotation["image_id"] = 1
    assert evaluate_files(truth, write(tmp_path / "found.json", content))["AP"] == pytest.approx(1)


def test_what_was_not_found_lowers_the_recall(truth: Path, tmp_path: Path) -> None:
    assert evaluate_files(truth, write(tmp_path / "found.json", results()[:1]))["AR100"] == pytest.approx(0.5)


@pytest.mark.parametrize("kind", [".entities.json", ".labels.png", ".png", ".npy"])
def test_a_folder_has_a_file_for_each_picture(truth: Path, tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "found"
    folder.mkdir()
    entities = EntityMap.from_labels(LEFT + 1, [0.3, 0.8])
    if kind == ".entities.json":
        write(folder / "a.entities.json", entities.to_coco(file_name="a.jpg"))
    elif kind == ".npy":
        np.save(folder / "a.npy", entities.labels)
    else:
        entities.save_labels_png(folder / f"a{kind}")
    assert evaluate_files(truth, folder)["AP"] == pytest.approx(1)


@pytest.mark.parametrize("given", ["folder", "json"])
def test_panoptic_truth(tmp_path: Path, given: str) -> None:
    ids = np.where(LEFT, 300, 70000)
    (tmp_path / "panoptic").mkdir()
    Image.fromarray(np.stack([ids % 256, ids // 256 % 256, ids // 65536], 2).astype(np.uint8)).save(
        tmp_path / "panoptic/a.png"
    )
    infos = [{"id": 300, "category_id": 1}, {"id": 70000, "category_id": 2, "iscrowd": 1}]
    content = coco(annotations=[{"image_id": 7, "file_name": "a.png", "segments_info": infos}])
    path = write(tmp_path / "panoptic.json", content)
    (first, second) = read_truth(tmp_path if given == "folder" else path)
    assert [one["iscrowd"] for one in first.annotations] == [0, 1]
    assert [one["area"] for one in first.annotations] == [1200, 1200]
    assert second.annotations == []
    # The crowd is ignored: what lies in it is neither right nor wrong.
    assert evaluate_files(path, write(tmp_path / "found.json", results()))["AP"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ([{"image_id": 99, "segmentation": [], "score": 1}], "No prediction in .* belongs to a picture of the truth"),
        (
            [{"image_id": 7, "segmentation": {"size": [40], "counts": 3}, "score": 1}],
            "prediction 0 does not have a valid mask",
        ),
        ([{"image_id": 7, "segmentation": None, "score": 1}], "prediction 0 does not have a valid mask"),
        ([{"image_id": 9, "segmentation": rle.encode_mask(LEFT), "score": 1}], "60x40 pixels, but its photo 20x20"),
        ([{"image_id": 7, "segmentation": rle.encode_mask(LEFT), "score": "high"}], "has the score 'high'"),
        (["a"], "prediction 0 is not an object"),
        ({"images": []}, "does not list any images"),
        (3, "neither a list of COCO results nor"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(truth: Path, tmp_path: Path, found: Any, message: str) -> None:
    with pytest.raises(EsgError, match=message):
        evaluate_files(truth, write(tmp_path / "found.json", found))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "is not COCO JSON"),
        (coco(images=[]), "does not list any images"),
        (coco(images=[{"id": 7}]), "image 0 lacks an id, a height or a width"),
        (coco(annotations=[{"image_id": 5}]), "annotation 0 does not belong to any image"),
        (coco(annotations=[{"image_id": 7, "segments_info": []}]), "needs the picture"),
    ],
)
def test_truth_that_cannot_be_used_is_one_sentence(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(EsgError, match=message):
        evaluate_files(write(tmp_path / "truth.json", content), write(tmp_path / "found.json", results()))


def test_missing_files(truth: Path, tmp_path: Path) -> None:
    with pytest.raises(EsgError, match="nowhere"):
        evaluate_files(tmp_path / "nowhere.json", truth)
    (tmp_path / "empty").mkdir()
    with pytest.raises(EsgError, match=r"such as a\.entities\.json"):
        evaluate_files(truth, tmp_path / "empty")
    (tmp_path / "text.json").write_text("no json")
    with pytest.raises(EsgError, match="is not JSON"):
        evaluate_files(truth, tmp_path / "text.json")
