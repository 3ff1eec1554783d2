"""Short clips that tests write: videos with PyAV, and the pictures that they are made of."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest


def moving_square(count: int, height: int = 32, width: int = 48) -> list[np.ndarray]:
    """Grey frames in which a white square of 8 pixels goes 2 pixels to the right per frame."""
    frames = []
    for number in range(count):
        frame = np.full((height, width, 3), 60, np.uint8)
        frame[8:16, 4 + 2 * number : 12 + 2 * number] = 255
        frames.append(frame)
    return frames


def write_clip(path: Path, frames: list[np.ndarray], rate: int = 10, codec: str = "mpeg4") -> Path:
    """Writes frames as a video of high quality; skips the test without PyAV."""
    av = pytest.importorskip("av", reason="videos need PyAV")
    height, width = frames[0].shape[:2]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = width, height, "yuv420p", 4_000_000
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def turned_clockwise(path: Path) -> Path:
    """Changes an MP4 so that players turn it clockwise by a quarter, as phones do."""
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 44  # after the fields of version 0
    assert struct.unpack_from(">9i", data, matrix)[:2] == (1 << 16, 0)
    struct.pack_into(">9i", data, matrix, 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path
