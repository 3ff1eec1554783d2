"""JSON of COCO and of SAM: which picture is meant, and what cannot be understood."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from esg.entities.importing.annotations import names_pictures, read_json
from esg.entities.rle import decode_mask
from esg.support.errors import InputError

FULL = {"size": [1, 2], "counts": [0, 2]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "masks.json"


def put(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def pictures(*names: str) -> dict:
    """A COCO file about pictures of these names, the first 1 pixel wide, the second 2, and so on, with a mask each."""
    return {
        "images": [{"id": k, "file_name": name, "height": 1, "width": k} for k, name in enumerate(names, 1)],
        "annotations": [
            {"id": k, "image_id": k, "segmentation": {"size": [1, k], "counts": [0, k]}, "score": k / 10}
            for k in range(1, len(names) + 1)
        ],
    }


@pytest.mark.parametrize(
    ("names", "photo", "which"),
    [
        (["only.jpg"], None, 1),
        (["only.jpg"], "another.jpg", 1),
        (["a.jpg", "b.jpg"], "b.jpg", 2),
        (["a.jpg", "b.jpg"], Path("/photos/b.jpg"), 2),
        (["one/a.jpg", "two/a.jpg"], "photos/two/a.jpg", 2),
        (["one\\a.jpg", "two\\b.jpg"], "b.jpg", 2),
        (["a.jpg", "b.jpg", "b.png"], "b.png", 3),
        (["a.jpg", "b.jpg"], "b.webp", 2),  # the same photo in another format
        (["b.a.jpg", "b.jpg"], "b.webp", 2),
    ],
)
def test_the_photo_is_found_by_its_name(path: Path, names: list[str], photo: str | Path | None, which: int) -> None:
    found = read_json(put(path, pictures(*names)), photo=photo)
    assert found.size == (1, which)
    assert found.scores == [which / 10]


@pytest.mark.parametrize(
    ("names", "photo", "words"),
    [
        ([], "a.jpg", "does not describe any pictures"),
        (["a.jpg", "b.jpg"], None, r"2 pictures \(a\.jpg, b\.jpg\); say which one by the photo's file name"),
        (["a", "b", "c", "d"], "e.jpg", r"4 pictures \(a, b, c, …\), and none is called e\.jpg"),
        (["one/a.jpg", "two/a.jpg"], "a.jpg", r"several are called a\.jpg"),
        (["", ""], "a.jpg", r"none is called a\.jpg"),
    ],
)
def test_the_photo_is_not_found(path: Path, names: list[str], photo: str | None, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_json(put(path, pictures(*names)), photo=photo)


def test_by_name_a_single_picture_has_to_be_the_photo(path: Path) -> None:
    put(path, pictures("holiday/a.jpg"))
    for photo in ("a.jpg", "other/a.jpg", "a.png"):
        assert read_json(path, photo=photo, by_name=True).size == (1, 1)
    for photo, words in (
        ("b.jpg", r"1 picture \(holiday/a\.jpg\), and none is called b\.jpg; give the masks of this photo\.$"),
        (None, r"1 picture \(holiday/a\.jpg\); say which one"),
    ):
        with pytest.raises(InputError, match=words):
            read_json(path, photo=photo, by_name=True)
    with pytest.raises(InputError, match=r"1 picture \(without a name\), and none is called a\.jpg"):
        read_json(put(path, pictures("")), photo="a.jpg", by_name=True)


def test_which_files_name_their_pictures(path: Path) -> None:
    def results(*numbers: int) -> list[dict]:
        return [{"image_id": number, "segmentation": FULL} for number in numbers]

    for content in (pictures("a.jpg"), pictures(), results(3, 7)):
        assert names_pictures(put(path, content))
    sa_1b = {"image": {"file_name": "3.jpg", "height": 1, "width": 2}, "annotations": []}
    for content in (results(3, 3), [{"segmentation": FULL}], [], [5], 5, sa_1b):
        assert not names_pictures(put(path, content))
        with pytest.raises(InputError, match=r"does not say which photo its masks belong to; give a COCO file"):
            read_json(path, photo="3.jpg", by_name=True)
    assert len(read_json(put(path, results(3, 7, 7)), photo="7.jpg", by_name=True).rles) == 2
    with pytest.raises(InputError, match=r"describes 2 pictures \(3, 7\), and none is called 5\.jpg"):
        read_json(path, photo="5.jpg", by_name=True)


def test_a_file_of_sa_1b(path: Path) -> None:
    image = {"image_id": 5, "width": 2, "height": 1, "file_name": "sa_5.jpg"}
    put(path, {"image": image, "annotations": [{"id": 9, "segmentation": FULL, "predicted_iou": 0.75}]})
    found = read_json(path)
    assert (found.size, found.scores) == ((1, 2), [0.75])


def test_results_of_coco(path: Path) -> None:
    """The photo 000000000139.jpg is the picture 139."""
    results = [
        {"image_id": 139, "category_id": 1, "segmentation": FULL, "score": 0.5},
        {"image_id": 285, "category_id": 1, "segmentation": {"size": [3, 3], "counts": [9]}, "score": 0.9},
    ]
    assert read_json(put(path, results), photo="000000000139.jpg").scores == [0.5]
    assert read_json(path, photo="285.jpg").size == (3, 3)
    for photo in (None, "0.jpg", "cat.jpg"):
        with pytest.raises(InputError, match=r"describes 2 pictures \(139, 285\)"):
            read_json(path, photo=photo)
    assert len(read_json(put(path, results[:1]), photo="cat.jpg").rles) == 1


def test_rows_and_polygons_in_a_list(path: Path) -> None:
    put(path, [{"segmentation": [[0, 1, 0], [1, 1, 1]]}, {"segmentation": [[0, 0, 2, 0, 2, 1, 0, 1]]}])
    cross, box = read_json(path).rles
    assert decode_mask(cross).astype(int).tolist() == [[0, 1, 0], [1, 1, 1]]
    assert decode_mask(box).astype(int).tolist() == [[1, 1, 0], [0, 0, 0]]
    polygons = [{"segmentation": [[0, 0, 2, 0, 2, 1, 0, 1], [2, 1, 3, 1, 3, 2, 2, 2, 2, 1.5, 2, 1.2]]}]
    (both,) = read_json(put(path, polygons), (2, 3)).rles
    assert decode_mask(both).astype(int).tolist() == [[1, 1, 0], [0, 0, 1]]
    with pytest.raises(InputError, match="outlines but not the size of their picture"):
        read_json(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], "its list is empty"),
        ([1, 2], 'is a list, but not of objects with a "segmentation"'),
        ([{"bbox": [1, 1, 2, 2]}], "has boxes and no masks: none of its 1 annotations has a mask; export polygons"),
        ([{"area": 5}], r'has no mask that can be used: annotation 1 has no "segmentation"\.$'),
        ([{"segmentation": None}], "has boxes and no masks"),
        ([{"segmentation": [1, 2, 3]}], r"annotation 1 has 3 coordinates, an odd number"),
        (
            [{"segmentation": "mask.png"}],
            'has its mask in a file of its own, "mask.png"; give the folder of these files',
        ),
        ([{"segmentation": [[]]}], "has boxes and no masks"),
        ([{"segmentation": FULL}, {"segmentation": [[1]]}], "one size, but there are 1x1 and 2x1 pixels"),
        ({"masks": []}, "its list is empty"),
        ({"shape": []}, 'does not have "images" as COCO has, only "shape"'),
        ({**pictures("a", "b"), "annotations": 5}, 'is not in COCO\'s format: "annotations" is 5 instead of a list'),
        (7, "holds 7, neither an object nor a list"),
        ({"images": [{"id": 1, "height": 10**6, "width": 10**6}], "annotations": []}, "limit of 200,000,000"),
        ([{"segmentation": {"size": [10**5, 10**5], "counts": [0, 10**10]}}], "limit of 200,000,000"),
    ],
)
def test_what_cannot_be_understood(path: Path, content: object, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        read_json(put(path, content), photo="a")
    assert str(path) in str(caught.value)


def test_ids_that_occur_twice(path: Path) -> None:
    content = pictures("a.jpg", "b.jpg")
    content["annotations"] += [content["annotations"][0]]
    assert len(read_json(put(path, content), photo="a.jpg").rles) == 2  # nothing refers to the ids of annotations
    content["images"] += [content["images"][1]]
    assert len(read_json(put(path, content), photo="b.jpg").rles) == 1  # a picture that is listed twice
    content["images"] += [{**content["images"][1], "file_name": "c.jpg"}]
    with pytest.raises(InputError, match=r"has several pictures with the id '2'; make the ids unique\.$"):
        read_json(put(path, content), photo="b.jpg")


def test_annotations_without_ids(path: Path) -> None:
    put(path, [{"segmentation": FULL}, {"segmentation": FULL, "id": None}])
    assert len(read_json(path).rles) == 2


def test_very_large_files(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(path, [{"segmentation": np.ones((9, 9), int).tolist()}])
    monkeypatch.setattr("esg.entities.importing.annotations.MAX_JSON", path.stat().st_size)
    assert read_json(path).size == (9, 9)
    monkeypatch.setattr("esg.entities.importing.annotations.MAX_JSON", path.stat().st_size - 1)
    for read in (read_json, names_pictures):
        with pytest.raises(InputError, match="is larger than"):
            read(path)
