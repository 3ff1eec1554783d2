"""Relations measured in label maps."""

from __future__ import annotations

import numpy as np

from esg.data.narration.facts import photo_facts
from esg.data.narration.relations import Relations, measured_relations


def relations(labels: np.ndarray) -> set[tuple[int, str, int]]:
    found: Relations = measured_relations(labels, photo_facts(np.zeros((*labels.shape, 3), np.uint8), labels))
    assert len(set(found)) == len(found)
    return set(found)


def test_beside_above_and_inside() -> None:
    labels = np.ones((30, 40), np.int32)
    labels[5:10, 5:10] = 4
    labels[5:10, 20:25] = 6
    labels[20:25, 5:10] = 9
    assert relations(labels) == {
        (4, "left of", 6),
        (4, "above", 9),
        (4, "inside", 1),
        (6, "inside", 1),
        (9, "inside", 1),
    }


def test_inside_needs_one_neighbour_all_around_and_no_edge() -> None:
    labels = np.ones((30, 40), np.int32)
    labels[:, 20:] = 2
    labels[0:5, 5:10] = 3  # at the edge
    labels[10:15, 17:23] = 4  # on both sides
    labels[20:25, 5:10] = 5
    labels[21:24, 6:9] = 6  # within one that is within another
    inside = {triple for triple in relations(labels) if triple[1] == "inside"}
    assert inside == {(5, "inside", 1), (6, "inside", 5)}


def test_an_entity_on_background_is_not_inside_another() -> None:
    labels = np.zeros((30, 40), np.int32)
    labels[10:15, 10:15] = 1
    assert relations(labels) == set()
    assert relations(np.zeros((4, 4), np.int32)) == set()
