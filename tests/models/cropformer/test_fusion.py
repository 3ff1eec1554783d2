from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.fusion import CASES, make_case, paint, straight_fusion, straight_probabilities
from esg.models.cropformer import tiles
from esg.models.cropformer.fusion import FUSIONS, Fusion, fuse, fusion_views
from esg.models.cropformer.views import ViewGeometry
from esg.support.errors import InputError


def random_case(
    geometry: ViewGeometry, queries: int, seed: int, spread: float = 3
) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    low = [side // 4 for side in geometry.padded_size]
    logits = torch.randn(queries, len(geometry), *low, generator=generator) * spread
    return logits, torch.rand(queries, generator=generator)


def assert_right(ours: Fusion, logits: torch.Tensor, scores: torch.Tensor, geometry: ViewGeometry) -> None:
    """`ours` equals the straight way in double precision, save where a probability is within rounding of 0.5."""
    expected = straight_fusion(logits.double(), scores, geometry)
    near = ((straight_probabilities(logits.double(), geometry) - 0.5).abs() < 1e-5).any(0).numpy()
    assert ours.labels.dtype == np.int32
    np.testing.assert_array_equal(ours.labels[~near], expected.labels[~near])
    np.testing.assert_array_equal(ours.queries, expected.queries)
    np.testing.assert_array_equal(ours.class_scores, expected.class_scores)
    for rank, area in enumerate(ours.areas):
        mask = ours.labels == rank + 1
        assert area == mask.sum()
        if np.array_equal(mask, expected.labels == rank + 1):
            assert ours.scores[rank] == pytest.approx(expected.scores[rank], abs=1e-5)


@settings(deadline=None, max_examples=60)
@given(
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    crops=st.sampled_from([0, 4, 8]),
    ratio=st.floats(0.2, 1),
    short=st.integers(4, 80),
    queries=st.integers(1, 6),
    spread=st.sampled_from([0.1, 3.0, 20.0]),
    tile=st.sampled_from([7, 32, 128]),
    mode=st.sampled_from(["bo", "bc", "boc"]),
    seed=st.integers(0, 2**31),
)
def test_equal_to_the_straight_way(
    size: tuple[int, int],
    crops: int,
    ratio: float,
    short: int,
    queries: int,
    spread: float,
    tile: int,
    mode: str,
    seed: int,
) -> None:
    geometry = ViewGeometry.plan(*size, crops=crops, short=short, longest=100, ratio=ratio)
    if crops:
        geometry = geometry.select(fusion_views(mode, len(geometry)))
    logits, scores = random_case(geometry, queries, seed, spread)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "TILE", tile)
        assert_right(fuse(logits, scores, geometry), logits, scores, geometry)


@pytest.mark.parametrize("case", CASES)
def test_equal_to_the_straight_way_in_float32(case: str) -> None:
    inputs = make_case(case, megapixels=0.1, queries=12)
    ours, straight = fuse(*inputs), straight_fusion(*inputs)
    assert (ours.areas > 0).sum() > 1
    assert (ours.labels != straight.labels).mean() < 1e-4
    np.testing.assert_allclose(ours.scores, straight.scores, atol=1e-5)


@pytest.mark.parametrize("config", ["swin_tiny_3x_A", "swin_tiny_3x_B", "swin_large_3x_A"])
def test_painting_and_order_are_the_authors(shared: Path, config: str) -> None:
    recorded = np.load(shared / "reference" / "fixtures" / f"cropformer_{config}_128.npz")
    class_scores = torch.from_numpy(recorded["pred_logits_3d"][0]).softmax(-1)[:, 0]
    nothing = fuse(torch.zeros(len(class_scores), 1, 8, 8), class_scores, ViewGeometry.plan(9, 9, crops=0, short=32))
    np.testing.assert_array_equal(nothing.queries, recorded["result_query_index"])
    np.testing.assert_allclose(nothing.class_scores, recorded["result_class_scores"], atol=1e-6)
    # The straight way, our measure of right and wrong, paints as the authors do.
    probabilities = torch.from_numpy(recorded["prob_before_threshold_result_order_stride8"])
    painted = paint(probabilities, torch.from_numpy(nothing.class_scores), torch.from_numpy(nothing.queries))
    np.testing.assert_array_equal(painted.labels, recorded["label_map"][::8, ::8])


def constant(values: list[list[float]], geometry: ViewGeometry) -> torch.Tensor:
    """Logits (Q, T, h, w) that are constant on each view."""
    return torch.tensor(values)[..., None, None].expand(-1, -1, *(side // 4 for side in geometry.padded_size))


def test_known_answer() -> None:
    geometry = ViewGeometry.plan(40, 50, crops=0, short=32, longest=64)
    logits = constant([[2.0], [1.0], [-1.0]], geometry).clone()
    logits[0, :, :, logits.shape[3] // 2 :] = -40  # query 0 keeps about the left half
    result = fuse(logits, torch.tensor([0.9, 0.5, 0.7]), geometry)
    assert result.queries.tolist() == [0, 2, 1]
    assert set(np.unique(result.labels)) == {1, 3}
    assert (result.labels[:, 0] == 1).all()
    assert (result.labels[:, -1] == 3).all()
    assert result.areas.tolist() == [(result.labels == 1).sum(), 0, (result.labels == 3).sum()]
    once = torch.tensor(1.0).sigmoid()
    np.testing.assert_allclose(result.scores[1:], [0, 0.5 * once.sigmoid()], rtol=1e-6)


def test_stable_masks_come_first_on_request() -> None:
    geometry = ViewGeometry.plan(40, 50, crops=0, short=32, longest=64)
    logits = constant([[0.3], [3.0]], geometry)  # probabilities of 0.57, in doubt everywhere, and of 0.95
    scores = torch.tensor([0.9, 0.5])
    assert fuse(logits, scores, geometry).queries.tolist() == [0, 1]
    result = fuse(logits, scores, geometry, stable=True)
    assert result.queries.tolist() == [1, 0]
    assert result.class_scores.tolist() == [0.5, 0]  # times 1 and times 0
    assert (result.labels == 1).all()


def test_mean_over_the_covering_views_only() -> None:
    geometry = ViewGeometry.plan(10, 10, short=32, longest=64)
    # Full view a little negative, top-left crop clearly positive, the other crops clearly negative.
    result = fuse(constant([[-0.5, 2.0, -2.0, -2.0, -2.0]], geometry), torch.tensor([1.0]), geometry)
    expected = np.zeros((10, 10))
    expected[:3, :3] = 1  # only here no other crop outvotes it
    np.testing.assert_array_equal(result.labels, expected)
    p = (torch.tensor(-0.5).sigmoid() + torch.tensor(2.0).sigmoid()) / 2
    np.testing.assert_allclose(result.scores, p.sigmoid().numpy(), rtol=1e-6)


def test_uncovered_pixels_are_zero() -> None:
    geometry = ViewGeometry.plan(20, 20, short=32, longest=64, ratio=0.3).select([1, 4])
    result = fuse(constant([[5.0, 5.0]], geometry), torch.tensor([1.0]), geometry)
    expected = np.zeros((20, 20))
    expected[:6, :6] = expected[14:, 14:] = 1
    np.testing.assert_array_equal(result.labels, expected)


def test_ties_go_to_the_lower_query() -> None:
    geometry = ViewGeometry.plan(20, 20, crops=0, short=32)
    result = fuse(constant([[1.0], [3.0], [2.0]], geometry), torch.tensor([0.5, 0.5, 0.5]), geometry)
    assert result.queries.tolist() == [0, 1, 2]
    assert (result.labels == 1).all()


@pytest.mark.parametrize("queries", [0, 3])
def test_nothing_found(queries: int) -> None:
    geometry = ViewGeometry.plan(30, 20, short=32)
    logits = torch.full((queries, 5, 16, 8), -1.0)
    result = fuse(logits, torch.rand(queries), geometry)
    assert not result.labels.any()
    assert result.scores.tolist() == [0] * queries
    assert result.areas.tolist() == [0] * queries


def test_threads_and_precision_of_the_logits_do_not_matter() -> None:
    geometry = ViewGeometry.plan(200, 300, short=64, longest=106)
    logits, scores = random_case(geometry, 10, seed=1)
    logits = logits.bfloat16()
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = fuse(logits, scores, geometry)
        torch.set_num_threads(3)
        three = fuse(logits.float(), scores, geometry)
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_array_equal(one.labels, three.labels)
    np.testing.assert_array_equal(one.scores, three.scores)


def test_progress_reaches_the_total() -> None:
    geometry = ViewGeometry.plan(300, 20, short=32)
    steps: list[tuple[int, int, str]] = []
    fuse(*random_case(geometry, 2, seed=0), geometry, progress=lambda *step: steps.append(step))
    assert [done for done, _, _ in steps] == list(range(1, steps[-1][1] + 1))
    assert {what for _, _, what in steps} == {"fusion"}


def test_modes_choose_their_views() -> None:
    assert {mode: fusion_views(mode, 5) for mode in FUSIONS} == {
        "io": [0], "bo": [0], "bc": [1, 2, 3, 4], "boc": [0, 1, 2, 3, 4],
    }  # fmt: skip
    assert [fusion_views(mode, 1) for mode in ("io", "bo", "boc")] == [[0]] * 3
    assert [mode for mode, chosen in FUSIONS.items() if chosen.level == "image"] == ["io"]
    with pytest.raises(InputError, match="uses only crops"):
        fusion_views("bc", 1)
    with pytest.raises(InputError, match="'max'"):
        fusion_views("max", 5)


def test_shapes_that_do_not_fit_are_refused() -> None:
    geometry = ViewGeometry.plan(20, 20, short=32)
    with pytest.raises(InputError, match="5 views"):
        fuse(torch.zeros(2, 4, 8, 8), torch.zeros(2), geometry)
    with pytest.raises(InputError, match="3 class scores"):
        fuse(torch.zeros(2, 5, 8, 8), torch.zeros(3), geometry)
