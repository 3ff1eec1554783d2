"""`esg segment` with models that know classes, and masks that may overlap."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from esg import EntityMap, EntitySegmenter, read_masks
from esg.entities.rle import decode_mask
from esg.models.cropformer.model import CropFormer
from esg.weights.loading import load_segmenter

Run = Callable[..., Any]

VIEWS: dict[str, Any] = {"size": 64, "max_size": 96}  # those of `segment`


@pytest.fixture(scope="module")
def semantic(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small semantic Mask2Former with three classes, each of which it sees somewhere in noise."""
    config = dataclasses.replace(load_segmenter(tiny_model)[1].config, association=False, classes=3)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = CropFormer(config)
    with torch.no_grad():
        model.pixel_decoder.mask_features.weight.mul_(40)
        model.decoder.class_head.weight.mul_(9)
    path = tmp_path_factory.mktemp("classes") / "semantic.safetensors"
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(state, path, {"config": config.to_json(), "task": "semantic"})
    return path


@pytest.fixture
def categories(tmp_path: Path) -> Path:
    path = tmp_path / "categories.json"
    path.write_text(
        json.dumps({"categories": [{"id": 3, "name": "sky"}, {"id": 1, "name": "dog"}, {"id": 2, "name": "a & b"}]})
    )
    return path


def test_names_of_classes_reach_every_file(
    segment: Run, tmp_path: Path, photo: Path, semantic: Path, categories: Path
) -> None:
    kinds = "overlay,labels,coco,polygons,labelme,cvat,panoptic"
    dataset = tmp_path / "all.json"
    result = segment(photo, "--model", semantic, "--categories", categories, "--save", kinds, "--dataset", dataset)
    assert result.status == 0
    expected = EntitySegmenter.from_pretrained(semantic, device="cpu", categories=categories)(
        photo, min_score=0, **VIEWS
    )
    assert len(expected) > 1
    assert {*expected.names} <= {"dog", "a & b", "sky"}
    out = tmp_path / "out"
    assert EntityMap.from_labels_png(out / "photo.labels.png") == expected
    for name in ("photo.entities.json", "photo.polygons.json"):
        assert EntityMap.from_coco(out / name) == expected
    assert {shape["label"] for shape in json.loads((out / "photo.json").read_text())["shapes"]} == {*expected.names}
    for name in expected.names:
        assert f'label="{name.replace("&", "&amp;")}"' in (out / "photo.cvat.xml").read_text()
    assert {one["name"] for one in json.loads((out / "photo.panoptic.json").read_text())["categories"]} == {
        *expected.names
    }
    content = json.loads(dataset.read_text())
    names = {one["id"]: one["name"] for one in content["categories"]}
    assert tuple(names[one["category_id"]] for one in content["annotations"]) == expected.names


def test_photos_of_a_data_set_share_their_categories(
    segment: Run, tmp_path: Path, make_photo: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    maps = [EntityMap.from_labels(np.array([[1, 2]]), names=names) for names in (["dog", None], ["cat", "dog"])]
    monkeypatch.setattr(EntitySegmenter, "__call__", lambda *_, **__: maps.pop(0))
    first, second = make_photo(tmp_path / "a.png"), make_photo(tmp_path / "b.png")
    assert segment(first, second, "--save", "coco", "--dataset", tmp_path / "all.json").status == 0
    content = json.loads((tmp_path / "all.json").read_text())
    assert content["categories"] == [{"id": 1, "name": "dog"}, {"id": 2, "name": "entity"}, {"id": 3, "name": "cat"}]
    assert [one["category_id"] for one in content["annotations"]] == [1, 2, 3, 1]


def test_masks_that_may_overlap(
    segment: Run, tmp_path: Path, tiny_model: Path, make_photo: Callable[..., Path], written: Callable[[], list[str]]
) -> None:
    photo = make_photo(tmp_path / "000000000139.png")
    result = segment(photo, "--save", "overlapping")
    expected = EntitySegmenter.from_pretrained(tiny_model, device="cpu").overlapping(photo, **VIEWS)
    assert len(expected) > 1
    assert f": {len(expected)} overlapping masks in " in result.err[0]
    assert written() == ["000000000139.masks.json"]
    found = json.loads((tmp_path / "out/000000000139.masks.json").read_text())
    assert [one["score"] for one in found] == [one.score for one in expected]
    assert {(one["image_id"], one["file_name"], one["category_id"]) for one in found} == {(139, photo.name, 1)}
    assert sum(decode_mask(one["segmentation"]).sum() for one in found) > 40 * 60
    assert len(read_masks(tmp_path / "out/000000000139.masks.json", (40, 60))) > 0
    segment(photo, "--save", "overlapping", "--min-score", expected[0].score)
    assert json.loads((tmp_path / "out/000000000139.masks.json").read_text()) == found[:1]


def test_overlapping_masks_and_entities_come_from_one_prediction(
    segment: Run, photo: Path, written: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = []
    forward = CropFormer.forward
    monkeypatch.setattr(CropFormer, "forward", lambda *a, **k: passes.append(1) or forward(*a, **k))
    line = segment(photo, "--save", "labels,overlapping").err[0]
    assert " entities and " in line
    assert " overlapping masks in " in line
    assert written() == ["photo.labels.png", "photo.masks.json"]
    assert len(passes) == 1


def test_the_crop_ratio_reaches_the_segmenter(segment: Run, tmp_path: Path, tiny_model: Path, photo: Path) -> None:
    assert segment(photo, "--crop-ratio", 0.5).status == 0
    segmenter = EntitySegmenter.from_pretrained(tiny_model, device="cpu")
    half = segmenter(photo, crop_ratio=0.5, min_score=0, **VIEWS)
    assert (
        EntityMap.from_labels_png(tmp_path / "out/photo.labels.png") == half != segmenter(photo, min_score=0, **VIEWS)
    )


@pytest.mark.parametrize("ratio", ["0", "1.5", "-1", "nan"])
def test_a_wrong_crop_ratio_is_refused(segment: Run, photo: Path, ratio: str) -> None:
    segment(photo, f"--crop-ratio={ratio}").refused(f"argument --crop-ratio: {ratio} is not above 0 and at most 1")


def test_wrong_categories_are_refused_in_one_line(
    segment: Run, tmp_path: Path, photo: Path, semantic: Path, categories: Path
) -> None:
    segment(photo, "--categories", categories).refused("tiny finds entities without classes")
    (tmp_path / "few.json").write_text('{"categories": [{"name": "dog"}]}')
    segment(photo, "--model", semantic, "--categories", tmp_path / "few.json").refused("few.json has 1 category, but")
    segment(photo, "--model", semantic, "--categories", tmp_path / "none.json").refused("none.json")
    segment(photo, "--model", semantic, "--save", "overlapping").refused("semantic gives every pixel one class")
