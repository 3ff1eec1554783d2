"""What belongs to one visitor of the page, and to nobody else."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from esg import CropSettings, EntityMap, Grounding, InputError, Metadata, Photo

from .editing import Edit

MOST_FILES = 20  # of one visitor, that were made to be taken away and are still there

_numbers = count(1)  # of photos and maps, in the order in which they came


@dataclass(frozen=True, eq=False)
class Change:
    """What an edit was, and what was there before it.

    Attributes:
        edit: what was asked for.
        crop: what of the photo the engine got to see.
        rows, columns: where it changed the photo.
        before: (h, w, 3) uint8, the pixels that were there.
    """

    edit: Edit
    crop: CropSettings
    rows: slice
    columns: slice
    before: np.ndarray


@dataclass(eq=False)
class Visit:
    """A photo and all that has been made of it.

    Attributes:
        name: stem of the photo's file name.
        file: that name.
        made: whether that photo is the result of edits, and the visitor may have no file of it.
        photo_number: of the photo that the visitor brought, which no other one has; the result of its edits keeps it.
        photo: (H, W, 3) uint8 RGB as it came, read-only; None before the first one.
        metadata: what its file says beside the pixels, which what is made of the photo keeps.
        rgba: (H, W, 4) uint8, the same with its transparency; None where all of it is opaque.
        pixels: the same with all edits.
        entities: all of them, also the weak ones, which the browser hides by the score that is chosen there.
        map_number: of their map, which no other one has; greater than the number of their photo. 0 without entities.
        min_score: from which on the browser shows them at first.
        model: the segmenter's name or path; empty where the masks are the visitor's own.
        crops: high-resolution crops it looked at.
        grounding: of the entities, if there is one.
        changes: the edits, the first one first.
        names: what a model calls the entities, as the browser shows it, see `parts.names`; None before it was asked.
        drafts: captions that were written of the photo.
        text: the words about it, as they were last read or written.
        words: what the view of phrases shows of them, see `parts.words`.
        files: what was made to be taken away, the oldest first.
    """

    name: str = ""
    file: str = ""
    made: bool = False
    photo_number: int = 0
    photo: np.ndarray | None = None
    metadata: Metadata = field(default_factory=Metadata)
    rgba: np.ndarray | None = None
    pixels: np.ndarray | None = None
    entities: EntityMap | None = None
    map_number: int = 0
    min_score: float = 0
    model: str = ""
    crops: int = 0
    grounding: Grounding | None = None
    changes: list[Change] = field(default_factory=list)
    names: dict[str, Any] | None = None
    drafts: int = 0
    text: str = ""
    words: dict[str, Any] | None = None
    files: list[Path] = field(default_factory=list)

    def begin(
        self, file: str, photo: np.ndarray, metadata: Metadata | None = None, rgba: np.ndarray | None = None
    ) -> None:
        """Another photo, of which nothing is known yet."""
        self.photo_number = next(_numbers)
        self._hold(file, photo, metadata or Metadata(), rgba)

    def _hold(self, file: str, photo: np.ndarray, metadata: Metadata, rgba: np.ndarray | None) -> None:
        photo.setflags(write=False)
        self.metadata, self.rgba = metadata, rgba
        self.file, self.name, self.photo, self.pixels = file, file.rpartition(".")[0] or file, photo, photo
        self.entities = self.grounding = self.names = None
        self.map_number = 0
        self.changes = []
        self.drafts = 0
        self.text, self.words = "", None
        self.made = False

    def forget(self) -> None:
        """Nothing is left, as after the visitor has gone."""
        self.__dict__.update(Visit().__dict__)

    def take_result(self) -> None:
        """The photo with its edits becomes the photo; they cannot be undone any more."""
        if self.changes:
            name = self.name if self.name.endswith(".edited") else f"{self.name}.edited"
            rgba = None if self.rgba is None else self.to_write()
            self._hold(f"{name}.png", self.need_photo(), self.metadata, rgba)
            self.made = True

    def know(self, entities: EntityMap, *, model: str = "", crops: int = 0, min_score: float = 0) -> None:
        """The entities of the photo as it is now; what was said of others is forgotten."""
        self.take_result()
        self.entities, self.map_number, self.min_score = entities, next(_numbers), min_score
        self.model, self.crops, self.grounding, self.words, self.names = model, crops, None, None, None

    def give(self, path: Path) -> Path:
        """A file for the visitor; of many, the oldest go, so that no visitor fills the disk."""
        self.files.append(path)
        while len(self.files) > MOST_FILES:
            with suppress(OSError):  # it is gone already, or still being read
                self.files.pop(0).unlink()
        return path

    def need_photo(self) -> np.ndarray:
        """The pixels with all edits; InputError before the first photo."""
        if self.pixels is None:
            raise InputError("Give the page a photo first.")
        return self.pixels

    def to_write(self) -> np.ndarray:
        """The pixels with all edits and the photo's transparency: (H, W, 3) uint8 RGB, or (H, W, 4) RGBA."""
        pixels = self.need_photo()
        assert self.photo is not None
        return Photo(self.photo, (), self.metadata, self.rgba).edited(pixels)

    def need_entities(self, shown: int | None = None, *, map_number: int | None = None) -> EntityMap:
        """The entities, or of them only the best `shown`.

        InputError before they are known, or where they are not those of `map_number`, of which ids and `shown` speak.
        """
        self.need_photo()
        if self.entities is None:
            raise InputError("Segment the photo first, or wait until that is done.")
        if map_number not in (None, self.map_number):
            raise InputError("The entities have changed in the meantime; check the new ones and try again.")
        return self.entities if shown is None else self.entities.keep(range(1, shown + 1))

    def change(self, edit: Edit, crop: CropSettings, pixels: np.ndarray) -> None:
        """Takes over what an edit made of `pixels`; only the box that differs is kept for `undo`."""
        before = self.need_photo()
        different = (pixels != before).any(axis=2)
        rows, columns = (_extent(different.any(axis=axis)) for axis in (1, 0))
        self.changes.append(Change(edit, crop, rows, columns, before[rows, columns].copy()))
        pixels.setflags(write=False)
        self.pixels = pixels

    def undo(self) -> bool:
        """Takes the last edit back; False where there is none."""
        if not self.changes:
            return False
        change = self.changes.pop()
        pixels = self.need_photo().copy()
        pixels[change.rows, change.columns] = change.before
        pixels.setflags(write=False)
        self.pixels = pixels
        return True


def _extent(used: np.ndarray) -> slice:
    """From the first to the last place that is True; an empty slice where there is none."""
    places = np.flatnonzero(used)
    return slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0, 0)
