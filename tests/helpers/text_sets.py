"""Writes tiny data sets of texts in exactly the published formats."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CATEGORIES = [
    {"id": 1, "name": "person", "supercategory": "person", "isthing": 1, "color": [220, 20, 60]},
    {"id": 18, "name": "dog", "supercategory": "animal", "isthing": 1, "color": [0, 0, 142]},
    {"id": 187, "name": "sky-other-merged", "supercategory": "sky-other", "isthing": 0, "color": [70, 130, 180]},
]
SEGMENTS = np.array([[300, 300, 300, 300, 0, 0], [70000, 70000, 5, 5, 0, 0]] * 2)
"""Of the only photo with narratives, (4, 6): 300 is sky, 70000 and 5 are dogs, 0 is unlabelled."""
CAPTION = "In this image, we can see two dogs. The dog's  near the SKY."
NOUNS = [
    {"utterance": "In this image", "noun": False, "segment_ids": [], "plural": False},
    {"utterance": "we can see", "noun": False, "segment_ids": [], "plural": False},
    {"utterance": "two dogs.", "noun": True, "segment_ids": ["70000", 5], "plural": True},
    {"utterance": "the dog's", "noun": True, "segment_ids": ["5"], "plural": False},
    {"utterance": "near the", "noun": False, "segment_ids": [], "plural": False},
    {"utterance": "sky .", "noun": True, "segment_ids": ["300"], "plural": False},
]


def save_photo(path: Path, size: tuple[int, int] = (4, 6)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size[::-1], (10, 200, 30)).save(path)


def write_png(folder: Path, narratives: list[dict[str, Any]] | None = None, part: str = "val2017") -> Path:
    """PNG's narratives with COCO's panoptic files, in the folders of its own programs; the narratives' file."""
    notes = folder / "annotations"
    (notes / "panoptic_segmentation" / part).mkdir(parents=True)
    save_photo(folder / part / "000000000139.jpg")
    colours = np.stack([SEGMENTS >> shift & 255 for shift in (0, 8, 16)], axis=-1).astype(np.uint8)
    Image.fromarray(colours).save(notes / "panoptic_segmentation" / part / "000000000139.png")
    infos = [
        {"id": 300, "category_id": 187, "area": 8, "bbox": [0, 0, 4, 3], "iscrowd": 0},
        {"id": 70000, "category_id": 18, "area": 4, "bbox": [0, 1, 2, 3], "iscrowd": 0},
        {"id": 5, "category_id": 18, "area": 4, "bbox": [2, 1, 2, 3], "iscrowd": 1},
    ]
    panoptic = {
        "images": [{"id": 139, "file_name": "000000000139.jpg", "height": 4, "width": 6}],
        "annotations": [{"image_id": 139, "file_name": "000000000139.png", "segments_info": infos}],
        "categories": CATEGORIES,
    }
    (notes / f"panoptic_{part}.json").write_text(json.dumps(panoptic))
    if narratives is None:
        narratives = [{"image_id": "139", "caption": CAPTION, "segments": NOUNS}]
    file = notes / f"png_coco_{part}.json"
    file.write_text(json.dumps(narratives))
    return file


def polygon(x0: int, y0: int, x1: int, y1: int) -> list[float]:
    return [x0, y0, x1, y0, x1, y1, x0, y1]


def reference(number: int, annotation: int, split: str, *sentences: str, image: int = 7) -> dict[str, Any]:
    return {
        "ref_id": number,
        "ann_id": annotation,
        "category_id": 18,
        "image_id": image,
        "file_name": f"COCO_train2014_{image:012}_{annotation}.jpg",  # with the annotation's number, as published
        "split": split,
        "sent_ids": [10 * number + k for k in range(len(sentences))],
        "sentences": [
            {"raw": f"{one}!", "sent": one, "sent_id": 10 * number + k, "tokens": one.split()}
            for k, one in enumerate(sentences)
        ],
    }


def write_refcoco(folder: Path, references: list[Any] | None = None, author: str = "unc") -> Path:
    """References to two dogs side by side in COCO_train2014_000000000007.jpg, whose photo is beside the folder."""
    folder.mkdir(parents=True)
    save_photo(folder.parent / "images/mscoco/images/train2014/COCO_train2014_000000000007.jpg")
    instances = {
        "images": [{"id": 7, "file_name": "COCO_train2014_000000000007.jpg", "height": 4, "width": 6}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 18, "iscrowd": 0, "segmentation": [polygon(0, 0, 2, 4)]},
            {
                "id": 2,
                "image_id": 7,
                "category_id": 18,
                "iscrowd": 0,
                "segmentation": [{"size": [4, 6], "counts": [12, 4, 8]}, {"size": [4, 6], "counts": [12, 8, 4]}],
            },
        ],
        "categories": [{"id": 18, "name": "dog", "supercategory": "animal"}],
    }
    (folder / "instances.json").write_text(json.dumps(instances))
    if references is None:
        references = [
            reference(1, 1, "val", "left dog", "the dog on the left"),
            reference(2, 2, "testA", "right dog"),
            reference(3, 2, "val", "dog at right"),
        ]
    with (folder / f"refs({author}).p").open("wb") as file:
        pickle.dump(references, file, protocol=0)  # the published files are of Python 2
    return folder


def write_reason(
    folder: Path, name: str, texts: list[str], shapes: list[dict[str, Any]], encoding: str = "utf-8"
) -> None:
    """A photo of 40x30 pixels and its annotation, as ReasonSeg has them."""
    save_photo(folder / f"{name}.jpg", (30, 40))
    content = {"text": texts, "is_sentence": True, "shapes": shapes}
    (folder / f"{name}.json").write_bytes(json.dumps(content, ensure_ascii=False).encode(encoding))


def shape(label: str, x0: int, y0: int, x1: int, y1: int) -> dict[str, Any]:
    """An outline that reaches from x0, y0 to x1, y1, both inclusive."""
    return {
        "label": label,
        "labels": [label],
        "shape_type": "polygon",
        "points": [[x0, y0], [x1, y0], [x1, y1], [x0, y1]],
    }


def write_wild(folder: Path, name: str, categories: list[str], objects: list[tuple[int, list[float]]]) -> Path:
    """A set of Segmentation in the Wild with one photo, 000.jpg, of 6x4 pixels."""
    place = folder / name / "valid"
    save_photo(place / "000.jpg")
    content = {
        "images": [{"id": 0, "file_name": "000.jpg", "height": 4, "width": 6}],
        "annotations": [
            {"id": number, "image_id": 0, "category_id": category, "iscrowd": 0, "segmentation": [outline]}
            for number, (category, outline) in enumerate(objects)
        ],
        "categories": [
            {"id": number, "name": one, "supercategory": "none"} for number, one in enumerate(categories, start=1)
        ],
    }
    (place / "_annotations_min1cat.coco.json").write_text(json.dumps(content))
    return folder
