"""Settings that every training run has, checks of their ranges, and the device and precision that they lead to."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, ClassVar, Literal

import torch

from ..support.attention import BACKENDS
from ..support.device import PRECISIONS, choose_device, choose_dtype
from ..support.errors import InputError

Rule = tuple[Callable[[Any], bool], str]  # a check of a value, and the allowed values in words


def at_least(least: int) -> Rule:
    """Allows numbers of at least `least`."""
    return lambda value: least <= value < math.inf, f"at least {least}"


def one_of(names: tuple[str, ...]) -> Rule:
    """Allows these names only."""
    return lambda value: value in names, f"one of {', '.join(names)}"


def _is_range(value: tuple[float, ...]) -> bool:
    return len(value) == 2 and 0 < value[0] <= value[1] < math.inf


SHARE: Rule = (lambda value: 0 <= value <= 1, "from 0 to 1")
SHARES: Rule = (lambda value: all(0 <= share <= 1 for share in value), "numbers from 0 to 1")
WEIGHTS: Rule = (lambda value: all(0 <= weight < math.inf for weight in value), "numbers of 0 or more")
POSITIVE: Rule = (lambda value: 0 < value < math.inf, "above 0")
RANGE: Rule = (_is_range, "two numbers above 0, the smaller one first")
SEED: Rule = (lambda value: 0 <= value < 2**64, f"from 0 to {2**64 - 1}")  # the range that PyTorch accepts

SCENES: dict[str, Rule] = {
    "samples.scenes.things": RANGE,
    "samples.scenes.size": RANGE,
    "samples.scenes.thin": SHARE,
    "samples.scenes.textured": SHARE,
    "samples.scenes.camouflaged": SHARE,
    "samples.scenes.nested": SHARE,
    "samples.scenes.grouped": SHARE,
    "samples.scenes.blurred": SHARE,
    "samples.scenes.noise": at_least(0),
    "samples.scenes.min_share": SHARE,
    "samples.scenes.min_pixels": at_least(0),
}
"""Rules for a `SceneConfig` within the samples."""

AUGMENT: dict[str, Rule] = {
    "samples.augment.flip": SHARE,
    "samples.augment.area": (lambda value: _is_range(value) and value[1] <= 1, "two numbers above 0 and up to 1"),
    "samples.augment.aspect": RANGE,
    "samples.augment.brightness": SHARE,
    "samples.augment.contrast": SHARE,
    "samples.augment.saturation": SHARE,
    "samples.augment.hue": SHARE,
    "samples.augment.grey": SHARE,
    "samples.augment.degraded": SHARE,
    "samples.augment.rotation": (lambda value: 0 <= value <= 45, "from 0 to 45"),
}
"""Rules for an `AugmentConfig` within the samples."""

LOSS: dict[str, Rule] = {
    "loss.ce": at_least(0),
    "loss.bce": at_least(0),
    "loss.dice": at_least(0),
    "loss.no_entity": at_least(0),
    "loss.points": at_least(1),
    "loss.anchors": at_least(1),
    "loss.rank": at_least(0),
    "loss.balanced": SHARE,
    "loss.oversample": at_least(1),
    "loss.smallest": at_least(0),
    "loss.uncertain": SHARE,
}
"""Rules for a `LossConfig`."""


@dataclass(frozen=True)
class RunConfig:
    """Training settings that do not depend on the model.

    Attributes:
        steps: length of the run; a finished run continues if it is called again with more.
        optimizer: "adamw", or "muon" for matrices and AdamW for the rest (see `optimizer`).
        lr: peak learning rate.
        backbone_lr: the backbone's learning rate as a multiple of `lr` (the authors' 0.1 is for pretrained backbones).
            For a model without a backbone it must be 1.
        weight_decay: for weights of two or more dimensions, including token embeddings and CLIP's position embeddings;
            norms, biases, queries, their positions, level embeddings and Swin's bias tables have none.
        warmup: number of steps of linear warm-up.
        cooldown: final share of the steps in which the rate falls to 0 as half a cosine; before that it is constant.
        milestones: shares of the steps after each of which the rate drops to a tenth, in addition to the cooldown.
        clip: maximum norm of the gradient.
        ema: decay of the weight average.
        precision: precision of the forward pass; losses are fp32. "auto" is bf16 on CUDA devices that support it
            natively, else fp32: a CPU without bf16 instructions takes seven times as long. fp16 needs a GPU.
        device: "auto" (CUDA, else CPU), or a torch device.
        attention: one of `support.attention.BACKENDS`; on a CPU "eager" trains 15 % faster than PyTorch's own.
        workers: number of processes that make samples.
        checkpoint_minutes, checkpoint_steps: intervals between checkpoints; whichever ends first counts.
        measure_steps: steps between measurements; each one also draws the curves, and so does the end of a run. 0:
            never.
        keep_best: figure of the measurements, such as "AP_io", whose best weights are kept as `best.safetensors`; with
            it, the weights are also measured before the first step. "": only the latest are kept.
        init: weights to start from: a name or a file of the same preset, and for CropFormer also those that
            `cropformer_init.read_start` reads.

    Raises:
        InputError: a setting, here or in a nested dataclass, is out of its range.
    """

    steps: int = 20_000
    optimizer: Literal["adamw", "muon"] = "adamw"
    lr: float = 2e-4
    backbone_lr: float = 1.0
    weight_decay: float = 0.05
    warmup: int = 200
    cooldown: float = 0.5
    milestones: tuple[float, ...] = ()
    clip: float = 0.01
    ema: float = 0.999
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    device: str = "auto"
    attention: str = "auto"
    workers: int = 1
    checkpoint_minutes: float = 10
    checkpoint_steps: int = 1000
    measure_steps: int = 1000
    keep_best: str = ""
    init: str | None = None

    # Rules for every number, and for everything else that would otherwise fail only during the run.
    allowed: ClassVar[dict[str, Rule]] = {
        "steps": at_least(1),
        "optimizer": one_of(("adamw", "muon")),
        "lr": POSITIVE,
        "backbone_lr": at_least(0),
        "weight_decay": at_least(0),
        "warmup": at_least(0),
        "cooldown": SHARE,
        "milestones": SHARES,
        "clip": POSITIVE,
        "ema": (lambda value: 0 <= value < 1, "at least 0 and below 1"),
        "precision": one_of(("auto", *PRECISIONS)),
        "attention": one_of(BACKENDS),
        "workers": at_least(0),
        "checkpoint_minutes": at_least(0),
        "checkpoint_steps": at_least(1),
        "measure_steps": at_least(0),
    }

    def __post_init__(self) -> None:
        for name, (fits, allowed) in self.allowed.items():
            value = attrgetter(name)(self)
            if not fits(value):
                raise InputError(f"The setting {name} is {value!r}, but must be {allowed}.")


def training_device(config: RunConfig) -> torch.device:
    """The device of a run with a single process.

    Raises:
        InputError: the device cannot be used here.
    """
    if config.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return choose_device(config.device)


def training_dtype(config: RunConfig, device: torch.device) -> torch.dtype:
    """The dtype of the forward pass on `device`.

    Raises:
        InputError: the device does not support the precision.
    """
    if config.precision != "auto":
        return choose_dtype(config.precision, device)
    # Not `torch.cuda.is_bf16_supported`: it asks the current device, and also accepts slow emulation.
    if device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0):
        return torch.bfloat16
    return torch.float32
