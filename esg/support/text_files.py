"""Reads text files of other programs, in any encoding."""

from __future__ import annotations

import codecs
import json
from logging import getLogger
from pathlib import Path

from .errors import InputError

log = getLogger(__name__)

_MARKS = {  # at the beginning of a file; the longer ones first, because one begins with another
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, UTF-16 or UTF-32; zeros at its end, which some systems pad files with, are removed.

    Anything else is read as Latin-1, with a warning: digits and brackets are the same there as in most encodings.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.") from None
    return decoded_text(data, path)


def decoded_text(data: bytes, path: Path | None = None) -> str:
    """Like `read_text`, for bytes; without a path there is no warning."""
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), None)
    if encoding is None and b"\0" in data[:4]:  # no byte order mark, but every other byte of digits and brackets is 0
        encoding = json.detect_encoding(data)
    try:
        return data.decode(encoding or "utf-8").rstrip("\0")
    except UnicodeDecodeError:
        if path is not None:
            log.warning("%s is not in UTF-8, and letters with accents may be wrong; save it as UTF-8.", path)
        return data.decode("latin-1")
