"""Consecutive frames of a clip that share queries: they are the views of the batch level, in place of a photo's crops.

This is the extension to video that the CropFormer paper proposes for future work. A query then stands for the same
entity in all frames of a window.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np
import torch

from ...entities.entity_map import EntityMap
from ...entities.label_arrays import count_pairs
from ...support.errors import InputError
from .fusion import Fusion
from .views import Views, make_views

T = TypeVar("T")


def windows(frames: Iterable[T], length: int) -> Iterator[list[T]]:
    """Lists of up to `length` consecutive frames, at least 2; the last frame of a list is the first of the next.

    >>> list(windows("abcdef", 3))
    [['a', 'b', 'c'], ['c', 'd', 'e'], ['e', 'f']]
    """
    window: list[T] = []
    begun = False
    for frame in frames:
        window.append(frame)
        if len(window) == length:
            yield window
            window, begun = window[-1:], True
    if len(window) > begun:
        yield window


def views_of_frames(frames: Sequence[np.ndarray], short: int, longest: int) -> Views:
    """The model's input for several frames, all seen whole; other arguments and errors as for `make_views`.

    Raises:
        InputError: the frames differ in size.
    """
    for frame in frames:
        if frame.shape != frames[0].shape:
            (height, width), (other_height, other_width) = frames[0].shape[:2], frame.shape[:2]
            raise InputError(
                f"All frames of a clip must have the same size, but there are frames of {width}x{height} and of "
                f"{other_width}x{other_height} pixels."
            )
    views = [make_views(frame, crops=0, short=short, longest=longest) for frame in frames]
    geometry = views[0].geometry.select([0] * len(frames))
    return Views(torch.cat([view.pixels for view in views]), geometry)


def queries_of(entities: EntityMap, fused: Fusion) -> list[int]:
    """The query that most pixels of each entity come from."""
    counts = count_pairs(entities.labels, fused.labels, (len(entities), len(fused.queries)))
    return fused.queries[counts[1:, 1:].argmax(axis=1)].tolist()


def known_tracks(queries: Sequence[int], tracks: Mapping[int, int]) -> np.ndarray:
    """(N,) int64, the tracks of entities by their queries; 0 where it is unknown, or an earlier entity has it.

    >>> known_tracks([7, 8, 9, 5], {7: 1, 8: 2, 9: 1}).tolist()
    [1, 2, 0, 0]
    """
    found = np.array([tracks.get(query, 0) for query in queries], np.int64)
    _, first = np.unique(found, return_index=True)
    only = np.zeros_like(found)
    only[first] = found[first]
    return only
