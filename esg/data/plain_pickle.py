"""Reads pickles that hold plain values only, without running anything that is in them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, NoReturn

from ..support.errors import InputError


class _Refused(Exception):
    """A pickle names something that is not a plain value."""


class _PlainUnpickler(pickle.Unpickler):
    """Builds lists, dicts, texts, numbers and the like; everything else in a pickle has to be named, and is refused."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise _Refused(f"{module}.{name}")

    def persistent_load(self, key: Any) -> NoReturn:
        raise _Refused("an object outside the file")


def load_plain_pickle(path: Path) -> Any:
    """The content of a pickle of lists, dicts, texts and numbers, as Python 2 or 3 writes them.

    Raises:
        InputError: it cannot be read, is damaged, or asks for anything else, such as a function to call.
    """
    try:
        with path.open("rb") as file:
            # Texts of Python 2 are bytes.
            return _PlainUnpickler(file, encoding="utf-8", errors="replace").load()
    except _Refused as reason:
        raise InputError(
            f"{path} is a pickle that asks for {reason}, which may run a program; ESG only reads pickles of lists, "
            "dicts, texts and numbers."
        ) from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.") from None
    except Exception:  # a damaged pickle raises errors of any type
        raise InputError(f"{path} is not a pickle, or is incomplete.") from None
