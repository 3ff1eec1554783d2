"""Lets the models of `transformers` (CLIP, LLaMA and others) use the attention backend that the user chose."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ...support.attention import chosen
from .attention import attend

NAME = "esg_xformers"
"""The name under which xformers' attention is registered with `transformers`."""


def backend_in_transformers(backend: str, device: torch.device | str) -> str:
    """The backend that the models of `transformers` use: as `attention.chosen`, but for versions that do not take ours.

    Args:
        backend: one of `attention.BACKENDS`.
        device: the device that the models run on, which decides what `auto` stands for.

    Returns:
        "sdpa" if xformers was chosen, but this version of `transformers` does not have an interface for it.

    Raises:
        InputError: the name of the backend is unknown.
    """
    name = chosen(backend, device)
    return "sdpa" if name == "xformers" and not _register() else name


def set_transformers_attention(model: nn.Module, backend: str, device: torch.device | str) -> str:
    """Chooses the attention of all `transformers` models inside a module.

    With `auto` and without xformers, every model keeps the attention that `transformers` chose for it. A model that
    supports neither PyTorch's fused attention nor xformers keeps its own.

    Args:
        model: the module.
        backend: one of `attention.BACKENDS`.
        device: the device that the model runs on, which decides what `auto` stands for.

    Returns:
        The backend in use, see `backend_in_transformers`.

    Raises:
        InputError: the name of the backend is unknown.
    """
    from transformers import PreTrainedModel

    name = backend_in_transformers(backend, device)
    for module in model.modules():
        if not isinstance(module, PreTrainedModel) or not (name == "eager" or getattr(module, "_supports_sdpa", False)):
            continue
        if backend != "auto" or name == "xformers" or module.config._attn_implementation == NAME:
            module.config._attn_implementation = NAME if name == "xformers" else name
    return name


def _register() -> bool:
    """Registers xformers' attention; False if this version of transformers does not have an interface for it."""
    try:
        from transformers import AttentionInterface
    except ImportError:
        return False
    AttentionInterface.register(NAME, xformers_forward)
    try:  # since 4.53, masks have an interface of their own; ours are those of PyTorch's attention
        from transformers.masking_utils import AttentionMaskInterface, sdpa_mask
    except ImportError:
        return True
    AttentionMaskInterface.register(NAME, sdpa_mask)
    return True


def xformers_forward(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    is_causal: bool | None = None,
    **more: Any,
) -> tuple[Tensor, None]:
    """Attention with the signature that `transformers` expects: xformers, or the next backend that can handle the call.

    Args:
        module: the attention layer.
        query: (B, heads, Nq, d).
        key, value: (B, groups, Nk, d), where heads is a multiple of groups.
        attention_mask: broadcastable to (B, heads, Nq, Nk): bool, True = attend, or float to add; None: all keys, or
            the earlier ones if the layer is causal.
        scaling: factor of the scores; None: 1/√d.
        is_causal: whether a query sees only the keys up to its own place; None: the layer's `is_causal`.
        more: options that inference does not need.

    Returns:
        (B, Nq, heads, d), and None instead of the weights.
    """
    heads, keys = query.shape[1], key.shape[2]
    if key.shape[1] != heads:  # grouped queries: every group of heads shares a key
        key, value = (one.repeat_interleave(heads // one.shape[1], dim=1) for one in (key, value))
    mask = attention_mask
    if mask is not None:
        mask = mask[..., :keys]
    elif query.shape[2] > 1 and (getattr(module, "is_causal", False) if is_causal is None else is_causal):
        mask = torch.ones(query.shape[2], keys, dtype=torch.bool, device=query.device).tril(keys - query.shape[2])
    if scaling is not None:
        query = query * (scaling * query.shape[-1] ** 0.5)
    return attend(query, key, value, mask, "xformers").transpose(1, 2).contiguous(), None
