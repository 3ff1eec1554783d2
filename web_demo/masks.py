"""Reads a visitor's own masks, from one file or from several that belong together, and reports what it skipped."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from esg import EntityMap, EsgError, InputError, read_masks
from esg.entities.importing import tells_photos_apart
from esg.support.errors import Sentence

from .visit import Visit

PICTURES = [".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"]
TABLES = [".csv"]  # scores, which SAM's own script writes beside its PNGs
ANNOTATIONS = [".json", ".xml", ".txt", ".npy", ".npz"]
MASK_FILES = [*PICTURES, *TABLES, *ANNOTATIONS]


@dataclass(frozen=True)
class OwnMasks:
    """The entities that were read, and a sentence for each thing that was skipped or is doubtful."""

    entities: EntityMap
    warnings: tuple[str, ...]


def read_own_masks(paths: Sequence[Path], visit: Visit, max_pixels: int) -> OwnMasks:
    """Reads the masks of a visitor's photo.

    Args:
        paths: one file of any kind that `esg.read_masks` reads; or black and white pictures, one per mask, which are
            read as a folder; or an annotation file with the pictures that it refers to, as in COCO's panoptic format;
            or one file for each of many photos, of which the one with this photo's name is used.
        visit: the visit whose photo the masks belong to.
        max_pixels: pictures with more pixels are refused.

    Raises:
        InputError: no mask can be read. The message does not reveal where the files are on this machine.
    """
    if len(paths) == 1:
        return _read(paths[0], visit, max_pixels)
    with tempfile.TemporaryDirectory() as name:  # Gradio deletes uploads, but not our copies
        folder = Path(name)
        for number, path in enumerate(paths):
            place = folder / path.name
            shutil.copyfile(path, place.with_name(f"{number}-{path.name}") if place.exists() else place)
        annotations = sorted(one for one in folder.iterdir() if one.suffix.lower() in ANNOTATIONS)
        if len(annotations) == 1:
            return _read(annotations[0], visit, max_pixels)
        if annotations and not tells_photos_apart(folder, [visit.file]):
            raise InputError(
                f"None of these {len(annotations)} annotation files has the photo's name, {visit.file}; choose the one "
                "that holds its masks."
            )
        return _read(folder, visit, max_pixels, by_name=bool(annotations))


def _read(place: Path, visit: Visit, max_pixels: int, *, by_name: bool = False) -> OwnMasks:
    folder = place if place.is_dir() else place.parent

    def told(sentence: str) -> str:
        """A sentence without folders: with the names of files only, and without the page's own folder."""
        return sentence.replace(f"{folder}{os.sep}", "").replace(str(folder), "with your masks")

    height, width = visit.need_photo().shape[:2]
    try:
        with _warnings() as found:
            entities = read_masks(place, (height, width), photo=visit.file, by_name=by_name, max_pixels=max_pixels)
    except EsgError as error:
        raise InputError(told(error.sentence.message)) from None
    return OwnMasks(entities, tuple(told(one) for one in found))


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """Collects the core's warnings in this thread only, since other threads read other visitors' masks."""
    found: list[str] = []
    thread = threading.get_ident()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.thread == thread:
                found.append(record.msg.message if isinstance(record.msg, Sentence) else record.getMessage())

    log, listener = logging.getLogger("esg"), Listener(logging.WARNING)
    log.addHandler(listener)
    try:
        yield found
    finally:
        log.removeHandler(listener)
