"""Modules without numbers: made in no time and without memory, for weights that are read from a file."""

from __future__ import annotations

from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class Unfilled(TorchFunctionMode):
    """A context in which modules are made whose weights have yet to be assigned; until then they are on `meta`.

    PyTorch's modules make their weights by `torch.empty` and fill them afterwards, and filling costs nothing there.
    What a module computes instead, such as a table of positions or frequencies that no file holds, is as ever:
    `torch.device("meta")` would lose it.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.empty and kwargs.get("device") is None:
            kwargs["device"] = "meta"
        return func(*args, **kwargs)
