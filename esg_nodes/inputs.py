"""Functions that describe the inputs of a node, each with its tooltip, in the form of ComfyUI's `INPUT_TYPES`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..esg import EsgError

MANY = 1 << 30  # as good as no limit, for numbers of pixels

Input = tuple[Any, dict[str, Any]]


def wire(kind: str, tooltip: str, **options: Any) -> Input:
    """A value from another node."""
    return kind, {"tooltip": tooltip, **options}


def choice(names: Sequence[str], tooltip: str, default: str | None = None, *, advanced: bool = False) -> Input:
    """One of several names; the first is the default unless another is given."""
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
    """A text of one line or several."""
    return "STRING", {"default": default, "multiline": lines, "tooltip": tooltip, **options}


def checked_before(node: type[Any], given: Mapping[str, Any], check: Callable[..., Any]) -> bool | str:
    """For VALIDATE_INPUTS: True, or a sentence that says why the node cannot run with these inputs.

    ComfyUI does not check the limits and choices of inputs that it passes to VALIDATE_INPUTS, so this does.

    Args:
        node: class of the node.
        given: its inputs by name, as VALIDATE_INPUTS receives them; None: it comes from another node and is not known.
        check: called with all inputs if they are known; raises an EsgError.
    """
    known = {name: value[0] if isinstance(value, (list, tuple)) else value for name, value in given.items()}
    inputs = {name: one for part in node.INPUT_TYPES().values() for name, one in part.items()}
    for name, value in known.items():
        kind, options = inputs[name]
        if value is None:
            continue
        if isinstance(kind, list) and value not in kind:
            return f"{name} is {value!r}; use one of: {', '.join(kind)}."
        if "min" in options and not options["min"] <= value <= options["max"]:
            return f"{name} is {value}; use a number from {options['min']} to {options['max']}."
    try:
        if None not in known.values():
            check(**known)
    except EsgError as error:
        return str(error)
    return True


def _advanced(hidden: bool) -> dict[str, bool]:
    """Newer frontends show advanced inputs only when asked to; older ones show all."""
    return {"advanced": True} if hidden else {}
