"""Objects described by phrases: RefCLEF, RefCOCO, RefCOCO+ and RefCOCOg.

Kazemzadeh et al., 2014 (RefCLEF); Yu et al., 2016 (RefCOCO, RefCOCO+); Mao et al., 2016 (RefCOCOg).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..entities.importing.fields import identifier, records, text
from ..support.errors import InputError
from .coco import CocoInstances
from .expressions import Expression, Expressions, ReferredPhoto
from .locating import Locator
from .plain_pickle import load_plain_pickle
from .problems import Problems

AUTHORS = ("unc", "umd", "google", "berkeley")
"""Whose division into splits is used, the first ones first, if a folder has several."""

_NAMES = ("refcocog", "refcoco+", "refcoco", "refclef")
_COCO = ("images/mscoco/images/train2014", "images/train2014", "train2014", "train2017")
_CLEF = ("images/saiapr_tc-12", "saiapr_tc-12")


class RefCoco(Expressions):
    """The sentences of `refs(unc).p` (or umd, google, berkeley) about the objects in `instances.json`.

    The pickle is read without running anything in it. Photos are looked for in `images/`, `train2014/` and the places
    near the folder where other programs keep them, under COCO's names of 2014 or 2017; those of RefCLEF in
    `saiapr_tc-12/`.

    Args:
        path: the folder with both files, or the pickle itself.
        split: "val", "testA", "testB", "test" or "train".
        images: folder of the photos; None: found near the files.

    Raises:
        InputError: a file is missing, damaged or refused, or the split does not occur.
    """

    def __init__(self, path: str | Path, split: str = "val", images: str | Path | None = None) -> None:
        file = _references(Path(path))
        self.name, self.split, self.problems = str(file), split, Problems()
        self.kind = next((one for one in _NAMES if file.parent.name.lower().startswith(one)), "refcoco")
        folder = images or _images(file.parent, _CLEF if self.kind == "refclef" else _COCO)
        if "(google)" in file.name:  # other splits, with which the paper's figures cannot be compared
            self.kind += " (google)"
        self.photos = CocoInstances(file.parent / "instances.json", folder)
        self.categories = self.photos.categories
        self._locator = Locator([] if folder is None else [Path(folder)])
        self.problems.update(self.photos.problems)
        content = load_plain_pickle(file)
        if not isinstance(content, list):
            raise InputError(f"{file} does not contain a list of references.")
        places = {key: place for place, key in enumerate(self.photos.keys)}
        parts: Counter[str] = Counter()
        self._references: dict[int, list[Mapping[str, Any]]] = {}
        self.total = 0
        for number, one in enumerate(records(content)):
            parts[text(one.get("split"))] += 1
            if text(one.get("split")) != split:
                continue
            name = f"id {identifier(one.get('ref_id')) or f'number {number}'}"
            place = places.get(identifier(one.get("image_id")) or "")
            if place is None:
                self.problems.add("references to photos that are not listed", name)
            elif not _sentences(one):
                self.problems.add("references without a sentence", name)
            else:
                self._references.setdefault(place, []).append(one)
                self.total += len(_sentences(one))
        if not self._references:
            there = ", ".join(f"{part or 'none'} ({count})" for part, count in parts.items()) or "nothing"
            reasons = "; ".join(self.problems)
            raise InputError(
                f"{file} does not have references of the split {split} that can be used; it has {there}"
                f"{f'; {reasons}' if reasons else ''}."
            )
        self._order = sorted(self._references)

    def __len__(self) -> int:
        return len(self._order)

    @property
    def keys(self) -> tuple[str, ...]:
        """The notation of every photo's id, in order."""
        keys = self.photos.keys
        return tuple(keys[place] for place in self._order)

    def referred(self, index: int) -> ReferredPhoto:
        """The photo at an index, with all annotated objects and its sentences."""
        photo = self.photos.photo(self._order[index])
        if photo.file is None:  # COCO_train2014_000000000009.jpg is 000000000009.jpg among the photos of 2017
            photo = replace(photo, file=self._locator.find(photo.name.rpartition("_")[2]))
        problems = Problems()
        problems.update(photo.problems)
        objects = {identifier(one.id): one for one in photo.segments}
        expressions = []
        for one in self._references[self._order[index]]:
            meant, name = objects.get(identifier(one.get("ann_id"))), identifier(one.get("ref_id"))
            if meant is None:
                problems.add("references to annotations that are missing", f"id {name} of {photo.name}")
                continue
            for number, (key, sentence) in enumerate(_sentences(one)):
                expressions.append(Expression(key or f"{name}/{number}", sentence, meant.mask, segment=meant.id))
        return ReferredPhoto(photo, tuple(expressions), problems)


def _references(path: Path) -> Path:
    """The pickle of a folder."""
    if not path.is_dir():
        return path
    found = {file.name[5:-3].lower(): file for file in sorted(path.glob("refs(*).p"))}
    for author in (*AUTHORS, *found):
        if author in found:
            return found[author]
    raise InputError(f"{path} does not contain {', '.join(f'refs({one}).p' for one in AUTHORS[:-1])} or the like.")


def _images(folder: Path, places: Sequence[str]) -> Path | None:
    """Where photos are kept beside the annotations, if not where other COCO files have them."""
    for above in (folder, folder.parent, folder.parent.parent):
        for place in places:
            if (above / place).is_dir():
                return above / place
    return None


def _sentences(reference: Mapping[str, Any]) -> Sequence[tuple[str | None, str]]:
    """The id and the text of every sentence."""
    found = []
    for one in records(reference.get("sentences")):
        sentence = text(one.get("sent")) or text(one.get("raw")) or " ".join(map(text, one.get("tokens") or ()))
        if sentence.strip():
            found.append((identifier(one.get("sent_id")), " ".join(sentence.split())))
    return found
