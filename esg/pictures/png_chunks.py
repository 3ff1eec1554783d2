"""Rescues PNGs with intact pixels but damaged metadata: a wrong checksum, a cut-off field, or a huge text."""

from __future__ import annotations

import struct
import zlib

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KEPT = (b"tRNS", b"iCCP", b"eXIf")  # metadata that affect how the pixels look


def bare_png(data: bytes) -> bytes | None:
    """A PNG with its pixels and, of its other chunks, only intact ones that affect how the pixels look.

    Returns:
        None if it is not a PNG, or if there is nothing to leave out.
    """
    if not data.startswith(_SIGNATURE):
        return None
    kept = [_SIGNATURE]
    place = len(_SIGNATURE)
    while place + 8 <= len(data):
        length, name = struct.unpack(">I4s", data[place : place + 8])
        chunk = data[place : place + length + 12]
        needed = name[:1].isupper()  # in PNG, a small first letter marks chunks that are not needed for the pixels
        sound = len(chunk) == length + 12 and zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")
        if needed or (name in _KEPT and sound):
            kept.append(chunk)
        place += length + 12
    found = b"".join(kept)
    return found if len(found) < len(data) else None
