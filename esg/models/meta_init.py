"""Creates modules without allocating or initialising their weights, which are then loaded from a file."""

from __future__ import annotations

from typing import Any

import torch
from torch.overrides import TorchFunctionMode

# By name: the functions of `torch.nn.init`, which transformers replaces while it builds a model, and those of tensors.
_DRAWING = frozenset(("normal_", "uniform_", "kaiming_uniform_"))


class Unfilled(TorchFunctionMode):
    """A context in which new modules have weights on `meta` until real ones are assigned.

    PyTorch's modules create weights with `torch.empty` or `torch.randn` and then initialise them, which costs nothing
    on `meta`. Other tensors that a module computes, such as tables of positions or frequencies that files do not hold,
    are computed as usual; `torch.device("meta")` would lose them. It would also import PyTorch's compiler, which takes
    longer than to load a small model: PyTorch draws normal numbers for `meta` in Python, so they are not drawn here.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in (torch.empty, torch.randn) and kwargs.get("device") is None:
            return torch.empty(*args, **{**kwargs, "device": "meta"})
        if getattr(func, "__name__", "") in _DRAWING:
            values = args[0] if args else kwargs["tensor"]
            if values.is_meta:
                return values
        return func(*args, **kwargs)
