"""Where a network computes and in which precision: names that people give, made torch's own or refused."""

from __future__ import annotations

import torch

from .errors import InputError

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(name: str) -> torch.device:
    """The torch device of that name; "auto" is the best one here.

    Raises:
        InputError: there is no such device on this machine, or it computes nothing.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:  # whose text is a page of names
        raise InputError(
            f"The device {name!r} cannot be used here (there is none of that name); use auto or cpu."
        ) from None
    try:
        torch.ones((), device=device).item()  # "meta" computes nothing, and says so here
    except (RuntimeError, AssertionError, NotImplementedError, ImportError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"The device {name!r} cannot be used here ({reason}); use auto or cpu.") from None
    return device


def leave(device: torch.device) -> None:
    """Gives back what is free now on a device from which a model was moved, and else stays reserved for the process."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def choose_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The dtype of a name in `PRECISIONS`.

    Raises:
        InputError: there is no such precision, or not on that device.
    """
    if precision not in PRECISIONS:
        raise InputError(f"There is no precision {precision!r}; use one of {', '.join(PRECISIONS)}.")
    if precision == "fp16" and device.type == "cpu":
        raise InputError("fp16 is for GPUs; use fp32 or bf16 on the CPU.")
    return PRECISIONS[precision]
