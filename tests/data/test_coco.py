"""Tiny folders in COCO's two formats, with the oddities of the real files."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from esg.data.labelled import UNKNOWN, LabelledPhotos
from esg.data.opening import open_photos
from esg.data.photos import Photos
from esg.support.errors import ImageError, InputError

CATEGORIES = [
    {"id": 1, "name": "person", "isthing": 1},
    {"id": 18, "name": "dog", "isthing": 1},
    {"id": 187, "name": "sky-other-merged", "isthing": 0},
]


def write_photo(folder: Path, name: str, size: tuple[int, int] = (4, 6)) -> None:
    (folder / "images").mkdir(exist_ok=True, parents=True)
    Image.new("RGB", size[::-1], (10, 200, 30)).save(folder / "images" / name)


def panoptic(folder: Path, segments: np.ndarray, infos: list[dict[str, Any]]) -> Path:
    """A folder with one photo; segments (H, W) are ids of up to 24 bits."""
    write_photo(folder, "a.jpg", segments.shape)
    (folder / "panoptic").mkdir()
    colours = np.stack([segments >> shift & 255 for shift in (0, 8, 16)], axis=-1).astype(np.uint8)
    Image.fromarray(colours).save(folder / "panoptic" / "a.png")
    content = {
        "images": [{"id": 7, "file_name": "a.jpg", "height": segments.shape[0], "width": segments.shape[1]}],
        "annotations": [{"image_id": 7, "file_name": "a.png", "segments_info": infos}],
        "categories": CATEGORIES,
    }
    (folder / "panoptic.json").write_text(json.dumps(content))
    return folder


def instances(folder: Path, annotations: list[dict[str, Any]], captions: list[str] | None = None) -> Path:
    write_photo(folder, "b.jpg")
    image = {"id": 9, "file_name": "b.jpg", "height": 4, "width": 6}
    content = {"images": [image], "annotations": annotations, "categories": CATEGORIES[:2]}
    (folder / "instances.json").write_text(json.dumps(content))
    if captions is not None:
        written = [{"image_id": 9, "id": number, "caption": text} for number, text in enumerate(captions)]
        (folder / "captions.json").write_text(json.dumps({"annotations": written}))
    return folder


def square(category: int, box: tuple[int, int, int, int], **more: Any) -> dict[str, Any]:
    x0, y0, x1, y1 = box
    polygon = [x0, y0, x1, y0, x1, y1, x0, y1]
    return {"image_id": 9, "category_id": category, "iscrowd": 0, "segmentation": [polygon], **more}


def test_panoptic_segments_are_entities_and_the_rest_is_unknown(tmp_path: Path) -> None:
    large = 3 + 256 * 5 + 65536 * 9
    segments = np.array([[large, large, 0, 4], [large, 0, 300, 4]])
    infos = [
        {"id": large, "category_id": 187, "iscrowd": 0},
        {"id": 300, "category_id": 18, "iscrowd": 0},
        {"id": 4, "category_id": 1, "iscrowd": 1},
        {"id": 77, "category_id": 1, "iscrowd": 0},  # not a single pixel
    ]
    photos = LabelledPhotos(open_photos(panoptic(tmp_path / "set", segments, infos)))
    photo = photos[0]
    assert photo.labels.tolist() == [[1, 1, UNKNOWN, UNKNOWN], [1, UNKNOWN, 2, UNKNOWN]]
    assert photo.categories == ("sky-other-merged", "dog")
    assert photo.name == "a"
    assert photo.image.shape == (2, 4, 3)
    assert photos.things == {"person", "dog"}
    assert pickle.loads(pickle.dumps(photos))[0].categories == photo.categories  # noqa: S301 - for worker processes


def test_smaller_instances_lie_above_and_odd_ones_are_left_out(tmp_path: Path) -> None:
    annotations = [
        square(18, (1, 1, 3, 3)),
        square(1, (0, 0, 6, 4)),
        square(1, (4, 0, 6, 2), iscrowd=1),
        square(1, (2, 2, 2, 2)),  # no area
    ]
    photo = LabelledPhotos(open_photos(instances(tmp_path / "set", annotations, ["A  dog.\n", "A man."])))[0]
    assert photo.categories == ("person", "dog")
    assert photo.labels.tolist() == [[1] * 6, [1, 2, 2, 1, 1, 1], [1, 2, 2, 1, 1, 1], [1] * 6]
    assert photo.captions == ("A dog.", "A man.")


def test_photos_without_instances_are_unknown_everywhere(tmp_path: Path) -> None:
    photo = LabelledPhotos(open_photos(instances(tmp_path / "set", [])))[0]
    assert (photo.labels == UNKNOWN).all()
    assert photo.categories == photo.captions == ()


def test_a_mixture_knows_all_names(tmp_path: Path) -> None:
    first = panoptic(tmp_path / "one", np.full((4, 6), 5), [{"id": 5, "category_id": 187, "iscrowd": 0}])
    second = instances(tmp_path / "two", [square(18, (0, 0, 3, 3))])
    photos = Photos([str(first), str(second)], [0.0, 1.0])
    assert photos.categories == ("person", "dog", "sky-other-merged")
    assert photos.things == {"person", "dog"}
    drawn = {photos.draw(np.random.default_rng(seed)).name for seed in range(5)}
    assert drawn == {"b"}
    assert {Photos([str(first), str(second)]).draw(np.random.default_rng(seed)).name for seed in range(20)} == {
        "a",
        "b",
    }
    with pytest.raises(InputError, match="2 folders of photos but 1 weights"):
        Photos([str(first), str(second)], [1.0])


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("panoptic.json", "{}", "does not have a list of images"),
        ("panoptic.json", "[", "is not a JSON file"),
        (
            "panoptic.json",
            '{"images": [3], "annotations": [], "categories": []}',
            r"images without an id or a file name \(1\)",
        ),
        ("instances.json", '{"images": []}', "not in COCO's format"),
        (
            "instances.json",
            '{"images": [], "annotations": [{}], "categories": []}',
            r"photos that are not listed \(1\)",
        ),
    ],
)
def test_damaged_files_are_one_sentence(tmp_path: Path, name: str, text: str, what: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=what):
        open_photos(tmp_path)


def test_pictures_of_another_size_are_one_sentence(tmp_path: Path) -> None:
    folder = panoptic(tmp_path / "one", np.full((4, 6), 5), [{"id": 5, "category_id": 1, "iscrowd": 0}])
    write_photo(folder, "a.jpg", (8, 8))
    with pytest.raises(ImageError, match=r"a\.jpg has 8x8 pixels, but its annotations are for 6x4"):
        LabelledPhotos(open_photos(folder))[0]
    folder = instances(tmp_path / "two", [])
    write_photo(folder, "b.jpg", (8, 8))
    with pytest.raises(ImageError, match=r"b\.jpg has 8x8 pixels, but its annotations are for 6x4"):
        LabelledPhotos(open_photos(folder))[0]


@pytest.mark.parametrize("part", ["train", "val"])
def test_the_real_photos_can_be_read(part: str) -> None:
    folder = Path("../shared/data")
    if not folder.is_dir():
        pytest.skip("../shared is not here")
    photos = LabelledPhotos(open_photos(folder / "coco_panoptic" / part))
    assert len(photos) == {"train": 100, "val": 50}[part]
    assert len(photos.categories) == 133
    assert len(photos.things) == 80
    assert len(photos[0].categories) == photos[0].labels.max()
    captioned = LabelledPhotos(open_photos(folder / "coco_captions" / part))
    assert len(captioned.categories) == 80
    assert all(len(captioned[number].captions) >= 5 for number in range(3))
