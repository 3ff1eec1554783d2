"""Files of other tools: each oddity that they are known for, and what is left of a file that is odd in places."""

from __future__ import annotations

import base64
import json
import logging
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from esg.entities.entity_map import EntityMap
from esg.entities.importing import read_masks, tells_photos_apart
from esg.entities.rle import encode_mask
from esg.support.errors import InputError

H, W = 12, 16
SIZE = (H, W)


def square(x0: float, y0: float, x1: float, y1: float) -> list[float]:
    return [x0, y0, x1, y0, x1, y1, x0, y1]


def pairs(flat: list[float]) -> list[list[float]]:
    return [[x, y] for x, y in zip(flat[::2], flat[1::2], strict=True)]


LEFT, RIGHT = square(2, 2, 6, 6), square(9, 6, 14, 10)  # 16 and 20 pixels
BOX = {"id": 2, "image_id": 1, "category_id": 1, "bbox": [9, 6, 5, 4], "area": 20, "iscrowd": 0}


def put(folder: Path, content: object, name: str = "masks.json") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def coco(*annotations: dict[str, Any], **image: Any) -> dict[str, Any]:
    images = [{"id": 1, "width": W, "height": H, "file_name": "photo.png", **image}]
    return {"images": images, "annotations": list(annotations), "categories": []}


def areas(path: Path, **options: Any) -> list[int]:
    return read_masks(path, SIZE, photo="photo.png", **options).areas.tolist()


def png(mask: np.ndarray, mode: str = "L") -> str:
    data = BytesIO()
    Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).convert(mode).save(data, "png")
    return base64.b64encode(data.getvalue()).decode()


# ---------------------------------------------------------------------- one odd item


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        ({**BOX, "segmentation": []}, "annotation 2 has no mask"),
        ({**BOX, "segmentation": None}, "annotation 2 has no mask"),
        (BOX, "annotation 2 has no mask"),
        ({**BOX, "segmentation": [[]]}, "annotation 2 has no mask"),
        ({**BOX, "segmentation": [[9.5, 8.0, 9.5, 8.0]]}, "annotation 2 has fewer than three points"),
        ({**BOX, "segmentation": [[9, 6, 14, 6, 14]]}, "annotation 2 has 5 coordinates, an odd number"),
        ({**BOX, "segmentation": [["a", 6, 14, 6, 14, 9]]}, 'annotation 2 has "a" as a coordinate'),
        ({**BOX, "segmentation": [square(90, 90, 99, 99)]}, "annotation 2 has no pixel in the picture"),
        ({**BOX, "segmentation": {"size": [3, 4], "counts": [12]}}, "is 4x3 pixels large, but its picture has 16x12"),
        ({**BOX, "segmentation": {"size": SIZE, "counts": [5]}}, "annotation 2 is damaged"),
        ({**BOX, "segmentation": {"size": SIZE}}, "annotation 2 is damaged (its counts are null)"),
        ({**BOX, "segmentation": {"counts": [5]}}, "annotation 2 is damaged (covers 5 pixels"),
        ({**BOX, "segmentation": {"counts": [5], "size": [3]}}, "annotation 2 is damaged (it does not have a size"),
        ({**BOX, "segmentation": [[0.25, 0.5, 0.75, 0.5, 0.75, 0.9]]}, "0 to 1, which are fractions and not pixels"),
        ({"id": 2, "image_id": 1, "category_id": 1}, 'annotation 2 has no "segmentation"'),
        ({**BOX, "segmentation": True}, "annotation 2 has true as its segmentation"),
        ("odd", "annotation 2 has no mask"),
    ],
)
def test_one_that_cannot_be_used_is_left_out_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, odd: Any, reason: str
) -> None:
    path = put(tmp_path, coco({"id": 1, "image_id": 1, "segmentation": [LEFT]}, odd))
    assert areas(path) == [16]
    (said,) = caplog.messages
    assert said.startswith(f"{path}: 1 of 2 masks is left out: ")
    assert reason in said
    assert caplog.records[0].levelno == logging.WARNING
    if "fractions" not in reason:
        with pytest.raises(
            InputError, match=r"has boxes and no masks|has no mask that can be used|holds no masks of photo\.png"
        ):
            areas(put(tmp_path, coco(odd, odd)))


@pytest.mark.parametrize(
    ("score", "reason"),
    [
        ("high", 'annotation 2 has no number as its score but "high"'),
        (float("nan"), "annotation 2 has the score nan, which is not a finite number"),
        (float("-inf"), "annotation 2 has the score -inf"),
        ([0.5, 0.5], "annotation 2 has no number as its score but a list"),
        (10**400, "annotation 2 has no number as its score"),
    ],
)
def test_a_mask_without_a_usable_score_is_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, score: Any, reason: str
) -> None:
    masks = [{"id": k, "segmentation": [one], "score": score} for k, one in ((1, LEFT), (2, RIGHT))]
    assert areas(put(tmp_path, coco({**masks[0], "score": 0.5}, masks[1]))) == [20, 16]
    (said,) = caplog.messages
    assert "1 mask is given the score 1: " in said
    assert reason in said
    assert areas(put(tmp_path, coco(*masks))) == [20, 16]
    assert "2 masks are given the score 1: annotation 1 has" in caplog.text
    assert read_masks(put(tmp_path, coco({**masks[0], "score": [0.25]})), SIZE).scores.tolist() == [0.25]


def test_outlines_that_are_all_fractions_of_the_picture(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    parts = [[value / side for value, side in zip(one, [W, H] * 4, strict=True)] for one in (LEFT, RIGHT)]
    masks = [{"id": k, "segmentation": [one]} for k, one in enumerate(parts)]
    assert areas(put(tmp_path, coco(*masks, {**BOX, "id": 9}))) == [20, 16]
    assert "ESG takes them as fractions of the picture" in caplog.text


def test_many_of_them_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    odd = [{**BOX, "id": k, "segmentation": [[1, 1]]} for k in range(50, 60)]
    assert areas(put(tmp_path, coco({"id": 1, "segmentation": [LEFT]}, *odd))) == [16]
    (said,) = caplog.messages
    assert "10 of 11 masks are left out: annotation 50, annotation 51, annotation 52 and 7 more: has fewer" in said


def test_a_piece_that_is_a_point_does_not_spoil_the_others(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert areas(put(tmp_path, coco({"id": 7, "segmentation": [LEFT, [9.0, 8.0]]}))) == [16]
    assert "a piece of annotation 7 has fewer than three points" in caplog.text


@pytest.mark.parametrize(
    ("picture", "annotation"), [("7", 7), (7, "7"), (7, 7.0), ("7", "007"), (7, None), ("seven", "seven")]
)
def test_ids_are_the_same_in_any_spelling(tmp_path: Path, picture: Any, annotation: Any) -> None:
    masks = {"id": 1, "image_id": annotation, "segmentation": [LEFT]}
    assert areas(put(tmp_path, coco(masks, id=picture))) == [16]


def test_annotations_of_pictures_that_are_not_there(tmp_path: Path) -> None:
    path = put(tmp_path, coco({"id": 1, "image_id": 8, "segmentation": [LEFT]}, id=7))
    with pytest.raises(InputError, match=r'not among its "images" \(image_id 8\), and none of this one, whose id is 7'):
        areas(path)


# ---------------------------------------------------------------------- what can mean only one thing


@pytest.mark.parametrize(
    "segmentation",
    [
        LEFT,
        [LEFT],
        [[LEFT]],
        pairs(LEFT),
        [pairs(LEFT)],
        [[pairs(LEFT)]],
        [{"x": x, "y": y} for x, y in pairs(LEFT)],
        [[str(value) for value in LEFT]],
        {"size": ["12", "16"], "counts": encode_mask(np.zeros(SIZE, bool))["counts"]},
        json.dumps([LEFT]),
    ],
)
def test_polygons_in_any_nesting(tmp_path: Path, segmentation: Any) -> None:
    other = {"id": 2, "segmentation": [RIGHT]}
    expected = [20] if isinstance(segmentation, dict) else [20, 16]
    assert areas(put(tmp_path, coco({"id": 1, "segmentation": segmentation}, other))) == expected


@pytest.mark.parametrize(
    "spell",
    [str, json.dumps, lambda counts: " ".join(map(str, counts)), lambda counts: list(map(float, counts))],
)
def test_counts_in_any_spelling(tmp_path: Path, spell: Callable[[list[int]], Any]) -> None:
    mask = {"size": [H, W], "counts": spell([24, 3, 165])}
    assert areas(put(tmp_path, coco({"id": 1, "segmentation": mask}))) == [3]


MASK = np.zeros(SIZE, bool)
MASK[2:6, 2:6] = True
RLE = encode_mask(MASK)


@pytest.mark.parametrize(
    "annotation",
    [
        {"segmentation": {"counts": RLE["counts"]}},  # of the picture's size, then
        {"segmentation": {"size": SIZE, "counts": f" {RLE['counts']}\n"}},
        {"segmentation": [encode_mask(np.eye(H, W, dtype=bool) & MASK), RLE]},
        {"segmentation": json.dumps(RLE)},
        {"segmentation": (MASK * 255).tolist()},
        {"mask": RLE},
        {"rle": RLE},
        {"polygon": {"path": [{"x": x, "y": y} for x, y in pairs(LEFT)]}},  # Darwin
        {"polygon": {"paths": [[{"x": x, "y": y} for x, y in pairs(LEFT)]]}},
        RLE,
    ],
)
def test_rles_and_other_masks_in_unusual_places(tmp_path: Path, annotation: Any) -> None:
    assert areas(put(tmp_path, coco({"id": 1, **annotation}, {"id": 2, "segmentation": [RIGHT]}))) == [20, 16]
    assert areas(put(tmp_path, [annotation])) == [16]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "latin-1", "cp1252"])
def test_text_in_any_encoding(tmp_path: Path, caplog: pytest.LogCaptureFixture, encoding: str) -> None:
    path = tmp_path / "masks.json"
    text = json.dumps({**coco({"id": 1, "segmentation": [LEFT]}), "note": "Hände"}, ensure_ascii=False)
    path.write_text(text, encoding=encoding)
    assert areas(path) == [16]
    assert ("is not in UTF-8" in caplog.text) == (encoding in ("latin-1", "cp1252"))
    outline = " ".join(f"{value / side}" for value, side in zip(LEFT, [W, H] * 4, strict=True))
    path = tmp_path / "masks.txt"
    path.write_text(f"# die Hände\nHände {outline}\n", encoding=encoding)
    assert read_masks(path, SIZE).areas.tolist() == [16]


def test_an_object_on_each_line(tmp_path: Path) -> None:
    lines = [json.dumps({"image_id": 1, "segmentation": [one]}) for one in (LEFT, RIGHT)]
    assert areas(put(tmp_path, "\n".join([*lines, ""]), "masks.jsonl")) == [20, 16]
    with pytest.raises(InputError, match=r"is not a JSON file, or is incomplete \(line 2, column 1\)\.$"):
        areas(put(tmp_path, "\n".join([*lines, "{"])))


TEXT = json.dumps(coco(*({"id": k, "segmentation": [one]} for k, one in ((1, LEFT), (2, RIGHT)))), indent=1)


@pytest.mark.parametrize(
    "data",
    [
        TEXT.replace("}\n ]", "},\n ]").encode(),
        f"// made by a tool\n{TEXT.replace('[', '[ /* a list, ] */', 1)} // the end".encode(),
        TEXT.replace("photo.png", "the \n// \tphoto.png").encode(),
        TEXT.encode() + bytes(12),
        TEXT.encode("utf-16-le"),
        TEXT.encode("utf-16-be"),
        TEXT.replace("\n", "\r\n").encode("utf-8-sig"),
        json.dumps({"status": "ok", "result": {"coco": json.loads(TEXT)}}).encode(),
        json.dumps([json.loads(TEXT)]).encode(),
    ],
    ids=["commas", "comments", "line breaks", "zeros", "utf-16-le", "utf-16-be", "crlf", "wrapped", "listed"],
)
def test_json_as_people_and_programs_write_it(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "masks.json").write_bytes(data)
    assert areas(tmp_path / "masks.json") == [20, 16]


def test_json_files_of_several_pictures_one_after_the_other(tmp_path: Path) -> None:
    both = [
        coco({"id": 1, "segmentation": [LEFT]}, file_name="a.png"),
        coco({"id": 1, "segmentation": [RIGHT]}, file_name="photo.png"),
    ]
    for text in (
        json.dumps(both),
        "\n".join(map(json.dumps, both)),
        "".join(json.dumps(one, indent=1) for one in both),
    ):
        assert areas(put(tmp_path, text), by_name=True) == [20]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (TEXT[:-40], r"\(line \d+, column \d+\): it ends too early\.$"),
        (str(json.loads(TEXT)), "single quotes, as Python prints them; write it with json.dump"),
        ("var masks = " + TEXT, r"is not a JSON file, or is incomplete \(line 1, column 1\)\.$"),
        ('{"video": 1, "frames": [], "fps": 2}', 'does not have "images" as COCO has, only "video", "frames", "fps"; '),
        (json.dumps([[{"size": SIZE, "counts": [192]}]] * 2), "is a list, but not of objects"),  # of several frames
    ],
)
def test_why_json_cannot_be_used(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        areas(put(tmp_path, text))


def test_a_picture_without_an_id_has_all_annotations(tmp_path: Path) -> None:
    assert areas(put(tmp_path, coco({"id": 1, "image_id": 5, "segmentation": [LEFT]}, id=None))) == [16]


def test_what_was_downloaded_instead_of_the_file(tmp_path: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    with pytest.raises(InputError, match=r"is a pointer of Git LFS; get the file itself with `git lfs pull`\.$"):
        areas(put(tmp_path, pointer))
    with pytest.raises(InputError, match=r"is a web page; download the file of masks itself\.$"):
        areas(put(tmp_path, "<!DOCTYPE html><html>404</html>"))


def test_counts_as_python_writes_bytes(tmp_path: Path) -> None:
    mask = np.zeros(SIZE, bool)
    mask[1:5, 2:9] = True
    counts = str(encode_mask(mask)["counts"]).encode()
    assert areas(put(tmp_path, coco({"id": 1, "segmentation": {"size": SIZE, "counts": str(counts)}}))) == [28]


@pytest.mark.parametrize(
    "spelled",
    [
        list,
        lambda counts: list(counts.decode()),
        lambda counts: {"type": "Buffer", "data": list(counts)},
        lambda counts: base64.b64encode(counts).decode(),
        lambda counts: base64.b64encode(zlib.compress(counts)).decode(),
    ],
    ids=["bytes", "characters", "buffer", "base64", "packed"],
)
def test_counts_in_other_spellings(tmp_path: Path, spelled: Callable[[bytes], Any]) -> None:
    mask = np.zeros(SIZE, bool)
    mask[1:5, 2:9] = mask[6, 3] = True
    counts = str(encode_mask(mask)["counts"]).encode()
    assert areas(put(tmp_path, coco({"id": 1, "segmentation": {"size": SIZE, "counts": spelled(counts)}}))) == [29]


@pytest.mark.parametrize(
    "outline",
    [
        RIGHT,
        [[RIGHT]],
        [[[[RIGHT]]]],
        pairs(RIGHT),
        [[point] for point in pairs(RIGHT)],  # a contour of OpenCV's
        [[[point] for point in pairs(RIGHT)]],
        [[x, y, 0] for x, y in pairs(RIGHT)],
        [{"x": x, "y": y} for x, y in pairs(RIGHT)],
        [[{"x": x, "y": y, "z": 0} for x, y in pairs(RIGHT)]],
        " ".join(map(str, RIGHT)),
        "; ".join(f"{x},{y}" for x, y in pairs(RIGHT)),
        [",".join(map(str, RIGHT))],
    ],
)
def test_outlines_written_in_other_ways(tmp_path: Path, outline: Any) -> None:
    assert areas(put(tmp_path, coco({"id": 1, "segmentation": outline}))) == [20]
    assert areas(put(tmp_path, coco({"id": 1, "segmentation": [outline, LEFT]}))) == [36]


def test_masks_as_pictures_or_bare_lists(tmp_path: Path) -> None:
    mask = np.zeros(SIZE, bool)
    mask[1:5, 2:9] = True
    pictures = [{"label": "a", "mask": png(mask)}, {"mask": f"data:image/png;base64,{png(~mask)}"}]
    assert sorted(areas(put(tmp_path, pictures))) == [28, 164]
    assert areas(put(tmp_path, [LEFT, RIGHT])) == [20, 16]
    assert areas(put(tmp_path, [pairs(LEFT), pairs(RIGHT)])) == [20, 16]
    assert sorted(areas(put(tmp_path, [mask.astype(int).tolist(), (~mask).astype(int).tolist()]))) == [28, 164]
    assert sorted(areas(put(tmp_path, (mask * 2 + 1).tolist()))) == [28, 164]
    assert sorted(areas(put(tmp_path, {"cat": encode_mask(mask), "dog": encode_mask(~mask)}))) == [28, 164]


@pytest.mark.parametrize(
    ("written", "photo"),
    [
        ("cafe\u0301.png", "caf\u00e9.png"),
        ("PHOTO.PNG", "photo.png"),
        ("my%20photo.png", "my photo.png"),
        ("photo_png.rf.0123456789abcdef0123456789abcdef.jpg", "photo.png"),
        ("/data/upload/1/a1b2c3d4-photo.png", "photo.png"),
        ("0000123.jpg", "123.png"),
        ("https://host/x/photo.png?token=1", "photo.png"),
        ("images\\photo.jpg", "photo.png"),
        ("my+photo.png", "my photo.png"),
    ],
)
def test_names_that_differ_by_spelling_or_export(tmp_path: Path, written: str, photo: str) -> None:
    content = coco({"id": 1, "image_id": 1, "segmentation": [LEFT]}, file_name="another.png")
    content["images"].append({"id": 2, "width": W, "height": H, "file_name": written})
    content["annotations"].append({"id": 2, "image_id": 2, "segmentation": [RIGHT]})
    assert read_masks(put(tmp_path, content), SIZE, photo=photo, by_name=True).areas.tolist() == [20]


def test_a_size_written_as_text_or_left_out(tmp_path: Path) -> None:
    for image in ({"width": "16", "height": "12.0"}, {"width": None, "height": None}):
        assert areas(put(tmp_path, coco({"id": 1, "segmentation": [LEFT]}, **image))) == [16]


# ---------------------------------------------------------------------- tools


def labelme(*shapes: dict[str, Any]) -> dict[str, Any]:
    return {"version": "5.4.1", "shapes": list(shapes), "imagePath": "photo.png", "imageHeight": H, "imageWidth": W}


def shape(points: list[list[float]], kind: str = "polygon", **more: Any) -> dict[str, Any]:
    return {"label": "thing", "points": points, "group_id": None, "shape_type": kind, "flags": {}, **more}


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
        with pytest.raises(InputError, match="holds no masks"):
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
        ("<annotations>", "is no XML file, or not a whole one"),
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
    assert "line 6 has coordinates that are no fractions of the picture" in caplog.text
    with pytest.raises(InputError, match="not the size of their picture"):
        read_masks(put(tmp_path, f"0 {outline}\n", "photo.txt"))
    with pytest.raises(InputError, match="has boxes and no masks"):
        read_masks(put(tmp_path, "0 0.5 0.5 0.2 0.2\n", "photo.txt"), SIZE)


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


# ---------------------------------------------------------------------- mask pictures


def discs() -> Image.Image:
    """Two discs with soft rims, 160 x 120."""
    found = Image.new("L", (640, 480))
    draw = ImageDraw.Draw(found)
    draw.ellipse((80, 120, 200, 240), fill=255)
    draw.ellipse((400, 240, 520, 360), fill=255)
    return found.resize((160, 120), Image.Resampling.LANCZOS)


MASKS: dict[str, Callable[[Image.Image, Path], None]] = {
    "soft": lambda m, path: m.save(path, "png"),
    "hard": lambda m, path: m.point(lambda v: 255 * (v > 127)).save(path, "png"),
    "rgb": lambda m, path: m.convert("RGB").save(path, "png"),
    "grey with alpha": lambda m, path: Image.merge("LA", (m, Image.new("L", m.size, 255))).save(path, "png"),
    "palette": lambda m, path: m.convert("P").save(path, "png"),
    "one bit": lambda m, path: m.point(lambda v: 255 * (v > 127)).convert("1").save(path, "png"),
    "jpeg": lambda m, path: m.save(path, "jpeg", quality=85),
    "jpeg in colour": lambda m, path: m.convert("RGB").save(path, "jpeg", quality=75),
    "webp": lambda m, path: m.convert("RGB").save(path, "webp"),
    "jpeg kept as png": lambda m, path: through_jpeg(m).save(path, "png"),
    "black is 1": lambda m, path: m.point(lambda v: 255 if v > 127 else 1).save(path, "png"),
    "video range": lambda m, path: m.point(lambda v: 16 + v * 219 // 255).save(path, "png"),
    "feathered": lambda m, path: m.filter(ImageFilter.GaussianBlur(4)).save(path, "png"),
    "sixteen bits": lambda m, path: Image.fromarray(np.asarray(m).astype(np.uint16) * 257).save(path, "png"),
    "white, cut out": lambda m, path: cut_out(m, (255, 255, 255)).save(path, "png"),
    "red, cut out": lambda m, path: cut_out(m, (200, 30, 30)).save(path, "png"),
    "tiff": lambda m, path: m.save(path, "tiff"),
}


def through_jpeg(mask: Image.Image) -> Image.Image:
    data = BytesIO()
    mask.save(data, "jpeg", quality=85)
    return Image.open(data).convert("L")


def cut_out(mask: Image.Image, colour: tuple[int, int, int]) -> Image.Image:
    found = Image.new("RGBA", mask.size, colour)
    found.putalpha(mask)
    return found


@pytest.mark.parametrize("name", MASKS)
def test_a_picture_of_one_mask_is_one_whatever_it_is_kept_in(tmp_path: Path, name: str) -> None:
    MASKS[name](discs(), tmp_path / "mask.png")
    expected = np.asarray(discs()) > 127
    found = read_masks(tmp_path / "mask.png", (120, 160))
    assert len(found) == 1
    tolerance = {"feathered": 150, "webp": 60, "jpeg in colour": 60}.get(name, 12)
    assert np.count_nonzero(found.mask(1) ^ expected) <= tolerance


def test_where_a_soft_mask_is_cut(tmp_path: Path) -> None:
    discs().save(tmp_path / "mask.png")
    low, half, high = (read_masks(tmp_path / "mask.png", threshold=t).areas[0] for t in (0.04, 0.5, 0.9))
    assert low > half > high


def test_pictures_that_are_no_masks(tmp_path: Path) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    for suffix in ("png", "jpg"):
        Image.fromarray(photo).save(tmp_path / f"photo.{suffix}")
        with pytest.raises(InputError, match=r"holds no masks: it is a .* like a photo"):
            read_masks(tmp_path / f"photo.{suffix}")
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(tmp_path / "labels.jpg")
    with pytest.raises(InputError, match="JPEG does not keep the numbers of a label map"):
        read_masks(tmp_path / "labels.jpg")


@pytest.mark.parametrize(
    ("labels", "mode", "count"),
    [
        ([0, 1, 2, 255], "P", 2),  # PASCAL VOC
        ([0, 1, 2, 255], "L", 2),
        ([0, 15, 255], "L", 1),
        ([*range(0, 151, 10), 255], "L", 15),  # ADE20K, which has 150 numbers
        ([0, 60, 120, 180, 255], "L", 4),
        ([0, 85, 170, 255], "L", 3),  # three entities, spread out to be seen
        ([0, 50, 100, 254, 255], "P", 4),
        ([0, 255], "P", 1),
        ([0, 128, 255], "L", 2),
    ],
)
def test_void(tmp_path: Path, labels: list[int], mode: str, count: int) -> None:
    pixels = np.repeat(np.repeat(np.array([labels], np.uint8), 12, 0), 12, 1)
    picture = Image.fromarray(pixels)
    if mode == "P":
        picture = Image.frombytes("P", picture.size, pixels.tobytes())
        picture.putpalette(np.random.default_rng(0).integers(0, 256, 768, np.uint8).tobytes())
    picture.save(tmp_path / "labels.png")
    assert len(read_masks(tmp_path / "labels.png")) == count
    assert len(read_masks(tmp_path / "labels.png", void=-1)) == len(labels) - 1
    assert len(read_masks(tmp_path / "labels.png", void=labels[1])) == len(labels) - 2 or labels == [0, 255]


@pytest.mark.parametrize(("labels", "told"), [([0, 85, 170, 255], True), ([*range(254), 254, 255], False)])
def test_255_as_an_entity_is_told_where_it_may_be_void(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, labels: list[int], told: bool
) -> None:
    caplog.set_level(logging.INFO, "esg")
    pixels = np.repeat(np.repeat(np.array([labels], np.uint8), 12, 0), 12, 1)
    Image.fromarray(pixels).save(tmp_path / "labels.png")
    assert len(read_masks(tmp_path / "labels.png")) == len(labels) - 1
    assert ("the number 255 is an entity here; if it should be none, say --void 255" in caplog.text) == told


def test_colours_are_entities(tmp_path: Path) -> None:
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[:, 10:20] = (128, 0, 0)
    pixels[:, 20:] = (0, 128, 0)
    pixels[:, 9] = (224, 224, 192)  # PASCAL VOC's void
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert read_masks(tmp_path / "a.png").areas.tolist() == [200, 200]
    see_through = np.dstack([pixels, (pixels.any(axis=2) * 90).astype(np.uint8)])
    see_through[:, 20:, 3] = 200
    see_through[:, :20, 3] = np.where(see_through[:, :20, 3] > 0, 200, 0)
    Image.fromarray(see_through).save(tmp_path / "b.png")
    assert len(read_masks(tmp_path / "b.png")) == 2


# ---------------------------------------------------------------------- photos that EXIF turns


def turned_photo(path: Path, orientation: int) -> np.ndarray:
    """A photo of 16 x 12 stored pixels that EXIF turns; gives the mask of its stored pixels."""
    mask = np.zeros(SIZE, bool)
    mask[1:4, 2:8] = True
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (W, H)).save(path, exif=exif)
    return mask


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_masks_of_the_stored_pixels_are_turned_with_the_photo(tmp_path: Path, orientation: int) -> None:
    from PIL import ImageOps

    photo = tmp_path / "photo.jpg"
    stored = turned_photo(photo, orientation)
    Image.fromarray(stored.astype(np.uint8)).save(tmp_path / "labels.png")
    with Image.open(photo) as picture:
        like = Image.fromarray(stored.astype(np.uint8))
        like.getexif()[0x0112] = picture.getexif()[0x0112]
        expected = np.asarray(ImageOps.exif_transpose(like)) > 0
    found = read_masks(tmp_path / "labels.png", (W, H), photo=photo)
    assert np.array_equal(found.labels > 0, expected)
    content = EntityMap.from_labels(stored.astype(int)).to_coco()
    assert read_masks(put(tmp_path, content), (W, H), photo=photo) == found
    assert read_masks(put(tmp_path, coco({"segmentation": [LEFT]})), (W, H), photo=photo).areas.tolist() == [16]


def test_half_a_turn_cannot_be_seen_and_is_asked_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    photo = tmp_path / "photo.jpg"
    mask = turned_photo(photo, 3)
    Image.fromarray(mask.astype(np.uint8)).save(tmp_path / "labels.png")
    found = read_masks(tmp_path / "labels.png", SIZE, photo=photo)
    assert np.array_equal(found.labels > 0, mask)
    assert "EXIF turns the photo, and the masks fit it either way" in caplog.text
    caplog.clear()
    stored = read_masks(tmp_path / "labels.png", SIZE, photo=photo, pixels="stored")
    assert np.array_equal(stored.labels > 0, mask[::-1, ::-1])
    read_masks(tmp_path / "labels.png", SIZE, photo=photo, pixels="upright")
    assert not caplog.messages


# ---------------------------------------------------------------------- nested masks


def nested(tmp_path: Path) -> Path:
    """SAM's masks of a cup on a table: the scene, the table, the cup, its body and its handle."""
    h, w = 24, 32
    masks = np.zeros((5, h, w), bool)
    masks[0] = True
    masks[1, 14:] = True
    masks[2, 8:20, 10:23] = True
    masks[3, 8:20, 10:20] = True
    masks[4, 11:17, 20:23] = True
    scores = (1.01, 1.0, 0.99, 0.97, 0.93)
    records = [
        {"segmentation": encode_mask(mask), "predicted_iou": score, "point_coords": [[1.0, 1.0]]}
        for mask, score in zip(masks, scores, strict=True)
    ]
    return put(tmp_path, records, "sam.json")


def test_parts_lie_above_wholes_in_sams_masks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = nested(tmp_path)
    found = read_masks(path)
    assert len(found) == 5
    assert len({found.at(15, 10), found.at(21, 12), found.at(22, 9), found.at(1, 20), found.at(1, 1)}) == 5
    assert not caplog.messages
    assert len(read_masks(path, order="score")) == 1
    assert "4 of 5 masks are hidden entirely and left out" in caplog.text
    assert "--mask-order smaller" in caplog.text


def test_whole_objects_of_nested_masks(tmp_path: Path) -> None:
    found = read_masks(nested(tmp_path), order="whole")
    assert len(found) == 3  # the scene, the table, and the cup with its handle
    assert found.at(15, 10) == found.at(21, 12) != found.at(1, 20)
    with pytest.raises(InputError, match=r"The order of masks must be one of score, smaller, .*, not 'best'"):
        read_masks(nested(tmp_path), order="best")


# --------------------------------------------------------------------------------------------------------------- limits


@pytest.mark.parametrize("name", ["rle", "polygon", "zigzag", "sliver", "cvat", "labelme"])
def test_masks_that_are_too_large_together_are_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    zigzag = [value for x in range(90) for value in (x / 9, x % 2 * 12)]
    full = base64.b64decode(png(np.ones(SIZE, bool)))
    masks: dict[str, Callable[[int], Path]] = {
        "rle": lambda n: put(tmp_path, [{"segmentation": {"size": SIZE, "counts": [0, H * W]}}] * n),
        "polygon": lambda n: put(tmp_path, coco(*[{"segmentation": [square(0, 0, W, H)]}] * n)),
        "zigzag": lambda n: put(tmp_path, coco(*[{"segmentation": [zigzag]}] * n)),
        "sliver": lambda n: put(tmp_path, coco(*[{"segmentation": [[0, 0, W, H, W, H - 0.5]]}] * n)),
        "labelme": lambda n: put(
            tmp_path, labelme(*[shape([[0, 0], [W, H]], "mask", mask=base64.b64encode(full).decode())] * n)
        ),
        "cvat": lambda n: put(
            tmp_path,
            f'<annotations><image name="photo.png" width="{W}" height="{H}">'
            + f'<mask rle="0, {H * W}" left="0" top="0" width="{W}" height="{H}"/>' * n
            + "</image></annotations>",
            "masks.xml",
        ),
    }
    monkeypatch.setattr("esg.entities.importing.canvas.MAX_DRAWN", 60_000)
    assert areas(masks[name](1))
    with pytest.raises(InputError, match="have more than 60,000 pixels together; give fewer or smaller ones"):
        areas(masks[name](400))


def test_more_masks_than_can_be_numbered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("esg.entities.importing.items.MAX_MASKS", 2)
    content = coco(*[{"segmentation": [LEFT]}] * 3)
    with pytest.raises(InputError, match="has 3 masks of one picture, more than the limit of 2"):
        areas(put(tmp_path, content))


# ---------------------------------------------------------------------- exports that list the masks of each picture

POLYGONS = [[{"x": x, "y": y} for x, y in pairs(one)] for one in (LEFT, RIGHT)]
EXPORTS: dict[str, Any] = {
    "datumaro": {
        "categories": {},
        "items": [
            {"id": "other", "annotations": [], "image": {"path": "other.png", "size": [H, W]}},
            {
                "id": "photo",
                "annotations": [
                    {"id": 1, "type": "polygon", "points": LEFT, "z_order": 0},
                    {"id": 2, "type": "mask", "rle": {"size": SIZE, "counts": [114, 4] + [8, 4] * 4 + [26]}},
                    {"id": 3, "type": "bbox", "bbox": [1, 2, 3, 4]},
                ],
                "image": {"path": "in/photo.png", "size": [H, W]},
            },
        ],
    },
    "superannotate": {
        "metadata": {"name": "photo.png", "width": W, "height": H},
        "instances": [
            {"type": "polygon", "className": "a", "points": LEFT, "exclude": []},
            {"type": "polygon", "className": "b", "points": RIGHT},
            {"type": "bbox", "points": {"x1": 1, "x2": 2, "y1": 3, "y2": 4}},
            {"type": "point", "x": 1, "y": 2},
        ],
    },
    "vott": {
        "asset": {"name": "photo.png", "size": {"width": W, "height": H}},
        "regions": [
            *({"id": str(k), "type": "POLYGON", "points": one} for k, one in enumerate(POLYGONS)),
            {"id": "c", "type": "RECTANGLE", "points": POLYGONS[0], "boundingBox": {"left": 1}},
        ],
    },
    "hasty": {
        "images": [
            {
                "image_name": "photo.png",
                "width": W,
                "height": H,
                "labels": [{"polygon": pairs(LEFT)}, {"polygon": pairs(RIGHT)}],
            },
            {"image_name": "other.png", "width": W, "height": H, "labels": []},
        ]
    },
    "dataloop": {
        "filename": "/photo.png",
        "metadata": {"system": {"width": W, "height": H}},
        "annotations": [{"type": "segment", "coordinates": [one]} for one in POLYGONS],
    },
    "scale": {"annotations": [{"type": "polygon", "vertices": one} for one in POLYGONS]},
    "bdd100k": [
        {
            "name": "photo.png",
            "labels": [{"poly2d": [{"vertices": pairs(one), "closed": True}]} for one in (LEFT, RIGHT)],
        }
    ],
    "ade20k": {
        "annotation": {
            "filename": "photo.png",
            "imsize": [H, W, 3],
            "object": [{"id": 0, "polygon": {"x": one[::2], "y": one[1::2]}} for one in (LEFT, RIGHT)],
        }
    },
    "mapillary": {"width": W, "height": H, "objects": [{"label": "a", "polygon": pairs(one)} for one in (LEFT, RIGHT)]},
    "geojson": {
        "type": "FeatureCollection",
        "features": [
            {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [pairs(LEFT)]}, "properties": {}},
            {"type": "Feature", "geometry": {"type": "MultiPolygon", "coordinates": [[pairs(RIGHT)]]}},
            {"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]}},
        ],
    },
}
EXPORTS["superannotate, old"] = {"other.png": {"instances": []}, "photo.png": EXPORTS["superannotate"]}
EXPORTS["vott, project"] = {"name": "x", "tags": [], "assets": {"0a": EXPORTS["vott"]}}
EXPORTS["vott 1"] = {
    "frames": {"photo.png": [{"type": "polygon", "points": one} for one in POLYGONS]},
    "framerate": "1",
}
EXPORTS["qupath"] = EXPORTS["geojson"]["features"]


@pytest.mark.parametrize("name", EXPORTS)
def test_exports_of_annotation_tools(tmp_path: Path, name: str) -> None:
    assert sorted(areas(put(tmp_path, EXPORTS[name]))) == [16, 20]


@pytest.mark.parametrize(
    "name", ["datumaro", "superannotate", "superannotate, old", "vott", "hasty", "bdd100k", "vott 1"]
)
def test_exports_say_which_photo_they_are_of(tmp_path: Path, name: str) -> None:
    path = put(tmp_path, EXPORTS[name])
    assert tells_photos_apart(path)
    assert sorted(areas(path, by_name=True)) == [16, 20]
    with pytest.raises(InputError, match=r"and none is called strange\.png"):
        read_masks(path, SIZE, photo="strange.png", by_name=True)


def test_holes_and_layers_of_exports(tmp_path: Path) -> None:
    hole = square(10, 7, 12, 9)
    masks = [
        {"type": "polygon", "points": RIGHT, "exclude": [hole]},
        {"type": "ellipse", "cx": 4, "cy": 4, "rx": 2, "ry": 2},
    ]
    assert areas(put(tmp_path, {"instances": masks})) == [16, 12]
    feature = {"type": "Polygon", "coordinates": [pairs(RIGHT), pairs(hole)]}
    assert areas(put(tmp_path, {"type": "FeatureCollection", "features": [{"geometry": feature}]})) == [16]
    layered = [{"type": "polygon", "points": RIGHT, "z_order": 1}, {"type": "polygon", "points": hole, "z_order": 0}]
    assert areas(put(tmp_path, {"items": [{"id": "photo", "annotations": layered}]})) == [20]


def test_shapes_without_area_in_exports(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sound = {"type": "polygon", "points": LEFT}
    odd = [
        {"id": "b", "type": "bbox"},
        {"type": "polyline", "points": RIGHT},
        {"type": "ellipse", "cx": 1},
        {"type": "new"},
    ]
    assert areas(put(tmp_path, {"instances": [sound, *odd]})) == [16]
    for words in (
        "4 of 5 masks are left out: annotation b has no mask",
        "annotation 3 is a polyline and has no area",
        "annotation 4 is an ellipse without a centre or radii",
    ):
        assert words in caplog.text
    path = put(
        tmp_path, {"type": "FeatureCollection", "features": [{"geometry": {"type": "Point", "coordinates": [1, 2]}}]}
    )
    with pytest.raises(InputError, match="feature 1 is a Point and has no area"):
        areas(path)


@pytest.mark.parametrize("quality", [10, 30, 50, 65, 75, 85, 95])
@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_a_mask_in_a_lossy_format_of_any_quality(tmp_path: Path, quality: int, suffix: str) -> None:
    y, x = np.mgrid[:120, :160]
    mask = (x - 45) ** 2 + (y - 50) ** 2 < 25**2
    Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).save(tmp_path / f"mask.{suffix}", quality=quality)
    (area,) = read_masks(tmp_path / f"mask.{suffix}", (120, 160)).areas
    assert abs(int(area) - int(mask.sum())) < 20


def test_sides_that_are_swapped_are_named(tmp_path: Path) -> None:
    np.save(tmp_path / "masks.npy", np.ones((2, W, H), bool))
    with pytest.raises(InputError, match="width and height are swapped; turn the masks or the photo by 90 degrees"):
        areas(tmp_path / "masks.npy")
    rle = {"size": [W, H], "counts": [0, W * H]}
    with pytest.raises(InputError, match=r"but its picture has 16x12; COCO's size is \[height, width\]"):
        areas(put(tmp_path, coco({"id": 1, "segmentation": rle})))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x1f\x8b" + bytes(20), "is a file packed with gzip, which is not read; unpack it first"),
        (b"\x89HDF\r\n\x1a\n", "is an HDF5 file, which is not read; save its masks with numpy.save"),
        (b"MATLAB 5.0 MAT-file", "is a MATLAB file, which is not read; save its masks with numpy.save or as PNG"),
        (b"\x80\x04\x95", "is a pickle, which is not read as it could run programs"),
    ],
)
def test_what_a_file_is_instead(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "masks.npy").write_bytes(data)
    with pytest.raises(InputError, match=words):
        areas(tmp_path / "masks.npy")


def test_a_picture_under_the_name_of_an_array(tmp_path: Path) -> None:
    (tmp_path / "masks.npy").write_bytes(base64.b64decode(png(np.eye(H, W, dtype=bool))))
    assert areas(tmp_path / "masks.npy") == [H]
