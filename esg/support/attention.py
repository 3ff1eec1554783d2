"""The attention backends that a user can choose, and the one that `auto` stands for."""

from __future__ import annotations

import importlib
import importlib.util
import logging
from functools import cache

import torch

from .errors import InputError

log = logging.getLogger(__name__)

BACKENDS = ("auto", "sdpa", "xformers", "eager")
"""Accepted names; `esg.models.layers.attention` explains them."""


@cache
def has_xformers() -> bool:
    """Whether xformers is installed and can be imported; a build for another PyTorch cannot."""
    if importlib.util.find_spec("xformers") is None:
        return False
    try:
        importlib.import_module("xformers.ops")
    except Exception as error:  # whatever a library that does not fit raises
        log.warning("xformers is installed but cannot be used (%s); PyTorch's own attention is used.", error)
        return False
    return True


def chosen(backend: str, device: torch.device | str) -> str:
    """The backend that `auto` stands for on a device; any other name is returned as it is.

    Raises:
        InputError: the name is unknown.
    """
    if backend not in BACKENDS:
        raise InputError(f"Unknown attention backend {backend!r}; choose one of {', '.join(BACKENDS)}.")
    if backend != "auto":
        return backend
    return "xformers" if torch.device(device).type == "cuda" and has_xformers() else "sdpa"
