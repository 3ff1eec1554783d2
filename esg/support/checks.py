"""Checks of arguments to public functions: one sentence instead of a wrong result or a stack trace."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import TYPE_CHECKING, TypeGuard

import numpy as np

from .errors import InputError, NoNumbers

if TYPE_CHECKING:  # files and masks are read without PyTorch, whose import takes seconds
    from torch import Tensor


def is_whole(value: object) -> TypeGuard[int]:
    """Whether it is a whole number, Python's or NumPy's; True and False do not count."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[float]:
    """Whether it is a real number, Python's or NumPy's, including NaN; True and False do not count."""
    return isinstance(value, Real) and not isinstance(value, bool)


def check_whole(name: str, value: object, least: int, most: float = math.inf) -> None:
    """Raises InputError unless `value` is a whole number from `least` to `most`; `name` is its name in the message."""
    if not is_whole(value) or not least <= value <= most:
        raise InputError(f"{name} is {_said(value)}, but must be a whole number{_between(least, most)}.")


def check_number(name: str, value: object, least: float = -math.inf, most: float = math.inf) -> None:
    """Raises InputError unless `value` is a number from `least` to `most`, and not NaN; `name` as above."""
    if not is_number(value) or not least <= value <= most:
        raise InputError(f"{name} is {_said(value)}, but must be a number{_between(least, most)}.")


def check_finite(what: str, *computed: Tensor) -> None:
    """Raises NoNumbers if a model has computed NaN or infinity; `what` names the values in the message."""
    if not all(bool(values.isfinite().all()) for values in computed):
        raise NoNumbers(what)


def type_name(value: object) -> str:
    """Describes a value that is not the expected array: "(4, 5) float64" for an array, else "of type list"."""
    return f"{value.shape} {value.dtype}" if isinstance(value, np.ndarray) else f"of type {type(value).__name__}"


def _said(value: object) -> str:
    if value is None or isinstance(value, (str, bool)):
        return repr(value)
    return str(value) if isinstance(value, Real) else type_name(value)  # an array would take many lines


def _between(least: float, most: float) -> str:
    if most < math.inf:
        return f" from {least} to {most}"
    return f" of at least {least}" if least > -math.inf else ""
