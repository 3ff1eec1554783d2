"""Panoptic Narrative Grounding (PNG, González et al., ICCV 2021): captions whose nouns refer to panoptic segments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..entities import rle
from ..entities.files import load_json
from ..entities.importing.fields import identifier, records, text
from ..support.errors import InputError
from .annotated import AnnotatedPhoto, Category
from .narration.teller import Mention, Narrative
from .panoptic import CocoPanoptic
from .problems import Problems

UNFIT = "narratives whose utterances do not fit the caption"
"""The problem of narratives in which the nouns have no place; the first baseline left out similar ones."""


@dataclass(frozen=True)
class NarratedSegments:
    """A photo with panoptic segments, and captions about them.

    Attributes:
        photo: the photo.
        narratives: captions; entity k of a mention is `photo.segments[k - 1]`.
        problems: what was left out.
    """

    photo: AnnotatedPhoto
    narratives: tuple[Narrative, ...]
    problems: Problems = field(default_factory=Problems, compare=False)

    @property
    def labels(self) -> np.ndarray:
        """(H, W) int32: k for the pixels of `photo.segments[k - 1]`, crowds too; 0 elsewhere."""
        height, width = self.photo.size
        columns = np.zeros(height * width, np.int32)
        for label, one in enumerate(self.photo.segments, start=1):
            rle.paint(one.mask, columns, label)
        return np.ascontiguousarray(columns.reshape(width, height).T)


class PanopticNarratives(Sequence[NarratedSegments]):
    """The narratives of `png_coco_val2017.json`, by photo.

    The span of every noun is found again by its utterance. A noun is in the plural if the file says so, and a thing or
    stuff as its last segment is, as in PNG's own evaluation. Nouns without segments are not mentions.

    Args:
        path: the file, or the folder that holds it.
        panoptic: COCO's panoptic JSON or the folder that holds it as `panoptic.json`; None: found near the file.
        images: folder of the photos; None: found near the panoptic file.

    Attributes:
        name: the file.
        categories: the categories of the segments.
        total: number of narratives that can be used; those whose segments cannot be read are found later.
        given: number of narratives in the file.
        problems: what was left out when it was opened; each photo has its own, too.

    Raises:
        InputError: a file is missing, damaged, or in another format, or no narrative can be used.
    """

    def __init__(self, path: str | Path, panoptic: str | Path | None = None, images: str | Path | None = None) -> None:
        file = _narratives_file(Path(path))
        content = load_json(file)
        if not isinstance(content, list) or not any("segments" in one for one in records(content)):
            raise InputError(f"{file} is not a file of panoptic narratives: it does not list captions with segments.")
        self.name, self.problems, self.given = str(file), Problems(), len(content)
        self.photos = _panoptic_near(file, None if panoptic is None else Path(panoptic), images)
        self.problems.update(self.photos.problems)
        self.categories: tuple[Category, ...] = self.photos.categories
        places = {key: place for place, key in enumerate(self.photos.keys)}
        self._captions: dict[int, list[tuple[str, list[_Noun]]]] = {}
        for number, one in enumerate(records(content)):
            key = identifier(one.get("image_id"))
            name = f"number {number} of photo {key}"
            caption = " ".join(text(one.get("caption")).split())
            place = places.get(key or "")
            if place is None:
                self.problems.add("narratives of photos that are not listed", name)
            elif not caption:
                self.problems.add("narratives without a caption", name)
            elif (nouns := _nouns(caption, records(one.get("segments")))) is None:
                self.problems.add(UNFIT, name)
            elif not nouns:
                self.problems.add("narratives without a noun that refers to a segment", name)
            else:
                self._captions.setdefault(place, []).append((caption, nouns))
        self.total = sum(map(len, self._captions.values()))
        self._order = sorted(self._captions)
        if not self._order:
            raise InputError(f"{file} does not have narratives that can be used: {'; '.join(self.problems)}.")

    def __len__(self) -> int:
        """The number of photos."""
        return len(self._order)

    @property
    def keys(self) -> tuple[str, ...]:
        """The notation of every photo's id, in order."""
        keys = self.photos.keys
        return tuple(keys[place] for place in self._order)

    def __getitem__(self, index):  # type: ignore[no-untyped-def, override]
        """The photo at an index, or a list of photos for a slice; ImageError if its segments cannot be read."""
        if isinstance(index, slice):
            return [self._narrated(one) for one in self._order[index]]
        return self._narrated(self._order[index])

    def __iter__(self) -> Iterator[NarratedSegments]:
        return map(self._narrated, self._order)

    def _narrated(self, place: int) -> NarratedSegments:
        photo = self.photos.photo(place)
        problems = Problems()
        problems.update(photo.problems)
        ids = {identifier(one.id): number for number, one in enumerate(photo.segments, start=1)}
        narratives = []
        for caption, nouns in self._captions[place]:
            mentions = []
            for noun in nouns:
                if all(one in ids for one in noun.segments):
                    meant = [ids[one] for one in noun.segments]
                    kind = self._kind(photo, meant[-1])
                    mentions.append(Mention(noun.span, tuple(sorted(set(meant))), kind, noun.plural))
                else:
                    start, end = noun.span
                    problems.add("nouns whose segments are missing", f"{caption[start:end]!r} of {photo.name}")
            if mentions:
                narratives.append(Narrative(caption, tuple(mentions)))
            else:
                problems.add("narratives whose segments are missing", photo.name)
        return NarratedSegments(photo, tuple(narratives), problems)

    def _kind(self, photo: AnnotatedPhoto, number: int) -> str | None:
        category = photo.segments[number - 1].category
        thing = None if category is None else self.categories[category].thing
        return None if thing is None else "thing" if thing else "stuff"


@dataclass(frozen=True)
class _Noun:
    """A noun with its place in the caption and the notation of the ids of its segments."""

    span: tuple[int, int]
    segments: tuple[str, ...]
    plural: bool


def _narratives_file(path: Path) -> Path:
    """The file itself; or the one in a folder, that of the validation photos if there are several."""
    if not path.is_dir():
        return path
    found = [file for folder in (path, path / "annotations") for file in sorted(folder.glob("png_coco_*2017.json"))]
    for file in [*(one for one in found if "_val" in one.stem), *found]:
        return file
    raise InputError(f"{path} does not contain png_coco_val2017.json or png_coco_train2017.json.")


def _panoptic_near(file: Path, panoptic: Path | None, images: str | Path | None) -> CocoPanoptic:
    """COCO's segments: `panoptic_val2017.json` for `png_coco_val2017.json`, in the places where people keep it."""
    part = file.stem.rpartition("_")[2]
    if panoptic is None:
        folders = (file.parent, file.parent / "annotations", file.parent.parent / "annotations", file.parent.parent)
        names = (f"panoptic_{part}.json", "panoptic.json")
        panoptic = next((one for name in names for folder in folders if (one := folder / name).is_file()), None)
        if panoptic is None:
            raise InputError(
                f"{file} needs COCO's panoptic segments: {names[0]} beside it, or give its place (--panoptic)."
            )
    home = panoptic if panoptic.is_dir() else panoptic.parent
    pictures = home / "panoptic_segmentation" / part  # as PNG's own programs keep them
    return CocoPanoptic(panoptic, images, pictures if pictures.is_dir() else None)


def _nouns(caption: str, segments: Sequence[Mapping[str, Any]]) -> list[_Noun] | None:
    """The nouns with segments; None if the utterances are not the caption's words in order.

    Only letters and digits are compared, in any case: the captions and the utterances differ in spaces and punctuation.
    """
    places = [place for place, letter in enumerate(caption) if letter.isalnum()]
    letters = "".join(caption[place] for place in places)
    found, done = [], 0
    for one in segments:
        spoken = "".join(letter for letter in text(one.get("utterance")) if letter.isalnum())
        if letters[done : done + len(spoken)].lower() != spoken.lower():
            return None
        first, done = done, done + len(spoken)
        ids = one.get("segment_ids")
        keys = tuple(identifier(key) or "" for key in ids) if isinstance(ids, list) else ()
        if one.get("noun") and keys and spoken:
            plural = bool(one["plural"]) if "plural" in one else len(keys) > 1
            found.append(_Noun((places[first], places[done - 1] + 1), keys, plural))
    return found
