"""A folder of black and white PNGs, one per mask, as SAM's own script and many other programs write it."""

from __future__ import annotations

import csv
import math
import os
import re
from collections import Counter
from logging import getLogger
from pathlib import Path

from ...pictures.listing import SUFFIXES
from ...support.errors import InputError
from ...support.limits import MAX_PIXELS
from ..rle import Rle
from .arrays import read_arrays
from .items import LeftOut
from .pictures import masks_of_picture
from .stack import MAX_DRAWN, MAX_MASKS, LabelMap, Stack, WrongSize, encode

log = getLogger(__name__)


def read_folder(
    folder: Path, size: tuple[int, int] | None = None, *, max_pixels: int = MAX_PIXELS, threshold: float = 0.5
) -> Stack:
    """Reads the PNGs of a folder, one per mask, in natural order of their names (2 before 10).

    Each is grey, in colours that are all grey, or a palette PNG whose index 0 is outside. If a picture is partly
    transparent, its opaque part is the mask. Each frame of a picture with several is a mask. If the folder has the
    `metadata.csv` of SAM's own script, the scores are its predicted_iou. Pictures that are not masks, or whose size
    differs from most others, are skipped with a warning. If the folder does not have any PNGs, pictures of other
    formats are read, otherwise .npy files.

    Args:
        folder: its subfolders are ignored.
        size: height, width that the masks must have.
        max_pixels: larger pictures are refused before they are decoded.
        threshold: fraction of white above which a pixel of a soft mask is inside.

    Raises:
        InputError: the folder does not have any masks that can be read, or two sizes are equally frequent.
    """
    files = mask_files(folder)
    if not files:
        raise InputError(
            f"The folder {folder} does not have any pictures of masks; put one black and white PNG per mask in it."
        )
    if len(files) > MAX_MASKS:
        raise InputError(f"The folder {folder} has {len(files)} masks, more than the limit of {MAX_MASKS}.")
    table = _sam_scores(folder / "metadata.csv")
    left_out = LeftOut(f"The folder {folder}")
    found: list[tuple[Path, tuple[int, int], Rle]] = []
    wrong: WrongSize | None = None
    pixels = 0
    for file in files:
        try:
            masks = _read_masks(file, size, max_pixels, threshold)
            shape = masks.size
            found += [(file, shape, mask) for mask in masks.rles]
        except InputError as error:
            wrong = error if isinstance(error, WrongSize) and wrong is None else wrong
            left_out.add(file.name, str(error).replace(str(file), "").strip(" :.") or "cannot be read")
            continue
        pixels += len(masks.rles) * shape[0] * shape[1]
        if pixels > MAX_DRAWN:
            raise InputError(
                f"The masks in the folder {folder} have more than {MAX_DRAWN:,} pixels in total; use fewer."
            )
    if not found:
        raise wrong or left_out.refuse()
    shape = _common(found, folder)
    for file, other, _ in found:
        if other != shape:
            reason = f"has {other[1]}x{other[0]} pixels, but most others have {shape[1]}x{shape[0]}"
            left_out.add(file.name, reason)
    kept = [(file, mask) for file, other, mask in found if other == shape]
    left_out.tell(len(files))
    rles = [mask for _, mask in kept]
    scores = None if table is None else _scores(table, [file for file, _ in kept], folder / "metadata.csv")
    return Stack(rles, scores, shape, nested=scores is not None)


def mask_files(folder: Path) -> list[Path]:
    """The files in a folder that are read as masks, in natural order."""
    try:
        files = [path for path in folder.iterdir() if not path.name.startswith(".") and not path.is_dir()]
    except OSError as error:
        raise InputError(f"The folder {folder} cannot be read: {(error.strerror or str(error)).lower()}.") from None
    kinds = ((".png",), SUFFIXES, (".npy",))
    first, *others = [[path for path in files if path.suffix.lower() in kind] for kind in kinds]
    ignored = [path.name for path in others[0] if path not in first]
    if first and ignored:
        log.info("The folder %s: only PNGs are masks; %s and the like are ignored.", folder, ignored[0])
    return sorted(next(filter(None, (first, *others)), []), key=_natural)


def _read_masks(file: Path, size: tuple[int, int] | None, max_pixels: int, threshold: float) -> Stack:
    """The mask of one file, or of each of its frames; InputError if it is not a mask."""
    if file.suffix.lower() == ".npy":
        array = read_arrays(file, size, max_pixels=max_pixels, threshold=threshold)
        if isinstance(array, Stack) and len(array.rles) == 1:
            return array
        if isinstance(array, LabelMap) and array.labels.max() <= 1:
            return Stack([encode(array.labels, str(file))], None, array.labels.shape)
        raise InputError(f"{file} holds a label map or several masks, not one mask; give it by itself.")
    return masks_of_picture(file, size, max_pixels=max_pixels, threshold=threshold)


def _common(found: list[tuple[Path, tuple[int, int], Rle]], folder: Path) -> tuple[int, int]:
    """The size, height and width, that most masks have."""
    (shape, often), *others = Counter(shape for _, shape, _ in found).most_common()
    if others and others[0][1] == often:
        one = next(file for file, other, _ in found if other == shape)
        another = next(file for file, other, _ in found if other == others[0][0])
        (h0, w0), (h1, w1) = shape, others[0][0]
        raise InputError(
            f"The masks in {folder} must have one size, but {one.name} has {w0}x{h0} pixels "
            f"and {another.name} has {w1}x{h1}."
        )
    return shape


def _natural(path: Path) -> tuple[list[tuple[int, int, str]], str]:
    pieces = re.findall(r"[0-9]+|[^0-9]+", path.stem)
    return [(0, int(piece), "") if piece[0] in "0123456789" else (1, 0, piece) for piece in pieces], path.name


def _sam_scores(table: Path) -> dict[str, float] | None:
    """The predicted_iou of every file, by its name without suffix; None if the table is missing or cannot be read."""
    if not os.path.isfile(table):
        return None
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        if not rows or not {"id", "predicted_iou"} <= rows[0].keys():  # some other table
            return None
        return {row["id"]: float(row["predicted_iou"]) for row in rows}
    except (OSError, ValueError, TypeError, csv.Error) as error:
        log.warning("%s cannot be read (%s); all masks have the score 1.", table, str(error).rstrip("."))
        return None


def _scores(table: dict[str, float], files: list[Path], path: Path) -> list[float] | None:
    missing = [file.name for file in files if not math.isfinite(table.get(file.stem, math.nan))]
    if missing:
        log.warning("%s does not have a predicted_iou for %s; all masks have the score 1.", path, missing[0])
        return None
    return [table[file.stem] for file in files]
