"""Settings of a run: invalid ones are refused in one sentence, and "auto" suits the machine."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from operator import attrgetter
from typing import Any

import pytest
import torch

from esg.support.errors import InputError
from esg.training.config import RunConfig, training_device, training_dtype
from esg.training.cropformer import TrainConfig
from esg.training.gella import GellaTrainConfig

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 1)


def with_setting(config: Any, name: str, value: Any) -> Any:
    """`config` with one setting changed, which may be one of a dataclass in it, as in `loss.points`."""
    first, _, rest = name.partition(".")
    return dataclasses.replace(config, **{first: with_setting(getattr(config, first), rest, value) if rest else value})


def numbers(config: Any, prefix: str = "") -> Iterator[str]:
    """The names of all settings that hold numbers."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from numbers(value, f"{prefix}{field.name}.")
        elif isinstance(value, (int, float, tuple)) and not isinstance(value, bool):
            yield prefix + field.name


@pytest.mark.parametrize(
    ("name", "least", "below", "allowed"),
    [
        ("steps", 1, 0, "at least 1"),
        ("samples.batch", 1, 0, "at least 1"),
        ("samples.seed", 0, -1, "from 0 to 18446744073709551615"),
        ("samples.seed", 2**64 - 1, 2**64, "from 0 to 18446744073709551615"),
        ("samples.scenes.noise", 0, -0.1, "at least 0"),
        ("loss.ce", 0, -1, "at least 0"),
        ("loss.points", 1, 0, "at least 1"),
        ("loss.oversample", 1, 0.9, "at least 1"),
        ("measure.scenes", 1, 0, "at least 1"),
        ("measure.short", 32, 31, "at least 32"),
        ("lr", 1e-9, 0, "above 0"),
        ("lr", 1e9, float("inf"), "above 0"),
        ("clip", 1e-9, 0, "above 0"),
        ("warmup", 0, -1, "at least 0"),
        ("workers", 0, -1, "at least 0"),
        ("checkpoint_steps", 1, 0, "at least 1"),
        ("measure_steps", 0, -1, "at least 0"),
        ("cooldown", 0, -0.1, "from 0 to 1"),
        ("cooldown", 1, 1.1, "from 0 to 1"),
        ("milestones", (0, 1), (0.5, 1.1), "numbers from 0 to 1"),
        ("loss.uncertain", 1, 1.1, "from 0 to 1"),
        ("samples.photo_share", 1, 1.1, "from 0 to 1"),
        ("samples.scenes.thin", 0, -0.1, "from 0 to 1"),
        ("ema", 0, -0.1, "at least 0 and below 1"),
        ("ema", 0.9999, 1, "at least 0 and below 1"),
        ("samples.crop_ratio", 0.01, 0, "above 0 and below 1"),
        ("samples.crops", "random", "fixed-5", "one of fixed-4, fixed-8, random, none"),
        ("samples.short", (32, 64), (31,), "numbers of at least 32"),
        ("samples.held_out", 0, 1, "at least 0 and below 1"),
        ("samples.augment.rotation", 45, 46, "from 0 to 45"),
        ("samples.augment.area", (0.1, 1), (0.1, 1.1), "two numbers above 0 and up to 1"),
        ("samples.crop_ratio", 0.99, 1, "above 0 and below 1"),
        ("samples.detail", (0.5, 0.5), (0, 1), "two numbers above 0, the smaller one first"),
        ("samples.detail", (1, 2), (2, 1), "two numbers above 0, the smaller one first"),
        ("samples.detail", (1, 2), (1,), "two numbers above 0, the smaller one first"),
        ("samples.scenes.things", (1, 1), (5, 3), "two numbers above 0, the smaller one first"),
        ("samples.sizes", ((32, 64),), ((100, 96),), "heights and widths that are multiples of 32"),
        ("samples.sizes", ((32, 64),), ((0, 32),), "heights and widths that are multiples of 32"),
        ("samples.sizes", ((32, 64),), ((32,),), "heights and widths that are multiples of 32"),
        ("samples.sizes", ((32, 64),), (), "heights and widths that are multiples of 32"),
        ("measure.fusions", ("bo",), ("best",), "one or more of io, bo, bc, boc"),
        ("measure.fusions", ("bo",), (), "one or more of io, bo, bc, boc"),
        ("precision", "fp16", "fp8", "one of auto, fp32, bf16, fp16"),
    ],
)
def test_a_setting_out_of_its_range_is_one_sentence(name: str, least: Any, below: Any, allowed: str) -> None:
    with_setting(TrainConfig(), name, least)  # the last good value
    with pytest.raises(InputError) as caught:
        with_setting(TrainConfig(), name, below)
    assert str(caught.value).startswith(f"The setting {name} is {below!r}, but must be {allowed}")


@pytest.mark.parametrize(
    ("name", "good", "bad", "allowed"),
    [
        ("samples.texts", 1, 0, "at least 1"),
        ("samples.seed", 2**64 - 1, 2**64, "from 0 to 18446744073709551615"),
        ("backbone_lr", 1, 0.1, "1, because GELLA's backbone does not have a rate of its own"),
        ("samples.tasks", (0, 0.5, 0.5), (0.2, 0.2, 0.5), "3 numbers from 0 to 1 whose sum is 1"),
        ("samples.tasks", (0, 0, 1), (-1, 1, 1), "3 numbers from 0 to 1 whose sum is 1"),
        ("samples.tasks", (0, 0, 1), (0.5, 0.5), "3 numbers from 0 to 1 whose sum is 1"),
        ("samples.sides", (96, 96), (128, 96), "two numbers above 0, the smaller one first"),
        ("samples.mask_noise", 1, 1.1, "from 0 to 1"),
        ("samples.scenes.thin", 1, 1.1, "from 0 to 1"),
        ("loss.points", 1, 0, "at least 1"),
        ("lora", 0, -1, "at least 0"),
        ("measure_scenes", 1, 0, "at least 1"),
    ],
)
def test_settings_of_gella(name: str, good: Any, bad: Any, allowed: str) -> None:
    with_setting(GellaTrainConfig(), name, good)
    with pytest.raises(InputError) as caught:
        with_setting(GellaTrainConfig(), name, bad)
    assert str(caught.value) == f"The setting {name} is {bad!r}, but must be {allowed}."


@pytest.mark.parametrize("kind", [TrainConfig, GellaTrainConfig])
def test_every_number_has_a_range_that_leaves_out_nan(kind: type[RunConfig]) -> None:
    ranges = kind.allowed
    files = {"samples.photos", "samples.captions", "samples.narratives", "samples.expressions", "measure.photos"}
    names = set(numbers(kind())) - files
    assert names == ranges.keys() - {"precision", "attention", "optimizer", "samples.crops", "encoder_norms"}
    for name, (fits, _) in ranges.items():
        if isinstance(attrgetter(name)(kind()), (int, float)):
            assert not fits(float("nan")), name


def test_auto_is_bf16_where_the_device_is_made_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def capability(device: torch.device) -> tuple[int, int]:
        asked.append(device)
        return (9, 0) if len(asked) == 1 else (7, 5)

    monkeypatch.setattr(torch.cuda, "get_device_capability", capability)
    assert TrainConfig().precision == "auto"
    assert training_dtype(TrainConfig(), CUDA) == torch.bfloat16
    assert training_dtype(TrainConfig(), CUDA) == torch.float32  # an older one, which only imitates bf16
    assert asked == [CUDA, CUDA]
    assert training_dtype(TrainConfig(), CPU) == training_dtype(TrainConfig(), torch.device("mps")) == torch.float32
    assert training_dtype(TrainConfig(precision="bf16"), CPU) == torch.bfloat16
    with pytest.raises(InputError, match="fp16 is for GPUs"):
        training_dtype(TrainConfig(precision="fp16"), CPU)


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert training_device(TrainConfig()) == training_device(TrainConfig(device="cpu")) == CPU
    with pytest.raises(InputError, match="The device 'meta' cannot be used here"):
        training_device(TrainConfig(device="meta"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert training_device(TrainConfig()).type == "cuda"
