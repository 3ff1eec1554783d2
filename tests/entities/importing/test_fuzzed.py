"""Files of every format with a field dropped, retyped, emptied or nested: a map or a sentence, no other error."""

from __future__ import annotations

import base64
import copy
import json
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from esg.entities.entity_map import EntityMap
from esg.entities.importing import read_masks, tells_photos_apart
from esg.entities.importing.cvat import cvat_xml
from esg.entities.importing.labelme import labelme_dict
from esg.entities.importing.panoptic import panoptic_colours, panoptic_dict
from esg.entities.importing.yolo import yolo_text
from esg.support.errors import InputError

H, W = 6, 8
ENTITIES = EntityMap.from_labels(
    np.array([[0, 1, 1, 1, 0, 2, 2, 0]] * 3 + [[0, 1, 0, 1, 0, 2, 2, 3]] * 3), [0.9, 0.5, 0.25]
)
LINE = [1, 1, 5, 1, 5, 4, 1, 4]
POINTS = [[1, 1], [5, 1], [5, 4], [1, 4]]


def packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data)).decode()


def png(mask: np.ndarray) -> bytes:
    data = BytesIO()
    Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).save(data, "png")
    return data.getvalue()


def npy(mask: np.ndarray) -> bytes:
    data = BytesIO()
    np.save(data, mask)
    return data.getvalue()


SQUARE = np.ones((2, 3), bool)
RLES = ENTITIES.to_rles()
REGION = {"original_width": W, "original_height": H}
FILES: dict[str, Any] = {
    "coco": ENTITIES.to_coco(file_name="photo.png"),
    "polygons": ENTITIES.to_coco(file_name="photo.png", polygons=True),
    "counts": [{"segmentation": {"size": [H, W], "counts": [3, 4, 41]}, "predicted_iou": 0.9, "image_id": 1}],
    "rows": [{"segmentation": ENTITIES.mask(1).tolist(), "score": 1}],
    "unusual places": [
        {"mask": RLES[0], "score": 0.5},
        RLES[1],
        {"segmentation": [RLES[0], {"counts": RLES[2]["counts"]}]},
        {"segmentation": json.dumps([LINE])},
        {"polygon": {"paths": [[{"x": 1, "y": 1}, {"x": 5, "y": 1}, {"x": 5, "y": 4}]]}},
    ],
    "sa-1b": {"image": {"width": W, "height": H, "file_name": "photo.png"}, "annotations": [{"segmentation": RLES[0]}]},
    "detectron2": [{"file_name": "photo.png", "height": H, "width": W, "annotations": [{"segmentation": [LINE]}]}],
    "mmdetection": {"labels": [1], "scores": [0.5], "masks": [RLES[0]]},
    "labelme": labelme_dict(ENTITIES, "photo.png"),
    "labelme masks": {
        "imagePath": "photo.png",
        "imageHeight": H,
        "imageWidth": W,
        "shapes": [
            {"shape_type": "mask", "points": [[1, 1], [3, 2]], "mask": base64.b64encode(png(SQUARE)).decode()},
            {"shape_type": "circle", "points": [[3, 3], [3, 5]], "label": "a", "group_id": 1},
        ],
    },
    "labelme picture": {
        "imagePath": "photo.png",
        "imageData": base64.b64encode(png(np.zeros((H, W), bool))).decode(),
        "shapes": [{"label": "a", "points": POINTS, "shape_type": "polygon"}],
    },
    "cityscapes": {"imgHeight": H, "imgWidth": W, "objects": [{"label": "a", "polygon": POINTS}]},
    "supervisely": {
        "size": {"height": H, "width": W},
        "objects": [
            {"geometryType": "polygon", "points": {"exterior": POINTS, "interior": [POINTS[:3]]}},
            {"geometryType": "bitmap", "bitmap": {"data": packed(png(SQUARE)), "origin": [2, 1]}},
        ],
    },
    "isat": {"info": {"height": H, "width": W, "name": "photo.png"}, "objects": [{"segmentation": POINTS, "layer": 2}]},
    "via": {
        "photo.png1": {
            "filename": "photo.png",
            "regions": [
                {"shape_attributes": {"name": "polygon", "all_points_x": [1, 5, 5], "all_points_y": [1, 1, 4]}},
                {"shape_attributes": {"name": "ellipse", "cx": 3, "cy": 3, "rx": 2, "ry": 1, "theta": 0.5}},
            ],
        }
    },
    "label studio": [
        {
            "data": {"image": "/data/photo.png"},
            "annotations": [
                {
                    "result": [
                        {"type": "polygonlabels", **REGION, "value": {"points": [[10, 10], [90, 10], [50, 90]]}},
                        {"type": "brushlabels", **REGION, "value": {"format": "rle", "rle": [0, 0, 0, 192, 56, 1, 2]}},
                        {"type": "ellipselabels", **REGION, "value": {"x": 50, "y": 50, "radiusX": 20, "radiusY": 20}},
                    ]
                }
            ],
        }
    ],
    "fiftyone": {
        "samples": [
            {
                "filepath": "photo.png",
                "metadata": {"height": H, "width": W},
                "truth": {"detections": [{"mask": packed(npy(SQUARE)), "bounding_box": [0.2, 0.2, 0.5, 0.5]}]},
                "lines": {"polylines": [{"points": [[[0.1, 0.1], [0.9, 0.1], [0.5, 0.9]]], "filled": True}]},
            }
        ]
    },
    "panoptic": panoptic_dict(ENTITIES, "photo.png", "photo.panoptic.png"),
}

ODD = [
    None,
    True,
    False,
    0,
    -1,
    7,
    1e300,
    float("nan"),
    float("inf"),
    10**30,
    "",
    "x",
    "7",
    [],
    {},
    [None],
    [[]],
    {"a": 1},
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where there is something in an object or a list, and in what is there."""
    keys = range(len(value)) if isinstance(value, list) else list(value) if isinstance(value, dict) else []
    for key in keys:
        yield (*path, key)
        yield from places(value[key], (*path, key))


def drop(inner: Any, key: Any, odd: Any) -> None:
    del inner[key]


def retype(inner: Any, key: Any, odd: Any) -> None:
    inner[key] = odd


def empty(inner: Any, key: Any, odd: Any) -> None:
    inner[key] = type(inner[key])() if inner[key] is not None else []


def nest(inner: Any, key: Any, odd: Any) -> None:
    inner[key] = [inner[key]]


def unwrap(inner: Any, key: Any, odd: Any) -> None:
    if isinstance(inner[key], list) and inner[key]:
        inner[key] = inner[key][0]


def double(inner: Any, key: Any, odd: Any) -> None:
    inner[key] = [inner[key], odd]


def as_text(inner: Any, key: Any, odd: Any) -> None:
    inner[key] = str(inner[key])


def scale(inner: Any, key: Any, odd: Any) -> None:
    if isinstance(inner[key], (int, float)):
        inner[key] = -1000 * inner[key]


CHANGES = [drop, retype, empty, nest, unwrap, double, as_text, scale]


def try_to_read(path: Path) -> None:
    for options in ({"photo": "photo.png"}, {"size": (H, W)}, {"size": (H, W), "photo": "photo.png", "by_name": True}):
        try:
            assert isinstance(read_masks(path, **options, may_be_empty=True), EntityMap)  # type: ignore[arg-type]
        except InputError as error:
            check_sentence(str(error), path)
    try:
        tells_photos_apart(path)
    except InputError as error:
        check_sentence(str(error), path)


def check_sentence(said: str, path: Path) -> None:
    assert path.name in said
    assert said.endswith(".")
    assert "\n" not in said
    assert not any(word in said for word in ("NoneType", "object is not", "argument", "reshape", "broadcast"))


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=60)
@given(data=st.data())
def test_json_with_something_wrong_in_it(
    name: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp()
    Image.fromarray(panoptic_colours(ENTITIES)).save(folder / "photo.panoptic.png")
    content = copy.deepcopy(FILES[name])
    for _ in range(data.draw(st.integers(1, 2))):
        found = list(places(content))
        if not found:
            break
        # First the level, so that the few fields near the root are as likely as the many numbers deep within.
        level = data.draw(st.sampled_from(sorted({len(path) for path in found})))
        path = data.draw(st.sampled_from([path for path in found if len(path) == level]))
        inner = content
        for key in path[:-1]:
            inner = inner[key]
        data.draw(st.sampled_from(CHANGES))(inner, path[-1], copy.deepcopy(data.draw(st.sampled_from(ODD))))
    place = folder / "fuzzed.json"
    place.write_text(json.dumps(content), encoding="utf-8")
    try_to_read(place)


TEXTS: dict[str, Callable[[], tuple[str, str]]] = {
    "cvat": lambda: ("fuzzed.xml", cvat_xml([(ENTITIES, "photo.png")])),
    "cvat shapes": lambda: (
        "fuzzed.xml",
        f'<annotations><image id="0" name="photo.png" width="{W}" height="{H}"><polygon label="a" points="1,1;5,1;5,4" '
        'z_order="1" group_id="2"/><ellipse cx="3" cy="3" rx="2" ry="1" rotation="9"/><box xtl="1" ytl="1" xbr="3" '
        'ybr="3"/></image></annotations>',
    ),
    "yolo": lambda: ("fuzzed.txt", yolo_text(ENTITIES)),
}
PIECES = ["", "-1", "nan", "1e999", "x", ",", ";", '"', "<", ">", " ", "\n", "99999999999", "\u0663", "0", "é"]


@pytest.mark.parametrize("name", TEXTS)
@settings(max_examples=80)
@given(data=st.data())
def test_text_with_something_wrong_in_it(
    name: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file, text = TEXTS[name]()
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        length = data.draw(st.integers(0, 12))
        text = text[:start] + data.draw(st.sampled_from(PIECES)) + text[start + length :]
    place = tmp_path_factory.getbasetemp() / file
    place.write_text(text, encoding="utf-8")
    if text:
        try_to_read(place)


@pytest.mark.parametrize("name", [name for name in FILES if name != "label studio"])
def test_the_files_that_are_changed_are_good(name: str, tmp_path: Path) -> None:
    Image.fromarray(panoptic_colours(ENTITIES)).save(tmp_path / "photo.panoptic.png")
    path = tmp_path / "masks.json"
    path.write_text(json.dumps(FILES[name]), encoding="utf-8")
    assert len(read_masks(path, (H, W), photo="photo.png"))


def test_what_esg_writes_for_other_tools_it_reads_again(tmp_path: Path) -> None:
    Image.fromarray(panoptic_colours(ENTITIES)).save(tmp_path / "photo.panoptic.png")
    files = {
        "a.json": json.dumps(FILES["labelme"]),
        "b.json": json.dumps(FILES["polygons"]),
        "c.json": json.dumps(FILES["panoptic"]),
        "d.xml": cvat_xml([(ENTITIES, "photo.png")]),
        "e.txt": yolo_text(ENTITIES),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        found = read_masks(tmp_path / name, (H, W), photo="photo.png")
        expected = ENTITIES if name in ("a.json", "b.json") else EntityMap.from_labels(ENTITIES.labels)
        assert found == expected
    assert read_masks(tmp_path / "photo.panoptic.png") == EntityMap.from_labels(ENTITIES.labels)
