"""Linear layers that compute with oneDNN on CPUs, about twice as fast as PyTorch's own on some of them.

PyTorch passes float32 matrix products to MKL, which does not use AVX-512 on processors that Intel did not make; oneDNN,
which PyTorch uses for convolutions, does. On Intel's, both are about equally fast. The operator has no gradient, so
training computes as usual.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MIN_ROWS = 64  # for fewer, preparing the weights takes longer than the product
BLOCK = 2**19  # values, 2 MB
_AVAILABLE = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
_ACTIVATIONS = {"none": lambda x: x, "relu": F.relu, "gelu": F.gelu}


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, activation: str = "none") -> Tensor:
    """A linear layer with its activation.

    Args:
        x: (..., inputs).
        weight: (outputs, inputs).
        bias: (outputs,), or None.
        activation: "none", "relu" or "gelu".

    Returns:
        (..., outputs).
    """
    if _onednn_serves(x, weight):
        algorithm = "none" if activation == "gelu" else ""  # of GELU: exact, not the tanh approximation
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, activation, [], algorithm)
    return _ACTIVATIONS[activation](F.linear(x, weight, bias))


def _onednn_serves(x: Tensor, weight: Tensor) -> bool:
    return (
        _AVAILABLE
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and x.numel() >= MIN_ROWS * x.shape[-1]
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()  # the compiler chooses itself, and cannot take this operator as it is
    )


def in_blocks(function: Callable[..., Tensor], *rows: Tensor) -> Tensor:
    """`function` of tensors (..., N, C), for functions that treat each of the N rows on its own.

    At inference on a CPU, rows with `BLOCK` values of the first tensor go through at a time, so the intermediate
    results stay in the processor's cache and memory is not needed for all of them.
    """
    first = rows[0]
    if torch.is_grad_enabled() or first.device.type != "cpu" or first.numel() <= BLOCK or torch.compiler.is_compiling():
        return function(*rows)
    step = max(MIN_ROWS, BLOCK * first.shape[-2] // first.numel())
    return torch.cat([function(*parts) for parts in zip(*(part.split(step, dim=-2) for part in rows))], dim=-2)


class Linear(nn.Linear):
    """`torch.nn.Linear`, computed with `linear`."""

    def forward(self, x: Tensor, activation: str = "none") -> Tensor:  # type: ignore[override]
        """(..., inputs) → (..., outputs), with the activation of `linear`."""
        return linear(x, self.weight, self.bias, activation)


class Mlp(nn.Sequential):
    """Two linear layers with a GELU between them; at inference, rows go through both in blocks (see `in_blocks`)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__(Linear(width, hidden), nn.GELU(), Linear(hidden, width))

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) → (..., width)."""
        inner, _, outer = self
        return in_blocks(lambda rows: outer(inner(rows, "gelu")), x.flatten(0, -2)).view(x.shape)


def use_linear(model: nn.Module) -> None:
    """Makes the linear layers of another library's model compute with `linear`; its weights keep their names."""
    for module in model.modules():
        if type(module) is nn.Linear:
            module.__class__ = Linear
