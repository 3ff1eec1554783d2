"""Masks with mistakes, and truth that is transferred to them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from esg.data import noisy_masks as module
from esg.data.noisy_masks import carry, perturbed_masks

QUARTERS = np.kron(np.array([[1, 2], [3, 4]]), np.ones((16, 16), np.int32)).astype(np.int32)


def only(monkeypatch: pytest.MonkeyPatch, **chances: float) -> None:
    for name in ("_MERGED", "_SPLIT", "_MISSED", "_DISPLACED"):
        monkeypatch.setattr(module, name, chances.get(name, 0.0))


def parts(labels: np.ndarray, others: np.ndarray) -> set[tuple[int, int]]:
    """Which labels of two maps meet."""
    return set(zip(labels.ravel().tolist(), others.ravel().tolist()))


@given(
    labels=arrays.arrays(np.int32, st.tuples(st.integers(1, 30), st.integers(1, 30)), elements=st.integers(0, 6)),
    seed=st.integers(0, 99),
)
def test_what_comes_out_is_a_label_map(labels: np.ndarray, seed: int) -> None:
    before = labels.copy()
    out = perturbed_masks(labels, np.random.default_rng(seed))
    assert np.array_equal(labels, before)
    assert (out.shape, out.dtype) == (labels.shape, np.int32)
    assert sorted(set(out.ravel().tolist()) - {0}) == list(range(1, out.max() + 1))
    assert np.array_equal(out, perturbed_masks(labels, np.random.default_rng(seed)))
    if (labels > 0).all():
        assert out.any()


def test_without_mistakes_only_the_order_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch)
    assert len(parts(perturbed_masks(QUARTERS, np.random.default_rng(0)), QUARTERS)) == 4


def test_merged_entities_are_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, _MERGED=0.4)
    rows = np.repeat(np.arange(4, dtype=np.int32), 8)[:, None].repeat(8, 1)  # 0, 1, 2, 3 from top to bottom
    seen = set()
    for seed in range(40):
        out = perturbed_masks(rows, np.random.default_rng(seed))
        assert not out[:8].any()  # no entity takes part in nothing
        found = parts(out, rows)
        seen |= {tuple(sorted(mine for ours, mine in found if ours == label)) for label in range(1, out.max() + 1)}
    assert seen == {(1,), (2,), (3,), (1, 2), (2, 3), (1, 2, 3)}


def test_split_entities_fall_into_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, _SPLIT=1.0)
    out = perturbed_masks(QUARTERS, np.random.default_rng(0))
    assert len(parts(out, QUARTERS)) == out.max() == 8
    assert np.bincount(out.ravel())[1:].min() > 16 * 16 / 4


def test_missed_entities_become_background(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, _MISSED=1.0)
    out = perturbed_masks(QUARTERS, np.random.default_rng(0))
    assert out.max() == 1  # the largest one stays
    assert (out > 0).sum() == 16 * 16
    assert not perturbed_masks(np.zeros((4, 4), np.int32), np.random.default_rng(0)).any()


def test_boundaries_are_displaced_a_little(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, _DISPLACED=module._DISPLACED)
    large = QUARTERS.repeat(6, 0).repeat(6, 1)  # 192 × 192
    out = perturbed_masks(large, np.random.default_rng(0))
    carried = carry(out, large)
    assert sorted(carried.same.tolist()) == [1, 2, 3, 4]
    inside = carried.inside.max(1)
    assert (inside < 1).all()
    assert (inside > 0.85).all()


# ------------------------------------------------------------------------------------------------------ what is carried


def test_truth_goes_to_entities_mostly_inside_the_true_ones() -> None:
    true = np.array([[1, 1, 1, 2, 2, 2, 3, 3]])
    given = np.array([[1, 1, 2, 2, 3, 3, 3, 0]])
    carried = carry(given, true)
    expected = [[1, 0, 0], [1 / 2, 1 / 2, 0], [0, 2 / 3, 1 / 3]]
    np.testing.assert_allclose(carried.inside, expected, rtol=1e-6)
    assert carried.same.tolist() == [1, 0, 2]  # IoU 2/3, 1/4, 2/4
    truth = np.array([[True, False, False], [True, True, False], [False, True, True], [False, False, True]])
    assert carried.meant(truth).tolist() == [
        [True, False, False],  # half of an entity is not most of it
        [True, True, True],
        [False, False, True],
        [False, False, False],
    ]


def test_the_same_entities_mean_the_same() -> None:
    carried = carry(QUARTERS, QUARTERS)
    assert carried.same.tolist() == [1, 2, 3, 4]
    truth = np.random.default_rng(0).random((5, 4)) < 0.5
    assert np.array_equal(carried.meant(truth), truth)


def test_nothing_carries_nothing() -> None:
    none = np.zeros((4, 4), np.int32)
    assert carry(none, QUARTERS[:4, :4]).inside.shape == (0, 1)
    carried = carry(QUARTERS, np.zeros_like(QUARTERS))
    assert carried.same.tolist() == [0, 0, 0, 0]
    assert carried.meant(np.zeros((2, 0), bool)).tolist() == [[False] * 4] * 2
