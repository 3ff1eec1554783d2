"""Panoptic, semantic and overlapping results equal Mask2Former's inference, written down in double precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from esg.entities.rle import decode_mask
from esg.models.cropformer import tiles
from esg.models.cropformer.overlapping import overlapping
from esg.models.cropformer.segments import panoptic, semantic
from esg.models.cropformer.views import ViewGeometry

CLASSES = 4
THINGS = (True, False, True, False)


def resized(masks: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(masks[None], size=size, mode="bilinear", align_corners=False)[0]


def padded_and_cropped(logits: Tensor, geometry: ViewGeometry) -> tuple[Tensor, tuple[int, int]]:
    """Logits (Q, h, w) of the only view at its padded size, and the size without padding."""
    return resized(logits, geometry.padded_size), geometry.sizes[0]


def at_photo(logits: Tensor, geometry: ViewGeometry) -> Tensor:
    padded, (height, width) = padded_and_cropped(logits, geometry)
    return resized(padded[:, :height, :width], geometry.image_size)


def straight_panoptic(logits: Tensor, probabilities: Tensor, geometry: ViewGeometry) -> list[tuple[int, float, Tensor]]:
    """(class, score, mask) of every segment."""
    masks = at_photo(logits, geometry).sigmoid()
    scores, kinds = probabilities.max(-1)
    keep = (kinds != CLASSES) & (scores > 0.8)
    scores, kinds, masks = scores[keep], kinds[keep], masks[keep]
    if not len(scores):
        return []
    winner = (scores[:, None, None] * masks).argmax(0)
    found: list[tuple[int, float, Tensor]] = []
    stuff: dict[int, int] = {}
    for k, kind in enumerate(kinds.tolist()):
        original = masks[k] >= 0.5
        mask = (winner == k) & original
        if not mask.any() or (winner == k).sum() / original.sum() < 0.8:
            continue
        if kind in stuff:
            _, score, earlier = found[stuff[kind]]
            found[stuff[kind]] = kind, max(score, scores[k].item()), earlier | mask
            continue
        if not THINGS[kind]:
            stuff[kind] = len(found)
        found.append((kind, scores[k].item(), mask))
    return found


def straight_semantic(logits: Tensor, probabilities: Tensor, geometry: ViewGeometry) -> Tensor:
    """Class scores (K, H, W)."""
    padded, (height, width) = padded_and_cropped(logits, geometry)
    scores = torch.einsum("qc,qhw->chw", probabilities[:, :-1], padded.sigmoid())
    return resized(scores[:, :height, :width], geometry.image_size)


def case(size: tuple[int, int], short: int, queries: int, seed: int) -> tuple[Tensor, Tensor, ViewGeometry]:
    """Blobs with classes, most of them certain, in float32."""
    geometry = ViewGeometry.plan(*size, crops=0, short=short, longest=100)
    generator = torch.Generator().manual_seed(seed)
    low = [side // 4 for side in geometry.padded_size]
    coarse = torch.randn(queries, 3, 3, generator=generator) * 6 - 1
    noise = torch.randn(queries, *low, generator=generator)
    logits = F.interpolate(coarse[None], size=low, mode="bilinear")[0] + noise
    probabilities = (torch.randn(queries, CLASSES + 1, generator=generator) * 5).softmax(-1)
    return logits, probabilities, geometry


CASES = {
    "size": st.tuples(st.integers(1, 90), st.integers(1, 90)),
    "short": st.integers(16, 80),
    "queries": st.integers(1, 8),
    "tile": st.sampled_from([7, 128]),
    "seed": st.integers(0, 2**31),
}


@settings(deadline=None, max_examples=40)
@given(**CASES)
def test_panoptic(size: tuple[int, int], short: int, queries: int, tile: int, seed: int) -> None:
    logits, probabilities, geometry = case(size, short, queries, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "TILE", tile)
        ours = panoptic(logits[:, None], probabilities, geometry, THINGS)
    expected = straight_panoptic(logits.double(), probabilities.double(), geometry)
    assert ours.labels.shape == size
    assert ours.kinds.tolist() == [kind for kind, _, _ in expected]
    np.testing.assert_allclose(ours.scores, [score for _, score, _ in expected], atol=1e-6)
    for k, (_, _, mask) in enumerate(expected, start=1):
        assert ((ours.labels == k) != mask.numpy()).sum() <= 1  # a pixel may be within rounding of a border


@settings(deadline=None, max_examples=40)
@given(**CASES)
def test_semantic(size: tuple[int, int], short: int, queries: int, tile: int, seed: int) -> None:
    logits, probabilities, geometry = case(size, short, queries, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "TILE", tile)
        ours = semantic(logits[:, None], probabilities, geometry)
    scores = straight_semantic(logits.double(), probabilities.double(), geometry)
    assert (ours.labels > 0).all()
    chosen = torch.from_numpy(ours.kinds[ours.labels - 1])
    best = scores.gather(0, chosen[None])[0]
    assert (scores.amax(0) - best).max() < 1e-5
    for k, kind in enumerate(ours.kinds):
        inside = torch.from_numpy(ours.labels == k + 1)
        assert ours.scores[k] == pytest.approx(min(1, scores[kind][inside].mean().item()), abs=1e-5)


@settings(deadline=None, max_examples=40)
@given(**CASES)
def test_overlapping(size: tuple[int, int], short: int, queries: int, tile: int, seed: int) -> None:
    logits, probabilities, geometry = case(size, short, queries, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "TILE", tile)
        ours = overlapping(logits[:, None], probabilities[:, :-1], geometry, keep=5)
    masks = at_photo(logits.double(), geometry)
    top = probabilities[:, :-1].double().flatten().topk(min(5, queries * CLASSES))
    expected = {}
    for score, place in zip(top.values.tolist(), top.indices.tolist()):
        query, kind = divmod(place, CLASSES)
        if (masks[query] > 0).any():
            expected[query, kind] = score * masks[query].sigmoid()[masks[query] > 0].mean().item()
    assert {(one.query, one.kind) for one in ours} == expected.keys()
    assert [one.score for one in ours] == sorted((one.score for one in ours), reverse=True)
    for one in ours:
        assert one.score == pytest.approx(expected[one.query, one.kind], abs=1e-3)
        assert (decode_mask(one.rle) != (masks[one.query] > 0).numpy()).sum() <= 1


def flat(values: list[list[float]], size: tuple[int, int] = (32, 32)) -> tuple[Tensor, ViewGeometry]:
    """Logits of masks with the same value in each of some columns of equal width."""
    geometry = ViewGeometry.plan(*size, crops=0, short=32, longest=64)
    low = torch.tensor(values).repeat_interleave(8 // len(values[0]), dim=1)
    return low[:, None, None].expand(-1, 1, 8, -1), geometry


def certain(*kinds: int) -> Tensor:
    """Probabilities of queries that are sure of their class."""
    return F.one_hot(torch.tensor(kinds), CLASSES + 1).float() * 0.875 + 0.025


def test_stuff_of_one_class_is_merged_and_things_are_not() -> None:
    logits, geometry = flat([[20, -20, -20, -20], [-20, 20, -20, -20], [-20, -20, 20, -20], [-20, -20, -20, 20]])
    found = panoptic(logits, certain(1, 1, 0, 0), geometry, THINGS)
    assert found.kinds.tolist() == [1, 0, 0]
    assert found.labels[0, ::8].tolist() == [1, 1, 2, 3]
    assert panoptic(logits, certain(1, 1, 0, 0), geometry, (True,) * CLASSES).kinds.tolist() == [1, 1, 0, 0]


def test_no_object_and_uncertain_queries_are_left_out() -> None:
    logits, geometry = flat([[20, -20], [-20, 20]])
    probabilities = torch.stack([certain(CLASSES)[0], torch.tensor([0.79, 0.21, 0, 0, 0])])
    found = panoptic(logits, probabilities, geometry, THINGS)
    assert (len(found.scores), found.labels.max()) == (0, 0)


def test_a_query_that_is_mostly_covered_leaves_its_pixels_empty() -> None:
    logits, geometry = flat([[20, 20, 20, -20], [5, 5, 5, 5]])  # the second wins the last quarter only
    found = panoptic(logits, certain(0, 2), geometry, THINGS)
    assert found.kinds.tolist() == [0]
    assert found.labels[0, [0, 10, 20, 31]].tolist() == [1, 1, 1, 0]


def test_a_query_is_kept_once_for_each_of_its_good_classes() -> None:
    logits, geometry = flat([[20, -20]])
    found = overlapping(logits, torch.tensor([[0.5, 0.3, 0.1, 0.0]]), geometry, keep=2)
    assert [(one.kind, round(one.score, 2)) for one in found] == [(0, 0.5), (1, 0.3)]
    assert found[0].rle == found[1].rle


def test_the_second_sigmoid_is_that_of_entities() -> None:
    logits, geometry = flat([[20, -20], [-20, -20]])
    found = overlapping(logits, torch.tensor([[0.5], [0.9]]), geometry, second_sigmoid=True)
    assert [(one.query, one.score) for one in found] == [(0, pytest.approx(0.5 / (1 + np.exp(-1)), abs=1e-3))]
