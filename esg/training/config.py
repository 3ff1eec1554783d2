"""The settings that every training run has, all within their ranges, and what they come to on this machine."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, ClassVar, Literal

import torch

from ..device import PRECISIONS, choose_device, choose_dtype
from ..errors import InputError
from ..modeling.attention import BACKENDS

Rule = tuple[Callable[[Any], bool], str]  # what a value has to fulfil, and how that is said


def at_least(least: int) -> Rule:
    return lambda value: least <= value < math.inf, f"at least {least}"


def one_of(names: tuple[str, ...]) -> Rule:
    return lambda value: value in names, f"one of {', '.join(names)}"


def _is_range(value: tuple[float, ...]) -> bool:
    return len(value) == 2 and 0 < value[0] <= value[1] < math.inf


SHARE: Rule = (lambda value: 0 <= value <= 1, "from 0 to 1")
SHARES: Rule = (lambda value: all(0 <= share <= 1 for share in value), "numbers from 0 to 1")
WEIGHTS: Rule = (lambda value: all(0 <= weight < math.inf for weight in value), "numbers from 0 on")
POSITIVE: Rule = (lambda value: 0 < value < math.inf, "above 0")
RANGE: Rule = (_is_range, "two numbers above 0, the smaller one first")
SEED: Rule = (lambda value: 0 <= value < 2**64, f"from 0 to {2**64 - 1}")  # what PyTorch takes

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
"""Of a `SceneConfig` among the samples."""

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
"""Of a `LossConfig`."""


@dataclass(frozen=True)
class RunConfig:
    """How a model is trained, whatever it is.

    Attributes:
        steps: length of the run; a finished run goes on when it is called with more.
        optimizer: "adamw", or "muon" for matrices and AdamW for the rest (see `optimizer`).
        lr: peak learning rate.
        backbone_lr: the backbone's learning rate as a multiple of `lr` (the authors' 0.1 is for pretrained ones). A
            model without one takes 1 alone.
        weight_decay: for weights of two dimensions and more, tables of words and CLIP's positions among them; norms,
            biases, queries, their positions, embeddings of levels and Swin's tables of positions have none.
        warmup: steps of linear warm-up.
        cooldown: share of the steps, at the end, over which the rate falls to 0 as half a cosine; constant before.
        milestones: shares of the steps after each of which the rate falls to a tenth, beside the cooldown.
        clip: largest norm of the gradient.
        ema: decay of the weight average.
        precision: of the forward pass; the losses are fp32. "auto" is bf16 on CUDA devices that are made for it, else
            fp32: a CPU without instructions for bf16 takes seven times as long with it. fp16 is for GPUs only.
        device: "auto" (CUDA, else CPU), or a torch device.
        attention: one of `modeling.attention.BACKENDS`; on a CPU "eager" trains 15 % faster than PyTorch's own.
        workers: processes that draw samples.
        checkpoint_minutes, checkpoint_steps: the checkpoint is written at the first of both.
        measure_steps: steps between measurements, each of which also draws the curves, as the end of a run does;
            0 = never.
        init: safetensors file or state dict of the same preset to start from.

    Raises:
        InputError: a setting, also one of the dataclasses in it, is out of its range.
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
    init: str | None = None

    # Every setting that is a number, and what else would fail only once the run is under way.
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
    """The device of a run that has one process.

    Raises:
        InputError: it cannot be used here.
    """
    if config.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return choose_device(config.device)


def training_dtype(config: RunConfig, device: torch.device) -> torch.dtype:
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
