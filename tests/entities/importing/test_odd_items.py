"""Files with items that are odd or unusual: what cannot be used is left out and named, the rest is read."""

from __future__ import annotations

import base64
import json
import logging
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from esg.entities.importing import read_masks
from esg.entities.rle import encode_mask
from esg.support.errors import InputError
from foreign_files import (
    BOX,
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
        (
            {**BOX, "segmentation": {"size": SIZE}},
            "annotation 2 has an object as its segmentation, with neither counts nor points",
        ),
        ({**BOX, "segmentation": {"counts": [5]}}, "annotation 2 is damaged (covers 5 pixels"),
        ({**BOX, "segmentation": {"counts": [5], "size": [3]}}, "annotation 2 is damaged (it does not have a size"),
        ({**BOX, "segmentation": [[0.25, 0.5, 0.75, 0.5, 0.75, 0.9]]}, "0 to 1, which are fractions and not pixels"),
        ({"id": 2, "image_id": 1, "category_id": 1}, 'annotation 2 has no "segmentation"'),
        ({**BOX, "segmentation": True}, "annotation 2 has true as its segmentation"),
        ("odd", 'annotation 2 has no "segmentation"'),
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
            InputError,
            match=r"has boxes and no masks|has no mask that can be used|does not hold any masks of photo\.png",
        ):
            areas(put(tmp_path, coco(odd, odd)))


@pytest.mark.parametrize(
    ("score", "reason"),
    [
        ("high", 'annotation 2 has "high" as its score, not a number'),
        (float("nan"), "annotation 2 has the score nan, which is not a finite number"),
        (float("-inf"), "annotation 2 has the score -inf"),
        ([0.5, 0.5], "annotation 2 has a list as its score, not a number"),
        (10**400, "as its score, not a number"),
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
    with pytest.raises(InputError, match="have more than 60,000 pixels in total; use fewer or smaller ones"):
        areas(masks[name](400))


def test_more_masks_than_can_be_numbered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("esg.entities.importing.items.MAX_MASKS", 2)
    content = coco(*[{"segmentation": [LEFT]}] * 3)
    with pytest.raises(InputError, match="has 3 masks of one picture, more than the limit of 2"):
        areas(put(tmp_path, content))


LEFT_MASK = np.zeros(SIZE, bool)
LEFT_MASK[2:6, 2:6] = True
PACKED = encode_mask(LEFT_MASK)["counts"]


@pytest.mark.parametrize(
    "segmentation",
    [
        {"size": [W, H], "counts": PACKED},  # only the size is swapped
        {"size": {"height": H, "width": W}, "counts": PACKED},
        {"h": H, "w": W, "counts": PACKED},
        {"points": LEFT},
        {"x": LEFT[::2], "y": LEFT[1::2]},
        LEFT_MASK.astype(int).ravel().tolist(),
        [f"{value / side:%}" for value, side in zip(LEFT, [W, H] * 4, strict=True)],
    ],
)
def test_masks_in_unusual_notations(tmp_path: Path, segmentation: Any) -> None:
    assert areas(put(tmp_path, coco({**BOX, "segmentation": segmentation}))) == [16]
    assert (read_masks(put(tmp_path, coco({**BOX, "segmentation": segmentation})), SIZE).mask(1) == LEFT_MASK).all()


def test_a_transposed_mask_is_not_taken_for_one_of_a_swapped_size(tmp_path: Path) -> None:
    transposed = {"size": [W, H], "counts": encode_mask(LEFT_MASK.T.copy())["counts"]}
    with pytest.raises(InputError, match=r"is 12x16 pixels large, but its picture has 16x12; COCO's size is \[height"):
        areas(put(tmp_path, coco({**BOX, "segmentation": transposed})))


def test_counts_that_were_escaped_once_too_often(tmp_path: Path) -> None:
    mask = np.zeros((300, 3), bool)
    mask[44:, 1] = True  # of which the counts have a backslash
    packed = encode_mask(mask)["counts"]
    assert "\\" in packed
    rle = {"size": [300, 3], "counts": packed.replace("\\", "\\\\")}
    assert read_masks(put(tmp_path, [{"segmentation": rle}])).areas.tolist() == [256]


def test_scores_in_percent(tmp_path: Path) -> None:
    path = put(tmp_path, coco({**BOX, "segmentation": [LEFT], "score": "80%"}))
    assert read_masks(path, SIZE).scores.tolist() == pytest.approx([0.8])


def test_coco_in_unusual_containers(tmp_path: Path) -> None:
    whole = coco({"id": 1, "image_id": 1, "segmentation": [LEFT]}, {"id": 2, "image_id": 1, "segmentation": [RIGHT]})
    images, annotations = whole["images"], whole["annotations"]
    for content in (
        {**whole, "annotations": {"1": annotations[0], "2": annotations[1]}},
        {**whole, "images": {"1": images[0]}},
        {**whole, "images": images[0]},
        {**whole, "images": []},
        {**whole, "images": [*images, {**images[0], "id": 2}]},  # the same picture again
        {
            **whole,
            "images": [*images, {**images[0], "id": 2}],
            "annotations": [annotations[0], {**annotations[1], "image_id": 2}],
        },
    ):
        assert areas(put(tmp_path, content)) == [20, 16]
    with pytest.raises(InputError, match="does not hold any masks"):
        areas(put(tmp_path, {**whole, "annotations": None}))


def test_a_list_about_several_photos_by_name(tmp_path: Path) -> None:
    for key in ("file_name", "image"):
        path = put(tmp_path, [{key: "photo.png", "segmentation": [LEFT]}, {key: "other.png", "segmentation": [RIGHT]}])
        assert areas(path) == [16]


def test_annotations_of_a_stranger_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = coco({**BOX, "segmentation": [LEFT]}, {**BOX, "image_id": 99, "segmentation": [RIGHT]})
    assert areas(put(tmp_path, content)) == [16]
    assert '1 of 2 annotations are of pictures that are not among its "images" (image_id 99)' in caplog.text


def test_percent_without_a_sign_is_suspected(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    annotation = {"id": 1, "image_id": 1, "segmentation": [square(10, 10, 90, 95)]}
    path = put(tmp_path, coco(annotation, width=400, height=300))
    assert read_masks(path, (300, 400)).areas.tolist() == [80 * 85]
    assert "if the coordinates are percent, write them as 50%." in caplog.text
    caplog.clear()
    read_masks(
        put(tmp_path, coco(annotation, {**annotation, "segmentation": [LEFT]}, width=150, height=300)), (300, 150)
    )
    assert "percent" not in caplog.text


def test_entries_that_are_not_annotations_are_not_called_boxes(tmp_path: Path) -> None:
    path = put(tmp_path, coco([{"id": 1, "image_id": 1, "segmentation": [LEFT]}]))
    with pytest.raises(InputError, match=r'annotation 1 has no "segmentation"\.$'):
        read_masks(path, SIZE)


def test_half_a_character_in_a_name(tmp_path: Path) -> None:
    content = coco({"id": 1, "image_id": 1, "category_id": 1, "segmentation": [LEFT]})
    content["categories"] = [{"id": 1, "name": "cat\ud83d"}]
    found = read_masks(put(tmp_path, content), SIZE)
    assert found.names == ("cat?",)
