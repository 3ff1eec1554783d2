"""Synthetic clips: what moves, and what does not."""

from __future__ import annotations

import numpy as np

from esg.data.scenes.moving import moving_scene
from esg.data.scenes.synth import make_scene


def centre(labels: np.ndarray, number: int) -> np.ndarray:
    return np.argwhere(labels == number).mean(axis=0)


def test_without_motion_all_frames_are_the_scene_itself() -> None:
    scene = make_scene(3, 60, 80)
    for image, labels in moving_scene(3, 3, 60, 80, things=0, pan=0):
        assert np.array_equal(image, scene.image)
        kept = labels > 0
        assert np.array_equal(labels[kept], scene.labels[kept])
        assert kept.mean() > 0.99  # tiny entities are left out


def test_the_camera_pans_over_the_scene() -> None:
    (first, _), (_, _), (last, _) = moving_scene(3, 3, 60, 80, things=0, pan=0.05)
    assert not np.array_equal(first, last)
    # 0.05 of a side of 69 pixels, twice: 7 pixels in one direction, so that most of the first frame is in the last.
    moves = [(y, x) for y in range(-7, 8) for x in range(-7, 8)]
    inner = first[10:50, 10:70]
    (move,) = [(y, x) for y, x in moves if np.array_equal(last[10 - y : 50 - y, 10 - x : 70 - x], inner)]
    assert 6 <= np.hypot(*move) <= 8


def test_things_move_straight_on_and_keep_their_ids() -> None:
    still = [labels for _, labels in moving_scene(3, 4, 120, 160, things=2, speed=0, pan=0)]
    assert all(np.array_equal(one, still[0]) for one in still)
    clip = [labels for _, labels in moving_scene(3, 4, 120, 160, things=1, speed=0.05, pan=0)]
    number = max(int(labels.max()) for labels in clip)
    steps = np.diff([centre(labels, number) for labels in clip[:3]], axis=0)
    assert np.allclose(steps[0], steps[1], atol=1)  # positions are whole pixels
    assert abs(np.hypot(*steps[0]) - 0.05 * np.sqrt(120 * 160)) < 1
    behind = [np.where(labels == number, 0, labels) for labels in clip]
    both = (behind[0] > 0) & (behind[1] > 0)
    assert np.array_equal(behind[0][both], behind[1][both])


def test_the_same_seed_gives_the_same_clip() -> None:
    first, second = ([image for image, _ in moving_scene(5, 2, 60, 80)] for _ in range(2))
    assert all(np.array_equal(one, other) for one, other in zip(first, second))
