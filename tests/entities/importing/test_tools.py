"""The formats of single tools, each with the oddities that it is known for."""

from __future__ import annotations

import base64
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from esg.entities.importing import read_masks
from esg.entities.rle import encode_mask
from esg.support.errors import InputError
from foreign_files import (
    LEFT,
    RIGHT,
    SIZE,
    H,
    W,
    areas,
    coco,
    labelme,
    pairs,
    png,
    put,
    shape,
    square,
)


def test_labelme(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ellipse = np.ones((3, 3), bool)
    content = labelme(
        shape(pairs(LEFT)),
        shape([[14, 10], [9, 6]], "rectangle"),
        shape([[0, 8], [2, 10]], "mask", mask=png(ellipse)),
        shape([[8, 1]], "point"),
    )
    assert areas(put(tmp_path, content)) == [20, 16, 9]
    assert "shape 4 (thing) is a point and has no area" in caplog.text
    grouped = labelme(shape(pairs(LEFT), group_id=3), shape(pairs(RIGHT), group_id=3))
    assert areas(put(tmp_path, grouped)) == [36]
    circle = read_masks(put(tmp_path, labelme(shape([[8, 6], [8, 9]], "circle"))), SIZE)
    assert circle.areas[0] == pytest.approx(np.pi * 9, abs=5)  # pixels are coarse
    assert circle.at(8, 6) == 1


def test_labelme_with_shapes_of_one_point_and_without_a_size(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = labelme(shape(pairs(LEFT)), shape([[8, 1]], "circle"), shape([[8, 1]], "rectangle"))
    assert areas(put(tmp_path, content)) == [16]
    assert "shape 2 (thing) is a circle of one point" in caplog.text
    assert "shape 3 (thing) is a rectangle of one point" in caplog.text
    content |= {"imageHeight": None, "imageWidth": None, "imageData": png(np.zeros(SIZE, bool), "RGB")}
    assert read_masks(put(tmp_path, content)).labels.shape == SIZE
    for odd in ("x", "", None, png(np.zeros(SIZE, bool))[:20], 7):
        with pytest.raises(InputError, match="holds outlines but not the size of their picture"):
            read_masks(put(tmp_path, content | {"imageData": odd}))
    for nothing in ([], None, "x"):
        with pytest.raises(InputError, match="does not hold any masks"):
            areas(put(tmp_path, {**content, "shapes": nothing}))


def test_cvat(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = f"""<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><task><name>a</name></task></meta>
<image id="0" name="other.png" width="9" height="9"/>
<image id="1" name="sub/photo.png" width="{W}" height="{H}">
<polygon label="a" points="2,2;6,2;6,6;2,6" z_order="1"><attribute name="x">1</attribute></polygon>
<polygon label="b" points="0,0;8,0;8,8;0,8" z_order="0"/>
<mask label="c" rle="1, 2, 1" left="10" top="8" width="2" height="2" z_order="0"/>
<box label="d" xtl="0" ytl="0" xbr="4" ybr="4"/>
<polyline points="1,1;2,2"/></image></annotations>"""
    path = put(tmp_path, text, "annotations.xml")
    assert areas(path) == [48, 16, 2]
    assert "2 of 5 masks are left out" in caplog.text
    assert "box 4 (d) has no mask" in caplog.text
    with pytest.raises(InputError, match=r"2 pictures \(other\.png, sub/photo\.png\), and none is called x\.png"):
        read_masks(path, SIZE, photo="x.png")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<annotations>", "is not an XML file, or is incomplete"),
        ("<annotation><object><bndbox/></object></annotation>", "Pascal VOC's XML, which has boxes and no masks"),
        ("<annotations><track><box/></track></annotations>", 'export the task as "CVAT for images"'),
        ("<html></html>", "is a web page"),
        ("<note></note>", "is not CVAT's XML"),
        ('<!DOCTYPE a [<!ENTITY b "bb">]><annotations>&b;</annotations>', "declares a document type"),
    ],
)
def test_other_xml(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_masks(put(tmp_path, text, "a.xml"), SIZE)


def test_yolo(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    outline = " ".join(f"{value / side}" for value, side in zip(LEFT, [W, H] * 4, strict=True))
    text = f"0 {outline}\n\n3 {outline} 0.75\n1 0.5 0.5 0.2 0.2\n2 0.1 0.2 0.3\n0 2 2 6 2 6 6 2 6\n"
    found = read_masks(put(tmp_path, text, "photo.txt"), SIZE)
    assert found.scores.tolist() == [1.0]  # the second has the same pixels and a lower score
    assert "line 4 has no mask" in caplog.text
    assert "line 6 has coordinates that are not fractions of the picture, 0 to 1" in caplog.text
    with pytest.raises(InputError, match="not the size of their picture"):
        read_masks(put(tmp_path, f"0 {outline}\n", "photo.txt"))
    with pytest.raises(InputError, match="has boxes and no masks"):
        read_masks(put(tmp_path, "0 0.5 0.5 0.2 0.2\n", "photo.txt"), SIZE)


def test_scores_of_yolo(tmp_path: Path) -> None:
    left, right = (
        " ".join(f"{value / side:g}" for value, side in zip(outline, [W, H] * 4, strict=True))
        for outline in (LEFT, RIGHT)
    )
    for text in (
        f"0 {left} 0.75\n1 {right} 0.5\n",
        f"0 0.75 {left}\n1 0.5 {right}\n",
        f"0 {left} 0.75 4\n1 {right} 0.5 1\n",  # and the number of a track
        f"0;{left.replace(' ', ';')};0.75\n1;{right.replace(' ', ';')};0.5\n",
    ):
        found = read_masks(put(tmp_path, text, "photo.txt"), SIZE)
        assert (found.areas.tolist(), found.scores.tolist()) == ([16, 20], [0.75, 0.5])


def test_odd_lines_of_yolo(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    outline = " ".join(f"{value / side:g}" for value, side in zip(LEFT, [W, H] * 4, strict=True))
    found = read_masks(put(tmp_path, f"labels:\n0 {outline} nan\n", "photo.txt"), SIZE)
    assert (found.areas.tolist(), found.scores.tolist()) == ([16], [1])
    assert "line 1 has fewer than three points" in caplog.text
    assert 'line 2 has "nan" as its score' in caplog.text


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_an_empty_file_of_a_folder_of_yolo_is_a_photo_without_objects(tmp_path: Path, text: str) -> None:
    put(tmp_path, text, "photo.txt")
    assert len(read_masks(tmp_path, SIZE, photo="photo.jpg", by_name=True, may_be_empty=True)) == 0


def test_cityscapes_paints_later_over_earlier(tmp_path: Path) -> None:
    objects = [
        {"label": "road", "polygon": pairs(square(0, 0, 16, 12))},
        {"label": "car", "polygon": pairs(RIGHT)},
        {"label": "gone", "polygon": pairs(LEFT), "deleted": 1},
    ]
    assert areas(put(tmp_path, {"imgHeight": H, "imgWidth": W, "objects": objects})) == [172, 20]


def test_supervisely(tmp_path: Path) -> None:
    bitmap = base64.b64encode(zlib.compress(base64.b64decode(png(np.ones((2, 3), bool))))).decode()
    objects = [
        {"geometryType": "polygon", "points": {"exterior": pairs(LEFT), "interior": [pairs(square(3, 3, 5, 5))]}},
        {"geometryType": "bitmap", "bitmap": {"data": bitmap, "origin": [10, 7]}},
        {"geometryType": "rectangle", "points": {"exterior": [[0, 0], [3, 3]], "interior": []}},
    ]
    assert areas(put(tmp_path, {"size": {"height": H, "width": W}, "objects": objects})) == [12, 6]


def bits_of(values: np.ndarray) -> list[int]:
    """Label Studio's brush: one run of the smallest length a value."""
    text = f"{values.size:032b}{7:05b}" + f"{0:04b}{1:04b}{2:04b}{3:04b}"
    for value in values.ravel().tolist():
        text += f"1{0:02b}{0:01b}{value:08b}"
    text += "0" * (-len(text) % 8)
    return [int(text[k : k + 8], 2) for k in range(0, len(text), 8)]


def test_label_studio(tmp_path: Path) -> None:
    size = {"original_width": W, "original_height": H}
    brush = np.zeros((H, W, 4), int)
    brush[8:11, 1:3, 3] = 255
    percent = [[x * 100 / W, y * 100 / H] for x, y in pairs(LEFT)]
    result = [
        {"id": "r1", "type": "polygonlabels", **size, "value": {"points": percent, "polygonlabels": ["a"]}},
        {"id": "r2", "type": "brushlabels", **size, "value": {"format": "rle", "rle": bits_of(brush)}},
        {"id": "r3", "type": "rectanglelabels", **size, "value": {"x": 1, "y": 1, "width": 9, "height": 9}},
    ]
    other = {"id": 1, "data": {"image": "/data/upload/1/00000000-other.png"}, "annotations": [{"result": result[:1]}]}
    task = {"id": 2, "data": {"image": "/data/upload/1/a1b2c3d4-photo.png"}, "annotations": [{"result": result}]}
    assert areas(put(tmp_path, [other, task])) == [16, 6]
    assert areas(put(tmp_path, task)) == [16, 6]
    short = {
        "image": "/data/upload/1/a1b2c3d4-photo.png",
        "label": [{"points": percent, "polygonlabels": ["a"], **size}],
    }
    assert areas(put(tmp_path, [short])) == [16]


def test_via_detectron2_mmdetection_and_isat(tmp_path: Path) -> None:
    region = {"name": "polygon", "all_points_x": LEFT[::2], "all_points_y": LEFT[1::2]}
    via = {"photo.png99": {"filename": "photo.png", "size": 99, "regions": [{"shape_attributes": region}]}}
    assert areas(put(tmp_path, via)) == [16]
    assert areas(put(tmp_path, {"_via_img_metadata": via, "_via_settings": {}})) == [16]
    record = {"file_name": "photo.png", "height": H, "width": W, "annotations": [{"segmentation": [LEFT]}]}
    assert areas(put(tmp_path, [{**record, "file_name": "other.png"}, record])) == [16]
    masks = [encode_mask(np.eye(H, W, dtype=bool)), encode_mask(np.eye(H, W, 4, dtype=bool))]
    found = read_masks(put(tmp_path, {"labels": [0, 1], "scores": [0.25, 0.5], "masks": masks}), SIZE)
    assert found.scores.tolist() == [0.5, 0.25]
    isat = {"info": {"description": "ISAT", "name": "photo.png", "height": H, "width": W}}
    assert areas(put(tmp_path, {**isat, "objects": [{"category": "a", "segmentation": pairs(LEFT), "layer": 1}]})) == [
        16
    ]


def test_what_inference_servers_answer(tmp_path: Path) -> None:
    ultralytics = [{"name": "a", "class": 0, "confidence": 0.5, "segments": {"x": LEFT[::2], "y": LEFT[1::2]}}]
    found = read_masks(put(tmp_path, ultralytics), SIZE)
    assert (found.areas.tolist(), found.scores.tolist()) == ([16], [0.5])
    points = [{"x": x, "y": y} for x, y in pairs(RIGHT)]
    roboflow = {"predictions": [{"class": "a", "points": points}], "image": {"width": W, "height": H}}
    assert areas(put(tmp_path, roboflow)) == [20]
    sam = [{"segmentation": encode_mask(np.eye(H, W, dtype=bool)), "predicted_iou": 0.9}]
    assert areas(put(tmp_path, {"masks": sam, "photo": "x"})) == [12]


def test_fiftyone(tmp_path: Path) -> None:
    data = BytesIO()
    np.save(data, np.ones((3, 4), bool))
    packed = base64.b64encode(zlib.compress(data.getvalue())).decode()
    detection = {"label": "a", "mask": {"$binary": {"base64": packed}}, "bounding_box": [0.25, 0.25, 0.25, 0.25]}
    sample = {"filepath": "/x/photo.png", "ground_truth": {"detections": [detection]}}
    assert areas(put(tmp_path, {"samples": [sample]})) == [12]


def test_panoptic(tmp_path: Path) -> None:
    ids = np.full(SIZE, 8_000_123)
    ids[6:] = 261
    ids[:2, :2] = 0
    Image.fromarray(np.stack([ids % 256, ids // 256 % 256, ids // 65536], -1).astype(np.uint8)).save(tmp_path / "p.png")
    segments = [{"id": 261, "category_id": 1}, {"id": 8_000_123, "category_id": 2}]
    note = {"image_id": 1, "file_name": "p.png", "segments_info": segments}
    content = {**coco(note), "categories": []}
    assert areas(tmp_path / "p.png") == [96, 92]
    assert areas(put(tmp_path, content)) == [96, 92]
    content["annotations"][0]["segments_info"] = segments[:1]
    assert areas(put(tmp_path, content)) == [96]
    for name in ("../p.png", "/etc/passwd", "q.png"):
        content["annotations"][0]["file_name"] = name
        if name == "../p.png":
            assert areas(put(tmp_path, content)) == [96]  # the PNG beside the file, not the one above
        else:
            with pytest.raises(InputError, match="lies neither beside it nor in a folder"):
                areas(put(tmp_path, content))


def test_a_folder_with_a_file_for_each_photo(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((H, W, 3), np.uint8)).save(tmp_path / "photo.png")
    put(tmp_path, labelme(shape(pairs(LEFT))), "photo.json")
    put(tmp_path, labelme(shape(pairs(RIGHT))), "other.json")
    assert areas(tmp_path) == [16]
    assert read_masks(tmp_path, SIZE, photo="other.png", by_name=True).areas.tolist() == [20]
