"""The node that segments the pictures of a clip; an entity keeps its number from picture to picture."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import numpy as np
from torch import Tensor

from ..esg import (
    Clip,
    EntityMap,
    Grounding,
    InputError,
    Phrase,
    Stage,
    Tracker,
    check_choice,
    choose,
    choose_tracks,
    track_entities,
)
from .host import host
from .inputs import choice, number, switch, text, whole, wire
from .loading import Loaded
from .picking import unreadable
from .recalling import segmented
from .segmenting import LIMITS
from .values import ENTITIES, SEGMENTER, Entities, later_mask, later_overlay, pictures

_NUMBERS = re.compile(r"(?:[0-9]{1,9}(?![0-9])|[\s,，、–!-]|\b(?:all|none|not)\b)*", re.IGNORECASE)


class SegmentFrames:
    CATEGORY = "ESG"
    DESCRIPTION = (
        "Segments the pictures of a clip and tracks their entities by overlap. An entity that is tracked is a track, "
        "which keeps its number and colour. Tracks are numbered in the order in which they appear, so the tracks of "
        "the first picture have the numbers of its entities. All other nodes use these numbers for a clip, too: a "
        "pick of 3 is track 3 in all pictures."
    )
    SEARCH_ALIASES = ("video", "track", "tracking", "video segmentation", "clip", "frames")
    RETURN_TYPES = (ENTITIES, "MASK", "STRING", "IMAGE")
    RETURN_NAMES = ("entities", "mask", "tracks", "overlay")
    OUTPUT_TOOLTIPS = (
        "The entities of every picture, numbered by their tracks.",
        "The chosen tracks, one mask for each picture.",
        "JSON: for each track its number (id), the pictures that it is in (frames, from 0), and its number "
        "(entity_ids) and score in each of them.",
        "The pictures with their tracks in colours.",
    )
    FUNCTION = "segment"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "segmenter": wire(SEGMENTER, "From Load Segmenter."),
                "image": wire("IMAGE", "The pictures of the clip, from first to last."),
                "tracks": text(
                    "all", "Tracks to include in the mask, by their numbers in the overlay: 3,5-7 / all / none / not 2."
                ),
                "crops": choice(
                    ["0", "4", "8"],
                    "Number of high-resolution crops besides each whole picture. 4 crops take about five times as "
                    "long; the authors' models find smaller things and better outlines with them, cropformer-nano does "
                    "better without.",
                ),
                **LIMITS,
                "numbers": switch(True, "Write the numbers of the tracks into the overlay."),
            },
            "optional": {
                "in_first": text(
                    "",
                    "More tracks for the mask, chosen in the first picture as in Pick Entities: largest 2 / centre / "
                    "points or boxes as JSON. To use only these, write none into tracks.",
                ),
                "min_overlap": number(
                    0.3,
                    0,
                    1,
                    "Minimum overlap (intersection over union) with the previous picture to continue a track. Lower "
                    "values follow faster things, but may confuse neighbours.",
                    advanced=True,
                ),
                "patience": whole(
                    2,
                    0,
                    100,
                    "Number of consecutive pictures that an entity may be missing from and still keep its number.",
                    advanced=True,
                ),
                "share": whole(
                    1,
                    1,
                    16,
                    "Number of consecutive pictures that a CropFormer segments together, with the same queries, which "
                    "can follow fast things better than overlap. More need more memory. 1: each by itself.",
                    advanced=True,
                ),
            },
        }

    @classmethod
    def VALIDATE_INPUTS(cls, tracks: Any = None, in_first: Any = None) -> bool | str:
        try:
            read_tracks(tracks or "")
        except InputError as error:
            return str(error)
        return unreadable(in_first)

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
        share: int = 1,
    ) -> tuple[Entities, Tensor, str, Tensor]:
        read_tracks(tracks)
        check_choice(in_first)
        filters = {"min_score": None if min_score < 0 else min_score, "min_area": min_area}
        if share == 1:
            frames = segmented(segmenter, image, {"crops": int(crops), "fusion": None, "size": None}, filters)
            clip = track_entities(frames, min_iou=min_overlap, patience=patience)
        else:
            if crops != "0":
                raise InputError("Pictures that share queries are seen whole; set crops to 0, or share to 1.")
            clip = _segmented_together(
                segmenter, image, share, Tracker(min_iou=min_overlap, patience=patience), filters
            )
        maps, names, groundings = [], [], []
        for frame in range(len(clip)):
            found, numbers_of = clip.entities(frame)
            present = np.flatnonzero(numbers_of)
            maps.append(found)
            names.append(present[np.argsort(numbers_of[present])])
            groundings.append(_named(clip, numbers_of, found))
        entities = Entities.of(maps, groundings, names)

        @cache
        def chosen() -> set[int]:
            """Only for the mask: a number that no track has must not prevent the other outputs."""
            first = choose(maps[0], in_first, grounding=groundings[0])
            return {*choose_tracks(maps, names, tracks), *(int(names[0][k - 1]) for k in first)}

        return (
            entities,
            later_mask(len(clip), image.shape[1:3], lambda frame: clip.mask(frame, chosen())),
            json.dumps(_tracks(clip)),
            later_overlay(image, entities, numbers=numbers),
        )


def _segmented_together(
    segmenter: Loaded, image: Tensor, share: int, tracker: Tracker, filters: dict[str, Any]
) -> Clip:
    """The clip, of which `share` pictures at a time share their queries."""
    photos = pictures(image)
    show = host().progress()
    labels = []
    for frame in segmenter.ready().track(photos, share=share, tracker=tracker, **filters):
        labels.append(frame.labels)
        show(len(labels), len(photos), Stage.VIEWS)
    return Clip(tuple(labels), tracker.tracks)


def read_tracks(words: str) -> None:
    """Raises InputError unless the text is like 3,5-7 or all, none, not 2."""
    if not _NUMBERS.fullmatch(words):
        raise InputError(
            f"{words.strip()!r} does not name tracks; write numbers such as 3,5-7, or all, none, or not 2."
        )
    check_choice(words)


def _named(clip: Clip, numbers: np.ndarray, found: EntityMap) -> Grounding | None:
    """The tracks as phrases, the same in all pictures, so that other nodes can follow an entity by its name."""
    if not clip.tracks:
        return None
    phrases, start = [], 0
    for track in clip.tracks:
        name, k = f"track {track.id}", int(numbers[track.id])
        score = float(np.clip(found.scores[k - 1], 0, 1)) if k else 0.0
        phrases.append(Phrase(name, (start, start + len(name)), (k,) if k else (), (score,) if k else ()))
        start += len(name) + 2
    return Grounding(", ".join(phrase.text for phrase in phrases), tuple(phrases))


def _tracks(clip: Clip) -> list[dict[str, Any]]:
    """The content of the JSON."""
    return [
        {
            "id": track.id,
            "frames": [*track.frames],
            "entity_ids": [track.id] * len(track.frames),
            "scores": [round(score, 4) for score in track.scores],
        }
        for track in clip.tracks
    ]
