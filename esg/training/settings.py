"""Reads the settings of a training run from JSON; missing settings keep their defaults, invalid ones are reported."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from ..support.errors import InputError

Config = TypeVar("Config")


def read_config(path: Path, default: Config) -> Config:
    """The dataclass `default` with values from a JSON file, also in nested dataclasses.

    Raises:
        InputError: the file cannot be read, or has an unknown name, or a value of a wrong type or out of its range.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.") from None
    except ValueError as error:
        raise InputError(f"{path} is not a JSON file ({error}).") from None
    return filled(default, values, str(path))


def filled(default: Config, values: Any, where: str) -> Config:
    """The dataclass `default` with values from a JSON object, also in nested dataclasses.

    Args:
        default: a dataclass.
        values: names and values; other fields keep their defaults.
        where: source of the values, for error messages.

    Raises:
        InputError: a name is unknown, or a value has a wrong type or is out of its range.
    """
    if not isinstance(values, dict):
        raise InputError(f"{where} must be a JSON object, not {values!r}.")
    kinds = get_type_hints(type(default))
    names = [field.name for field in dataclasses.fields(default)]  # type: ignore[arg-type]
    for name in values:
        if name not in names:
            raise InputError(f"{where} has an unknown setting {name!r}; use one of {', '.join(names)}.")
    checked = {
        name: _checked(getattr(default, name), value, kinds[name], f"{where}: {name}") for name, value in values.items()
    }
    return dataclasses.replace(default, **checked)  # type: ignore[type-var]


def _checked(default: Any, value: Any, kind: Any, where: str) -> Any:
    """A JSON value, checked and converted to the type of the default, or else of the annotation."""
    if dataclasses.is_dataclass(default):
        return filled(default, value, where)
    if type(None) in get_args(kind):  # as in str | None
        if value is None:
            return None
        default = get_args(kind)[0]() if default is None else default
    if isinstance(default, tuple) and get_args(kind)[:1] == (str,) and (value is None or isinstance(value, str)):
        return () if value is None else (value,)  # earlier versions stored a single value here
    if isinstance(default, tuple) and isinstance(value, list):
        item_kind = get_args(kind)[0] if get_args(kind) else float
        example = default[0] if default else item_kind()
        return tuple(_checked(example, item, None, where) for item in value)
    if isinstance(default, bool) or isinstance(value, bool):
        fits = isinstance(default, bool) and isinstance(value, bool)
    else:
        fits = isinstance(value, (int, float) if isinstance(default, float) else type(default))
    if not fits:
        raise InputError(f"{where} is {value!r}, but must be like {json.dumps(default)}.")
    return value
