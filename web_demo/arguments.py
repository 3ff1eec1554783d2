"""Checks of the arguments of endpoints, whose callers write them by hand. All of them raise InputError."""

from __future__ import annotations

from typing import Any

import gradio as gr
import numpy as np

from esg import InputError

from .models import short_name
from .shared import check_length


def given(image: str | None) -> str:
    if not image:
        raise InputError("image is missing: give a file that you have uploaded.")
    return image


def from_menu(name: str, menu: gr.Dropdown, value: Any) -> None:
    """Raises InputError unless the page offers this model; some menus of a private page accept other names, too."""
    if not isinstance(value, str):
        raise InputError(f"{name} is {short(value)}, but must be the name of a model.")
    offered = [str(choice[1]) for choice in menu.choices]
    if value not in offered and not menu.allow_custom_value:
        names = ", ".join(map(short_name, offered))
        raise InputError(f"{name}: {short(value)} is not in the list of choices: {names}.")


def text_of(name: str, value: Any) -> str:
    if value is None:
        raise InputError(f"{name} is missing.")
    if not isinstance(value, str):
        raise InputError(f"{name} is {short(value)}, but must be text.")
    check_length(value, name)
    return value


def number(name: str, value: Any, least: float = -np.inf, most: float = np.inf) -> float:
    """A number, which may also be written as text."""
    try:
        if isinstance(value, (bool, type(None))):
            raise TypeError
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{name} is {short(value)}, but must be a number.") from None
    if not least <= found <= most:  # also true for NaN
        raise InputError(f"{name} is {short(value)}, but must be a number from {least:g} to {most:g}.")
    return found


def whole(name: str, value: Any, least: float = -np.inf, most: float = np.inf) -> int:
    """A whole number, also as 4.0 or "4"."""
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
        return value  # not as a float, which holds fewer digits than a seed may have
    found = number(name, value, least, most)
    if not found.is_integer():
        raise InputError(f"{name} is {short(value)}, but must be a whole number.")
    return int(found)


def short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
