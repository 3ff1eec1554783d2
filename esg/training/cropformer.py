"""Trains CropFormer: settings, and the losses of a step (paper Eq. 7)."""

from __future__ import annotations

import dataclasses
import importlib.util
import logging
from collections.abc import Generator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..data.photos import Photos
from ..models.cropformer.config import BACKBONES, PRESETS, CropFormerConfig
from ..models.cropformer.fusion import FUSIONS
from ..models.cropformer.model import Output
from ..models.cropformer.views import PADDING_MULTIPLE
from ..models.layers.drop_path import set_drop_path
from ..support.errors import InputError
from ..support.limits import MIN_SIDE
from ..weights.converting import write_weights
from .categories import READOUT, CropFormerInTraining, category_loss
from .config import AUGMENT, LOSS, RANGE, SCENES, SEED, SHARE, WEIGHTS, Rule, RunConfig, at_least, one_of
from .cropformer_init import start_backbone, start_from, start_partly
from .freezing import freeze_stages
from .losses import LossConfig, cropformer_losses
from .mask_piloted import mask_piloted_losses
from .measure import MeasureConfig, measure
from .photo_split import PhotoSplit
from .samples import CROPS, Batch, SampleConfig, Samples
from .settings import filled

log = logging.getLogger(__name__)

SMALL_LOSS = LossConfig(ce=5.0, points=512, per_view=False, uncertain=0.5, balanced=0.4, smallest=12)


def _are_sizes(value: tuple[tuple[int, ...], ...]) -> bool:
    fits = (len(size) == 2 and all(side > 0 and side % PADDING_MULTIPLE == 0 for side in size) for size in value)
    return len(value) > 0 and all(fits)


@dataclass(frozen=True)
class TrainConfig(RunConfig):
    """Settings of a training run of CropFormer, or of a Mask2Former for entities.

    The defaults are those of the small model; `defaults.settings_for` gives those of every preset.

    Attributes:
        preset: a name in `PRESETS`.
        model: changes to the preset's architecture, as names and values of `CropFormerConfig` and its nested
            dataclasses: {"queries": 200, "backbone": {"kind": "resnet"}}. A backbone of another `kind` starts from the
            defaults of that kind.
        samples: settings of the training samples.
        loss: weights and point sampling. The defaults suit a small model trained from scratch on small views: it learns
            late which query represents an entity, so that term weighs more, and small entities get points, too.
            `LossConfig()` has the authors' values, for models of their size.
        categories: weight of the category loss, for photos that have categories (see `categories`).
        drop_path: rate of stochastic depth in the last block of a Swin or HorNet (see `layers.drop_path`).
        frozen_stages: number of the backbone's first stages whose weights are frozen, together with the layers before
            them: up to 4, and up to 7 for an EfficientNet.
        backbone_init: ImageNet weights for the backbone of a new run, a file or "efficientnet-lite2" (see
            `cropformer_init`). With it, `init` may be weights of a model with another backbone: whatever fits is
            copied.
        batch_level: whether to train batch level and association as well. Without them a new model learns sooner and
            tolerates a higher rate; the batch level benefits from it because it shares the image level's decoder.
        mask_piloted: whether to use mask-piloted queries (see `mask_piloted`).
        measure: held-out photos or scenes on which the averaged weights are measured.
    """

    preset: str = "cropformer-nano"
    model: dict[str, Any] = field(default_factory=dict)
    samples: SampleConfig = field(default_factory=SampleConfig)
    loss: LossConfig = SMALL_LOSS
    categories: float = 1.0
    drop_path: float = 0.0
    frozen_stages: int = 0
    backbone_init: str | None = None
    batch_level: bool = True
    mask_piloted: bool = True
    measure: MeasureConfig = field(default_factory=MeasureConfig)

    allowed: ClassVar[dict[str, Rule]] = {
        **RunConfig.allowed,
        **SCENES,
        **AUGMENT,
        **LOSS,
        "samples.batch": at_least(1),
        "samples.sizes": (
            _are_sizes,
            f"heights and widths that are multiples of {PADDING_MULTIPLE}, at least one pair",
        ),
        "samples.short": (lambda value: all(side >= MIN_SIDE for side in value), f"numbers of at least {MIN_SIDE}"),
        "samples.longest": at_least(MIN_SIDE),
        "samples.detail": RANGE,
        "samples.photo_share": SHARE,
        "samples.photo_weights": WEIGHTS,
        "samples.held_out": (lambda value: 0 <= value < 1, "at least 0 and below 1"),
        "categories": at_least(0),
        "drop_path": (lambda value: 0 <= value < 1, "at least 0 and below 1"),
        "frozen_stages": at_least(0),
        "samples.paste_share": SHARE,
        "samples.mosaic_share": SHARE,
        "samples.crops": one_of(CROPS),
        "samples.crop_ratio": (lambda value: 0 < value < 1, "above 0 and below 1"),
        "samples.seed": SEED,
        "measure.photo_limit": at_least(1),
        "measure.crops": (lambda value: value in (4, 8), "4 or 8"),
        "measure.crop_ratio": (lambda value: 0 < value < 1, "above 0 and below 1"),
        "measure.scenes": at_least(1),
        "measure.height": at_least(MIN_SIDE),
        "measure.width": at_least(MIN_SIDE),
        "measure.short": at_least(MIN_SIDE),
        "measure.longest": at_least(MIN_SIDE),
        "measure.fusions": (
            lambda value: len(value) > 0 and all(fusion in FUSIONS for fusion in value),
            f"one or more of {', '.join(FUSIONS)}",
        ),
    }

    @property
    def architecture(self) -> CropFormerConfig:
        """The preset with the changes in `model`.

        Raises:
            InputError: the preset does not exist, or `model` has an unknown name or an invalid value.
        """
        if self.preset not in PRESETS:
            raise InputError(f"There is no preset {self.preset!r}; use one of {', '.join(PRESETS)}.")
        config, changes = PRESETS[self.preset].config, dict(self.model)
        backbone = changes.get("backbone")
        if isinstance(backbone, dict) and "kind" in backbone:
            kind = backbone["kind"]
            if kind not in tuple(BACKBONES):
                raise InputError(f"There is no kind {kind!r} of backbone; use one of {', '.join(BACKBONES)}.")
            if not isinstance(config.backbone, BACKBONES[kind]):
                config = dataclasses.replace(config, backbone=BACKBONES[kind]())
            changes["backbone"] = {name: value for name, value in backbone.items() if name != "kind"}
        return filled(config, changes, "The setting model")


class CropFormerTask:
    """A `loop.Task`: views of scenes and photos, losses of both levels, and AP^e on held-out scenes."""

    def __init__(self, config: TrainConfig) -> None:
        """Checks the settings.

        Raises:
            InputError: the preset is unknown or cannot be trained.
        """
        self.config = config
        self.preset, self.architecture = config.preset, config.architecture
        self._check_classes()
        known = dataclasses.asdict(PRESETS[self.preset].config)
        own = dataclasses.asdict(self.architecture)
        self.changes: dict[str, Any] = {name: value for name, value in own.items() if value != known[name]}
        self.seed = config.samples.seed
        self.partial = False
        self.files: dict[str, str] = {}

    def model(self, *, new: bool) -> CropFormerInTraining:
        """The model of the preset; a new run starts from the weights in `config.init`, if given.

        Raises:
            InputError: weights for ImageNet are not installed, or the backbone does not have that many stages.
            WeightsError: `init` or `backbone_init` does not fit.
        """
        config = self.config
        photos = config.samples.photos if config.categories and config.samples.photo_share else ()
        model = CropFormerInTraining(self.architecture, len(Photos(photos).categories) if photos else 0)
        if new and config.init is not None:
            start = start_from if config.backbone_init is None else start_partly
            start(model, config.init)
        if new and config.backbone_init is not None:
            start_backbone(model.backbone, config.backbone_init)
        set_drop_path(model.backbone, config.drop_path)
        freeze_stages(model.backbone, config.frozen_stages)
        if model.association is not None:
            model.association.requires_grad_(config.batch_level)
        return model

    def _check_classes(self) -> None:
        """Raises InputError if the model has classes, but not as many as its photos."""
        photos, classes = self.config.samples.photos, self.architecture.classes
        if classes == 1:
            return
        found = len(Photos(photos).categories) if photos else 0
        if found != classes:
            others = f"the photos have {found}" if photos else "there are no photos"
            raise InputError(
                f"The model has {classes} classes, but {others}; give photos with classes, and their number as the "
                'setting "model": {"classes": N}.'
            )

    def lasting_name(self, name: str) -> str:
        """The name itself, because all names are our own."""
        return name

    def batches(self, start: int, stop: int, rank: int) -> Generator[Batch, None, None]:
        """The batches of some steps, see `Samples.batches`."""
        return Samples(self.config.samples, rank).batches(start, stop, self.config.workers)

    def losses(
        self, model: nn.Module, batch: Batch, device: torch.device, autocast: AbstractContextManager[Any]
    ) -> dict[str, Tensor]:
        """The loss terms of one step."""
        pixels, frames, labels = batch.normalised(device)
        config = self.config
        with autocast:
            output, category_logits = model(pixels, frames, batch_level=config.batch_level)
            plain: Any = getattr(model, "module", model)  # without the wrapper for several devices
            mask_piloted = mask_piloted_losses(plain, output, labels, config.loss) if config.mask_piloted else {}
        kinds = batch.kinds.to(device) if self.architecture.classes > 1 else None
        terms = {**cropformer_losses(output, labels, config.loss, kinds), **mask_piloted}
        if category_logits is not None:
            terms["categories"] = config.categories * category_loss(category_logits, labels, batch.kinds.to(device))
        return terms

    def can_measure(self) -> bool:
        """Whether pycocotools is installed."""
        if importlib.util.find_spec("pycocotools") is not None:
            return True
        log.warning("AP is not measured, because pycocotools is not installed; get it with the extra `esg[train]`.")
        return False

    def measure(
        self, model: nn.Module, state: dict[str, Tensor], device: torch.device, autocast: AbstractContextManager[Any]
    ) -> dict[str, float]:
        """AP^e of the averaged weights."""

        def predict(pixels: Tensor, frames: Tensor) -> Output:
            with autocast:
                options = {"batch_level": self.config.batch_level}
                return torch.func.functional_call(model, state, (pixels, frames), options)[0]

        config, split = self.config.measure, self._measured_on
        photos = None if split is None else split.held_out(config.photo_limit)
        return measure(predict, config, device, stable=PRESETS[self.preset].stability, photos=photos)

    @cached_property
    def _measured_on(self) -> PhotoSplit | None:
        """The data sets whose held-out photos are measured; None to measure on scenes."""
        samples, config = self.config.samples, self.config.measure
        if config.photos:
            return PhotoSplit(config.photos, held_out=1)
        return PhotoSplit(samples.photos, (), samples.held_out) if samples.photos and samples.held_out else None

    def write(self, out: Path, state: dict[str, Tensor], steps: int) -> None:
        """Writes weights as fp16 safetensors; preset, architecture, steps, crop ratio and task are in the metadata."""
        own = {name: value for name, value in state.items() if not name.startswith(READOUT)}
        samples = self.config.samples
        about = {"steps": str(steps), "crop_ratio": str(samples.crop_ratio)}
        if self.architecture.classes > 1:
            photos = Photos(samples.photos)
            about["task"] = "instance" if photos.things >= set(photos.categories) else "panoptic"
        write_weights(out, own, self.preset, self.architecture, half=True, **about)
