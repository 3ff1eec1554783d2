"""Small data sets of the published shapes, with the oddities of the real files."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from esg.data.annotated import AnnotatedPhotos
from esg.data.checking import check_photos
from esg.data.labelled import UNKNOWN, painted
from esg.data.opening import open_photos
from esg.entities import rle
from esg.support.errors import ImageError, InputError

SIZE = (4, 6)
SQUARE = [1, 1, 3, 1, 3, 3, 1, 3]  # covers pixels 1 and 2 of rows 1 and 2
ROW = np.array([[0] * 6, [0, 1, 1, 0, 0, 0], [0, 1, 1, 0, 0, 0], [0] * 6])


def photo(path: Path, size: tuple[int, int] = SIZE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size[::-1], (10, 200, 30)).save(path)
    return path


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def coco(annotations: list[Any], images: list[Any] | None = None, **more: Any) -> dict[str, Any]:
    listed = [{"id": 9, "file_name": "b.jpg", "height": 4, "width": 6}] if images is None else images
    return {"images": listed, "annotations": annotations, "categories": [{"id": 3, "name": "dog"}], **more}


def one(segmentation: Any, **more: Any) -> dict[str, Any]:
    return {"id": 1, "image_id": 9, "category_id": 3, "segmentation": segmentation, **more}


def labels(photos: AnnotatedPhotos, index: int = 0) -> np.ndarray:
    return painted(photos[index].segments, photos[index].size, photos.categories)[0]


@pytest.mark.parametrize(
    "segmentation",
    [
        [SQUARE],
        SQUARE,
        {"size": [4, 6], "counts": rle.encode_mask(ROW == 1)["counts"]},
        {"size": [4, 6], "counts": rle.encode_mask(ROW == 1, packed=False)["counts"].tolist()},
        [{"size": [4, 6], "counts": [5, 2, 17]}, {"size": [4, 6], "counts": [9, 2, 13]}],
        [SQUARE, [0, 0, 1, 1]],
    ],
    ids=["polygon", "flat polygon", "compressed", "list of counts", "list of RLEs", "a line beside it"],
)
def test_every_notation_of_a_mask(tmp_path: Path, segmentation: Any) -> None:
    photo(tmp_path / "images/b.jpg")
    photos = open_photos(write(tmp_path / "any.json", coco([one(segmentation)])))
    assert np.array_equal(np.maximum(labels(photos), 0), ROW)
    assert photos[0].segments[0].category == 0
    assert photos[0].image().shape == (4, 6, 3)


def test_what_cannot_be_used_is_left_out_and_named(tmp_path: Path) -> None:
    annotations = [
        one([SQUARE]),
        one([], id=2),
        one(None, id=3),
        one([[1, 1, 2, 2]], id=4),
        one({"size": [6, 4], "counts": [0, 24]}, id=5),
        one({"size": [4, 6], "counts": [3]}, id=6),
        one([[1, 1, 1, 1, 1, 1]], id=7),
        one([SQUARE], id=8, image_id=77),
        one("nothing", id=9),
        one([SQUARE], id=9.0, image_id=77),
        "not an object",
    ]
    images = [
        {"id": 9, "file_name": "b.jpg", "height": 4, "width": 6},
        {"id": "9", "file_name": "b.jpg", "height": 4, "width": 6},
        {"id": 9.0, "file_name": "other.jpg", "height": 4, "width": 6},
        {"id": 10, "file_name": "gone.jpg"},
        {"file_name": "c.jpg"},
        3,
    ]
    photo(tmp_path / "images/b.jpg")
    photos = open_photos(write(tmp_path / "any.json", coco(annotations, images)))
    assert len(photos) == 1
    assert len(photos[0].segments) == 1
    found = photos.problems.found | photos[0].problems.found
    assert found == {
        "images without an id or a file name": ["number 4", "number 5"],
        "images with the id of an earlier one": ["other.jpg"],
        "photos that are missing and whose size is not listed": ["gone.jpg"],
        "annotations of photos that are not listed": ["id 8", "id 9", "number 10"],
        "annotations with the id of an earlier one, which count, too": ["id 9"],
        "annotations without a mask": ["id 2 of b.jpg", "id 3 of b.jpg"],
        "annotations whose polygon has fewer than three points": ["id 4 of b.jpg"],
        "annotations whose mask has 4x6 pixels instead of the photo's 6x4": ["id 5 of b.jpg"],
        "annotations whose RLE is damaged": ["id 6 of b.jpg"],
        "annotations whose mask is empty": ["id 7 of b.jpg"],
        'annotations whose segmentation is "nothing"': ["id 9 of b.jpg"],
    }


def test_a_size_that_is_not_listed_is_the_photos(tmp_path: Path) -> None:
    photo(tmp_path / "images/b.jpg")
    images = [{"id": 9, "file_name": "b.jpg", "height": None, "width": None}]
    photos = open_photos(write(tmp_path / "any.json", coco([one([SQUARE])], images)))
    assert photos[0].size == (4, 6)


@pytest.mark.parametrize(
    ("annotations", "name", "place"),
    [
        ("instances.json", "b.jpg", "images/b.jpg"),
        ("annotations/instances_val2017.json", "b.jpg", "val2017/b.jpg"),
        ("annotations/instances_val2017.json", "b.jpg", "images/val2017/b.jpg"),
        ("annotations/entityseg_val.json", "entity_01_11580/b.jpg", "images/entity_01_11580/b.jpg"),
        ("annotations/entityseg_val.json", "entity_01_11580/b.jpg", "images/b.jpg"),
        ("annotations/val.json", "b.jpg", "images/b.jpg"),
        ("result.json", "images\\b.jpg", "images/b.jpg"),
        ("valid/_annotations.coco.json", "b.jpg", "valid/b.jpg"),
    ],
)
def test_photos_are_found_where_data_sets_keep_them(tmp_path: Path, annotations: str, name: str, place: str) -> None:
    photo(tmp_path / place)
    images = [{"id": 9, "file_name": name, "height": 4, "width": 6}]
    path = write(tmp_path / annotations, coco([one([SQUARE])], images))
    assert open_photos(path)[0].file == tmp_path / place


@pytest.mark.parametrize(
    "annotations", ["instances.json", "any.json", "annotations/val.json", "_annotations.coco.json"]
)
def test_a_folder_with_one_coco_file(tmp_path: Path, annotations: str) -> None:
    photo(tmp_path / "images/b.jpg")
    photo(tmp_path / "b.jpg")
    write(tmp_path / annotations, coco([one([SQUARE])]))
    assert np.array_equal(labels(open_photos(tmp_path)) == 1, ROW == 1)


def test_a_file_name_stays_below_the_folder_of_photos(tmp_path: Path) -> None:
    photo(tmp_path / "secret.jpg")
    images = [{"id": 9, "file_name": "../../secret.jpg", "height": 4, "width": 6}]
    (tmp_path / "set/images").mkdir(parents=True)
    photos = open_photos(write(tmp_path / "set/instances.json", coco([one([SQUARE])], images)), tmp_path / "set/images")
    assert photos[0].file is None
    with pytest.raises(ImageError, match="is missing"):
        photos[0].image()


def test_lvis_has_addresses_instead_of_file_names(tmp_path: Path) -> None:
    images = [{"id": 9, "coco_url": "http://images.cocodataset.org/val2017/b.jpg", "height": 4, "width": 6}]
    photo(tmp_path / "val2017/b.jpg")
    photos = open_photos(write(tmp_path / "lvis_v1_val.json", coco([one([SQUARE])], images)))
    assert photos[0].name == "val2017/b.jpg"
    assert photos[0].file == tmp_path / "val2017/b.jpg"


def test_entityseg_has_things_stuff_and_list_counts(tmp_path: Path) -> None:
    categories = [
        {"id": 0, "name": "unknown", "c_name": "-", "supercategory": "unknown", "type": "thing"},
        {"id": 5, "name": "sky", "c_name": "-", "supercategory": "nature", "type": "stuff"},
    ]
    segments = [
        one({"size": [4, 6], "counts": [0, 12, 12]}, category_id=5, area=12, iscrowd=0),
        one({"size": [4, 6], "counts": [12, 8, 4]}, category_id=0, area=8, id=2),
    ]
    photos = open_photos(write(tmp_path / "entityv2_01_entity_val_lr.json", coco(segments, categories=categories)))
    assert [(one.name, one.thing, one.id) for one in photos.categories] == [("unknown", True, 0), ("sky", False, 5)]
    assert [photos.categories[one.category or 0].name for one in photos[0].segments] == ["sky", "unknown"]
    assert (labels(photos) == UNKNOWN).sum() == 4


def test_crowds_are_kept_apart(tmp_path: Path) -> None:
    annotations = [one([SQUARE], iscrowd=1), one({"size": [4, 6], "counts": [19, 5]})]
    photos = open_photos(write(tmp_path / "a.json", coco(annotations)))
    assert [segment.crowd for segment in photos[0].segments] == [False, True]
    assert (labels(photos) == 1).sum() == 5


def panoptic(folder: Path, ids: np.ndarray, infos: list[dict[str, Any]], name: str, pngs: str) -> Path:
    colours = np.stack([ids >> shift & 255 for shift in (0, 8, 16)], axis=-1).astype(np.uint8)
    (folder / pngs).mkdir(parents=True, exist_ok=True)
    Image.fromarray(colours).save(folder / pngs / "a.png")
    images = [{"id": "7", "file_name": "a.jpg", "height": ids.shape[0], "width": ids.shape[1]}]
    annotations = [{"image_id": 7, "file_name": "a.png", "segments_info": infos}]
    return write(
        folder / name, {"images": images, "annotations": annotations, "categories": [{"id": 3, "name": "dog"}]}
    )


@pytest.mark.parametrize("pngs", ["ade20k_panoptic_val", "panoptic", "."])
def test_panoptic_pictures_are_found_near_the_file(tmp_path: Path, pngs: str) -> None:
    infos = [{"id": 70_000, "category_id": 3}, {"id": 9, "category_id": 4}, {"id": 12, "category_id": 3}]
    path = panoptic(tmp_path, np.array([[70_000, 9, 0, 11]]), infos, "ade20k_panoptic_val.json", pngs)
    photos = open_photos(path)
    assert labels(photos).tolist() == [[1, 2, UNKNOWN, UNKNOWN]]
    assert [segment.id for segment in photos[0].segments] == [70_000, 9]
    assert photos[0].problems.found == {
        "segments of categories that are not listed": ["9 of a.jpg"],
        "segments without pixels": ["12 of a.jpg"],
        "areas whose id is not listed": ["11 of a.jpg"],
    }


def test_missing_panoptic_pictures_are_named(tmp_path: Path) -> None:
    path = panoptic(tmp_path, np.ones((1, 4), int), [{"id": 1, "category_id": 3}], "panoptic.json", "panoptic")
    content = json.loads(path.read_text())
    content["annotations"].append({"image_id": 7, "file_name": "gone.png", "segments_info": []})
    photos = open_photos(write(path, content))
    assert len(photos) == 1
    assert list(photos.problems) == ["pictures of segments that are missing (1): gone.png"]
    (tmp_path / "panoptic/a.png").unlink()
    with pytest.raises(InputError, match=r"does not have photos that can be used: .*a\.png, gone\.png"):
        open_photos(path)


@pytest.mark.parametrize(
    ("photos", "masks"),
    [("a.jpg", "a.png"), ("images/a.jpg", "masks/a.png"), ("images/x/a.jpg", "labels/x/a.npy"), ("a.jpg", "a.json")],
)
def test_a_file_of_masks_for_each_photo(tmp_path: Path, photos: str, masks: str) -> None:
    photo(tmp_path / photos)
    photo((tmp_path / photos).with_name("bare.jpg"))
    path = tmp_path / masks
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = np.array([[1, 1, 2, 2, 5, 5]] * 4, np.uint8)
    if path.suffix == ".npy":
        np.save(path, numbers)
    elif path.suffix == ".json":
        points = [[[x, 0], [x + 2, 0], [x + 2, 4], [x, 4]] for x in (0, 2, 4)]
        shapes = [{"label": "x", "points": each, "shape_type": "polygon"} for each in points]
        write(path, {"version": "5", "shapes": shapes, "imagePath": "a.jpg", "imageHeight": 4, "imageWidth": 6})
    else:
        Image.fromarray(numbers).save(path)
    found = open_photos(tmp_path)
    assert len(found) == 1
    assert sorted(np.unique(labels(found))) == [1, 2, 3]
    assert [name.rpartition("/")[2] for name in found.problems.found["photos without a file of masks"]] == ["bare.jpg"]


def test_photos_with_one_mask_of_their_foreground(tmp_path: Path) -> None:
    photo(tmp_path / "im/a.jpg")
    photo(tmp_path / "im/b.jpg")
    (tmp_path / "gt").mkdir()
    for name in "ac":
        Image.fromarray((ROW * 255).astype(np.uint8)).save(tmp_path / f"gt/{name}.png")
    photos = open_photos(tmp_path)
    assert np.array_equal(labels(photos) == 1, ROW == 1)
    assert list(photos.problems) == ["photos without a mask (1): b.jpg", "masks without a photo (1): c.png"]


def test_masks_without_a_photo_are_named(tmp_path: Path) -> None:
    for name in ("a.jpg", "x/b.c.jpg"):
        photo(tmp_path / "images" / name)
    for name in ("a.labels.png", "x/b.c.png", "x/gone.png", "b.c.png", "classes.txt", "notes.md"):
        (tmp_path / "masks" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.ones((4, 6), np.uint8)).save(tmp_path / "masks" / name, format="PNG")
    assert list(open_photos(tmp_path).problems) == ["masks without a photo (2): b.c.png, x/gone.png"]


@pytest.mark.parametrize(
    ("files", "what"),
    [
        ({}, "does not contain labelled photos"),
        ({"a.json": "[]"}, "does not have a list of images"),
        ({"a.json": "{}", "b.json": "{}"}, "has 2 JSON files, a.json and others"),
        ({"instances.json": '{"images": []}'}, "does not have a list of annotations"),
    ],
)
def test_folders_that_cannot_be_opened(tmp_path: Path, files: dict[str, str], what: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=what):
        open_photos(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        open_photos(tmp_path / "nowhere")


def test_data_sets_travel_to_worker_processes(tmp_path: Path) -> None:
    photo(tmp_path / "images/b.jpg")
    photos = open_photos(write(tmp_path / "instances.json", coco([one([SQUARE])])))
    again = pickle.loads(pickle.dumps(photos))  # noqa: S301 - for worker processes
    assert again[0].segments == photos[0].segments
    assert again[-1].name == photos[0].name
    assert [one.name for one in again[:1]] == ["b.jpg"]
    with pytest.raises(IndexError):
        again[1]


def test_checking_counts_what_can_be_used(tmp_path: Path) -> None:
    images = [{"id": number, "file_name": f"{number}.jpg", "height": 4, "width": 6} for number in range(4)]
    annotations = [one([SQUARE], image_id=0), one([SQUARE], image_id=1, iscrowd=1, id=2), one([], image_id=2, id=3)]
    photo(tmp_path / "images/0.jpg")
    photo(tmp_path / "images/1.jpg")
    photo(tmp_path / "images/2.jpg", (5, 5))
    write(tmp_path / "captions.json", {"annotations": [{"image_id": 0, "caption": " A  dog.\n"}]})
    found = check_photos(open_photos(write(tmp_path / "instances.json", coco(annotations, images))))
    assert (found.photos, found.listed, found.segments, found.crowds, found.captions) == (2, 4, 1, 1, 1)
    assert found.categories == {"dog": 1}
    assert found.problems.found == {
        "photos without segments": ["1.jpg"],
        "annotations without a mask": ["id 3 of 2.jpg"],
        "photos or annotations that cannot be read": [
            f"{tmp_path / 'images/2.jpg'} has 5x5 pixels, but its annotations are for 6x4"
        ],
        "photos that are missing": ["3.jpg"],
    }


def labelme(*shapes: tuple[str, list[list[float]]]) -> dict[str, Any]:
    drawn = [{"label": label, "points": points, "shape_type": "polygon"} for label, points in shapes]
    return {"shapes": drawn, "imagePath": "b.jpg", "imageHeight": 4, "imageWidth": 6}


def test_labelme_files_name_the_classes(tmp_path: Path) -> None:
    for name in ("b", "c", "d"):
        photo(tmp_path / f"{name}.jpg")
    write(tmp_path / "b.json", labelme(("pear", [[1, 1], [3, 1], [3, 3], [1, 3]]), ("apple", [[4, 0], [6, 0], [6, 4]])))
    write(tmp_path / "c.json", labelme(("pear", [[0, 0], [6, 0], [6, 4], [0, 4]])))
    (tmp_path / "d.json").write_text("{")
    photos = open_photos(tmp_path)
    assert [(one.name, one.id) for one in photos.categories] == [("apple", 1), ("pear", 2)]
    names = [photos.categories[segment.category].name for segment in photos[0].segments]
    areas = {name: rle.area(segment.mask) for name, segment in zip(names, photos[0].segments)}
    assert areas["pear"] == 4
    assert set(areas) == {"apple", "pear"}
    assert [segment.category for segment in photos[1].segments] == [1]
    with pytest.raises(ImageError, match=r"d\.json"):
        photos[2]


CVAT = """<?xml version="1.0"?><annotations><version>1.1</version>
<image id="0" name="b.jpg" width="6" height="4"><polygon label="dog" points="1,1;3,1;3,3;1,3" z_order="0"/></image>
<image id="1" name="c.jpg" width="6" height="4"><polygon label="cat" points="0,0;6,0;6,2;0,2" z_order="0"/>
<polygon label="dog" points="0,2;6,2;6,4;0,4" z_order="0"/></image>
<image id="2" name="gone.jpg" width="6" height="4"/></annotations>"""


@pytest.mark.parametrize("given", ["annotations.xml", "."])
def test_cvats_file_about_all_photos(tmp_path: Path, given: str) -> None:
    for name in ("b", "c", "other"):
        photo(tmp_path / f"images/{name}.jpg")
    (tmp_path / "annotations.xml").write_text(CVAT)
    photos = pickle.loads(pickle.dumps(open_photos(tmp_path / given)))  # noqa: S301 - for worker processes
    assert [one.name for one in photos.categories] == ["cat", "dog"]
    assert [one.name for one in photos] == ["b.jpg", "c.jpg"]
    assert np.array_equal(labels(photos), np.where(ROW == 1, 1, UNKNOWN))
    assert [segment.category for segment in photos[1].segments] == [0, 1]
    assert list(photos.problems) == [
        "photos that are missing (1): gone.jpg",
        "photos without a file of masks (1): other.jpg",
    ]
