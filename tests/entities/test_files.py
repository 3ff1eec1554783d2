"""Label PNGs and COCO files: nothing is lost, and other files are refused in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from esg.entities.entity_map import EntityMap
from esg.entities.files import SCORES_FIELD, coco_dict, read_coco, read_labels_png, write_labels_png
from esg.entities.rle import Rle, compress, encode_mask, read_counts
from esg.support.errors import InputError, OutputError

shapes = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12)
scores = hnp.arrays(np.float32, st.integers(0, 4), elements=st.floats(0, 1, width=32))


def small() -> EntityMap:
    """Three entities on 4 x 3 pixels."""
    return EntityMap.from_labels(np.array([[0, 1, 1, 1], [2, 2, 0, 1], [2, 3, 3, 0]]), [0.9, 0.5, 0.25])


def packed(rles: list[Rle]) -> list[Rle]:
    """RLEs with compressed counts, so that they can be compared."""
    return [{"size": list(rle["size"]), "counts": compress(read_counts(rle))} for rle in rles]


# ------------------------------------------------------------------------------------------------------------ label PNG


@given(labels=hnp.arrays(np.int32, shapes, elements=st.integers(0, 65535)), scores=scores)
def test_a_label_png_keeps_any_labels_and_scores(
    labels: np.ndarray, scores: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.png"
    write_labels_png(path, labels, scores)
    read, stored, _ = read_labels_png(path)
    assert np.array_equal(read, labels)
    assert np.array_equal(np.array(stored, np.float32), scores)


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_labels_of_few_entities_come_in_any_grey_or_palette_mode(tmp_path: Path, mode: str) -> None:
    picture = Image.new(mode, (2, 1))
    picture.putpixel((1, 0), 1)
    picture.save(tmp_path / "labels.png")
    labels, stored, _ = read_labels_png(tmp_path / "labels.png")
    assert (labels > 0).tolist() == [[False, True]]
    assert stored is None


@pytest.mark.parametrize("text", ["", "[0.5", "0.5", "null", "[null]", '["high"]', "{"])
def test_damaged_scores_are_one_sentence(tmp_path: Path, text: str) -> None:
    fields = PngInfo()
    fields.add_text(SCORES_FIELD, text)
    Image.new("L", (2, 1)).save(tmp_path / "labels.png", pnginfo=fields)
    with pytest.raises(InputError, match=r"labels\.png has damaged scores in its field esg:scores\.$"):
        read_labels_png(tmp_path / "labels.png")


def test_png_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "labels.png"
    Image.fromarray(np.array([[9, 0, 300]], np.uint16)).save(path)
    assert EntityMap.from_labels_png(path).labels.tolist() == [[1, 0, 2]]
    assert EntityMap.from_labels_png(path, np.linspace(0, 1, 300)).labels.tolist() == [[2, 0, 1]]
    Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(path)
    with pytest.raises(InputError, match="mode RGB"):
        EntityMap.from_labels_png(path)
    with pytest.raises(InputError, match="does not exist"):
        EntityMap.from_labels_png(tmp_path / "none.png")


def test_the_limit_of_pixels_of_a_png_can_be_moved(tmp_path: Path) -> None:
    small().save_labels_png(tmp_path / "labels.png")
    assert EntityMap.from_labels_png(tmp_path / "labels.png", max_pixels=12) == small()
    with pytest.raises(InputError, match="limit of 11"):
        EntityMap.from_labels_png(tmp_path / "labels.png", max_pixels=11)


@pytest.mark.parametrize("format_name", ["JPEG", "GIF"])
def test_labels_in_another_format_are_refused(tmp_path: Path, format_name: str) -> None:
    path = tmp_path / "labels.png"
    Image.fromarray(np.eye(8, dtype=np.uint8)).save(path, format_name)
    with pytest.raises(InputError, match=f"it is a {format_name} picture, not a grey PNG"):
        EntityMap.from_labels_png(path)


def test_more_entities_than_a_png_can_number(tmp_path: Path) -> None:
    entities = EntityMap.from_labels(np.arange(1, 65537).reshape(256, 256))
    with pytest.raises(OutputError, match="65535"):
        entities.save_labels_png(tmp_path / "labels.png")
    assert list(tmp_path.iterdir()) == []
    fits = entities.keep(range(1, 65536))
    fits.save_labels_png(tmp_path / "labels.png")
    assert EntityMap.from_labels_png(tmp_path / "labels.png") == fits


# ----------------------------------------------------------------------------------------------------------------- COCO


@given(
    masks=st.integers(0, 4).flatmap(
        lambda count: hnp.arrays(bool, st.tuples(st.just(count), *[st.integers(1, 9)] * 2))
    ),
    data=st.data(),
)
def test_coco_keeps_any_masks_and_scores(masks: np.ndarray, data: st.DataObject) -> None:
    """Also masks that overlap or are empty, which an EntityMap does not have."""
    count, *size = masks.shape
    values = data.draw(hnp.arrays(np.float32, count, elements=st.floats(0, 1, width=32)))
    rles = [encode_mask(mask) for mask in masks]
    boxes = np.zeros((count, 4), np.int64)
    content = coco_dict(rles, values, masks.sum((1, 2)), boxes, tuple(size), 7, "photo.jpg")
    read = read_coco(json.loads(json.dumps(content)), image_id=7)
    assert (packed(read.rles), read.size, read.names) == (packed(rles), tuple(size), None)
    assert np.array_equal(np.array(read.scores, np.float32), values)


corners = st.lists(st.tuples(st.integers(-6, 36), st.integers(-6, 30)), min_size=3, max_size=7)  # in thirds of a pixel


@given(st.lists(corners, min_size=1, max_size=3))
def test_polygons_cover_the_pixels_whose_centre_is_inside(polygons: list[list[tuple[int, int]]]) -> None:
    """By counting the edges to the right of every centre, in whole sixths of a pixel."""
    # Values from 0 to 1 alone are read as shares of the picture.
    assume(any(not 0 <= value <= 3 for points in polygons for point in points for value in point))
    height, width = 8, 10
    expected = np.zeros((height, width), bool)
    for points in polygons:
        inside = np.zeros_like(expected)
        for (y, x), _ in np.ndenumerate(expected):
            cx, cy = 6 * x + 3, 6 * y + 3
            for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1], strict=True):
                if (2 * y0 > cy) != (2 * y1 > cy):
                    side = (2 * x0 - cx) * 2 * (y1 - y0) + (cy - 2 * y0) * 2 * (x1 - x0)
                    assume(side != 0)  # a centre on an edge is on either side
                    inside[y, x] ^= (side > 0) == (y1 > y0)
        expected |= inside
    flat = [[value / 3 for point in points for value in point] for points in polygons]
    found = read_coco(
        {"images": [{"id": 1, "height": height, "width": width}], "annotations": [{"segmentation": flat}]}
    ).rles
    assert packed(found) == ([encode_mask(expected)] if expected.any() else [])  # one without a pixel is left out


def test_polygons_with_many_crossings_are_filled_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    zigzag = [[value for x in range(12) for value in (x, (x % 2) * 9 + 0.3)] + [11, 12, 0, 12]]
    image = {"images": [{"id": 1, "height": 12, "width": 12}]}
    expected = packed(read_coco({**image, "annotations": [{"segmentation": zigzag}]}).rles)
    monkeypatch.setattr("esg.entities.polygons._CROSSINGS_AT_ONCE", 5)
    assert packed(read_coco({**image, "annotations": [{"segmentation": zigzag}]}).rles) == expected


def test_coco_file(tmp_path: Path) -> None:
    path = tmp_path / "photo.entities.json"
    small().save_coco(path, file_name="photo.jpg")
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["images"] == [{"id": 1, "width": 4, "height": 3, "file_name": "photo.jpg"}]
    assert content["categories"] == [{"id": 1, "name": "entity"}]
    first = content["annotations"][0]
    assert {key: first[key] for key in ("id", "image_id", "category_id", "iscrowd", "area", "bbox", "score")} == {
        "id": 1,
        "image_id": 1,
        "category_id": 1,
        "iscrowd": 0,
        "area": 4,
        "bbox": [1, 0, 3, 2],
        "score": 0.9,
    }
    assert EntityMap.from_coco(path) == small()


def coco(segmentation: object, **more: object) -> dict:
    images = [{"id": 1, "height": 3, "width": 4}]
    return {"images": images, "annotations": [{"image_id": 1, "segmentation": segmentation, **more}]}


def test_coco_with_counts_as_a_list() -> None:
    entities = EntityMap.from_coco(coco({"size": [3, 4], "counts": [1, 2, 9]}, score=0.5))
    assert entities.labels.tolist() == [[0, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]]


def test_coco_with_polygons() -> None:
    square_and_triangle = [[1, 0, 3, 0, 3, 2, 1, 2], [0, 3, 0, 1.9, 1.1, 3]]
    assert EntityMap.from_coco(coco(square_and_triangle)).labels.tolist() == [[0, 1, 1, 0], [0, 1, 1, 0], [1, 0, 0, 0]]
    beyond = [[-50, -50, 90, -50, 90, 90, -50, 90]]
    assert EntityMap.from_coco(coco(beyond)).areas.tolist() == [12]
    assert len(EntityMap.from_coco(coco([[0, 0, 0.1, 0, 0, 0.1]]))) == 0
    with pytest.raises(InputError, match="has boxes and no masks"):
        EntityMap.from_coco(coco([]))


def test_the_limit_of_pixels_of_coco_can_be_moved() -> None:
    content = coco({"size": [3, 4], "counts": [1, 2, 9]})
    with pytest.raises(InputError, match=r"has 4x3 = 12 pixels, more than the limit of 11; raise max_pixels if"):
        EntityMap.from_coco(content, max_pixels=11)
    assert EntityMap.from_coco(content, max_pixels=12).areas.tolist() == [2]
    content["images"][0].update(width=40_000, height=40_000)
    with pytest.raises(InputError, match=r"1,600,000,000 pixels, more than the limit of 200,000,000"):
        EntityMap.from_coco({**content, "annotations": []})


def test_coco_with_several_pictures() -> None:
    content = coco({"size": [3, 4], "counts": [0, 12]})
    content["images"].append({"id": 2, "height": 1, "width": 1})
    assert EntityMap.from_coco(content, image_id=2).labels.tolist() == [[0]]
    with pytest.raises(InputError, match="2 pictures"):
        EntityMap.from_coco(content)
    with pytest.raises(InputError, match="does not have a picture with id 7"):
        EntityMap.from_coco(content, image_id=7)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"images": [], "annotations": []},
        {"images": [{"id": 1, "height": 3, "width": 4}]},
        {"images": [{"id": 1, "height": "x", "width": 4}], "annotations": []},
        {"images": [{"id": 1, "height": 0, "width": 4}], "annotations": []},
        {"images": [{"id": 1, "height": 10**9, "width": 10**9}], "annotations": []},
        {"images": 3, "annotations": 4},
        coco(None),
        coco(5),
        coco([[1, 2, 3]]),
        coco([[1, 2, 3, 4]]),
        coco([["a", 2, 3, 4, 5, 6]]),
        coco([[float("nan")] * 6]),
        coco({"size": [3, 4]}),
        coco({"size": [3], "counts": [12]}),
        coco({"size": [4, 3], "counts": [12]}),
        coco({"size": [3, 4], "counts": [11]}),
        coco({"size": [3, 4], "counts": [-1, 13]}),
        coco({"size": [3, 4], "counts": [1.5, 10.5]}),
        coco({"size": [3, 4], "counts": "no RLE"}),
        coco({"size": [3, 4], "counts": ""}),
    ],
)
def test_malformed_coco_is_one_sentence(content: dict) -> None:
    with pytest.raises(InputError) as caught:
        EntityMap.from_coco(content)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize("content", [b"", b"[1, 2]", b"{", b"\xff\xfe\x00", b"[" * 100_000])
def test_a_file_that_is_not_coco_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"file\.json"):
        EntityMap.from_coco(path)
    with pytest.raises(InputError, match="cannot be read"):
        EntityMap.from_coco(tmp_path)


@pytest.mark.parametrize("source", [None, [], 5])
def test_what_is_neither_coco_nor_a_file(source: object) -> None:
    with pytest.raises(InputError, match="COCO annotations must be a dict or the path of a JSON file, not of type"):
        EntityMap.from_coco(source)  # type: ignore[arg-type]
