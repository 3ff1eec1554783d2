"""The figures of the papers, to be shown beside measured ones.

"High-Quality Entity Segmentation" (Qi et al., ICCV 2023), its model zoo, and "High-Quality Entity Segmentation and
Grounding" (2026), whose tables have Roman numbers. Rows are keyed by task, data set and model; figures are as printed,
most of them in percent.
"""

from __future__ import annotations

import re
from pathlib import Path

Row = dict[str, float]

_LOW, _HIGH = "entityseg-low", "entityseg"

ROWS: dict[tuple[str, str, str], Row] = {
    # model zoo: AP^e of low (L) and high (H) resolution
    ("entities", _LOW, "mask2former-swin-tiny"): {"AP": 38.8},
    ("entities", _HIGH, "mask2former-swin-tiny"): {"AP": 40.7},
    ("entities", _LOW, "cropformer-swin-tiny"): {"AP": 40.6},
    ("entities", _HIGH, "cropformer-swin-tiny"): {"AP": 43.0},
    ("entities", _LOW, "mask2former-swin-large"): {"AP": 44.4},
    ("entities", _HIGH, "mask2former-swin-large"): {"AP": 46.2},
    ("entities", _LOW, "cropformer-swin-large"): {"AP": 45.8},
    ("entities", _HIGH, "cropformer-swin-large"): {"AP": 48.2},
    ("entities", _LOW, "mask2former-hornet-large"): {"AP": 47.1},
    ("entities", _HIGH, "mask2former-hornet-large"): {"AP": 49.2},
    ("entities", _LOW, "cropformer-hornet-large"): {"AP": 49.1},
    ("entities", _HIGH, "cropformer-hornet-large"): {"AP": 51.5},
    # model zoo: AP of results that overlap
    ("overlapping", _LOW, "mask2former-hornet-large"): {"AP": 51.0},
    ("overlapping", _HIGH, "mask2former-hornet-large"): {"AP": 53.6},
    # Table 3 / IV: benchmark on EntitySeg; ResNet-50 has no weights in the model zoo
    ("entities", _HIGH, "mask2former-r50"): {"AP": 35.2},
    ("entities", _HIGH, "mask2former-r50-imagenet"): {"AP": 26.0},
    ("entities", _HIGH, "mask-rcnn-r50"): {"AP": 24.9},
    ("semantic", _HIGH, "mask2former-semantic-r50"): {"mIoU": 43.3},
    ("semantic", _HIGH, "mask2former-semantic-r50-imagenet"): {"mIoU": 37.8},
    ("semantic", _HIGH, "deeplabv3-r50"): {"mIoU": 27.9},
    ("instances", _HIGH, "mask2former-instance-r50"): {"AP": 20.3},
    ("instances", _HIGH, "mask2former-instance-r50-imagenet"): {"AP": 13.0},
    ("instances", _HIGH, "mask-rcnn-r50"): {"AP": 5.0},
    ("panoptic", _HIGH, "mask2former-panoptic-r50"): {"PQ": 9.6},
    ("panoptic", _HIGH, "mask2former-panoptic-r50-imagenet"): {"PQ": 5.5},
    ("panoptic", _HIGH, "panoptic-fpn-r50"): {"PQ": 3.6},
    # model zoo, which differs from Table 3 / IV by up to 0.6: the published weights
    ("semantic", _HIGH, "mask2former-semantic-swin-tiny"): {"mIoU": 45.2},
    ("semantic", _HIGH, "mask2former-semantic-swin-large"): {"mIoU": 51.1},
    ("instances", _HIGH, "mask2former-instance-swin-tiny"): {"AP": 22.7},
    ("instances", _HIGH, "mask2former-instance-swin-large"): {"AP": 30.3},
    ("panoptic", _HIGH, "mask2former-panoptic-swin-tiny"): {"PQ": 9.8},
    ("panoptic", _HIGH, "mask2former-panoptic-swin-large"): {"PQ": 13.5},
    # Table 10(a): high-quality segmentation, single schedule
    ("entities", _HIGH, "mask-transfiner"): {"AP": 33.7, "APb": 25.0},
    ("entities", _HIGH, "patch-dct"): {"AP": 35.4, "APb": 27.4},
    ("entities", _HIGH, "mask2former-swin-tiny-1x"): {"AP": 39.5, "APb": 31.2},
    # Tables 7 / VI, 8(b) and 10(a)
    ("entities", _HIGH, "cropformer-swin-tiny-1x"): {"AP": 41.0, "AP50": 58.4, "AP75": 41.9, "APb": 33.7},
    ("entities", _HIGH, "mask2former-2700"): {"AP": 40.9},
    ("entities", _HIGH, "v-mask2former"): {"AP": 39.7},
    ("entities", _HIGH, "vita"): {"AP": 39.9},
    # Table 10(b)
    ("instances", "coco", "cropformer-swin-large"): {"AP": 51.9},
    ("instances", "coco", "mask2former-swin-large"): {"AP": 50.1},
    ("panoptic", "coco", "cropformer-swin-large"): {"PQ": 59.1},
    ("panoptic", "coco", "mask2former-swin-large"): {"PQ": 57.8},
    ("instances", "ade20k", "cropformer-swin-large"): {"AP": 36.4},
    ("instances", "ade20k", "mask2former-swin-large"): {"AP": 34.9},
    ("panoptic", "ade20k", "cropformer-swin-large"): {"PQ": 49.7},
    ("panoptic", "ade20k", "mask2former-swin-large"): {"PQ": 48.1},
    # Table 6 / VIII: models trained on EntitySeg or COCO, or SAM with a prompt
    ("entities", "lvis", "mask2former-swin-large"): {"AR50@100": 33.56},
    ("entities", "ocid", "mask2former-swin-large"): {"AR50@100": 76.63},
    ("entities", "camo", "mask2former-swin-large"): {"AR50@100": 73.20},
    ("entities", "fss", "mask2former-swin-large"): {"AR50@100": 86.26},
    ("entities", "lvis", "sam-h"): {"AR50@100": 49.25},
    ("entities", "ocid", "sam-h"): {"AR50@100": 55.17},
    ("entities", "camo", "sam-h"): {"AR50@100": 75.33},
    ("entities", "fss", "sam-h"): {"AR50@100": 73.60},
    ("entities", "lvis", "mask2former-panoptic-swin-large"): {"AR50@100": 24.38},
    ("entities", "ocid", "mask2former-panoptic-swin-large"): {"AR50@100": 39.94},
    ("entities", "camo", "mask2former-panoptic-swin-large"): {"AR50@100": 43.80},
    ("entities", "fss", "mask2former-panoptic-swin-large"): {"AR50@100": 64.96},
    # Table 5 / VII: DIS5K
    ("foreground", "dis5k", "is-net"): {"Fmax": 79.1, "Fw": 71.7, "MAE": 7.4, "S": 81.3, "E": 85.6, "HCE": 1116},
    ("foreground", "dis5k", "mask2former"): {"Fmax": 87.2, "Fw": 78.9, "MAE": 3.5, "S": 89.6, "E": 91.3, "HCE": 969},
    # Table XIII
    ("panoptic", "coco", "mask2former-swin-tiny"): {"PQ": 53.4, "SQ": 83.1, "RQ": 63.4},
    ("panoptic", "coco", "gella-7b"): {"PQ": 56.4, "SQ": 83.4, "RQ": 66.8},
    ("panoptic", "coco", "gella-13b"): {"PQ": 56.5, "SQ": 83.3, "RQ": 67.3},
    ("panoptic", "ade20k", "gella-7b"): {"PQ": 20.5},
    ("panoptic", "ade20k", "gella-13b"): {"PQ": 21.1},
    ("panoptic", "ade20k", "maskclip"): {"PQ": 15.1},
    ("panoptic", "ade20k", "opsnet"): {"PQ": 17.7},
}

AVERAGES = {"mask2former-swin-large": 67.41, "sam-h": 63.34, "mask2former-panoptic-swin-large": 43.27}
"""Table 6 / VIII: the mean AR50@100 over LVIS, OCID, CAMO and FSS."""

_DATA_SETS = (
    (r"entity(seg|v2).*(_lr\b|_lr_|low)", _LOW),
    (r"entity(seg|v2)", _HIGH),
    (r"ade20k|ade_", "ade20k"),
    (r"\blvis", "lvis"),
    (r"\bocid", "ocid"),
    (r"\bcamo", "camo"),
    (r"\bfss", "fss"),
    (r"\bdis5k|\bdis-", "dis5k"),
    (r"coco|(instances|panoptic)_val2017", "coco"),
)
DATA_SETS = tuple(dict.fromkeys(name for _, name in _DATA_SETS))


def data_set_of(path: str | Path) -> str | None:
    """The data set that a path names, as in `ROWS`; None if it does not name any.

    >>> data_set_of("data/entityv2_010203_entity_val_lr.json"), data_set_of("my/photos")
    ('entityseg-low', None)
    """
    called = str(path).lower()
    return next((name for pattern, name in _DATA_SETS if re.search(pattern, called)), None)


def paper_row(task: str, data_set: str | None, model: str | None) -> Row:
    """The figures of the papers; empty if they do not have this row.

    >>> paper_row("entities", "entityseg", "cropformer-hornet-large")
    {'AP': 51.5}
    """
    called = re.sub(r"-w\d+$", "", (model or "").lower().replace("_", "-"))
    return ROWS.get((task, data_set or "", called), {})
