"""Models that know classes, and masks that may overlap, through small real models."""

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

from esg import EntityMap, EntitySegmenter, InputError
from esg.entities.categories import Categories
from esg.entities.rle import decode_mask
from esg.models.cropformer.config import PRESETS, Preset
from esg.models.cropformer.model import CropFormer
from esg.weights.loading import load_segmenter

CATEGORIES = [
    {"id": 9, "name": "sky", "isthing": 0},
    {"id": 2, "name": "cat", "isthing": 1},
    {"id": 5, "name": "dog", "type": "thing"},
    {"id": 7, "name": "grass", "type": "stuff"},
]
NAMES = ("cat", "dog", "grass", "sky")  # by their ids
VIEWS: dict[str, Any] = {"size": 64, "max_size": 96}

MakeModel = Callable[[str], Path]


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    rows, columns = np.mgrid[0:60, 0:80]
    return np.stack([rows * 4, columns * 3, (rows + columns) % 40 * 6], axis=2).astype(np.uint8)


@pytest.fixture(scope="module")
def make_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> MakeModel:
    """Writes a small Mask2Former for a task, with four classes, of which its queries and masks are certain."""

    def make(task: str) -> Path:
        config = dataclasses.replace(load_segmenter(tiny_model)[1].config, association=False, classes=4)
        with torch.random.fork_rng():
            torch.manual_seed(34)
            model = CropFormer(config)
        with torch.no_grad():
            model.decoder.class_head.weight.mul_(40)
            model.pixel_decoder.mask_features.weight.mul_(8)
        path = tmp_path_factory.mktemp("classes") / f"tiny-{task}.safetensors"
        state = {name: value.contiguous() for name, value in model.state_dict().items()}
        save_file(state, path, {"config": config.to_json(), "task": task})
        return path

    return make


@pytest.fixture(scope="module")
def load(make_model: MakeModel) -> Callable[..., EntitySegmenter]:
    return lambda task, categories=CATEGORIES: EntitySegmenter.from_pretrained(
        make_model(task), device="cpu", categories=categories
    )


def test_a_published_model_with_its_category_list(
    make_model: MakeModel, photo: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "mask2former-panoptic-swin-tiny"
    weights = make_model("panoptic")
    preset = dataclasses.replace(PRESETS[name], config=load_segmenter(weights)[1].config, size=64, max_size=96)
    monkeypatch.setitem(PRESETS, name, preset)
    monkeypatch.setenv("ESG_WEIGHTS", str(tmp_path))
    (tmp_path / f"{name}.safetensors").write_bytes(weights.read_bytes())
    (tmp_path / "panoptic.json").write_text(json.dumps({"images": [], "categories": CATEGORIES}))
    segmenter = EntitySegmenter.from_pretrained(name, device="cpu", categories=tmp_path / "panoptic.json")
    found = segmenter(photo)
    assert len(found) > 1
    assert {*found.names} <= {*NAMES}
    assert max(found.names.count(stuff) for stuff in ("sky", "grass")) <= 1
    assert found.scores.min() > 0.8
    assert EntityMap.from_coco(found.to_coco()) == found


def test_panoptic_merges_stuff_by_its_class(load: Callable[..., EntitySegmenter], photo: np.ndarray) -> None:
    things = load("panoptic", list(NAMES))(photo, **VIEWS)
    stuff = load("panoptic", [{"name": name, "isthing": 0} for name in NAMES])(photo, **VIEWS)
    assert len(things) > len({*things.names})  # otherwise there is nothing to merge
    assert sorted(stuff.names) == sorted({*things.names})
    for k, name in enumerate(stuff.names, start=1):
        parts = [k for k, one in enumerate(things.names, start=1) if one == name]
        assert np.array_equal(stuff.mask(k), things.mask(parts))


def test_semantic_gives_every_pixel_a_class(load: Callable[..., EntitySegmenter], photo: np.ndarray) -> None:
    segmenter = load("semantic")
    found = segmenter(photo, **VIEWS)
    assert len(found) == len({*found.names}) > 1
    assert (found.labels > 0).all()
    with pytest.raises(InputError, match=r"^tiny-semantic gives every pixel one class, so its masks do not overlap; "):
        segmenter.overlapping(photo)


def test_instances_overlap_and_the_best_is_on_top(load: Callable[..., EntitySegmenter], photo: np.ndarray) -> None:
    segmenter = load("instance")
    masks = segmenter.overlapping(photo, **VIEWS)
    assert 10 < len(masks) <= 40  # pairs of ten queries and four classes
    assert [one.score for one in masks] == sorted((one.score for one in masks), reverse=True)
    assert {(one.name, one.category_id) for one in masks} == {("cat", 2), ("dog", 5), ("grass", 7), ("sky", 9)}
    assert sum(decode_mask(one.rle).sum() for one in masks) > photo[..., 0].size
    few = segmenter.overlapping(photo, keep=3, **VIEWS)  # with the best class scores
    assert len(few) == 3
    assert all(one in masks for one in few)
    weaker = masks[2].score
    assert segmenter.overlapping(photo, min_score=weaker, **VIEWS) == [one for one in masks if one.score >= weaker]
    found = segmenter(photo, min_score=0, **VIEWS)
    best = decode_mask(masks[0].rle)
    assert np.array_equal(found.mask(1), best)
    assert (found.names[0], found.scores[0]) == (masks[0].name, np.float32(masks[0].score))
    assert (segmenter(photo, **VIEWS).scores >= 0.5).all()


def test_panoptic_models_give_only_things_that_overlap(load: Callable[..., EntitySegmenter], photo: np.ndarray) -> None:
    assert {one.name for one in load("panoptic").overlapping(photo, **VIEWS)} == {"cat", "dog"}


def test_an_entity_that_nothing_covers_has_the_same_score_either_way(tiny_model: Path, photo: np.ndarray) -> None:
    segmenter = EntitySegmenter.from_pretrained(tiny_model, device="cpu")
    masks = segmenter.overlapping(photo, **VIEWS)
    found = segmenter(photo, min_score=0, **VIEWS)
    assert len(masks) >= len(found) > 0
    assert {(one.name, one.category_id) for one in masks} == {(None, 1)}
    whole = [
        one for one in masks if any(np.array_equal(decode_mask(one.rle), found.mask(k + 1)) for k in range(len(found)))
    ]
    assert whole  # at least the best one is whole
    for one in whole:
        assert np.abs(found.scores - one.score).min() < 1e-5


def test_ranking_by_stability_holds_for_overlapping_masks(tiny_model: Path, photo: np.ndarray) -> None:
    segmenter = EntitySegmenter.from_pretrained(tiny_model, device="cpu")
    plain = segmenter.overlapping(photo, **VIEWS)
    segmenter.preset = dataclasses.replace(segmenter.preset, stability=True)
    stable = segmenter.overlapping(photo, **VIEWS)
    assert {one.rle["counts"] for one in stable} == {one.rle["counts"] for one in plain}
    assert sum(one.score for one in stable) < sum(one.score for one in plain)


def test_without_a_list_classes_have_numbers(load: Callable[..., EntitySegmenter], photo: np.ndarray) -> None:
    found = load("semantic", None)(photo, **VIEWS)
    assert {*found.names} <= {"class 0", "class 1", "class 2", "class 3"}
    assert None not in found.names


def test_a_file_with_classes_and_without_a_task_is_panoptic(make_model: MakeModel, tmp_path: Path) -> None:
    from esg.support.weight_files import read_state_dict

    state, metadata = read_state_dict(make_model("semantic"))
    save_file(state, tmp_path / "own.safetensors", {"config": metadata["config"]})
    assert load_segmenter(tmp_path / "own.safetensors")[1].task == "panoptic"


def test_a_model_with_crops_may_know_classes(tiny_model: Path, photo: np.ndarray) -> None:
    config = dataclasses.replace(load_segmenter(tiny_model)[1].config, classes=4)
    torch.manual_seed(0)
    model = CropFormer(config)
    for task in ("panoptic", "semantic", "instance"):
        preset = Preset(config, task=task, size=64, max_size=96, min_score=0)
        found = EntitySegmenter(model, preset, device="cpu", name="own")(photo, fusion="bc", crop_ratio=0.4)
        assert found.labels[:24, :32].any() or task == "panoptic"
        assert not found.labels[:, 35:45].any()  # no crop covers the middle


@pytest.mark.parametrize(
    ("categories", "message"),
    [
        (["a", "b", "c"], r"^categories has 3 categories, but the model has 4 classes; give the categories of"),
        ([], "^categories is not a list of categories; give a COCO JSON"),
        (5, "^categories is not a list of categories"),
        ({"images": []}, "^categories is not a list of categories"),
        (["a", "b", "c", " "], r'^categories: category 4 does not have a name; give each category a "name"\.$'),
        ([{"id": 1}] * 4, r"^categories: category 1 does not have a name"),
    ],
)
def test_wrong_categories_are_told(load: Callable[..., EntitySegmenter], categories: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load("panoptic", categories)


def test_a_wrong_file_of_categories_is_named(load: Callable[..., EntitySegmenter], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.json"):
        load("panoptic", tmp_path / "none.json")
    (tmp_path / "some.json").write_text(json.dumps({"categories": CATEGORIES[:2]}))
    with pytest.raises(InputError, match=r"some\.json has 2 categories, but the model has 4 classes"):
        load("panoptic", str(tmp_path / "some.json"))


def test_a_model_without_classes_refuses_categories(tiny_model: Path) -> None:
    with pytest.raises(InputError, match=r"^tiny finds entities without classes, .*such as mask2former-panoptic-swin"):
        EntitySegmenter.from_pretrained(tiny_model, device="cpu", categories=NAMES)


def test_one_prediction_serves_several_results(
    load: Callable[..., EntitySegmenter], photo: np.ndarray, tiny_model: Path
) -> None:
    segmenter = load("instance")
    predicted = segmenter.predict(photo, **VIEWS)
    assert segmenter(predicted) == segmenter(photo, **VIEWS)
    assert segmenter.overlapping(predicted) == segmenter.overlapping(photo, **VIEWS)
    with pytest.raises(InputError, match=r"^size cannot change a prediction; give it to predict instead\.$"):
        segmenter(predicted, size=64)
    with pytest.raises(InputError, match=r"^The prediction is another model's; give one of tiny\.$"):
        EntitySegmenter.from_pretrained(tiny_model, device="cpu").overlapping(predicted)


def test_the_kinds_of_stuff_that_lists_have() -> None:
    kinds = [{"isthing": 0}, {"isthing": False}, {"isthing": "0"}, {"type": "Stuff"}, {"isthing": 0.0}]
    kinds += [{}, {"isthing": 1}, {"type": "thing"}, {"isthing": None}]
    read = Categories.read([{"name": "a", **kind} for kind in kinds], len(kinds))
    assert read.things == (False,) * 5 + (True,) * 4
    assert read.ids == tuple(range(1, 10))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": 0}, "^keep is 0, .* at least 1"),
        ({"min_score": 2}, "^min_score is 2, .* from 0 to 1"),
        ({"crops": 3}, "^crops is 3"),
        ({"crop_ratio": 0}, "^The crop ratio is 0"),
        ({"fusion": "boc"}, "does not have a batch level"),
    ],
)
def test_wrong_options_of_overlapping_are_refused(
    load: Callable[..., EntitySegmenter], photo: np.ndarray, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        load("instance").overlapping(photo, **options)
