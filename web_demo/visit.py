"""The state of one visitor of the page."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from esg import CropSettings, EntityMap, Grounding, InputError, Metadata, Photo

from .editing import Edit

MOST_FILES = 20  # exported files of one visitor that are kept

_numbers = count(1)  # for photos and maps, in the order of their arrival


@dataclass(frozen=True, eq=False)
class Change:
    """An edit that was made, and the pixels that it replaced.

    Attributes:
        edit: the edit.
        crop: the settings of the crop that the engine worked on.
        rows, columns: the area of the photo that it changed.
        before: (h, w, 3) uint8, the pixels of that area before the edit.
    """

    edit: Edit
    crop: CropSettings
    rows: slice
    columns: slice
    before: np.ndarray


@dataclass(eq=False)
class Visit:
    """A photo, its entities, and everything that was done with them.

    Attributes:
        name: the photo's file name without its suffix.
        file: the photo's file name.
        made: whether the photo is the result of earlier edits, so that the visitor may not have a file of it.
        photo_number: a unique number of the photo that the visitor chose; the result of its edits keeps the number.
        photo: (H, W, 3) uint8 RGB, the original photo, read-only; None before the first one.
        metadata: the metadata of the photo's file, which exported pictures keep.
        rgba: (H, W, 4) uint8, the original photo with its transparency; None if it is opaque.
        pixels: (H, W, 3) uint8 RGB, the photo with all edits.
        entities: all entities, including those with low scores, which the browser hides below its minimum score.
        map_number: a unique number of their map, greater than the number of their photo; 0 without entities.
        min_score: the browser's initial minimum score.
        model: the segmenter's name or path; empty if the visitor uploaded masks.
        crops: how many high-resolution crops the segmenter used.
        grounding: the grounding of the entities, if there is one.
        changes: the edits, in the order in which they were made.
        names: a model's names for the entities, as the browser shows them, see `parts.names`; None before the first.
        drafts: how many captions were written for the photo.
        text: the text about the photo, as it was last written or grounded.
        words: the value of the view of phrases, see `parts.words`.
        files: exported files, the oldest first.
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
        """Starts with another photo, whose entities are not known yet."""
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
        """Deletes everything, as after the visitor has left."""
        self.__dict__.update(Visit().__dict__)

    def take_result(self) -> None:
        """Makes the edited photo the original photo, so that its edits can no longer be undone."""
        if self.changes:
            name = self.name if self.name.endswith(".edited") else f"{self.name}.edited"
            rgba = None if self.rgba is None else self.to_write()
            self._hold(f"{name}.png", self.need_photo(), self.metadata, rgba)
            self.made = True

    def know(self, entities: EntityMap, *, model: str = "", crops: int = 0, min_score: float = 0) -> None:
        """Sets the entities of the photo with its edits; words and names of earlier entities are deleted."""
        self.take_result()
        self.entities, self.map_number, self.min_score = entities, next(_numbers), min_score
        self.model, self.crops, self.grounding, self.words, self.names = model, crops, None, None, None

    def is_segmented(self, model: str, crops: int) -> bool:
        """Whether the entities are those that this model found in the photo as it is, with so many crops."""
        return self.entities is not None and not self.changes and (self.model, self.crops) == (model, crops)

    def give(self, path: Path) -> Path:
        """Keeps an exported file and deletes the oldest ones if there are many, so that no visitor fills the disk."""
        self.files.append(path)
        while len(self.files) > MOST_FILES:
            with suppress(OSError):  # it has been deleted, or is still being read
                self.files.pop(0).unlink()
        return path

    def need_photo(self) -> np.ndarray:
        """The pixels with all edits; InputError before the first photo."""
        if self.pixels is None:
            raise InputError("Choose a photo first.")
        return self.pixels

    def to_write(self) -> np.ndarray:
        """The pixels with all edits and the photo's transparency: (H, W, 3) uint8 RGB, or (H, W, 4) RGBA."""
        pixels = self.need_photo()
        assert self.photo is not None
        return Photo(self.photo, (), self.metadata, self.rgba).edited(pixels)

    def need_entities(self, shown: int | None = None, *, map_number: int | None = None) -> EntityMap:
        """The entities, or only the `shown` ones with the highest scores.

        Raises:
            InputError: they are not known yet, or no longer those of the map `map_number`.
        """
        self.need_photo()
        if self.entities is None:
            raise InputError("The photo has not been segmented yet; wait until it is, or click Segment the photo.")
        if map_number not in (None, self.map_number):
            raise InputError("The entities have changed in the meantime; check the new ones and try again.")
        return self.entities if shown is None else self.entities.keep(range(1, shown + 1))

    def change(self, edit: Edit, crop: CropSettings, pixels: np.ndarray) -> None:
        """Records an edit and its result; for `undo`, only the box that differs is kept."""
        before = self.need_photo()
        different = (pixels != before).any(axis=2)
        rows, columns = (_extent(different.any(axis=axis)) for axis in (1, 0))
        self.changes.append(Change(edit, crop, rows, columns, before[rows, columns].copy()))
        pixels.setflags(write=False)
        self.pixels = pixels

    def undo(self) -> bool:
        """Undoes the last edit; False if there is none."""
        if not self.changes:
            return False
        change = self.changes.pop()
        pixels = self.need_photo().copy()
        pixels[change.rows, change.columns] = change.before
        pixels.setflags(write=False)
        self.pixels = pixels
        return True


def _extent(used: np.ndarray) -> slice:
    """The slice from the first to the last True; an empty slice if there is none."""
    places = np.flatnonzero(used)
    return slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0, 0)
