"""Entities of a clip: ids that stay the same from frame to frame, by the overlap of entities in consecutive frames.

This tracks things that stay roughly in place. Something that moves farther than its own size between two frames, or
that the segmenter divides differently, gets a new id.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from ..support.checks import check_whole
from ..support.errors import InputError
from .combining import Combined, numbered
from .entity_map import EntityMap
from .label_arrays import count_pairs, look_up


@dataclass(frozen=True)
class Track:
    """One entity of a clip.

    Attributes:
        id: 1..T in the order of appearance, and by descending score within a frame.
        frames: numbers of the frames that it is in, from 0, ascending; gaps do not exceed the patience.
        scores: its score in each of these frames.
        name: the name that it has most often in them, None if it is unknown.
    """

    id: int
    frames: tuple[int, ...]
    scores: tuple[float, ...]
    name: str | None = None

    @property
    def first(self) -> int:
        """The first frame that it is in."""
        return self.frames[0]

    @property
    def score(self) -> float:
        """The mean of its scores."""
        return sum(self.scores) / len(self.scores)


@dataclass(frozen=True, eq=False)
class Clip:
    """The entities of consecutive pictures of the same size, with ids that hold for all of them.

    Attributes:
        labels: one (H, W) map per frame, pixel = track id, 0 = none; in the smallest unsigned dtype that holds the ids
            known by then, so usually one byte per pixel.
        tracks: entry k has id k + 1.
    """

    labels: tuple[np.ndarray, ...]
    tracks: tuple[Track, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def mask(self, frame: int, ids: int | Iterable[int]) -> np.ndarray:
        """The union of some tracks in a frame, (H, W) bool; InputError for an id or a frame that does not exist."""
        wanted = np.zeros(len(self.tracks) + 1, bool)
        for number in [*ids] if isinstance(ids, Iterable) else [ids]:
            if not 1 <= number <= len(self.tracks):
                there_are = (
                    f"the ids of this clip go from 1 to {len(self.tracks)}"
                    if self.tracks
                    else "this clip has no tracks"
                )
                raise InputError(f"There is no track {number}: {there_are}.")
            wanted[number] = True
        return look_up(wanted, self.labels[self._number(frame)])

    def entities(self, frame: int) -> Combined:
        """A frame as an EntityMap, and `new_ids`: entry k is the id of track k in this frame, 0 = none.

        Raises:
            InputError: the frame does not exist.
        """
        frame = self._number(frame)
        scores = np.zeros(len(self.tracks), np.float32)
        for track in self.tracks:
            if frame in track.frames:
                scores[track.id - 1] = track.scores[track.frames.index(frame)]
        return numbered(self.labels[frame], scores, [track.name for track in self.tracks])

    def _number(self, frame: int) -> int:
        """The frame number from 0; negative numbers count from the end, as in any sequence."""
        check_whole("frame", frame, -len(self), len(self) - 1)
        return frame % len(self)


@dataclass(frozen=True, eq=False)
class TrackedFrame:
    """One frame of a clip, with the tracks of its entities.

    Attributes:
        number: 0, 1, ... in the order of the frames.
        entities: the map of the frame.
        ids: (N,) int64, the track of every entity.
        labels: (H, W), pixel = track id, 0 = none; in the smallest unsigned dtype that holds the ids known by then.
    """

    number: int
    entities: EntityMap
    ids: np.ndarray
    labels: np.ndarray


class Tracker:
    """Gives the entities of frame after frame their tracks, and remembers only the last few frames.

    Args:
        min_iou, patience: as in `track_entities`.

    Raises:
        InputError: an option is out of range.

    >>> import numpy as np
    >>> tracker = Tracker()
    >>> for labels in ([[1, 1, 2]], [[2, 2, 1]]):  # entity 2 of the second frame is track 1
    ...     print(tracker.add(EntityMap.from_labels(np.array(labels), [0.9, 0.5])).ids.tolist())
    [1, 2]
    [2, 1]
    """

    def __init__(self, *, min_iou: float = 0.3, patience: int = 2) -> None:
        if not 0 <= min_iou <= 1 or patience < 0:
            raise InputError(f"min_iou must be from 0 to 1 and patience 0 or more, not {min_iou} and {patience}.")
        self._min_iou = min_iou
        self._last: deque[np.ndarray] = deque(maxlen=patience + 1)  # label maps of tracks, the latest frame first
        self._number = 0  # of frames so far
        self._seen_in: list[list[int]] = []  # entry k is about track k + 1, here and below
        self._scores: list[list[float]] = []
        self._names: list[Counter[str]] = []

    @property
    def tracks(self) -> tuple[Track, ...]:
        """The tracks so far; entry k has id k + 1."""
        return tuple(
            Track(k, tuple(seen), tuple(of), next((name for name, _ in called.most_common(1)), None))
            for k, (seen, of, called) in enumerate(zip(self._seen_in, self._scores, self._names), start=1)
        )

    def add(self, entities: EntityMap, known: np.ndarray | None = None) -> TrackedFrame:
        """The next frame with its tracks.

        Args:
            entities: the map of the frame.
            known: (N,) the tracks of the entities, different from each other, as far as another method than overlap
                has found them; 0: unknown.

        Raises:
            InputError: the frame differs in size from the first.
        """
        self._check_size(entities)
        ids = np.zeros(len(entities) + 1, np.int64)  # the track of every entity of this frame
        if known is not None:
            ids[1:] = known
        for gap, labels in enumerate(self._last, start=1):
            last = self._number - gap
            lost = [track for track, seen in enumerate(self._seen_in, start=1) if seen[-1] == last]
            lost_tracks = np.setdiff1d(np.array(lost, np.int64), ids)
            free = np.flatnonzero(ids[1:] == 0) + 1
            if len(lost_tracks) and len(free):
                before, now = _associate(labels, lost_tracks, entities, free, self._min_iou)
                ids[now] = before
        new = np.flatnonzero(ids[1:] == 0) + 1
        ids[new] = len(self._seen_in) + np.arange(1, len(new) + 1)
        self._seen_in += [[] for _ in new]
        self._scores += [[] for _ in new]
        self._names += [Counter() for _ in new]
        for track, score, name in zip(ids[1:], entities.scores, entities.names):
            self._seen_in[track - 1].append(self._number)
            self._scores[track - 1].append(float(score))
            self._names[track - 1].update([name] if name else [])
        labels = look_up(ids.astype(np.min_scalar_type(len(self._seen_in))), entities.labels)
        self._last.appendleft(labels)
        self._number += 1
        return TrackedFrame(self._number - 1, entities, ids[1:], labels)

    def recognised(self, entities: EntityMap) -> np.ndarray:
        """(N,) int64, the tracks of another map of the latest frame, by overlap; 0 where none fits."""
        self._check_size(entities)
        ids = np.zeros(len(entities) + 1, np.int64)
        tracks = np.unique(self._last[0])
        tracks, free = tracks[tracks > 0].astype(np.int64), np.arange(1, len(entities) + 1)
        if len(tracks) and len(free):
            before, now = _associate(self._last[0], tracks, entities, free, self._min_iou)
            ids[now] = before
        return ids[1:]

    def _check_size(self, entities: EntityMap) -> None:
        if self._last and self._last[0].shape != entities.labels.shape:
            height, width = self._last[0].shape
            raise InputError(
                f"All frames of a clip must have the same size, but the first has {width}x{height} pixels and frame "
                f"{self._number} has {entities.width}x{entities.height}."
            )


def track_entities(frames: Iterable[EntityMap], *, min_iou: float = 0.3, patience: int = 2) -> Clip:
    """Gives the entities of consecutive frames ids for the whole clip; `Tracker` does so without keeping the clip.

    Entities are matched one to one so that the sum of their IoUs is maximal: first with those of the previous frame,
    then the remaining ones with those last seen two frames before, and so on.

    Args:
        frames: their maps, from first to last; consumed one by one, so a generator can make them on the fly.
        min_iou: minimum overlap of a match, 0..1. Box trackers use 0.3 as well.
        patience: an entity missing from up to this many consecutive frames gets its id back, if it overlaps with its
            last position.

    Raises:
        InputError: there are no frames, frames differ in size, or an option is out of range.

    >>> import numpy as np
    >>> frames = [EntityMap.from_labels(np.array(labels), [0.9, 0.5]) for labels in ([[1, 1, 2]], [[2, 2, 1]])]
    >>> [labels.tolist() for labels in track_entities(frames).labels]  # entity 2 of the second frame is track 1
    [[[1, 1, 2]], [[1, 1, 2]]]
    """
    tracker = Tracker(min_iou=min_iou, patience=patience)
    labels = tuple(tracker.add(entities).labels for entities in frames)
    if not labels:
        raise InputError("A clip needs at least one frame.")
    return Clip(labels, tracker.tracks)


def _associate(
    before: np.ndarray, tracks: np.ndarray, now: EntityMap, ids: np.ndarray, min_iou: float
) -> tuple[np.ndarray, np.ndarray]:
    """Matches the given tracks of an earlier label map with the given ids of a map; two (K,) arrays of pairs."""
    rows = np.zeros(max(int(before.max()), int(tracks.max())) + 1, np.int32)
    rows[tracks] = np.arange(1, len(tracks) + 1)
    columns = np.zeros(len(now) + 1, np.int32)
    columns[ids] = np.arange(1, len(ids) + 1)
    joint = count_pairs(look_up(rows, before), look_up(columns, now.labels), (len(tracks), len(ids)))
    both = joint[1:, 1:]
    iou = both / (joint.sum(axis=1)[1:, None] + joint.sum(axis=0)[None, 1:] - both)
    fits = (both > 0) & (iou >= min_iou)
    row, column = linear_sum_assignment(np.where(fits, iou, 0), maximize=True)
    chosen = fits[row, column]
    return tracks[row[chosen]], ids[column[chosen]]
