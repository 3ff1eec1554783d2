"""Starts a CropFormer from weights of several kinds: its own, a Mask2Former's, published ones, or a backbone's."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Mapping

from torch import Tensor, nn

from ..models.cropformer.checkpoints import convert, fitting_presets, is_official, our_name
from ..models.cropformer.config import PRESETS
from ..models.cropformer.model import CropFormer
from ..models.cropformer.views import PIXEL_MEAN, PIXEL_STD
from ..models.gella.file_kind import is_gella
from ..models.layers.efficientnet import EfficientNet, load_efficientnet
from ..support.errors import WeightsError
from ..support.weight_files import check_finite, read_state_dict
from ..weights.finding import locate
from .categories import READOUT
from .imagenet import IMAGENET, imagenet_weights

log = logging.getLogger(__name__)

# Parts of classifiers: their last norm and layer, and tables that follow from the window size.
_NOT_OF_A_BACKBONE = re.compile(
    r"(norm|head|head_drop|fc|classifier|pre_logits)\..*|.*(relative_position_index|attn_mask|num_batches_tracked)"
)
_OUTPUT_NORMS = "backbone.norms."  # between backbone and pixel decoder; no classifier has them


def read_start(name_or_path: str) -> tuple[dict[str, Tensor], str | None]:
    """Reads weights to start from, under our names; code in the file is never executed.

    Args:
        name_or_path: a name from `esg weights list`; "efficientnet-lite2"; or a file: ours, published by the authors of
            CropFormer or Mask2Former (`.pth`), or a backbone's for ImageNet (Swin as published by Microsoft or timm,
            ResNet by torchvision or timm, HorNet, EfficientNet-Lite).

    Returns:
        The tensors, and the name of the preset that they fit exactly, if there is one.

    Raises:
        WeightsError: the file is missing or damaged, or holds weights of another kind.
        InputError: "efficientnet-lite2" is not installed.
    """
    if name_or_path in IMAGENET and not os.path.exists(name_or_path):
        return imagenet_weights(name_or_path), None
    path = locate(name_or_path, task="entity")
    state, metadata = read_state_dict(path)
    if is_gella(state, metadata):
        raise WeightsError(f"{path} holds weights of GELLA; give weights of a CropFormer, a Mask2Former or a backbone.")
    if is_official(state):
        state = convert(state, str(path))
    elif not any(name.startswith(("backbone.", "decoder.", "pixel_decoder.")) for name in state):
        state = backbone_weights(state) or state
    check_finite(state, str(path))
    named = metadata.get("preset", "")
    if named in PRESETS or not any(name.startswith("decoder.") for name in state):
        return state, named or None
    return state, next(iter(fitting_presets(state)), None)


def start_from(model: CropFormer, name_or_path: str) -> None:
    """Copies weights into a new model wherever names and shapes agree, and logs what starts from scratch.

    Raises:
        WeightsError: the backbone does not fit; or see `read_start`.
        InputError: see `read_start`.
    """
    state, preset = read_start(name_or_path)
    if any(name.startswith("_conv_stem") for name in state):
        start_backbone(model.backbone, name_or_path)
        state = {f"backbone.{name}": value for name, value in model.backbone.state_dict().items()}
    own = {name: value for name, value in model.state_dict().items() if not name.startswith(READOUT)}
    taken = _fitting(state, own)
    missing = [name for name in own if name not in taken]
    if wrong := [name for name in missing if name.startswith("backbone.") and not name.startswith(_OUTPUT_NORMS)]:
        given = f"is {tuple(state[wrong[0]].shape)} there" if wrong[0] in state else "is missing there"
        hint = f"; it fits the preset {preset}" if preset else ""
        raise WeightsError(
            f"{name_or_path} does not fit this model: {wrong[0]}, which must be {tuple(own[wrong[0]].shape)}, {given}"
            f"{hint}."
        )
    model.load_state_dict(taken, strict=False)
    scratch = f"from scratch: {', '.join(_parts(missing, own))}" if missing else "nothing starts from scratch"
    log.info("Starting from %s: %d of %d tensors; %s.", name_or_path, len(taken), len(own), scratch)


def start_backbone(backbone: nn.Module, name_or_path: str) -> None:
    """Loads ImageNet weights into a backbone.

    Raises:
        WeightsError: they do not fit.
        InputError: see `imagenet_weights`.
    """
    state = imagenet_weights(name_or_path)
    if isinstance(backbone, EfficientNet):
        load_efficientnet(backbone, state, PIXEL_MEAN, PIXEL_STD)
        return
    own = {f"backbone.{name}": value for name, value in backbone.state_dict().items()}
    taken = _fitting(backbone_weights(state), own)
    if wrong := [name for name in own if name not in taken and not name.startswith(_OUTPUT_NORMS)]:
        raise WeightsError(f"{name_or_path} does not fit this backbone: {wrong[0]} is missing or has another shape.")
    backbone.load_state_dict({name.removeprefix("backbone."): value for name, value in taken.items()}, strict=False)


def start_partly(model: CropFormer, name_or_path: str) -> None:
    """Copies weights of our own files into a new model wherever names and shapes agree, even of another backbone.

    Raises:
        WeightsError: the file cannot be read.
    """
    state = read_start(name_or_path)[0]
    own = model.state_dict()
    taken = _fitting(state, own)
    log.info("%d of %d tensors of the model start from %s.", len(taken), len(own), name_or_path)
    model.load_state_dict(taken, strict=False)


def backbone_weights(classifier: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The backbone of an image classifier under our names, such as `backbone.stages.0.blocks.0.norm1.weight`.

    Args:
        classifier: names and tensors as in the files of Swin (Microsoft or timm), ResNet (torchvision, timm or
            detectron2) or HorNet; those of the classifier's head are left out.

    Returns:
        Nothing if the names are not of any of these.
    """
    named = {name.removeprefix("backbone."): value for name, value in classifier.items()}
    named = {name: value for name, value in named.items() if not _NOT_OF_A_BACKBONE.fullmatch(name)}
    if "layer1.0.conv1.weight" in named:
        named = {_detectron_name(name): value for name, value in named.items()}
    elif any(name.startswith("layers.3.downsample.") for name in named):
        # timm merges patches at the beginning of a stage, Microsoft at the end of the previous one.
        named = {
            re.sub(r"^layers\.(\d)\.downsample", lambda match: f"layers.{int(match[1]) - 1}.downsample", name): value
            for name, value in named.items()
        }
    ours = ((our_name(f"backbone.{name}"), value) for name, value in named.items())
    return {name: value for name, value in ours if name is not None}


def _detectron_name(name: str) -> str:
    """detectron2's name for a tensor of torchvision's ResNet."""
    rules = (
        (r"^conv1\.", "stem.conv1."),
        (r"^bn1\.", "stem.conv1.norm."),
        (r"^layer(\d)\.", lambda match: f"res{int(match[1]) + 1}."),
        (r"\.bn(\d)\.", r".conv\1.norm."),
        (r"\.downsample\.0\.", ".shortcut."),
        (r"\.downsample\.1\.", ".shortcut.norm."),
    )
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def _fitting(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: value.to(own[name].dtype)
        for name, value in state.items()
        if name in own and own[name].shape == value.shape
    }


def _parts(missing: Iterable[str], own: Iterable[str]) -> list[str]:
    """Names of the largest parts of a model that the missing tensors make up: `association`, `decoder.class_head`."""
    missing = set(missing)
    rest = set(own) - missing
    found: dict[str, None] = {}
    for name in sorted(missing):
        path = name.split(".")
        parts = (".".join(path[:length]) for length in range(1, len(path) + 1))
        found[next(part for part in parts if not any(f"{other}.".startswith(f"{part}.") for other in rest))] = None
    return list(found)
