"""Settings of a training run as a JSON file: what is not in it keeps its default, what is wrong in it is said."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, TypeVar

from ..errors import InputError

Config = TypeVar("Config")


def read_config(path: Path, default: Config) -> Config:
    """The dataclass `default` with the values of a JSON object, and the same for the dataclasses in it.

    Raises:
        InputError: the file cannot be read, or has an unknown name or a value of a wrong kind or out of its range.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.") from None
    except ValueError as error:
        raise InputError(f"{path} is no JSON file ({error}).") from None
    filled: Config = _filled(default, values, str(path))
    return filled


def _filled(default: Any, values: Any, where: str) -> Any:
    if not isinstance(values, dict):
        raise InputError(f"{where} must be a JSON object, not {values!r}.")
    names = [field.name for field in dataclasses.fields(default)]
    for name in values:
        if name not in names:
            raise InputError(f"{where} has an unknown setting {name!r}; there are {', '.join(names)}.")
    return dataclasses.replace(
        default, **{name: _checked(getattr(default, name), value, f"{where}: {name}") for name, value in values.items()}
    )


def _checked(default: Any, value: Any, where: str) -> Any:
    """A value of JSON as the kind that the default has; None stands for "no text", () for a list of numbers."""
    if dataclasses.is_dataclass(default):
        return _filled(default, value, where)
    if isinstance(default, tuple) and isinstance(value, list) and (value or not default):
        return tuple(_checked(default[0] if default else 0.0, item, where) for item in value)
    if default is None or isinstance(default, str):
        fits = isinstance(value, str) or (default is None and value is None)
    elif isinstance(default, bool) or isinstance(value, bool):
        fits = isinstance(default, bool) and isinstance(value, bool)
    else:
        fits = isinstance(value, (int, float) if isinstance(default, float) else type(default))
    if not fits:
        raise InputError(f"{where} is {value!r}, but should be like {json.dumps(default)}.")
    return value
