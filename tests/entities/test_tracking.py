"""Ids that stay from frame to frame, on clips of one row of pixels with obvious answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from esg.entities.entity_map import EntityMap
from esg.entities.tracking import Clip, Tracker, track_entities
from esg.support.errors import InputError

clips = hnp.arrays(np.int32, st.tuples(st.integers(1, 6), st.just(2), st.integers(1, 6)), elements=st.integers(0, 3))


def frame_of(row: str, scores: tuple[float, ...] = (0.9, 0.5, 0.3)) -> EntityMap:
    return EntityMap.from_labels(np.array([[int(letter.replace(".", "0")) for letter in row]]), scores)


def rows_of(clip: Clip) -> list[str]:
    return ["".join(map(str, labels[0])).replace("0", ".") for labels in clip.labels]


def track(*rows: str, **options: float) -> Clip:
    return track_entities((frame_of(row) for row in rows), **options)


def test_ids_stay_when_scores_change_their_order() -> None:
    clip = track_entities([frame_of("1122.", (0.9, 0.5)), frame_of("2211.", (0.9, 0.5)), frame_of("1122.")])
    assert rows_of(clip) == ["1122.", "1122.", "1122."]
    assert [one.frames for one in clip.tracks] == [(0, 1, 2), (0, 1, 2)]
    assert clip.tracks[0].scores == pytest.approx((0.9, 0.5, 0.9))
    assert clip.tracks[0].score == pytest.approx(2.3 / 3)


def test_what_moves_keeps_its_id_as_long_as_it_overlaps_enough() -> None:
    assert rows_of(track("111...", ".111..", "...111")) == ["111...", ".111..", "...222"]  # IoU 2/4, then 1/5
    assert rows_of(track("111...", ".111..", "...111", min_iou=0.2)) == ["111...", ".111..", "...111"]
    assert rows_of(track("111...", ".111..", min_iou=0.51)) == ["111...", ".222.."]
    assert rows_of(track("11..", "..11", min_iou=0)) == ["11..", "..22"]  # without any overlap never


def test_ids_are_given_in_the_order_of_appearance() -> None:
    clip = track(".1.....", ".2.11..", ".2.11.3")
    assert rows_of(clip) == [".1.....", ".1.22..", ".1.22.3"]
    assert [(one.id, one.first) for one in clip.tracks] == [(1, 0), (2, 1), (3, 2)]


@pytest.mark.parametrize(("patience", "last"), [(0, "33.22"), (1, "33.22"), (2, "11.22"), (5, "11.22")])
def test_an_id_comes_back_within_the_patience(patience: int, last: str) -> None:
    clip = track("11.22", "...22", "...22", "11.22", patience=patience)
    assert rows_of(clip) == ["11.22", "...22", "...22", last]
    assert clip.tracks[0].frames == ((0, 3) if last.startswith("1") else (0,))


def test_the_frame_before_goes_first() -> None:
    clip = track("1111....", "...1111.", ".1111...")  # 1/3 with the frame before, 3/5 with the one before that
    assert rows_of(clip) == ["1111....", "...2222.", ".2222..."]
    clip = track("1111....", "...1111.", ".1111...", min_iou=0.5)
    assert rows_of(clip) == ["1111....", "...2222.", ".1111..."]


def test_one_to_one_with_the_best_sum() -> None:
    # The long new one overlaps most with 1, by 5/12, but that would leave 2 with nothing; 3/8 and 2/5 are more.
    assert rows_of(track("1111111122222", "222111111111.")) == ["1111111122222", "111222222222."]
    assert rows_of(track("11111111", "11111222")) == ["11111111", "11111222"]  # of two parts the larger keeps the id
    assert rows_of(track("11122222", "11111111")) == ["11122222", "22222222"]  # of two that become one, the larger


def test_empty_frames() -> None:
    clip = track("...", "11.", "...", "11.")
    assert rows_of(clip) == ["...", "11.", "...", "11."]
    clip = track("..", "..")
    assert (rows_of(clip), clip.tracks, len(clip)) == (["..", ".."], (), 2)


def test_masks_and_maps_of_a_frame() -> None:
    clip = track("1122", "..22", "3.22")
    assert clip.mask(0, [1, 2]).tolist() == [[True] * 4]
    assert clip.mask(1, 1).tolist() == [[False] * 4]
    entities, new_ids = clip.entities(1)
    assert (entities.labels.tolist(), new_ids.tolist()) == ([[0, 0, 1, 1]], [0, 0, 1])
    assert entities.scores.tolist() == pytest.approx([0.5])
    last, counted_from_the_end = clip.entities(2), clip.entities(-1)
    assert last.entities == counted_from_the_end.entities
    assert last.entities.scores.all()
    assert np.array_equal(clip.mask(-1, 1), clip.mask(2, 1))
    with pytest.raises(InputError, match="no track 3: the ids of this clip go from 1 to 2"):
        clip.mask(0, 3)
    for frame in (3, -4, 1.0):
        for look in (clip.entities, lambda number: clip.mask(number, 1)):
            with pytest.raises(InputError, match="must be a whole number from -3 to 2"):
                look(frame)


def test_labels_take_one_byte_as_long_as_they_can() -> None:
    few, many = (EntityMap.from_labels(np.arange(1, 301)[None] * (np.arange(300) < count)) for count in (200, 300))
    assert [labels.dtype for labels in track_entities([few, many, few]).labels] == [np.uint8, np.uint16, np.uint16]


@pytest.mark.parametrize(
    ("frames", "options", "message"),
    [
        ([], {}, "at least one frame"),
        (["11", "111"], {}, "the first has 2x1 pixels and frame 1 has 3x1"),
        (["11"], {"min_iou": 1.5}, "min_iou must be from 0 to 1"),
        (["11"], {"patience": -1}, "patience 0 or more"),
    ],
)
def test_invalid_clips_are_refused(frames: list[str], options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        track(*frames, **options)


@given(clips, st.integers(0, 3), st.sampled_from([0.0, 0.3, 0.7]))
def test_every_frame_keeps_its_entities_and_tracks_say_where_they_are(
    stack: np.ndarray, patience: int, min_iou: float
) -> None:
    frames = [EntityMap.from_labels(labels, [0.9, 0.5, 0.3]) for labels in stack]
    clip = track_entities(frames, min_iou=min_iou, patience=patience)
    assert [one.id for one in clip.tracks] == list(range(1, len(clip.tracks) + 1))
    for number, (entities, labels) in enumerate(zip(frames, clip.labels)):
        pairs = set(zip(entities.labels.ravel().tolist(), labels.ravel().tolist()))
        assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})  # one to one, 0 with 0
        assert (0, 0) in pairs or 0 not in {part for pair in pairs for part in pair}
        assert {b for _, b in pairs} - {0} == {one.id for one in clip.tracks if number in one.frames}
        assert clip.entities(number).entities == entities
    for one in clip.tracks:
        assert all(later - earlier <= patience + 1 for earlier, later in zip(one.frames, one.frames[1:]))


def test_a_clip_in_which_nothing_is_has_no_tracks() -> None:
    clip = track_entities([EntityMap.from_labels(np.zeros((2, 3), np.int32))])
    assert not clip.mask(0, []).any()
    with pytest.raises(InputError, match=r"There is no track 1: this clip has no tracks\."):
        clip.mask(0, 1)


def test_a_tracker_gives_the_frames_of_a_clip_one_by_one() -> None:
    tracker = Tracker(patience=1)
    frames = [tracker.add(frame_of(row)) for row in ("11.22", "...11", "11.22")]
    assert [frame.number for frame in frames] == [0, 1, 2]
    assert [frame.ids.tolist() for frame in frames] == [[1, 2], [2], [1, 2]]
    assert [frame.labels.tolist() for frame in frames] == [[[1, 1, 0, 2, 2]], [[0, 0, 0, 2, 2]], [[1, 1, 0, 2, 2]]]
    assert [one.frames for one in tracker.tracks] == [(0, 2), (0, 1, 2)]


def test_tracks_that_are_known_go_before_overlap() -> None:
    tracker = Tracker()
    tracker.add(frame_of("111.22"))
    exchanged = tracker.add(frame_of("111.22"), np.array([2, 0]))  # entity 1 is track 2, so that is not free for 2
    assert exchanged.ids.tolist() == [2, 3]
    back = tracker.add(frame_of("111.22"), np.array([0, 1]))
    assert back.ids.tolist() == [2, 1]


def test_another_map_of_the_last_frame_is_recognised() -> None:
    tracker = Tracker()
    tracker.add(frame_of("111.22"))
    tracker.add(frame_of("111..."))
    assert tracker.recognised(frame_of("33.221")).tolist() == [0, 0, 1]
    assert [one.frames for one in tracker.tracks] == [(0, 1), (0,)]  # which adds nothing
