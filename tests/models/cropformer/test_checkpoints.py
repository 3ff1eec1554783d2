from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from esg.models.cropformer import checkpoints
from esg.models.cropformer.config import PRESETS, CropFormerConfig
from esg.models.cropformer.model import CropFormer
from esg.models.layers.efficientnet import EfficientNetConfig
from esg.models.layers.hornet import HorNetConfig
from esg.support.errors import InputError, WeightsError
from esg.weights.loading import load_segmenter

MANIFESTS = {
    "cropformer_swin_tiny_3x": "cropformer-swin-tiny",
    "cropformer_swin_large_3x": "cropformer-swin-large",
    "cropformer_hornet_3x": "cropformer-hornet-large",
    "mask2former_swin_tiny_3x": "mask2former-swin-tiny",
    "mask2former_swin_large_3x": "mask2former-swin-large",
    "mask2former_hornet_3x": "mask2former-hornet-large",
    "instance_mask2former_R_50": "mask2former-instance-r50",
    "instance_mask2former_swin_tiny": "mask2former-instance-swin-tiny",
    "instance_mask2former_swin_large": "mask2former-instance-swin-large-w12",
    "panoptic_mask2former_R_50": "mask2former-panoptic-r50",
    "panoptic_mask2former_swin_tiny": "mask2former-panoptic-swin-tiny",
    "panoptic_mask2former_swin_large_w7": "mask2former-panoptic-swin-large-w7",
    "panoptic_mask2former_swin_large_w12": "mask2former-panoptic-swin-large-w12",
    "semantic_mask2former_R_50": "mask2former-semantic-r50",
    "semantic_mask2former_swin_tiny": "mask2former-semantic-swin-tiny",
    "semantic_mask2former_swin_large_w7": "mask2former-semantic-swin-large-w7",
    "semantic_mask2former_swin_large_w12": "mask2former-semantic-swin-large-w12",
}


def published(shared: Path, config: str) -> tuple[dict, dict[str, torch.Tensor]]:
    """The manifest of a configuration, and its state dict on the meta device."""
    manifest = json.loads((shared / "reference" / "manifests" / f"{config}.json").read_text())
    shapes = {**manifest["parameters"], **{key: entry["shape"] for key, entry in manifest["buffers"].items()}}
    return manifest, {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}


def test_every_manifest_has_a_preset_and_every_published_preset_a_manifest(shared: Path) -> None:
    found = {path.stem for path in (shared / "reference" / "manifests").glob("*.json")}
    assert found == set(MANIFESTS)
    assert set(MANIFESTS.values()) == set(PRESETS) - {"cropformer-nano", "cropformer-r50", "mask2former-r50"}


@pytest.mark.parametrize(("config", "preset"), MANIFESTS.items())
def test_every_published_key_is_used_once_and_no_parameter_stays_unset(shared: Path, config: str, preset: str) -> None:
    manifest, official = published(shared, config)
    ours = checkpoints.convert(official)
    dropped = [key for key in official if checkpoints.DROPPED.fullmatch(key)]
    assert len(ours) == len(official) - len(dropped)  # no two keys end under one name
    assert not set(dropped) & set(manifest["parameters"])
    with torch.device("meta"):
        model = CropFormer(PRESETS[preset].config)
    checkpoints.load_strict(model, ours, config)
    assert sum(parameter.numel() for parameter in model.parameters()) == manifest["total_params"]
    assert checkpoints.fitting_presets(ours) == [preset]
    assert PRESETS[preset].size == manifest["config"]["min_size_test"]
    assert PRESETS[preset].max_size == manifest["config"]["max_size_test"]


def test_what_a_published_file_carries_beyond_the_model_is_dropped(shared: Path) -> None:
    _, official = published(shared, "mask2former_swin_tiny_3x")
    extra = ["pixel_mean", "pixel_std", "criterion.empty_weight", "backbone.layers.0.blocks.1.attn.attn_mask"]
    ours = checkpoints.convert(official)
    assert (
        checkpoints.convert({**official, **{key: torch.empty(1, device="meta") for key in extra}}).keys() == ours.keys()
    )


def test_unknown_keys_are_refused_and_named(shared: Path) -> None:
    _, official = published(shared, "mask2former_swin_tiny_3x")
    strangers = {f"sem_seg_head.predictor.stranger.{i}": torch.empty(1, device="meta") for i in range(5)}
    named = r"^theirs\.pth has .*stranger\.0, .*stranger\.1, .*stranger\.2 and 2 more .*is mask2former-swin-tiny\)"
    with pytest.raises(WeightsError, match=named):
        checkpoints.convert({**official, **strangers}, "theirs.pth")
    with pytest.raises(WeightsError, match=r"^This checkpoint has .* Mask2Former has; use"):
        checkpoints.convert(strangers)


def test_a_file_of_something_else_is_refused_with_its_first_keys() -> None:
    with pytest.raises(
        WeightsError, match=r"x\.pth does not fit any CropFormer .* 0\.weight, 1\.weight, 2\.weight and 1 more;"
    ):
        checkpoints.preset_of({f"{i}.weight": torch.zeros(1) for i in range(4)}, "x.pth")


def test_a_wrong_file_is_refused_with_the_preset_that_fits(shared: Path) -> None:
    _, official = published(shared, "mask2former_swin_tiny_3x")
    with torch.device("meta"):
        model = CropFormer(PRESETS["cropformer-swin-tiny"].config)
    with pytest.raises(WeightsError, match=r"lacks association.*it fits the preset mask2former-swin-tiny"):
        checkpoints.load_strict(model, checkpoints.convert(official), "weights.pth")


def test_a_wrong_shape_is_refused(tiny_model: Path) -> None:
    model, _, _ = load_segmenter(tiny_model)
    state = {**model.state_dict(), "decoder.query_features": torch.zeros(3, 32)}
    with pytest.raises(WeightsError, match=r"differs in decoder\.query_features \(3, 32\) instead of \(10, 32\)"):
        checkpoints.load_strict(model, state, "weights.pth")


def test_weights_with_nan_or_infinity_are_refused(tiny_model: Path) -> None:
    model, _, _ = load_segmenter(tiny_model)
    state = {**model.state_dict(), "decoder.query_features": torch.full((10, 32), torch.nan)}
    with pytest.raises(WeightsError, match=r"weights\.pth holds NaN or infinity in decoder\.query_features"):
        checkpoints.load_strict(model, state, "weights.pth")


@pytest.mark.parametrize("preset", PRESETS)
def test_configurations_survive_json(preset: str) -> None:
    config = PRESETS[preset].config
    assert CropFormerConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"backbone": {"kind": "vgg"}}', '{"backbone": {"kind": "swin"}, "depth": 3}']
)
def test_other_json_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="not the configuration of a CropFormer"):
        CropFormerConfig.from_json(text)


def test_nano_is_as_small_as_promised() -> None:
    with torch.device("meta"):
        model = CropFormer(PRESETS["cropformer-nano"].config)
    assert model.association is not None
    assert isinstance(PRESETS["cropformer-nano"].config.backbone, EfficientNetConfig)
    assert sum(parameter.numel() for parameter in model.parameters()) <= 7_500_000


def test_backbone_kinds_are_kept_apart() -> None:
    config = CropFormerConfig(HorNetConfig(width=8, depths=(1, 1, 1, 1), filters=(None, None, (3, 2), None)))
    restored = CropFormerConfig.from_json(config.to_json())
    assert restored.backbone == config.backbone
