"""The settings of a training run, all of them within their ranges, and what they come to on this machine."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Literal

import torch

from ..cropformer.fusion import FUSIONS
from ..cropformer.views import PADDING_MULTIPLE
from ..device import PRECISIONS, choose_device, choose_dtype
from ..errors import InputError
from ..limits import MIN_SIDE
from ..modeling.attention import BACKENDS
from .losses import LossConfig
from .measure import MeasureConfig
from .samples import SampleConfig

SMALL_MODEL = LossConfig(ce=5.0, points=512, uncertain=0.5, balanced=0.4, smallest=12)


@dataclass(frozen=True)
class TrainConfig:
    """One training run.

    Attributes:
        preset: a name in `PRESETS`.
        steps: length of the run; a finished run goes on when it is called with more.
        samples: what the model learns from.
        loss: weights and point sampling. The defaults suit a small model that learns from scratch on small views: which
            query answers for an entity is learned late, so its term weighs more, and points go to small entities too.
            `LossConfig()` has the authors' values, for models of their size.
        batch_level: whether the batch level and the association are trained too. A new model learns sooner and bears a
            higher rate without; what the image level has learned serves the batch level, which shares its decoder.
        pilots: whether piloted queries help (see `pilots`).
        measure: the held-out scenes that the averaged weights are measured on.
        lr: peak learning rate.
        backbone_lr: the backbone's learning rate as a multiple of `lr` (the authors' 0.1 is for pretrained ones).
        weight_decay: for weight matrices; norms, biases, embeddings and position tables have none.
        warmup: steps of linear warm-up.
        cooldown: share of the steps, at the end, over which the rate falls to 0 as half a cosine; constant before.
        clip: largest norm of the gradient.
        ema: decay of the weight average.
        precision: of the forward pass; the losses are fp32. "auto" is bf16 on CUDA devices that are made for it, else
            fp32: a CPU without instructions for bf16 takes seven times as long with it. fp16 is for GPUs only.
        device: "auto" (CUDA, else CPU), or a torch device.
        attention: one of `modeling.attention.BACKENDS`; on a CPU "eager" trains 15 % faster than PyTorch's own.
        workers: processes that draw samples.
        checkpoint_minutes, checkpoint_steps: the checkpoint is written at the first of both.
        measure_steps: steps between measurements; 0 = never.
        init: safetensors file or state dict of the same preset to start from.

    Raises:
        InputError: a setting, also one of `samples`, `loss` or `measure`, is out of its range.
    """

    preset: str = "cropformer-nano"
    steps: int = 20_000
    samples: SampleConfig = field(default_factory=SampleConfig)
    loss: LossConfig = SMALL_MODEL
    batch_level: bool = True
    pilots: bool = True
    measure: MeasureConfig = field(default_factory=MeasureConfig)
    lr: float = 2e-4
    backbone_lr: float = 1.0
    weight_decay: float = 0.05
    warmup: int = 200
    cooldown: float = 0.5
    clip: float = 0.01
    ema: float = 0.999
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    device: str = "auto"
    attention: str = "auto"
    workers: int = 1
    checkpoint_minutes: float = 10
    checkpoint_steps: int = 1000
    measure_steps: int = 1000
    init: str | None = None

    def __post_init__(self) -> None:
        for name, (fits, allowed) in _ALLOWED.items():
            value = attrgetter(name)(self)
            if not fits(value):
                raise InputError(f"The setting {name} is {value!r}, but must be {allowed}.")


def training_device(config: TrainConfig) -> torch.device:
    """The device of a run that has one process.

    Raises:
        InputError: it cannot be used here.
    """
    if config.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return choose_device(config.device)


def training_dtype(config: TrainConfig, device: torch.device) -> torch.dtype:
    """The dtype of the forward pass on `device`.

    Raises:
        InputError: the precision is not to be had there.
    """
    if config.precision != "auto":
        return choose_dtype(config.precision, device)
    # Not `torch.cuda.is_bf16_supported`, which asks the current device and says yes where bf16 is slowly emulated.
    if device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0):
        return torch.bfloat16
    return torch.float32


Rule = tuple[Callable[[Any], bool], str]  # what a value has to fulfil, and how that is said


def _at_least(least: int) -> Rule:
    return lambda value: least <= value < math.inf, f"at least {least}"


def _one_of(names: tuple[str, ...]) -> Rule:
    return lambda value: value in names, f"one of {', '.join(names)}"


def _is_range(value: tuple[float, ...]) -> bool:
    return len(value) == 2 and 0 < value[0] <= value[1] < math.inf


def _are_sizes(value: tuple[tuple[int, ...], ...]) -> bool:
    fits = (len(size) == 2 and all(side > 0 and side % PADDING_MULTIPLE == 0 for side in size) for size in value)
    return len(value) > 0 and all(fits)


_SHARE: Rule = (lambda value: 0 <= value <= 1, "from 0 to 1")
_POSITIVE: Rule = (lambda value: 0 < value < math.inf, "above 0")
_RANGE: Rule = (_is_range, "two numbers above 0, the smaller one first")

# Every setting that is a number, and what else would fail only once the run is under way.
_ALLOWED: dict[str, Rule] = {
    "steps": _at_least(1),
    "samples.batch": _at_least(1),
    "samples.sizes": (_are_sizes, f"heights and widths that are multiples of {PADDING_MULTIPLE}, at least one pair"),
    "samples.detail": _RANGE,
    "samples.scenes.things": _RANGE,
    "samples.scenes.size": _RANGE,
    "samples.scenes.thin": _SHARE,
    "samples.scenes.textured": _SHARE,
    "samples.scenes.camouflaged": _SHARE,
    "samples.scenes.nested": _SHARE,
    "samples.scenes.grouped": _SHARE,
    "samples.scenes.blurred": _SHARE,
    "samples.scenes.noise": _at_least(0),
    "samples.scenes.min_share": _SHARE,
    "samples.scenes.min_pixels": _at_least(0),
    "samples.photo_share": _SHARE,
    "samples.paste_share": _SHARE,
    "samples.crop_ratio": (lambda value: 0 < value < 1, "above 0 and below 1"),
    "samples.seed": _at_least(0),
    "loss.ce": _at_least(0),
    "loss.bce": _at_least(0),
    "loss.dice": _at_least(0),
    "loss.no_entity": _at_least(0),
    "loss.points": _at_least(1),
    "loss.anchors": _at_least(1),
    "loss.rank": _at_least(0),
    "loss.balanced": _SHARE,
    "loss.oversample": _at_least(1),
    "loss.smallest": _at_least(0),
    "loss.uncertain": _SHARE,
    "measure.scenes": _at_least(1),
    "measure.height": _at_least(MIN_SIDE),
    "measure.width": _at_least(MIN_SIDE),
    "measure.short": _at_least(MIN_SIDE),
    "measure.longest": _at_least(MIN_SIDE),
    "measure.fusions": (
        lambda value: len(value) > 0 and all(fusion in FUSIONS for fusion in value),
        f"one or more of {', '.join(FUSIONS)}",
    ),
    "lr": _POSITIVE,
    "backbone_lr": _at_least(0),
    "weight_decay": _at_least(0),
    "warmup": _at_least(0),
    "cooldown": _SHARE,
    "clip": _POSITIVE,
    "ema": (lambda value: 0 <= value < 1, "at least 0 and below 1"),
    "precision": _one_of(("auto", *PRECISIONS)),
    "attention": _one_of(BACKENDS),
    "workers": _at_least(0),
    "checkpoint_minutes": _at_least(0),
    "checkpoint_steps": _at_least(1),
    "measure_steps": _at_least(0),
}
