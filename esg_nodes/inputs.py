"""Short ways to write down the inputs of a node, each with its tooltip, as ComfyUI's `INPUT_TYPES` wants them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

MANY = 1 << 30  # as good as no limit, for numbers of pixels

Input = tuple[Any, dict[str, Any]]


def wire(kind: str, tooltip: str, **options: Any) -> Input:
    """What comes from another node."""
    return kind, {"tooltip": tooltip, **options}


def choice(names: Sequence[str], tooltip: str, default: str | None = None, *, advanced: bool = False) -> Input:
    """One of some names, the first where no other is the default."""
    return list(names), {"default": default or names[0], "tooltip": tooltip, **_advanced(advanced)}


def whole(
    default: int, low: int, high: int, tooltip: str, *, step: int = 1, advanced: bool = False, **options: Any
) -> Input:
    """A whole number."""
    limits = {"default": default, "min": low, "max": high, "step": step}
    return "INT", {**limits, "tooltip": tooltip, **options, **_advanced(advanced)}


def number(
    default: float, low: float, high: float, tooltip: str, *, step: float = 0.01, advanced: bool = False
) -> Input:
    """A number."""
    limits = {"default": default, "min": low, "max": high, "step": step}
    return "FLOAT", {**limits, "tooltip": tooltip, **_advanced(advanced)}


def switch(default: bool, tooltip: str, *, advanced: bool = False) -> Input:
    """On or off."""
    return "BOOLEAN", {"default": default, "tooltip": tooltip, **_advanced(advanced)}


def text(default: str, tooltip: str, *, lines: bool = False, **options: Any) -> Input:
    """Words, in one line or in several."""
    return "STRING", {"default": default, "multiline": lines, "tooltip": tooltip, **options}


def _advanced(hidden: bool) -> dict[str, bool]:
    """Newer frontends show advanced inputs only when asked to; older ones show all."""
    return {"advanced": True} if hidden else {}
