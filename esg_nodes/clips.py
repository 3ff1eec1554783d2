"""The node that takes the pictures of a clip apart, under numbers that stay from picture to picture."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from torch import Tensor

from ..esg import Clip, EntityMap, Grounding, InputError, Phrase, choose, overlay, track_entities
from .host import host, of_one
from .inputs import choice, number, switch, text, whole, wire
from .loading import Loaded
from .segmenting import LIMITS
from .values import ENTITIES, SEGMENTER, Entities, pictures, to_image, to_mask

_NUMBERS = re.compile(r"(?:[0-9]{1,9}(?![0-9])|[\s,–!-]|\b(?:all|none|not)\b)*", re.IGNORECASE)


class SegmentFrames:
    CATEGORY = "ESG"
    DESCRIPTION = (
        "Takes the pictures of a clip apart and follows their entities by overlap: each is a track, with a number and "
        "a colour that stay. Tracks are numbered as they appear, so in the first picture a track has the number of its "
        "entity. In other nodes a track is found by its phrase, such as: track 3."
    )
    SEARCH_ALIASES = ("video", "track", "tracking", "video segmentation", "clip", "frames")
    RETURN_TYPES = (ENTITIES, "MASK", "STRING", "IMAGE")
    RETURN_NAMES = ("entities", "mask", "tracks", "overlay")
    OUTPUT_TOOLTIPS = (
        "The entities of every picture, each numbered from 1. Phrases name their tracks: choose `phrase: track 3` in "
        "Pick Entities.",
        "The chosen tracks, one mask for each picture.",
        "JSON: for each track its number (id), the pictures that it is in (frames, from 0), and its entity number and "
        "score in each of them.",
        "The pictures with their tracks in colours.",
    )
    FUNCTION = "segment"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "segmenter": wire(SEGMENTER, "From Load Segmenter."),
                "image": wire("IMAGE", "The pictures of the clip, from first to last."),
                "tracks": text("all", "Tracks in the mask, by the numbers in the overlay: 3,5-7 / all / none / not 2."),
                "crops": choice(
                    ["0", "4", "8"],
                    "High-resolution crops to look at beside each whole picture: smaller things and better outlines, "
                    "but five times the time.",
                ),
                **LIMITS,
                "numbers": switch(True, "Write the numbers of the tracks into the overlay."),
            },
            "optional": {
                "in_first": text(
                    "",
                    "More tracks for the mask, chosen in the first picture as in Pick Entities: largest 2 / centre / "
                    "points or boxes as JSON. With it, tracks may be: none.",
                ),
                "min_overlap": number(
                    0.3,
                    0,
                    1,
                    "Least overlap (intersection over union) with the picture before for the same track; less follows "
                    "faster things, and mixes up neighbours.",
                    advanced=True,
                ),
                "patience": whole(
                    2, 0, 100, "Pictures in a row that a track may be missing in, and keep its number.", advanced=True
                ),
            },
        }

    def segment(
        self,
        segmenter: Loaded,
        image: Tensor,
        tracks: str,
        crops: str,
        min_score: float,
        min_area: int,
        numbers: bool,
        in_first: str = "",
        min_overlap: float = 0.3,
        patience: int = 2,
    ) -> tuple[Entities, Tensor, str, Tensor]:
        photos = pictures(image)
        show = host().progress()
        model = segmenter.ready()

        def each() -> Iterator[EntityMap]:
            for index, photo in enumerate(photos):
                yield model(
                    photo,
                    crops=int(crops),
                    min_score=None if min_score < 0 else min_score,
                    min_area=min_area,
                    progress=of_one(show, index, len(photos)),
                )

        clip = track_entities(each(), min_iou=min_overlap, patience=patience)
        maps, names, groundings = [], [], []
        for frame in range(len(clip)):
            found, numbers_of = clip.entities(frame)
            present = np.flatnonzero(numbers_of)
            maps.append(found)
            names.append(present[np.argsort(numbers_of[present])])
            groundings.append(_named(clip, numbers_of, found))
        chosen = {*_read_tracks(tracks, len(clip.tracks))}
        chosen |= {int(names[0][k - 1]) for k in choose(maps[0], in_first, grounding=groundings[0])}
        drawn = [
            overlay(photo, found, numbers=numbers, shown_as=shown) for photo, found, shown in zip(photos, maps, names)
        ]
        return (
            Entities.of(maps, groundings),
            to_mask([clip.mask(frame, chosen) for frame in range(len(clip))], photos[0].shape[:2]),
            json.dumps(_tracks(clip, names)),
            to_image(drawn),
        )


def _read_tracks(words: str, count: int) -> list[int]:
    """The tracks, of `count`, that a text like 3,5-7 means.

    Raises:
        InputError: it is no such text, or there is no such track.
    """
    if not _NUMBERS.fullmatch(words):
        raise InputError(f"{words.strip()!r} names no tracks; write numbers such as 3,5-7, or all, none, or not 2.")
    for wanted in map(int, re.findall("[0-9]+", words)):
        if not 1 <= wanted <= count:
            there_are = f"the numbers of this clip go from 1 to {count}" if count else "this clip has none"
            raise InputError(f"There is no track {wanted}: {there_are}.")
    row = np.arange(1, count + 1)[None] if count else np.zeros((1, 1), np.int32)
    return choose(EntityMap.from_labels(row), words)  # all scores and areas are equal, so that numbers stay


def _named(clip: Clip, numbers: np.ndarray, found: EntityMap) -> Grounding | None:
    """The tracks as phrases, the same in all pictures: other nodes can follow an entity by its name."""
    if not clip.tracks:
        return None
    phrases, start = [], 0
    for track in clip.tracks:
        name, k = f"track {track.id}", int(numbers[track.id])
        score = float(np.clip(found.scores[k - 1], 0, 1)) if k else 0.0
        phrases.append(Phrase(name, (start, start + len(name)), (k,) if k else (), (score,) if k else ()))
        start += len(name) + 2
    return Grounding(", ".join(phrase.text for phrase in phrases), tuple(phrases))


def _tracks(clip: Clip, names: list[np.ndarray]) -> list[dict[str, Any]]:
    """What is in the JSON: `names` are the tracks of the entities 1..N of every picture."""
    return [
        {
            "id": track.id,
            "frames": [*track.frames],
            "entity_ids": [int(np.flatnonzero(names[frame] == track.id)[0]) + 1 for frame in track.frames],
            "scores": [round(score, 4) for score in track.scores],
        }
        for track in clip.tracks
    ]
