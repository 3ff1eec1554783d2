"""Where label PNGs are written, and how their entities are numbered."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

from esg import EntityMap
from esg.batch import inputs, layouts, pace
from esg.batch.layouts import check_places, eight_bit_labels, is_label_place, label_place
from esg.support.errors import InputError


@pytest.mark.parametrize(
    ("name", "layout", "place"),
    [
        ("a/1", "flat", "labels/a/1.png"),
        ("scene0011_00/color/120", "maskclustering", "scene0011_00/output/mask/120.png"),
        ("scene0011_00/120", "maskclustering", "scene0011_00/output/mask/120.png"),
        ("120", "maskclustering", "output/mask/120.png"),
        ("garden/images/DSC 1.2", "instascene", "garden/sam/mask/DSC 1.2.png"),
        ("images/7", "instascene", "sam/mask/7.png"),
    ],
)
def test_places(name: str, layout: str, place: str) -> None:
    assert label_place(name, layout) == place
    assert is_label_place(place)


@pytest.mark.parametrize("path", ["a/1.png", "output/1.png", "mask/1.png", "a/labels/1.png", "xoutput/mask/1.png"])
def test_other_places(path: str) -> None:
    assert not is_label_place(path)


def test_two_photos_in_one_place() -> None:
    check_places(["a/color/1", "b/color/1", "a/color/2"], ["c"], "maskclustering")
    with pytest.raises(InputError, match=r"a/color/1 and a/rgb/1 would both be a/output/mask/1\.png"):
        check_places(["a/color/1", "a/rgb/1"], [], "maskclustering")
    check_places(["a/color/1", "a/rgb/1"], ["b", "a/color/1"], "flat")
    with pytest.raises(InputError, match="The label PNGs of A/color/1 and of an archive"):
        check_places(["A/color/1"], ["a"], "flat")


def test_orders() -> None:
    entities = EntityMap.from_labels(np.array([[0, 1, 2, 3]]), [0.2, 0.9, 0.5])
    best_first = eight_bit_labels(entities, "best-first")
    assert best_first.dtype == np.uint8
    assert best_first.tolist() == [[0, 3, 1, 2]]
    assert eight_bit_labels(entities, "best-last").tolist() == [[0, 1, 3, 2]]


def test_no_more_ids_than_fit() -> None:
    entities = EntityMap.from_labels(np.arange(257)[None])
    with pytest.raises(InputError, match="256 entities, but an 8-bit label PNG holds 255"):
        eight_bit_labels(entities, "best-first")
    fitting = entities.keep(range(1, 256))
    assert eight_bit_labels(fitting, "best-last").max() == 255
    assert np.count_nonzero(eight_bit_labels(fitting, "best-last")) == 255


@pytest.mark.parametrize("module", [inputs, layouts, pace])
def test_examples(module: object) -> None:
    results = doctest.testmod(module)  # type: ignore[arg-type]
    assert (results.failed, results.attempted > 0) == (0, True)
