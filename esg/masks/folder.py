"""A folder of black and white PNGs, a mask each, as SAM's own script and many others write it."""

from __future__ import annotations

import csv
import os
import re
from pathlib import Path

import numpy as np

from ..errors import ImageError, InputError
from ..images import open_picture
from ..limits import MAX_PIXELS
from ..rle import Rle
from .stack import MAX_MASKS, Stack, check_size, encode


def read_folder(folder: Path, size: tuple[int, int] | None = None, *, max_pixels: int = MAX_PIXELS) -> Stack:
    """The PNGs of a folder, a mask each, in natural order of their names (2 before 10); other files are left alone.

    Each is grey or in grey colours, or a palette PNG whose index 0 is outside. Where the folder has the `metadata.csv`
    of SAM's own script, the scores are its predicted_iou.

    Args:
        folder: subfolders are not looked into.
        size: height, width that the masks must have.
        max_pixels: larger pictures are refused before they are decoded.

    Raises:
        InputError: there is no PNG, one cannot be read or is no mask, or they differ in size.
    """
    try:
        files = [path for path in folder.iterdir() if path.suffix.lower() == ".png" and not path.name.startswith(".")]
    except OSError as error:
        raise InputError(f"The folder {folder} cannot be read: {(error.strerror or str(error)).lower()}.") from None
    if not files:
        raise InputError(f"The folder {folder} has no PNG files; it must hold one black and white PNG a mask.")
    if len(files) > MAX_MASKS:
        raise InputError(f"The folder {folder} has {len(files)} PNG files, more than the limit of {MAX_MASKS} masks.")
    files.sort(key=_natural)
    scores = _sam_scores(folder / "metadata.csv", files)
    rles: list[Rle] = []
    shape = size
    for file in files:
        values = _read_grey(file, max_pixels)
        if rles and shape is not None and values.shape != shape:
            raise InputError(
                f"The masks in {folder} must have one size, but {files[0].name} has {shape[1]}x{shape[0]} pixels "
                f"and {file.name} has {values.shape[1]}x{values.shape[0]}."
            )
        check_size(values.shape, size, file, max_pixels)
        shape = values.shape
        rles.append(encode(values, str(file)))
    assert shape is not None
    return Stack(rles, scores, shape)


def _natural(path: Path) -> tuple[list[tuple[int, int, str]], str]:
    pieces = re.findall(r"[0-9]+|[^0-9]+", path.stem)
    return [(0, int(piece), "") if piece[0] in "0123456789" else (1, 0, piece) for piece in pieces], path.name


def _read_grey(path: Path, max_pixels: int) -> np.ndarray:
    try:
        with open_picture(path, max_pixels=max_pixels) as picture:
            if "A" in picture.mode:
                if picture.getchannel("A").getextrema() != (255, 255):
                    raise InputError(f"{path} is partly transparent; save the mask in black and white.")
                picture = picture.convert(picture.mode.replace("A", ""))
            values = np.asarray(picture)
    except ImageError as error:
        raise InputError(str(error)) from None
    if values.ndim == 3:
        if (values != values[..., :1]).any():
            raise InputError(f"{path} is a colour picture, no mask; save the mask in black and white.")
        values = values[..., 0]
    return values


def _sam_scores(table: Path, files: list[Path]) -> list[float] | None:
    if not os.path.isfile(table):
        return None
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        if not rows or not {"id", "predicted_iou"} <= rows[0].keys():  # some other table
            return None
        found = {row["id"]: float(row["predicted_iou"]) for row in rows}
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise InputError(f"{table} cannot be read: {error}.") from None
    missing = [file.name for file in files if file.stem not in found]
    if missing:
        raise InputError(f"{table} has no predicted_iou of {missing[0]}.")
    return [found[file.stem] for file in files]
