"""What an entity rests on, in small drawn pictures."""

from __future__ import annotations

import numpy as np
import pytest

from esg.entities.resting import rests_on

GROUND, THING, OTHER = 1, 2, 3


def scene(height: int = 100, width: int = 120) -> np.ndarray:
    """Ground in the lower half, and a thing of 20×30 pixels that stands on it, up to row 70."""
    labels = np.zeros((height, width), np.int32)
    labels[50:] = GROUND
    labels[40:70, 50:70] = THING
    return labels


def test_a_thing_on_the_ground() -> None:
    assert rests_on(scene(), THING) == GROUND
    assert rests_on(scene(), GROUND) == 0  # it reaches the edge of the picture


def test_size_does_not_matter() -> None:
    assert rests_on(np.kron(scene(), np.ones((17, 17), np.int32)), THING) == GROUND


def test_most_of_the_lowest_points_decide() -> None:
    labels = scene()
    labels[70:75, 50:58] = OTHER
    assert rests_on(labels, THING) == GROUND
    labels[70:75, 50:62] = OTHER
    assert rests_on(labels, THING) == OTHER
    labels[70:75, 50:70] = 0
    assert rests_on(labels, THING) == 0


def test_only_the_lowest_part_counts() -> None:
    labels = scene()
    labels[40:50, 20:100] = THING  # arms, far above the ground
    labels[50:60, 20:100] = np.where(labels[50:60, 20:100] == THING, THING, OTHER)
    assert rests_on(labels, THING) == GROUND


def test_a_thing_cut_off_by_the_edge_rests_on_nothing() -> None:
    labels = scene()
    labels[40:, 50:70] = THING
    assert rests_on(labels, THING) == 0


@pytest.mark.parametrize("number", [THING, 7])
def test_an_entity_without_pixels_rests_on_nothing(number: int) -> None:
    assert rests_on(np.ones((5, 5), np.int32), number) == 0
