"""Where a network computes and in which precision: names that people give, made torch's own or refused."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from typing import Any

import torch

from .errors import InputError

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(name: str | torch.device) -> torch.device:
    """The torch device of that name; "auto" is the best one here.

    Raises:
        InputError: that is no name, there is no such device on this machine, or it computes nothing.
    """
    if not isinstance(name, (str, torch.device)):
        raise InputError(f"A device must be a name such as auto, cpu or cuda:1, not {name!r}.")
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:  # whose text is a page of names
        raise _unusable(name, "there is none of that name") from None
    try:
        torch.ones((), device=device).item()  # "meta" computes nothing, and says so here
    except NotImplementedError:  # again a page, of all that PyTorch was built with
        raise _unusable(name, "this PyTorch cannot compute there") from None
    except (RuntimeError, AssertionError, ImportError) as error:
        raise _unusable(name, str(error).splitlines()[0].split(". ")[0]) from None
    return device


def _unusable(name: str | torch.device, reason: str) -> InputError:
    return InputError(f"The device {str(name)!r} cannot be used here ({reason}); use auto or cpu.")


def leave(device: torch.device) -> None:
    """Gives back what is free now on a device from which a model was moved, and else stays reserved for the process."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def computing_in(dtype: torch.dtype, device: torch.device) -> AbstractContextManager[Any]:
    """Within it a network computes in half precision; or in float32, also where it lies within another.

    PyTorch 2.4 knows no other precision than float32 on Apple's GPUs, and none that could be left.
    """
    if not torch.amp.is_autocast_available(device.type):
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)


def choose_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The dtype of a name in `PRECISIONS`.

    Raises:
        InputError: there is no such precision, or not on that device, or not with this PyTorch.
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
