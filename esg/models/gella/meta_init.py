"""Creates modules without allocating or initialising their weights, which are then loaded from a file."""

from __future__ import annotations

from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class Unfilled(TorchFunctionMode):
    """A context in which new modules have weights on `meta` until real ones are assigned.

    PyTorch's modules create weights with `torch.empty` and then initialise them, which costs nothing on `meta`. Other
    tensors that a module computes, such as tables of positions or frequencies that files do not hold, are computed as
    usual; `torch.device("meta")` would lose them.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.empty and kwargs.get("device") is None:
            kwargs["device"] = "meta"
        return func(*args, **kwargs)
