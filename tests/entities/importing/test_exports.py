"""Exports that list the masks of each picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from esg.entities.importing import read_masks, tells_photos_apart
from esg.support.errors import InputError
from foreign_files import LEFT, RIGHT, SIZE, H, W, areas, pairs, put, square

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
    "labelbox": {
        "data_row": {"id": "1", "external_id": "photo.png", "row_data": "https://x.example/photo.png"},
        "media_attributes": {"height": H, "width": W},
        "projects": {
            "p": {
                "labels": [
                    {
                        "annotations": {
                            "objects": [
                                {"name": "a", "polygon": POLYGONS[0]},
                                {"name": "b", "polygon": POLYGONS[1]},
                                {"name": "c", "mask": {"url": "https://x.example/mask.png"}},
                                {"name": "d", "bounding_box": {"top": 1, "left": 2, "height": 3, "width": 4}},
                            ]
                        }
                    }
                ]
            }
        },
    },
    "kili": [
        {
            "externalId": "photo.png",
            "labels": [
                {"jsonResponse": {"JOB": {"annotations": []}}},
                {
                    "jsonResponse": {
                        "JOB": {
                            "annotations": [
                                {
                                    "type": "semantic",
                                    "boundingPoly": [
                                        {"normalizedVertices": [{"x": x / W, "y": y / H} for x, y in pairs(one)]}
                                    ],
                                }
                                for one in (LEFT, RIGHT)
                            ]
                        }
                    }
                },
            ],
        }
    ],
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


def test_masks_at_addresses(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    areas(put(tmp_path, EXPORTS["labelbox"]))
    assert "annotation 3 has its mask at an address; download it first" in caplog.text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"source-ref": "s3://x/photo.png", "seg-ref": "s3://x/a.png"}, "is a manifest of SageMaker Ground Truth"),
        ({"nodes": [], "links": []}, "is a ComfyUI workflow; give the masks that it makes"),
        (
            {"samples": [{"labels": {"truth": {"attributes": {"segmentation_bitmap": {"url": "https://x"}}}}}]},
            "is Segments.ai's, whose masks are pictures at addresses; download the PNG",
        ),
        (
            [{"image": "photo.png", "annotations": [{"coordinates": {"x": 1, "y": 1, "width": 2, "height": 2}}]}],
            "boxes",
        ),
    ],
)
def test_exports_without_masks_are_named(tmp_path: Path, content: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        areas(put(tmp_path, content))


def test_a_feature_without_a_geometry_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    geometry = {"type": "Polygon", "coordinates": [pairs(LEFT)]}
    features = [{"geometry": geometry}, {"geometry": None}]
    assert areas(put(tmp_path, {"type": "FeatureCollection", "features": features})) == [16]
    assert "1 of 2 masks is left out: feature 2 has no geometry." in caplog.text


def test_an_svg_is_called_a_drawing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is an SVG drawing; export each mask as a black and white PNG"):
        areas(put(tmp_path, "<?xml version='1.0'?><svg/>", "masks.xml"))
