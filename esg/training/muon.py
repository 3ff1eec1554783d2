"""Muon (Jordan et al., 2024): updates matrices by steps whose singular values are all nearly equal.

PyTorch has its own since 2.9, which computes in bfloat16. On a CPU without bfloat16 instructions, that is 15 to 30
times slower than float32: it took 14 of the 25 seconds of a step of gella-nano. This one uses float32 on CPUs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

_COEFFICIENTS = 3.4445, -4.7750, 2.0315
_ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """Orthogonalised Nesterov momentum with decoupled weight decay.

    Steps have the same size as AdamW's, so that both can use the same learning rate (Liu et al., arXiv 2502.16982).

    Args:
        params: matrices, or parameter groups of matrices.
        lr: learning rate.
        momentum: weight of earlier gradients.
        weight_decay: as in AdamW.
    """

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-3, momentum: float = 0.95, weight_decay: float = 0.1
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Takes one step."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[tuple[Tensor, Tensor]]] = {}
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(parameter)
                buffer = state["momentum_buffer"]
                buffer.lerp_(parameter.grad, 1 - group["momentum"])
                direction = parameter.grad.lerp(buffer, group["momentum"])
                by_shape.setdefault(parameter.shape, []).append((parameter, direction))
            for shape, pairs in by_shape.items():
                steps = orthogonalised(torch.stack([direction for _, direction in pairs]))
                rate = group["lr"] * 0.2 * math.sqrt(max(shape))
                for (parameter, _), step in zip(pairs, steps):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.add_(step.to(parameter.dtype), alpha=-rate)
        return loss


def orthogonalised(matrices: Tensor) -> Tensor:
    """Matrices (N, rows, columns) with all singular values near 1, by Newton-Schulz iteration."""
    a, b, c = _COEFFICIENTS
    x = matrices.bfloat16() if matrices.device.type == "cuda" else matrices.float()
    wide = x.shape[1] <= x.shape[2]
    x = x if wide else x.mT
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x if wide else x.mT
