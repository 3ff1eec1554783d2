"""Devices and precisions by name: unusable ones are refused in one sentence."""

from __future__ import annotations

import pytest
import torch

from esg.support.device import choose_device, choose_dtype, computing_in, move
from esg.support.errors import InputError


@pytest.mark.parametrize("name", ["cuda:77", "tpu9", "meta", "meta:0", ""])
def test_a_device_that_cannot_compute_here(name: str) -> None:
    with pytest.raises(InputError, match=rf"^The device '{name}' cannot be used here \(.+\); use auto or cpu\.$"):
        choose_device(name)


def test_the_message_for_an_unknown_device_is_short() -> None:
    with pytest.raises(InputError, match=r"^The device 'banana' cannot be used here \(there is none of that name\);"):
        choose_device("banana")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            NotImplementedError("Could not run 'aten::empty' from the 'MPS' backend. " + "CPU, " * 300),
            "this PyTorch cannot",
        ),
        (
            RuntimeError("The driver is too old. Update it from a page.\nException raised from ..."),
            "The driver is too old",
        ),
    ],
)
def test_the_reason_is_short(monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(torch, "ones", fail)
    with pytest.raises(
        InputError, match=rf"^The device 'mps' cannot be used here \({reason}[\w ]*\); use auto or cpu\.$"
    ):
        choose_device("mps")


@pytest.mark.parametrize("wrong", [None, 0, b"cpu"])
def test_devices_must_be_names(wrong: object) -> None:
    with pytest.raises(InputError, match=rf"^A device must be a name such as auto, cpu or cuda:1, not {wrong!r}\.$"):
        choose_device(wrong)  # type: ignore[arg-type]


def test_a_device_of_pytorch_is_taken_as_it_is() -> None:
    assert choose_device(torch.device("cpu")) == torch.device("cpu")


def test_auto_is_the_fastest_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto").type == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("auto").type == "mps"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto") == choose_device("cpu") == torch.device("cpu")


def test_precisions() -> None:
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert choose_dtype("fp32", cpu) == torch.float32
    assert choose_dtype("bf16", cpu) == torch.bfloat16
    assert choose_dtype("fp16", cuda) == torch.float16
    with pytest.raises(InputError, match="fp16 is for GPUs"):
        choose_dtype("fp16", cpu)
    with pytest.raises(InputError, match="no precision 'fp8'; use one of fp32, bf16, fp16"):
        choose_dtype("fp8", cuda)


@pytest.mark.parametrize(("dtype", "other"), [(torch.float32, torch.bfloat16), (torch.bfloat16, torch.float32)])
def test_a_precision_within_another(dtype: torch.dtype, other: torch.dtype) -> None:
    cpu, ones = torch.device("cpu"), torch.ones(2, 2)
    with computing_in(other, cpu):
        with computing_in(dtype, cpu):
            assert (ones @ ones).dtype == dtype
        assert (ones @ ones).dtype == other


def test_a_device_of_which_pytorch_knows_no_half_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """As 2.4 of Apple's GPUs, of which it also refuses to be told that none is wanted."""
    apple = torch.device("mps")
    monkeypatch.setattr(torch.amp, "is_autocast_available", lambda kind: False)
    monkeypatch.setattr(torch, "autocast", None)
    with computing_in(torch.float32, apple):
        pass
    assert choose_dtype("fp32", apple) == torch.float32
    with pytest.raises(
        InputError, match=r"^This PyTorch does not support bf16 on the device mps; use fp32, or update PyTorch"
    ):
        choose_dtype("bf16", apple)


def test_weights_go_to_nvidia_gpus_with_adjacent_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    network = torch.nn.Conv2d(4, 8, 3)
    asked = []
    monkeypatch.setattr(network, "to", lambda device, **options: asked.append((device.type, options)))
    for name in ("cpu", "cuda"):
        move(network, torch.device(name))
    assert asked == [("cpu", {}), ("cuda", {"memory_format": torch.channels_last})]
