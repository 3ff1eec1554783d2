"""Device and precision of a network: turns the names users give into torch's, or refuses them."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from .errors import InputError

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(name: str | torch.device) -> torch.device:
    """The torch device of that name; "auto" is the best one available.

    Raises:
        InputError: the name is invalid, or this machine does not have the device or cannot compute on it.

    >>> choose_device("cpu")
    device(type='cpu')
    """
    if not isinstance(name, (str, torch.device)):
        raise InputError(f"A device must be a name such as auto, cpu or cuda:1, not {name!r}.")
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:  # its text lists all possible names
        raise _unusable(name, "there is none of that name") from None
    try:
        torch.ones((), device=device).item()  # fails for "meta", which cannot compute
    except NotImplementedError:  # its text lists all backends of this PyTorch
        raise _unusable(name, "this PyTorch cannot compute there") from None
    except (RuntimeError, AssertionError, ImportError) as error:
        raise _unusable(name, str(error).splitlines()[0].split(". ")[0]) from None
    return device


def _unusable(name: str | torch.device, reason: str) -> InputError:
    return InputError(f"The device {str(name)!r} cannot be used here ({reason}); use auto or cpu.")


def release_memory(device: torch.device) -> None:
    """Releases the memory that a model left on a device, which would stay reserved for this process."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def move(network: nn.Module, device: torch.device) -> None:
    """Moves a network to a device; NVIDIA GPUs convolve fastest if the channels of a weight are adjacent in memory."""
    if device.type == "cuda":
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    else:
        network.to(device)


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """Copies a tensor to a device; the CPU does not wait for the copy to an NVIDIA GPU."""
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def computing_in(dtype: torch.dtype, device: torch.device) -> AbstractContextManager[Any]:
    """A context in which a network computes in half precision, or in float32 even within another such context.

    On Apple's GPUs, PyTorch 2.4 supports only float32, so there is nothing to switch.
    """
    if not torch.amp.is_autocast_available(device.type):
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)


def choose_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The dtype of a name in `PRECISIONS`.

    Raises:
        InputError: the precision does not exist, or is not supported by the device or by this PyTorch.
    """
    if precision not in PRECISIONS:
        raise InputError(f"There is no precision {precision!r}; use one of {', '.join(PRECISIONS)}.")
    if precision == "fp16" and device.type == "cpu":
        raise InputError("fp16 is for GPUs; use fp32 or bf16 on the CPU.")
    if precision != "fp32" and not torch.amp.is_autocast_available(device.type):
        raise InputError(
            f"This PyTorch does not support {precision} on the device {device.type}; use fp32, or update PyTorch."
        )
    return PRECISIONS[precision]
