from __future__ import annotations

import dataclasses
import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from scipy.optimize import linear_sum_assignment

import esg.segmenter
from esg import EntityMap, EntitySegmenter, ImageError, InputError, WeightsError, read_image
from esg.models.cropformer import inference
from esg.models.cropformer.config import PRESETS, Preset
from esg.models.cropformer.model import CropFormer
from esg.models.cropformer.predicted import Predicted
from esg.models.cropformer.views import make_views
from esg.models.layers.efficientnet import EfficientNetConfig
from esg.models.layers.hornet import HorNetConfig
from esg.models.layers.resnet import ResNetConfig
from esg.support.weight_files import read_state_dict
from esg.weights.loading import load_segmenter

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)


@pytest.fixture(scope="module")
def segmenter(tiny_model: Path) -> EntitySegmenter:
    segmenter = EntitySegmenter.from_pretrained(tiny_model, device="cpu")
    segmenter.preset = Preset(segmenter.preset.config, size=64, max_size=128, min_score=0.0)
    return segmenter


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    rows, columns = np.mgrid[0:90, 0:120]
    return np.stack([rows * 2, columns * 2, (rows + columns) % 40 * 6], axis=2).astype(np.uint8)


def test_a_photo_becomes_entities_of_its_own_size(segmenter: EntitySegmenter, photo: np.ndarray) -> None:
    entities = segmenter(photo)
    assert isinstance(entities, EntityMap)
    assert entities.labels.shape == (90, 120)
    assert len(entities) > 0
    assert (entities.scores <= 1 / (1 + np.exp(-1)) + 1e-6).all()  # the second sigmoid bounds every score


def test_paths_pictures_and_arrays_give_the_same(segmenter: EntitySegmenter, photo: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(photo).save(path)
    assert segmenter(path) == segmenter(Image.fromarray(photo)) == segmenter(photo) == segmenter(str(path))


def test_the_message_about_nan_scores_names_the_model(tiny_model: Path, photo: np.ndarray) -> None:
    segmenter = EntitySegmenter.from_pretrained(tiny_model, device="cpu")
    torch.nn.init.constant_(segmenter.model.decoder.class_head.bias, torch.nan)
    with pytest.raises(
        WeightsError, match=rf"^{segmenter.name} produced scores that are NaN or infinite; use precision"
    ):
        segmenter(photo, size=64, max_size=96)


@pytest.mark.parametrize("change", [{"queries": -1}, {"width": 100}, {"decoder_layers": "x"}, {"heads": 0}])
def test_a_file_that_describes_no_model(tiny_model: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    state, metadata = read_state_dict(tiny_model)
    config = json.dumps({**json.loads(metadata["config"]), **change})
    save_file(state, tmp_path / "odd.safetensors", {**metadata, "config": config})
    with pytest.raises(WeightsError, match=r"odd\.safetensors describes an impossible model \(.+\); convert") as caught:
        load_segmenter(tmp_path / "odd.safetensors")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("crops", [4, 8])
def test_views_at_once_changes_nothing(segmenter: EntitySegmenter, photo: np.ndarray, crops: int) -> None:
    one, all_ = (segmenter(photo, crops=crops, views_at_once=n) for n in (1, 100))
    assert len(one) == len(all_)
    assert np.abs(one.scores - all_.scores).max() < 1e-4
    assert (one.labels != all_.labels).mean() < 1e-3


def test_crops_are_those_of_the_preset(
    segmenter: EntitySegmenter, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segmenter, "preset", dataclasses.replace(segmenter.preset, crops=0))
    assert segmenter(photo) == segmenter(photo, crops=0)
    assert segmenter(photo, fusion="boc") == segmenter(photo, fusion="boc", crops=4) != segmenter(photo)


def test_the_crop_ratio_is_that_of_the_preset(
    segmenter: EntitySegmenter, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[tuple[int, int, int, int]]] = []
    make = esg.segmenter.make_views
    monkeypatch.setattr(
        esg.segmenter, "make_views", lambda *a, **k: seen.append((views := make(*a, **k)).boxes) or views
    )
    assert segmenter(photo) == segmenter(photo, crop_ratio=0.7) != segmenter(photo, crop_ratio=0.5)
    monkeypatch.setattr(segmenter, "preset", dataclasses.replace(segmenter.preset, crop_ratio=0.6))
    segmenter(photo)
    segmenter.overlapping(photo, crop_ratio=0.8)
    assert [boxes[1] for boxes in seen] == [
        (0, 0, 84, 62),
        (0, 0, 84, 62),
        (0, 0, 60, 45),
        (0, 0, 72, 54),
        (0, 0, 96, 72),
    ]


def test_fusions_use_what_they_say(segmenter: EntitySegmenter, photo: np.ndarray) -> None:
    maps = {fusion: segmenter(photo, fusion=fusion) for fusion in ("io", "bo", "bc", "boc")}
    assert segmenter(photo) == maps["boc"] == segmenter(photo, crops=4)
    assert segmenter(photo, crops=0) == maps["io"]
    assert len({fusion.labels.tobytes() for fusion in maps.values()}) == 4


def test_filters(segmenter: EntitySegmenter, photo: np.ndarray) -> None:
    entities = segmenter(photo)
    threshold = float(np.median(entities.scores))
    assert len(segmenter(photo, min_score=threshold)) == int((entities.scores >= threshold).sum())
    assert segmenter(photo, min_area=200).areas.min() >= 200
    assert len(segmenter(photo, min_score=1.0)) == 0  # nothing found is a result
    assert (segmenter(photo, fill_holes=10**6).labels == 0).sum() <= (entities.labels == 0).sum()


@pytest.mark.parametrize("shape", [(1, 1), (1, 400), (400, 1), (3, 2)])
def test_tiny_and_thin_pictures(segmenter: EntitySegmenter, shape: tuple[int, int]) -> None:
    assert segmenter(np.full((*shape, 3), 100, np.uint8)).labels.shape == shape


def test_progress_counts_views_and_fusion_and_may_end_the_call(segmenter: EntitySegmenter, photo: np.ndarray) -> None:
    seen: list[tuple[int, int, str]] = []
    segmenter(photo, views_at_once=2, progress=lambda *step: seen.append(step))
    assert [step for step in seen if step[2] == "views"] == [(2, 5, "views"), (4, 5, "views"), (5, 5, "views")]
    assert seen[-1][0] == seen[-1][1]
    assert seen[-1][2] == "fusion"

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        segmenter(photo, progress=stop)


def test_bf16_is_close_to_fp32(tiny_model: Path, segmenter: EntitySegmenter, photo: np.ndarray) -> None:
    half = EntitySegmenter.from_pretrained(tiny_model, device="cpu", precision="bf16")
    half.preset = segmenter.preset
    ours, exact = half(photo, crops=0), segmenter(photo, crops=0)
    assert abs(ours.scores.max() - exact.scores.max()) < 0.05
    assert ((ours.labels > 0) != (exact.labels > 0)).mean() < 0.1


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "rocket"])
def test_bf16_gives_the_label_map_of_fp32(root: Path, name: str) -> None:
    """On at least 99 % of a real photo; entities of almost equal scores may exchange their numbers.

    Processors round bf16 products differently; on one without bf16, 99.9 % of each photo was equal.
    """
    segmenter = EntitySegmenter.from_pretrained(device="cpu")
    image = read_image(root / f"web_demo/examples/{name}.jpg")
    exact = segmenter(image).labels
    half = EntitySegmenter.from_pretrained(device="cpu", precision="bf16")(image).labels
    pairs = np.zeros((exact.max() + 1, half.max() + 1), int)
    np.add.at(pairs, (exact, half), 1)
    assert len(pairs) > 4
    assert pairs[linear_sum_assignment(pairs, maximize=True)].sum() / exact.size >= 0.99


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crops": 3}, r"^crops is 3, but must be a whole number, 0, 4 or 8\.$"),
        ({"crops": 5}, "crops is 5, .* 0, 4 or 8"),
        ({"crops": -4}, "crops is -4, .* 0, 4 or 8"),
        ({"crops": 3, "fusion": "io"}, "crops is 3, .* 0, 4 or 8"),
        ({"crops": 4.0}, "crops is 4.0, .* whole number, 0, 4 or 8"),
        ({"crops": "4"}, "crops is '4', .* 0, 4 or 8"),
        ({"crop_ratio": 0}, r"^The crop ratio is 0, but must be above 0 and at most 1\.$"),
        ({"crop_ratio": 1.01}, "^The crop ratio is 1.01, "),
        ({"crop_ratio": "0.7"}, "^The crop ratio is '0.7', "),
        ({"fusion": ["boc"]}, r"no fusion \['boc'\]; use one of"),
        ({"fusion": "best"}, "no fusion 'best'"),
        ({"fusion": "all"}, "no fusion 'all'; use one of io, bo, bc, boc"),
        ({"fusion": "BOC"}, "no fusion 'BOC'"),
        ({"fusion": "bc", "crops": 0}, "uses only crops, but crops is 0"),
        ({"views_at_once": 0}, "^views_at_once is 0, .* at least 1"),
        ({"views_at_once": -1}, "^views_at_once is -1, .* at least 1"),
        ({"views_at_once": 1.5}, "^views_at_once is 1.5, .* whole number"),
        ({"size": -1}, "^size is -1, .* at least 32"),
        ({"size": 0}, "^size is 0, .* at least 32"),
        ({"max_size": 0}, "^max_size is 0, .* at least 32"),
        ({"size": 31}, "^size is 31, .* at least 32"),
        ({"size": 64.5}, "^size is 64.5, .* whole number of at least 32"),
        ({"size": float("nan")}, "^size is nan, .* whole number"),
        ({"size": "64"}, "^size is '64', .* whole number"),
        ({"size": 64, "max_size": -1}, "^max_size is -1, .* at least 32"),
        ({"size": 64, "max_size": 64.5}, "^max_size is 64.5, .* whole number"),
        ({"min_score": float("nan")}, r"^min_score is nan, but must be a number from 0 to 1\.$"),
        ({"min_score": 2}, "^min_score is 2, .* from 0 to 1"),
        ({"min_score": -0.1}, "^min_score is -0.1, .* from 0 to 1"),
        ({"min_area": -1}, r"^min_area is -1, but must be a whole number of at least 0\.$"),
        ({"min_area": float("nan")}, "^min_area is nan"),
        ({"fill_holes": -2}, "^fill_holes is -2"),
        ({"fill_holes": None}, "^fill_holes is None"),
        ({"remove_islands": -3}, "^remove_islands is -3"),
        ({"remove_islands": 0.5}, "^remove_islands is 0.5"),
    ],
)
def test_wrong_options_are_refused(
    segmenter: EntitySegmenter, photo: np.ndarray, options: dict, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segmenter.model, "forward", lambda *_, **__: pytest.fail("the model has computed"))
    with pytest.raises(InputError, match=message):
        segmenter(photo, **options)


def test_numbers_of_numpy_are_numbers(segmenter: EntitySegmenter, photo: np.ndarray) -> None:
    options: dict[str, Any] = {"crops": 0, "size": 64, "min_area": 9, "fill_holes": 3, "min_score": 0.4}
    same: dict[str, Any] = {name: np.array(value)[()] for name, value in options.items()}
    assert isinstance(same["crops"], np.integer)
    assert segmenter(photo, **same) == segmenter(photo, **options)


def test_sizes_not_given_are_the_presets(segmenter: EntitySegmenter, photo: np.ndarray) -> None:
    assert segmenter(photo) == segmenter(photo, size=64) == segmenter(photo, size=64, max_size=128)
    assert len(segmenter(photo, size=32, max_size=64)) > 0  # the least


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.full((8, 8, 3), np.nan), "uint8 .*, not float64"),
        (PIXELS / np.float32(255), r"not float32; convert .* 255"),
        (PIXELS.astype(np.int64), "not int64"),
        (PIXELS > 9, "not bool"),
        (PIXELS.astype(object), "not object"),
        (PIXELS.transpose(2, 0, 1), r"array\.transpose\(1, 2, 0\)"),
        (np.zeros((8, 8, 2), np.uint8), r"not \(8, 8, 2\)"),
        (np.zeros(8, np.uint8), r"not \(8,\)"),
        (np.zeros((0, 8, 3), np.uint8), "any pixels"),
        (np.zeros((10, 10, 3), np.float32), "not float32"),
        (torch.zeros(3, 8, 8), "not Tensor"),
        (None, "not NoneType"),
        (7, "not int"),
        (b"\x89PNG", "not bytes"),
    ],
)
def test_an_array_that_is_not_a_picture_is_refused(segmenter: EntitySegmenter, array: Any, words: str) -> None:
    with pytest.raises(ImageError, match=words) as caught:
        segmenter(array)
    assert "\n" not in str(caught.value)


def test_a_mask2former_works_without_a_batch_level(photo: np.ndarray, segmenter: EntitySegmenter) -> None:
    import dataclasses

    config = dataclasses.replace(segmenter.preset.config, association=False)
    torch.manual_seed(0)
    preset = Preset(config, size=64, max_size=128, min_score=0.0, keep=4)
    plain = EntitySegmenter(CropFormer(config), preset, device="cpu", name="plain")
    assert len(plain(photo)) <= 4
    with pytest.raises(InputError, match="not have a batch level"):
        plain(photo, fusion="boc")


def test_unknown_weights_devices_and_precisions(tiny_model: Path) -> None:
    with pytest.raises(WeightsError):
        EntitySegmenter.from_pretrained("no-such-model")
    with pytest.raises(WeightsError, match=r"^Give the name of a model .*, not None\.$"):
        EntitySegmenter.from_pretrained(None)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="cannot be used here"):
        EntitySegmenter.from_pretrained(tiny_model, device="meta")
    with pytest.raises(InputError, match=r"device .* not None"):
        EntitySegmenter.from_pretrained(tiny_model, device=None)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no precision 'fp8'"):
        EntitySegmenter.from_pretrained(tiny_model, precision="fp8")
    with pytest.raises(InputError, match="fp16 is for GPUs"):
        EntitySegmenter.from_pretrained(tiny_model, device="cpu", precision="fp16")


def test_our_own_file_carries_its_configuration(tiny_model: Path) -> None:
    model, preset, name = load_segmenter(tiny_model)
    assert name == "tiny"
    assert preset.config.queries == 10
    assert all(not parameter.is_meta for parameter in model.parameters())


def untold(segmenter: EntitySegmenter) -> inference.CropFormerInference:
    """The segmenter's model, of which nothing has been logged yet."""
    return inference.CropFormerInference(segmenter.model, segmenter.device, torch.float32)


def test_without_memory_for_all_views_fewer_go_together(
    segmenter: EntitySegmenter, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    expected = segmenter(photo, views_at_once=5)
    forward, tried = segmenter.model.forward, []

    def short_of_memory(*args: Any, views_at_once: int, **options: Any) -> Any:
        tried.append(views_at_once)
        if views_at_once > limit:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return forward(*args, views_at_once=views_at_once, **options)

    monkeypatch.setattr(segmenter.model, "forward", short_of_memory)
    monkeypatch.setattr(segmenter, "_inference", untold(segmenter))
    limit = 2
    with caplog.at_level(logging.WARNING, logger="esg"):
        for _ in range(2):
            assert np.array_equal(segmenter(photo, views_at_once=5).labels, expected.labels)
    assert tried == [5, 3, 2] * 2
    assert [record.message for record in caplog.records] == [
        "Not enough memory on cpu for all views together; computing fewer at a time."
    ]
    limit = 0
    with pytest.raises(InputError, match=r"does not have enough memory for a view of .* smaller size"):
        segmenter(photo, views_at_once=5)


def test_a_compiled_network_runs_both_levels_compiled(
    tiny_model: Path, segmenter: EntitySegmenter, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any) -> Any:
            calls.append(function.__name__)
            return function(*args)

        return run

    monkeypatch.setattr("esg.support.compiling._compiled", compiled)
    other = EntitySegmenter.from_pretrained(tiny_model, device="cpu", compile=True)
    other.preset = segmenter.preset
    assert other(photo) == segmenter(photo)
    assert calls == ["_image_level"] * 5 + ["_batch_level"]


@pytest.mark.slow
def test_what_torch_compiles_gives_the_same_label_map(
    tiny_model: Path, segmenter: EntitySegmenter, photo: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    if shutil.which("g++") is None:
        pytest.skip("needs g++, with which torch.compile compiles for the CPU")
    other = EntitySegmenter.from_pretrained(tiny_model, device="cpu", compile=True)
    other.preset = segmenter.preset
    with caplog.at_level(logging.WARNING):
        assert (other(photo).labels != segmenter(photo).labels).mean() < 1e-3
    assert "uncompiled" not in caplog.text


def test_masks_are_fused_on_a_device_that_has_the_memory_and_else_on_the_cpu(
    segmenter: EntitySegmenter, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    predicted = segmenter.predict(photo)
    expected = segmenter(predicted)
    monkeypatch.setattr(segmenter, "_inference", untold(segmenter))
    monkeypatch.setattr(inference, "_FUSING", {"cpu"})
    there = segmenter(predicted)
    assert (there.labels != expected.labels).mean() < 1e-3
    assert np.allclose(there.scores, expected.scores, atol=1e-4)

    def full(*masks: Any, **options: Any) -> Any:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(inference, "fuse_there", full)
    with caplog.at_level(logging.WARNING, logger="esg"):
        assert segmenter(predicted) == segmenter(predicted) == expected
    assert [record.message for record in caplog.records] == [
        "Not enough memory on cpu to merge the masks there; merging them on the CPU."
    ]


def test_other_results_are_merged_on_the_cpu_if_the_device_lacks_the_memory(
    segmenter: EntitySegmenter, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    predicted = segmenter.predict(photo)
    expected = segmenter.overlapping(predicted)
    monkeypatch.setattr(segmenter, "_inference", untold(segmenter))
    calls = []

    def once_full(self: Predicted) -> torch.Tensor:
        calls.append(self)
        if len(calls) == 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return original(self)

    original = Predicted.masks
    monkeypatch.setattr(Predicted, "masks", once_full)
    with caplog.at_level(logging.WARNING, logger="esg"):
        assert segmenter.overlapping(predicted) == expected
    assert len(calls) == 2
    assert "merging them on the CPU" in caplog.text


@pytest.mark.parametrize(("free", "reserved", "count"), [(0, 0, 1), (6_000_000, 0, 1), (6_000_000, 9_000_000, 2)])
def test_views_together_are_as_many_as_free_memory_holds(
    photo: np.ndarray, monkeypatch: pytest.MonkeyPatch, free: int, reserved: int, count: int
) -> None:
    views = make_views(photo, short=48, longest=64)  # five of 64×64 pixels, 5.9 MB each
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 80_000_000_000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: reserved + 1000)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 1000)
    assert inference.views_that_fit(views, torch.device("cuda")) == count
    assert inference.views_that_fit(views, torch.device("cpu")) == 1


@pytest.mark.gpu
def test_cuda_agrees_with_the_cpu(tiny_model: Path, segmenter: EntitySegmenter, photo: np.ndarray) -> None:
    cuda = EntitySegmenter.from_pretrained(tiny_model, device="cuda")
    cuda.preset = segmenter.preset
    assert (cuda(photo).labels != segmenter(photo).labels).mean() < 0.01


def test_a_segmenter_can_be_moved(segmenter: EntitySegmenter, photo: np.ndarray) -> None:
    before = segmenter(photo, crops=0)
    assert segmenter.to("cpu") is segmenter
    with pytest.raises(InputError, match="device 'tpu9' cannot be used"):
        segmenter.to("tpu9")
    with pytest.raises(InputError, match=r"device .* not None"):
        segmenter.to(None)  # type: ignore[arg-type]
    assert segmenter.device == torch.device("cpu")
    assert segmenter(photo, crops=0) == before


@pytest.mark.gpu
def test_what_a_segmenter_held_on_a_gpu_is_free_once_it_is_moved_away(tiny_model: Path, photo: np.ndarray) -> None:
    segmenter = EntitySegmenter.from_pretrained(tiny_model, device="cuda")
    segmenter(photo, crops=0)
    held = torch.cuda.memory_allocated()
    segmenter.to("cpu")
    size = sum(parameter.numel() * parameter.element_size() for parameter in segmenter.model.parameters())
    assert held - torch.cuda.memory_allocated() >= size


def test_a_file_is_built_by_its_own_configuration(tiny_model: Path, tmp_path: Path) -> None:
    state, metadata = read_state_dict(tiny_model)
    path = tmp_path / "variant.safetensors"
    save_file(state, path, {**metadata, "preset": "cropformer-nano"})  # an earlier architecture of that name
    model, preset, name = load_segmenter(path)
    assert (name, model.config.queries, preset.size) == ("cropformer-nano", 10, PRESETS["cropformer-nano"].size)


@pytest.mark.parametrize(
    "backbone",
    [
        ResNetConfig(depths=(1, 1, 1, 1)),
        HorNetConfig(width=16, depths=(1, 1, 1, 1)),
        EfficientNetConfig(),
    ],
)
def test_an_architecture_of_ones_own_loads_from_its_file(
    tmp_path: Path, tiny_model: Path, photo: np.ndarray, backbone: Any
) -> None:
    config = dataclasses.replace(load_segmenter(tiny_model)[1].config, backbone=backbone, queries=7, decoder_layers=1)
    torch.manual_seed(0)
    state = {name: value.contiguous() for name, value in CropFormer(config).state_dict().items()}
    metadata = {"config": config.to_json(), "crop_ratio": "0.6"}
    save_file(state, tmp_path / "own.safetensors", metadata)
    own = EntitySegmenter.from_pretrained(tmp_path / "own.safetensors", device="cpu")
    assert (own.model.config, own.preset.task, own.preset.crop_ratio) == (config, "entity", 0.6)
    assert own(photo, size=64, min_score=0).labels.shape == photo.shape[:2]
    for odd in ({"crop_ratio": "2"}, {"crop_ratio": "x"}, {"task": "depth"}):
        save_file(state, tmp_path / "own.safetensors", {**metadata, **odd})
        with pytest.raises(WeightsError, match=r"own\.safetensors describes an impossible model \(its task or crop"):
            load_segmenter(tmp_path / "own.safetensors")


def test_the_users_home_is_understood(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(tiny_model, tmp_path / "mine.safetensors")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert load_segmenter("~/mine.safetensors")[2] == "mine"
