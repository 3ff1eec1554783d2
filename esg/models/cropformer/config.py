"""Configurations of CropFormer and Mask2Former, and the named presets."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from ...support.errors import InputError
from ..layers.efficientnet import LITE2, EfficientNetConfig
from ..layers.hornet import HorNetConfig
from ..layers.resnet import ResNetConfig
from ..layers.swin import SwinConfig
from .association import PARTS

BackboneConfig = SwinConfig | HorNetConfig | ResNetConfig | EfficientNetConfig
BACKBONES = {"swin": SwinConfig, "hornet": HorNetConfig, "resnet": ResNetConfig, "efficientnet": EfficientNetConfig}


@dataclass(frozen=True)
class CropFormerConfig:
    """Architecture of one model. The defaults are the published ones.

    Attributes:
        backbone: sizes of the backbone; its type selects the kind of backbone.
        association: True for CropFormer, False for plain Mask2Former (image level only).
        association_parts: parts of the association, see `association.PARTS`; the published models have all of them.
        whereabouts: whether features get a code of their position in the photo (see `position_code`); False in all
            published models.
        anchors: side of the grid of anchors that image-level queries are chosen from (see `layers.anchors`); None for
            learned queries, as in all published models.
        classes: K; 1 for entity segmentation.
        queries: Q.
        width: channels of pixel decoder, decoder and mask features; a multiple of 32 and of `heads`.
        heads: attention heads of pixel decoder and decoder.
        decoder_layers, decoder_ffn: of the masked-attention decoder.
        encoder_layers, encoder_ffn, points: of the pixel decoder's deformable encoder.
    """

    backbone: BackboneConfig
    association: bool = True
    association_parts: tuple[str, ...] = tuple(PARTS)
    whereabouts: bool = False
    anchors: int | None = None
    classes: int = 1
    queries: int = 100
    width: int = 256
    heads: int = 8
    decoder_layers: int = 9
    decoder_ffn: int = 2048
    encoder_layers: int = 6
    encoder_ffn: int = 1024
    points: int = 4

    def __post_init__(self) -> None:
        if unknown := [part for part in self.association_parts if part not in PARTS]:
            raise InputError(f"There is no part {unknown[0]!r} of the association; choose from {', '.join(PARTS)}.")
        if self.heads < 1 or self.width < 1 or self.width % 32 or self.width % self.heads:
            raise InputError(
                f"The width of a CropFormer must be a multiple of 32 and of its {self.heads} heads, not {self.width}."
            )

    def to_json(self) -> str:
        """The configuration as one line of JSON, for the metadata of our weight files."""
        fields = dataclasses.asdict(self)
        kind = next(name for name, kind in BACKBONES.items() if isinstance(self.backbone, kind))
        return json.dumps({**fields, "backbone": {"kind": kind, **fields["backbone"]}})

    @classmethod
    def from_json(cls, text: str) -> CropFormerConfig:
        """Inverse of `to_json`.

        Raises:
            InputError: the text was not written by `to_json`.
        """
        try:
            fields: dict[str, Any] = json.loads(text)
            backbone: dict[str, Any] = {key: _tuples(value) for key, value in fields.pop("backbone").items()}
            parts = {name: _tuples(value) for name, value in fields.items()}
            return cls(backbone=BACKBONES[backbone.pop("kind")](**backbone), **parts)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"This is not the configuration of a CropFormer ({error}); convert the file again."
            ) from None


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


TASKS = {
    "entity": "entities without classes",
    "instance": "objects of known classes; masks may overlap",
    "panoptic": "one segment for each thing and for each class of stuff",
    "semantic": "one segment for each class",
}


@dataclass(frozen=True)
class Preset:
    """A named model: its architecture and default options. `TASKS` says what each task gives.

    Attributes:
        config: the architecture.
        task: one of `TASKS`.
        size, max_size: short side that every view is resized to, and limit of its long side, in pixels.
        keep: maximum number of entities, made from the best queries, or of masks that may overlap, made from the best
            pairs of query and class; None keeps all. Panoptic and semantic segments are made from all queries.
        crops: default number of high-resolution crops, 0, 4 or 8.
        crop_ratio: side of a crop as a share of the photo's side (δ), as in training.
        min_score: default threshold on the score of an entity (0..0.731, see `fusion`).
        stability: whether queries are ranked by class score times `stability`, or, as published, by class score alone.
        specks: share of the picture's area up to which specks go to a neighbour, see `entities.tidying.absorb_specks`.
    """

    config: CropFormerConfig
    task: str = "entity"
    size: int = 800
    max_size: int = 1333
    keep: int | None = None
    crops: int = 4
    crop_ratio: float = 0.7
    min_score: float = 0.5
    stability: bool = False
    specks: float = 0.0


_SWIN_T = SwinConfig()
_SWIN_L = SwinConfig(width=192, depths=(2, 2, 18, 2), heads=(6, 12, 24, 48))
_SWIN_L_12 = dataclasses.replace(_SWIN_L, window=12)
_HORNET_L = HorNetConfig()
_RESNET_50 = ResNetConfig()
_CLASSES = {"instance": 206, "semantic": 150, "panoptic": 350}


def _cropformer(backbone: BackboneConfig, queries: int = 100) -> Preset:
    return Preset(CropFormerConfig(backbone, queries=queries))


def _mask2former(backbone: BackboneConfig, queries: int = 100) -> Preset:
    return Preset(CropFormerConfig(backbone, association=False, queries=queries), keep=100)


def _published(task: str, backbone: BackboneConfig, queries: int = 100) -> Preset:
    config = CropFormerConfig(backbone, association=False, classes=_CLASSES[task], queries=queries)
    return class_aware(task, config)


def class_aware(task: str, config: CropFormerConfig) -> Preset:
    """A model for a task other than "entity", with the defaults of the published ones."""
    size, max_size = (512, 2048) if task == "semantic" else (800, 1333)
    # Panoptic and semantic inference have no threshold on the score of a segment.
    min_score = 0.5 if task == "instance" else 0.0
    return Preset(config, task=task, size=size, max_size=max_size, keep=100, min_score=min_score)


PRESETS: dict[str, Preset] = {
    "cropformer-nano": Preset(
        CropFormerConfig(
            LITE2,
            whereabouts=True,
            anchors=16,
            queries=64,
            width=128,
            heads=4,
            points=2,
            decoder_layers=3,
            decoder_ffn=512,
            encoder_layers=3,
            encoder_ffn=256,
        ),
        size=320,
        max_size=534,
        crops=0,  # its full view alone finds more in photos than full view and crops, see assets/README.md
        min_score=0.2,
        stability=True,
        specks=0.001,
    ),
    "cropformer-r50": _cropformer(_RESNET_50),
    "cropformer-swin-tiny": _cropformer(_SWIN_T),
    "cropformer-swin-large": _cropformer(_SWIN_L),
    "cropformer-hornet-large": _cropformer(_HORNET_L, queries=200),
    "mask2former-r50": _mask2former(_RESNET_50),
    "mask2former-swin-tiny": _mask2former(_SWIN_T),
    "mask2former-swin-large": _mask2former(_SWIN_L),
    "mask2former-hornet-large": _mask2former(_HORNET_L, queries=200),
    "mask2former-instance-r50": _published("instance", _RESNET_50),
    "mask2former-instance-swin-tiny": _published("instance", _SWIN_T),
    "mask2former-instance-swin-large-w12": _published("instance", _SWIN_L_12),
    "mask2former-panoptic-r50": _published("panoptic", _RESNET_50),
    "mask2former-panoptic-swin-tiny": _published("panoptic", _SWIN_T),
    "mask2former-panoptic-swin-large-w7": _published("panoptic", _SWIN_L),
    "mask2former-panoptic-swin-large-w12": _published("panoptic", _SWIN_L_12, queries=200),
    "mask2former-semantic-r50": _published("semantic", _RESNET_50),
    "mask2former-semantic-swin-tiny": _published("semantic", _SWIN_T),
    "mask2former-semantic-swin-large-w7": _published("semantic", _SWIN_L),
    "mask2former-semantic-swin-large-w12": _published("semantic", _SWIN_L_12, queries=200),
}
