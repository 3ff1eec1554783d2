"""Scaled dot-product attention behind one interface, with interchangeable backends.

`xformers` is memory-efficient attention on CUDA, `sdpa` PyTorch's own fused attention, and `eager` the textbook formula
that the other two are checked against. `auto` takes xformers where it is installed and the tensors are on CUDA, and
otherwise PyTorch's own. A backend that cannot handle a call passes it to the next one, with a single log line.
"""

from __future__ import annotations

import logging
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...support.attention import chosen, has_xformers
from .linear import Linear, linear

log = logging.getLogger(__name__)

_FALLBACK = {"xformers": "sdpa", "sdpa": "eager"}
_warned: set[str] = set()


def _eager(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])  # (B, heads, Nq, Nk)
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf")) if mask.dtype == torch.bool else scores + mask
    return scores.softmax(dim=-1) @ value


def _sdpa(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    if mask is not None and mask.dtype != torch.bool:
        mask = mask.to(query.dtype)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)


def _xformers(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    if query.device.type != "cuda" or not has_xformers():
        raise NotImplementedError("xformers needs its package and a CUDA device")
    from xformers.ops import memory_efficient_attention

    bias = None if mask is None else xformers_bias(query, key.shape[2], mask)
    out = memory_efficient_attention(*(x.transpose(1, 2) for x in (query, key, value)), attn_bias=bias)
    return out.transpose(1, 2)


def xformers_bias(query: Tensor, keys: int, mask: Tensor) -> Tensor:
    """A mask as xformers' kernel needs it: of the query's dtype, with rows that begin at a multiple of 8 elements.

    Heads and pictures that share a mask share its memory, too.

    Args:
        query: (B, heads, Nq, d).
        keys: Nk.
        mask: broadcastable to (B, heads, Nq, Nk), as for `attend`.

    Returns:
        (B, heads, Nq, Nk), a view of a padded tensor.
    """
    mask = mask[(None,) * (4 - mask.ndim)]
    padded = query.new_zeros(*mask.shape[:2], query.shape[2], math.ceil(keys / 8) * 8)
    bias = padded[..., :keys]
    if mask.dtype == torch.bool:
        bias.masked_fill_(~mask, float("-inf"))
    else:
        bias.copy_(mask)
    return bias.expand(*query.shape[:3], keys)


_IMPLEMENTATIONS = {"eager": _eager, "sdpa": _sdpa, "xformers": _xformers}


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, backend: str = "auto") -> Tensor:
    """Attention, softmax(QKᵀ/√d + mask) V.

    Args:
        query: (B, heads, Nq, d), any floating dtype.
        key, value: (B, heads, Nk, d).
        mask: broadcastable to (B, heads, Nq, Nk); bool with True where a query may attend, or float added to the
            scores. Every row must leave at least one key visible.
        backend: one of `BACKENDS`.

    Returns:
        (B, heads, Nq, d).
    """
    name: str | None = chosen(backend, query.device) if backend == "auto" else backend
    while name is not None:
        try:
            return _IMPLEMENTATIONS[name](query, key, value, mask)
        except torch.cuda.OutOfMemoryError:
            raise
        except (ImportError, OSError, NotImplementedError, RuntimeError, ValueError) as error:
            if name not in _FALLBACK:
                raise
            if name not in _warned:
                _warned.add(name)
                log.warning("attention backend %s cannot handle this call (%s); using %s", name, error, _FALLBACK[name])
            name = _FALLBACK[name]
    raise AssertionError("unreachable: eager handles every call")


class Attend(nn.Module):
    """`attend` as a parameterless module, so that a model stores its own choice of backend."""

    def __init__(self) -> None:
        super().__init__()
        self.backend = "auto"

    def forward(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
        return attend(query, key, value, mask, self.backend)


def set_attention(model: nn.Module, backend: str) -> None:
    """Makes every attention inside `model` use `backend` (one of `BACKENDS`).

    Raises:
        InputError: the name is unknown.
    """
    chosen(backend, "cpu")
    for module in model.modules():
        if isinstance(module, Attend):
            module.backend = backend


class MultiheadAttention(nn.Module):
    """Multi-head attention with packed projections, laid out as in `torch.nn.MultiheadAttention`."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = Linear(width, width)
        self.attend = Attend()
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attention from query (B, Nq, C), key and value (B, Nk, C), mask as in `attend` → (B, Nq, C)."""
        weights, biases = self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3)
        q, k, v = (
            linear(x, weight, bias).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, heads, N, C/heads)
            for x, weight, bias in zip((query, key, value), weights, biases)
        )
        return self.out_proj(self.attend(q, k, v, mask).transpose(1, 2).flatten(2))
