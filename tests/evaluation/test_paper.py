"""The papers' figures are found by the names that people use."""

from __future__ import annotations

import pytest

from esg.evaluation.paper import AVERAGES, ROWS, data_set_of, paper_row


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("data/entityseg_val.json", "entityseg"),
        ("entityv2_010203_entity_val_lr.json", "entityseg-low"),
        ("/data/coco_panoptic/val", "coco"),
        ("annotations/instances_val2017.json", "coco"),
        ("ADE20K/panoptic.json", "ade20k"),
        ("DIS5K/DIS-VD", "dis5k"),
        ("lvis_v1_val.json", "lvis"),
        ("my/photos", None),
    ],
)
def test_data_sets_by_path(path: str, name: str | None) -> None:
    assert data_set_of(path) == name


def test_rows_by_the_names_of_weights() -> None:
    assert paper_row("entities", "entityseg-low", "cropformer-swin-large") == {"AP": 45.8}
    assert paper_row("panoptic", "entityseg", "mask2former-panoptic-swin-large-w7") == {"PQ": 13.5}
    assert paper_row("entities", "entityseg", "cropformer-nano") == {}
    assert paper_row("entities", None, None) == {}


@pytest.mark.parametrize("model", list(AVERAGES))
def test_averages_are_those_of_the_rows(model: str) -> None:
    """Table VIII states both."""
    values = [ROWS["entities", name, model]["AR50@100"] for name in ("lvis", "ocid", "camo", "fss")]
    assert sum(values) / 4 == pytest.approx(AVERAGES[model], abs=0.006)
