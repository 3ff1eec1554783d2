"""Trains CropFormer: settings, and the losses of a step (paper Eq. 7)."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Generator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..data.photos import Photos
from ..models.cropformer.checkpoints import load_strict
from ..models.cropformer.config import PRESETS
from ..models.cropformer.fusion import FUSIONS
from ..models.cropformer.model import Output
from ..models.cropformer.views import PADDING_MULTIPLE, PIXEL_MEAN, PIXEL_STD
from ..models.layers.efficientnet import EfficientNet, load_efficientnet
from ..support.errors import InputError
from ..support.limits import MIN_SIDE
from ..support.weight_files import read_state_dict
from ..weights.converting import write_weights
from .categories import READOUT, Student, category_loss
from .config import LOSS, RANGE, SCENES, SEED, SHARE, WEIGHTS, Rule, RunConfig, at_least
from .imagenet import imagenet_weights
from .losses import LossConfig, cropformer_losses
from .mask_piloted import mask_piloted_losses
from .measure import MeasureConfig, measure
from .samples import Batch, SampleConfig, Samples

log = logging.getLogger(__name__)

SMALL_MODEL = LossConfig(ce=5.0, points=512, uncertain=0.5, balanced=0.4, smallest=12)


def _are_sizes(value: tuple[tuple[int, ...], ...]) -> bool:
    fits = (len(size) == 2 and all(side > 0 and side % PADDING_MULTIPLE == 0 for side in size) for size in value)
    return len(value) > 0 and all(fits)


@dataclass(frozen=True)
class TrainConfig(RunConfig):
    """Settings of a training run of CropFormer, or of a Mask2Former for entities.

    Attributes:
        preset: a name in `PRESETS`.
        samples: settings of the training samples.
        loss: weights and point sampling. The defaults suit a small model trained from scratch on small views: it learns
            late which query represents an entity, so that term weighs more, and small entities get points, too.
            `LossConfig()` has the authors' values, for models of their size.
        categories: weight of the category loss, for photos that have categories (see `categories`).
        frozen_stages: number of an EfficientNet's seven stages whose weights are frozen.
        backbone_init: ImageNet weights for the EfficientNet of a new run, a file or "efficientnet-lite0" (see
            `imagenet`). With it, `init` may be weights of a model with another backbone: whatever fits is copied.
        batch_level: whether to train batch level and association as well. Without them a new model learns sooner and
            tolerates a higher rate; the batch level benefits from it because it shares the image level's decoder.
        mask_piloted: whether to use mask-piloted queries (see `mask_piloted`).
        measure: held-out scenes on which the averaged weights are measured.
    """

    preset: str = "cropformer-nano"
    samples: SampleConfig = field(default_factory=SampleConfig)
    loss: LossConfig = SMALL_MODEL
    categories: float = 1.0
    frozen_stages: int = 0
    backbone_init: str | None = None
    batch_level: bool = True
    mask_piloted: bool = True
    measure: MeasureConfig = field(default_factory=MeasureConfig)

    allowed: ClassVar[dict[str, Rule]] = {
        **RunConfig.allowed,
        **SCENES,
        **LOSS,
        "samples.batch": at_least(1),
        "samples.sizes": (
            _are_sizes,
            f"heights and widths that are multiples of {PADDING_MULTIPLE}, at least one pair",
        ),
        "samples.detail": RANGE,
        "samples.photo_share": SHARE,
        "samples.photo_weights": WEIGHTS,
        "categories": at_least(0),
        "frozen_stages": at_least(0),
        "samples.paste_share": SHARE,
        "samples.crop_ratio": (lambda value: 0 < value < 1, "above 0 and below 1"),
        "samples.seed": SEED,
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


class CropFormerTask:
    """A `loop.Task`: views of scenes and photos, losses of both levels, and AP^e on held-out scenes."""

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.preset = config.preset
        self.changes: dict[str, Any] = {}
        self.seed = config.samples.seed
        self.partial = False
        self.files: dict[str, str] = {}

    def model(self, *, new: bool) -> Student:
        """The model of the preset; a new run starts from the weights in `config.init`, if given.

        Raises:
            InputError: the preset is unknown or cannot be trained.
            WeightsError: `init` or `backbone_init` does not fit.
        """
        config = self.config
        if config.preset not in PRESETS:
            raise InputError(f"There is no preset {config.preset!r}; use one of {', '.join(PRESETS)}.")
        if PRESETS[config.preset].config.classes != 1:
            raise InputError(f"{config.preset} predicts classes, which cannot be trained here; use an entity model.")
        photos = config.samples.photos if config.categories and config.samples.photo_share else ()
        model = Student(PRESETS[config.preset].config, len(Photos(photos).categories) if photos else 0)
        efficient = isinstance(model.backbone, EfficientNet)
        if not efficient and (config.backbone_init is not None or config.frozen_stages):
            raise InputError(
                f"backbone_init and frozen_stages are for EfficientNet, which {config.preset} does not have."
            )
        if new and config.init is not None:
            _begin(model, config.init, partly=config.backbone_init is not None)
        if isinstance(model.backbone, EfficientNet):
            if new and config.backbone_init is not None:
                weights = imagenet_weights(config.backbone_init)
                load_efficientnet(model.backbone, weights, PIXEL_MEAN, PIXEL_STD)
            model.backbone.freeze(config.frozen_stages)
        if model.association is not None:
            model.association.requires_grad_(config.batch_level)
        return model

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
            output, told = model(pixels, frames, batch_level=config.batch_level)
            plain: Any = getattr(model, "module", model)  # without the wrapper for several devices
            mask_piloted = mask_piloted_losses(plain, output, labels, config.loss) if config.mask_piloted else {}
        terms = {**cropformer_losses(output, labels, config.loss), **mask_piloted}
        if told is not None:
            terms["categories"] = config.categories * category_loss(told, labels, batch.kinds.to(device))
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

        return measure(predict, self.config.measure, device, stable=PRESETS[self.preset].stability)

    def write(self, out: Path, state: dict[str, Tensor], steps: int) -> None:
        """Writes weights as fp16 safetensors with preset, architecture and steps in the metadata."""
        own = {name: value for name, value in state.items() if not name.startswith(READOUT)}
        write_weights(out, own, self.preset, half=True, steps=str(steps))


def _begin(model: Student, path: str, *, partly: bool) -> None:
    """Loads initial weights; with `partly`, only those whose names and shapes fit."""
    weights = read_state_dict(path)[0]
    if not partly:
        own = {name: value for name, value in model.state_dict().items() if name.startswith(READOUT)}
        load_strict(model, own | weights, path)
        return
    own = model.state_dict()
    fitting = {name: value for name, value in weights.items() if name in own and own[name].shape == value.shape}
    log.info("%d of %d tensors of the model start from %s.", len(fitting), len(own), path)
    model.load_state_dict(fitting, strict=False)
